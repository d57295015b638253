// The skeleton that a run has found in a video, drawn over it, at the frame that is shown.

import { askInTurn } from "./ask.js";
import { drawBones, frameAt } from "./motion-drawing.js";
import { runOf } from "./service.js";

const COLOURS = { left: "#4db2ff", right: "#ff9d3c", between: "#fff" };
const FINE = 10000; // units of the width and of the height of the picture

// returns what offers the toggle for a row, if its run looks for joints and the video is shown
export function overlay(video, canvas, toggle, said) {
  let row = null, pose = null, drawn = false;
  const press = (on) => {
    drawn = on;
    canvas.hidden = !on;
    toggle.setAttribute("aria-pressed", String(on));
    draw();
  };
  const draw = (time = video.currentTime) => {
    if (!drawn || !pose) return;
    const width = canvas.clientWidth, height = canvas.clientHeight, dots = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(width * dots), Math.round(height * dots)];
    const pen = canvas.getContext("2d"), frame = pose.places[frameAt(pose.times, time)];
    pen.scale(dots, dots);
    const scale = Math.min(width / video.videoWidth, height / video.videoHeight); // object-fit: contain
    const [wide, tall] = [scale * video.videoWidth, scale * video.videoHeight];
    const spots = pose.joints.map((_, k) => (frame[2 * k] === null ? null : [
      (width - wide) / 2 + (wide * frame[2 * k]) / FINE, (height - tall) / 2 + (tall * frame[2 * k + 1]) / FINE,
    ]));
    const thick = Math.max(1.5, tall / 150);
    drawBones(pen, pose, spots, thick + 2, () => "#0009"); // an edge, for bright pictures
    drawBones(pen, pose, spots, thick, (side) => COLOURS[side]);
  };
  const follow = (_, shown) => {
    draw(shown?.mediaTime);
    video.requestVideoFrameCallback?.(follow);
  };
  toggle.onclick = async () => {
    if (drawn) {
      said.textContent = "";
      return press(false);
    }
    const asked = row;
    toggle.disabled = true;
    try {
      if (!pose) {
        said.textContent = "The skeleton is being found …";
        const found = await (await askInTurn(`/api/scores/${asked.id}/pose`)).json();
        if (row !== asked) return;
        pose = found;
      }
      press(true);
      said.textContent = "Blue is the left side of the body, orange the right.";
    } catch ({ message }) {
      if (row === asked) said.textContent = message;
    } finally {
      toggle.disabled = false;
    }
  };
  for (const event of ["timeupdate", "seeked"]) video.addEventListener(event, () => draw());
  video.addEventListener("loadeddata", () => (toggle.hidden = !row));
  new ResizeObserver(() => draw()).observe(canvas);
  follow();
  return (shown) => {
    if (row?.id === shown?.id) return;
    row = shown && shown.video && runOf(shown.run)?.finds_joints ? shown : null;
    pose = null;
    said.textContent = "";
    press(false);
    toggle.hidden = !row || video.readyState < 2;
  };
}

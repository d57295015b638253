// A still of a recording to draw on, with the mouse, a finger or a pen, and to keep as a picture.

import { save } from "./answer.js";

// players: elements of which one is shown; over: a canvas over them, which is kept with the picture if it is shown
export function drawing(players, over, canvas, toggle, keep, stop) {
  const pen = canvas.getContext("2d");
  const shown = () => players.find((one) => !one.hidden);
  let last = null;
  const end = () => {
    canvas.hidden = keep.hidden = true;
    toggle.textContent = "Draw";
    toggle.setAttribute("aria-pressed", "false");
  };
  const begin = () => {
    const video = shown();
    stop();
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    pen.drawImage(video.canvas ?? video, 0, 0); // a motion player has a canvas
    if (!over.hidden) {
      const scale = Math.min(over.width / canvas.width, over.height / canvas.height); // object-fit: contain
      const [wide, tall] = [scale * canvas.width, scale * canvas.height];
      pen.drawImage(over, (over.width - wide) / 2, (over.height - tall) / 2, wide, tall, 0, 0, canvas.width, canvas.height);
    }
    Object.assign(pen, { strokeStyle: "#ffd400", lineWidth: Math.max(2, video.videoHeight / 120), lineCap: "round" });
    canvas.hidden = keep.hidden = false;
    canvas.setAttribute("aria-label", `Still of ${video.getAttribute("aria-label")} at ${video.currentTime.toFixed(2)} s, to draw on`);
    toggle.textContent = "End drawing";
    toggle.setAttribute("aria-pressed", "true");
  };
  const spot = ({ offsetX, offsetY }) => {
    const scale = Math.min(canvas.clientWidth / canvas.width, canvas.clientHeight / canvas.height); // object-fit: contain
    const [left, top] = [(canvas.clientWidth - scale * canvas.width) / 2, (canvas.clientHeight - scale * canvas.height) / 2];
    return [(offsetX - left) / scale, (offsetY - top) / scale];
  };
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = spot(event);
  };
  canvas.onpointermove = (event) => {
    if (!last) return;
    const next = spot(event);
    pen.beginPath();
    pen.moveTo(...last);
    pen.lineTo(...next);
    pen.stroke();
    last = next;
  };
  canvas.onpointerup = canvas.onpointercancel = () => (last = null);
  toggle.onclick = () => (canvas.hidden ? shown().videoWidth && begin() : end());
  keep.onclick = () => canvas.toBlob((blob) => save(blob, "still.png"));
  for (const one of players) one.addEventListener("emptied", end);
}

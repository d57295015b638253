// Puts the recording of a row into a <video>, or into the <motion-player> beside it; what a browser cannot play is said.

import { element } from "./answer.js";
import { ask, askInTurn } from "./ask.js";
import "./motion-player.js";
import { runOf } from "./service.js";

const loading = new WeakMap(); // element -> a promise that what it shows is there
const urls = new WeakMap(); // element -> the object URL that it plays

// of a video and the motion player beside it, the one that shows a row
export function play(video, motion, row, said) {
  const moves = runOf(row.run)?.reads !== "video", player = moves ? motion : video;
  [video.hidden, motion.hidden] = [moves, !moves];
  video.parentElement.classList.toggle("motion", moves);
  if (player.dataset.id !== row.id) {
    const other = moves ? video : motion;
    other.pause();
    other.dataset.id = "";
    player.dataset.id = row.id;
    tell(said, row.video ? "" : "This recording is no longer kept.", true);
    loading.set(player, moves ? showMotion(motion, row, said) : showVideo(video, row, said));
  }
  return player;
}

export const loaded = (player) => loading.get(player);

function tell(said, text, wrong = false) {
  said.textContent = text;
  said.classList.toggle("wrong", wrong);
}

async function showVideo(video, row, said) {
  video.setAttribute("aria-label", row.name);
  video.removeAttribute("src");
  video.onerror = () => said.replaceChildren("This browser cannot play the video. ", converter(video, row, said));
  if (row.video) await show(video, row, said, "video");
}

async function showMotion(player, row, said) {
  player.clear();
  player.label(row.name);
  if (!row.video) return;
  tell(said, "The recording is being read …");
  try {
    const found = await recordingOf(row);
    if (player.dataset.id !== row.id) return; // another one was chosen meanwhile
    player.show(row.name, found);
    tell(said, player.hasAttribute("controls") ? "" : player.remarks());
  } catch ({ message }) {
    if (player.dataset.id === row.id) tell(said, message, true);
  }
}

// what a motion player shows of a row: a skeleton, or the curves of a table
export async function recordingOf({ id, run }) {
  if (runOf(run)?.reads === "skeleton") return { figure: await (await askInTurn(`/api/scores/${id}/figure`)).json() };
  return { curves: (await (await ask(`/api/scores/${id}`)).json()).result.motion };
}

function converter(video, row, said) {
  const button = element("button", "Convert it", { type: "button", class: "quiet" });
  button.onclick = async () => {
    said.textContent = "The video is being converted …";
    if (await show(video, row, said, "playable")) said.textContent = "";
  };
  return button;
}

async function show(video, row, said, which) {
  try {
    const blob = await (await ask(`/api/scores/${row.id}/${which}`)).blob();
    if (video.dataset.id !== row.id) return false; // another one was chosen meanwhile
    if (urls.has(video)) URL.revokeObjectURL(urls.get(video));
    urls.set(video, URL.createObjectURL(blob));
    video.src = urls.get(video);
    return true;
  } catch ({ message }) {
    said.textContent = message;
    return false;
  }
}

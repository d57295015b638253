// Puts the video of a row into a <video>; one that the browser cannot play is named by a sentence.

import { element } from "./answer.js";
import { ask } from "./ask.js";
import { runOf } from "./service.js";

const urls = new WeakMap(); // element -> the object URL that it plays

export async function play(video, row, said) {
  if (video.dataset.id === row.id) return;
  video.dataset.id = row.id;
  video.setAttribute("aria-label", row.name);
  said.textContent = row.video ? "" : "This video is no longer kept.";
  video.removeAttribute("src");
  video.onerror = () => said.replaceChildren("This browser cannot play the video. ", converter(video, row, said));
  if (runOf(row.run)?.reads !== "video") {
    said.textContent = "A recording of motion: open it in the list to see its curves.";
    return;
  }
  if (row.video) await show(video, row, said, "video");
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

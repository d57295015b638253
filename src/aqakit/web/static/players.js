// Puts the video of a row into a <video>; one that the browser cannot play is named by a sentence.

import { ask } from "./ask.js";

const urls = new WeakMap(); // element -> the object URL that it plays

export async function play(video, row, said) {
  if (video.dataset.id === row.id) return;
  video.dataset.id = row.id;
  video.setAttribute("aria-label", row.name);
  said.textContent = row.video ? "" : "This video is no longer kept.";
  video.removeAttribute("src");
  video.onerror = () => (said.textContent = "This browser cannot play the video.");
  if (!row.video) return;
  try {
    const blob = await (await ask(`/api/scores/${row.id}/video`)).blob();
    if (video.dataset.id !== row.id) return; // another one was chosen meanwhile
    if (urls.has(video)) URL.revokeObjectURL(urls.get(video));
    urls.set(video, URL.createObjectURL(blob));
    video.src = urls.get(video);
  } catch ({ message }) {
    said.textContent = message;
  }
}

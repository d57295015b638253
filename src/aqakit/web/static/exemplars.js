// The training videos that resemble the one that was scored: a row for each, and the owner may watch them.

import { element, number } from "./answer.js";
import { ask } from "./ask.js";
import { runOf, service } from "./service.js";

export function exemplarRow({ id, score, distance }, run) {
  const row = element("tr"), name = element("td", id);
  if (service()?.desk && runOf(run)?.reads === "video") addWatch(name, id, run);
  row.append(name, element("td", number(score)), element("td", number(distance, 2)));
  return row;
}

function addWatch(place, id, run) {
  const button = element("button", "Watch", { type: "button", class: "quiet", "aria-label": `Watch ${id}` });
  const said = element("small", "", { role: "status" });
  place.append(" ", button, said);
  button.onclick = async () => {
    button.disabled = true;
    said.textContent = "The video is being prepared …";
    try {
      const blob = await (await ask(`/api/exemplar?${new URLSearchParams({ run, sample: id })}`)).blob();
      const video = element("video", "", { controls: "", playsinline: "", loop: "", "aria-label": id });
      video.muted = true;
      video.src = URL.createObjectURL(blob);
      video.onloadeddata = () => URL.revokeObjectURL(video.src);
      said.textContent = "";
      button.replaceWith(video);
      video.focus();
      await video.play().catch(() => {}); // it has controls
    } catch ({ message }) {
      said.textContent = message;
      button.disabled = false;
    }
  };
}

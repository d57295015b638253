// The training recordings that resemble the one that was scored: a row for each, and the owner sees and plays them.

import { $, element, number } from "./answer.js";
import { ask, askInTurn } from "./ask.js";
import "./motion-player.js";
import { runOf, service } from "./service.js";

let showing = null; // waits until the table is on the screen, since its pictures cost the server some seconds

export function showExemplars(exemplars, run) {
  $("exemplars-panel").hidden = !exemplars.length;
  $("exemplars").replaceChildren(...exemplars.map(row));
  showing?.disconnect();
  if (!exemplars.length || !service()?.desk || !runOf(run)) return;
  showing = new IntersectionObserver(([seen]) => {
    if (!seen.isIntersecting) return;
    showing.disconnect();
    showGlimpses(exemplars, run);
  });
  showing.observe($("exemplars-panel"));
}

function row({ id, score, distance }) {
  const made = element("tr"), name = element("td");
  name.append(element("span", id), element("div", "", { class: "look" }));
  made.append(name, element("td", number(score)), element("td", number(distance, 2)));
  return made;
}

async function showGlimpses(exemplars, run) {
  const places = [...$("exemplars").querySelectorAll(".look")];
  const tell = (text) => places.forEach((place) => place.replaceChildren(element("small", text)));
  try {
    tell("Looking for the recording …");
    const query = new URLSearchParams([["run", run], ...exemplars.map(({ id }) => ["sample", id])]);
    const found = await (await askInTurn(`/api/exemplars?${query}`)).json();
    places.forEach((place, k) => place.replaceChildren(...glimpse(found[k], run)));
    for (const player of $("exemplars").querySelectorAll("motion-player")) {
      const { sample, ...told } = found.find((one) => one.sample === player.dataset.sample);
      player.show(sample, told);
      player.currentTime = player.duration / 2;
    }
  } catch ({ message }) {
    tell(message);
  }
}

function glimpse(told, run) {
  const { sample, picture, problem } = told;
  if (problem) return [element("small", problem)];
  const button = element("button", "", { type: "button", class: "quiet watch", "aria-label": `Watch ${sample}` });
  const said = element("small", "", { role: "status" });
  button.append(picture ? element("img", "", { src: picture, alt: "" }) : element("motion-player", "", { "data-sample": sample }), element("span", "Watch"));
  button.onclick = () => (picture ? watch(button, said, sample, run) : move(button, told));
  return [button, said];
}

function move(button, { sample, ...told }) {
  const player = element("motion-player", "", { controls: "", loop: "" });
  button.replaceWith(player);
  player.show(sample, told);
  player.focus();
  player.play();
}

async function watch(button, said, sample, run) {
  button.disabled = true;
  said.textContent = "The video is being prepared …";
  try {
    const blob = await (await ask(`/api/exemplar?${new URLSearchParams({ run, sample })}`)).blob();
    const video = element("video", "", { controls: "", playsinline: "", loop: "", "aria-label": sample });
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
}

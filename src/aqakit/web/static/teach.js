// Teach by comparing: of two recordings, which was better? The server offers the two that tell most.

import { $, element } from "./answer.js";
import { ask, send } from "./ask.js";
import { play } from "./players.js";
import { service, titleOf } from "./service.js";
import { view } from "./views.js";

let pair = [], skipped = [];

async function load() {
  const runs = service()?.runs ?? [];
  const before = $("teach-run").value;
  $("teach-run").replaceChildren(...runs.map((run) => element("option", titleOf(run.name), { value: run.name })));
  if (before) $("teach-run").value = before;
  try {
    const query = new URLSearchParams([["run", $("teach-run").value], ...skipped.map((one) => ["skip", one])]);
    show(await (await ask(`/api/pairs?${query}`)).json());
  } catch ({ message }) {
    show({ count: 0, last: [], next: [], notes: [message] });
  }
}

function show({ count, last, next, notes }) {
  pair = next;
  $("teach-said").textContent = count === 0 ? "Nothing judged yet." : `${count} ${count === 1 ? "judgement" : "judgements"} so far.`;
  $("teach-notes").replaceChildren(...notes.map((note) => element("li", note[0].toUpperCase() + note.slice(1) + ".")));
  $("teach-pair").hidden = $("teach-buttons").hidden = !next.length;
  next.forEach((row, k) => {
    $(`teach-name-${k}`).textContent = row.name;
    $(`teach-about-${k}`).textContent = [row.athlete, row.date].filter(Boolean).join(" · ");
    play($(`teach-video-${k}`), $(`teach-motion-${k}`), row, $(`teach-shown-${k}`));
  });
  $("teach-last").replaceChildren(...last.map(line));
  $("teach-last-title").hidden = !last.length;
}

function line({ number: which, names, better }) {
  const made = element("li"), [first, second] = names;
  const said = { first: `${first} is better than ${second}`, second: `${second} is better than ${first}`, equal: `${first} and ${second} are equal` };
  const undo = element("button", "Take back", { type: "button", class: "quiet", "aria-label": `Take back: ${said[better]}` });
  undo.onclick = async () => {
    await ask(`/api/pairs/${which}`, "DELETE");
    load();
    $("teach-view").focus();
  };
  made.append(element("span", said[better]), undo);
  return made;
}

async function judge(better) {
  if (!pair.length) return;
  const [first, second] = pair.map((row) => row.id);
  pair = [];
  try {
    await send("/api/pairs", "POST", { first, second, better });
  } catch ({ message }) {
    $("teach-said").textContent = message;
  }
  load();
}

for (const better of ["first", "second", "equal"]) $(`teach-${better}`).onclick = () => judge(better);
$("teach-skip").onclick = () => {
  skipped.push(pair.map((row) => row.id).join("."));
  load();
};
$("teach-run").onchange = load;
$("teach-view").onkeydown = (event) => {
  if (event.target.closest("video, select, input, motion-player")) return; // which have keys of their own
  const better = { 1: "first", 2: "second", 0: "equal" }[event.key];
  if (better && !event.ctrlKey && !event.metaKey && !event.altKey) judge(better);
};

view("teach", load);


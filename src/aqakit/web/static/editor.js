// What is written of a video afterwards: whose it is, when, notes, and the true score or the judges' marks.

import { $, number } from "./answer.js";
import { send } from "./ask.js";
import { runOf } from "./service.js";

const form = $("edit-form");
let row = null, done = null;

export function edit(job, saved) {
  row = job;
  done = saved;
  const run = runOf(job.run);
  $("editor-title").textContent = job.name;
  $("edit-problem").hidden = true;
  for (const name of ["athlete", "date", "notes"]) form.elements[name].value = job[name];
  form.elements.tags.value = job.tags.join(", ");
  for (const name of ["truth", "difficulty"]) form.elements[name].value = job[name] ?? "";
  form.elements.judges.value = job.judges.join(" ");
  $("truth-label").textContent = run ? `True score, ${run.unit}` : "True score";
  $("marks-field").hidden = !run?.rule;
  $("marks-label").textContent = `or the judges’ marks (${listed(run?.marks ?? [])}), which make it`;
  $("editor").showModal();
}

const listed = (numbers) => numbers.join(", ").replace(/, (\d+)$/, " or $1");

const asNumber = (text) => (text.trim() === "" ? null : Number(text));

function changes() {
  const { athlete, date, notes, tags, truth, difficulty, judges } = form.elements;
  const found = { athlete: athlete.value, date: date.value || null, notes: notes.value, tags: tags.value.split(",") };
  const marks = judges.value.trim() ? judges.value.trim().split(/[\s;]+/).map((mark) => Number(mark.replace(",", "."))) : [];
  if (marks.some(Number.isNaN)) throw new Error("separate the marks by spaces: 7 7.5 8");
  if (asNumber(difficulty.value) !== row.difficulty) found.difficulty = asNumber(difficulty.value);
  if (marks.join() !== row.judges.join() && (marks.length || row.judges.length)) found.judges = marks;
  else if (asNumber(truth.value) !== row.truth) found.truth = asNumber(truth.value);
  return found;
}

form.onsubmit = async (event) => {
  event.preventDefault();
  try {
    const saved = await (await send(`/api/scores/${row.id}`, "PATCH", changes())).json();
    $("editor").close();
    done(saved);
  } catch ({ message }) {
    $("edit-problem").textContent = message[0].toUpperCase() + message.slice(1) + (/[.?!]$/.test(message) ? "" : ".");
    $("edit-problem").hidden = false;
  }
};

$("edit-cancel").onclick = () => $("editor").close();

export function truthOf({ truth, judges, score, low, high }) {
  if (truth === null) return "";
  const inside = low !== null && truth >= low && truth <= high;
  const off = score === null ? "" : `, ${number(Math.abs(score - truth))} off${low === null ? "" : inside ? ", in the interval" : ", outside the interval"}`;
  return `${number(truth, 2).replace(/0$/, "")}${judges.length ? ` (marks ${judges.join(" ")})` : ""}${off}`;
}

// The videos that were chosen and not yet sent, each with what is known of it.

import { $, element, named } from "./answer.js";
import { runOf, word } from "./service.js";

let rows = [];

export const chosen = () => rows;

const fresh = (file) => ({ file, difficulty: "", athlete: "", date: day(file.lastModified), tags: "", problem: "" });

export function choose(files) {
  rows = [...files].map(fresh);
  draw();
}

export function add(file) {
  rows.push(fresh(file));
  draw();
}

export function sent(row) {
  rows = rows.filter((one) => one !== row);
  draw();
}

export function refused(row, problem) {
  row.problem = problem;
  draw();
}

function day(stamp) {
  const when = new Date(stamp), two = (number) => String(number).padStart(2, "0");
  return stamp ? `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}` : "";
}

export function draw() {
  const many = rows.length > 1;
  $("chosen").textContent = many ? `${rows.length} ${word()}s` : rows.length ? rows[0].file.name : "Choose recordings";
  $("send").textContent = many ? `Score ${rows.length} ${word()}s` : "Score";
  $("queue").hidden = !rows.length;
  $("same").hidden = !many;
  $("queue").replaceChildren(...rows.map(line));
}

function line(row) {
  const made = element("li"), head = element("div", "", { class: "head" }), { name } = row.file;
  const cross = element("button", "×", { type: "button", class: "quiet", "aria-label": `Leave out ${name}` });
  cross.onclick = () => {
    sent(row);
    $("file").focus();
  };
  head.append(named(element("b"), name), cross);
  made.append(head);
  if (runOf($("run").value)?.needs_difficulty) {
    const limits = { type: "number", min: "0.1", max: "100", step: "any", inputmode: "decimal", required: "" };
    made.append(field(row, "difficulty", "Declared difficulty", limits));
  }
  const more = element("details"), inside = element("div");
  const told = () => [row.athlete || "Athlete?", row.date || "Date?", row.tags || "Tags?"].join(" · ");
  const summary = element("summary", told());
  inside.append(
    field(row, "athlete", "Athlete", { list: "athletes", maxlength: "200", autocomplete: "off" }),
    field(row, "date", "Date", { type: "date" }),
    field(row, "tags", "Tags, separated by commas", { maxlength: "1000", autocomplete: "off" }),
  );
  inside.oninput = () => (summary.textContent = told());
  more.open = row.open ?? false;
  more.ontoggle = () => (row.open = more.open);
  more.append(summary, inside);
  made.append(more);
  if (row.problem) made.append(element("p", row.problem, { class: "wrong" }));
  return made;
}

function field(row, key, label, attributes) {
  const made = element("label", "", { class: "field" });
  const input = element("input", "", { ...attributes, "aria-label": `${label} of ${row.file.name}` });
  input.value = row[key];
  input.oninput = () => (row[key] = input.value);
  made.append(element("span", label), input);
  return made;
}

$("same").onclick = () => {
  for (const row of rows.slice(1)) Object.assign(row, { athlete: rows[0].athlete, date: rows[0].date, tags: rows[0].tags });
  draw();
};

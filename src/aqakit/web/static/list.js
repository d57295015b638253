// The list of all that was scored, failed or waits; of a server that does not list, what this browser remembers.

import { $, element, named, number } from "./answer.js";
import { ask } from "./ask.js";
import { edit } from "./editor.js";
import { past } from "./past.js";
import { runOf, service, shortOf, whenKnown, word } from "./service.js";
import { go, view } from "./views.js";

const COLUMNS = [
  ["name", "Recording"], ["athlete", "Athlete"], ["date", "Date"], ["score", "Score"], ["truth", "True score"], ["error", "Off by"],
  ["run", "Run"], ["state", "State"],
];
const FIGURES = new Set(["score", "truth", "error"]);
const SIZE = 50, POLL = 3000;
let sort = { by: "created", order: "desc" };
let rows = [], total = 0, timer = null, latest = 0;
let picked = []; // rows, at most two, to compare

export async function fetchRows(query) {
  if (service()?.desk) return (await ask(`/api/scores?${new URLSearchParams(query)}`)).json();
  const found = [];
  for (const { id } of past()) {
    try {
      found.push(asRow(await (await ask(`/api/scores/${id}`)).json()));
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }
  const athletes = [...new Set(found.map((row) => row.athlete).filter(Boolean))].sort();
  return { total: found.length, rows: found.filter((row) => !query.athlete || row.athlete === query.athlete), athletes, tags: [] };
}

function asRow(job) {
  const ninety = job.result?.intervals.find((one) => one.level === 0.9);
  return { ...job, score: job.result?.score ?? null, low: ninety?.low ?? null, high: ninety?.high ?? null, unit: job.result?.unit ?? "" };
}

function wanted(offset) {
  const query = { sort: sort.by, order: sort.order, offset, limit: SIZE };
  for (const [name, value] of new FormData($("filters"))) if (value) query[name] = value;
  return query;
}

async function load(offset = 0) {
  const number = ++latest;
  clearTimeout(timer);
  try {
    const page = await fetchRows(wanted(offset));
    if (number !== latest) return; // a later request has been sent meanwhile
    rows = offset ? [...rows, ...page.rows] : page.rows;
    total = page.total;
    options($("filter-athlete"), page.athletes);
    options($("filter-tag"), page.tags);
    $("athletes").replaceChildren(...page.athletes.map((value) => element("option", "", { value })));
    draw();
  } catch ({ message }) {
    $("list-said").textContent = message;
  }
}

function options(select, values, names = values) {
  const before = select.value;
  select.replaceChildren(element("option", "all", { value: "" }), ...values.map((value, k) => element("option", names[k], { value })));
  select.value = values.includes(before) ? before : "";
}

function draw() {
  const focused = document.activeElement?.dataset?.row;
  $("rows").replaceChildren(...rows.map(line));
  if (focused) $("rows").querySelector(`[data-row="${CSS.escape(focused)}"]`)?.focus();
  $("list-said").textContent = service()?.desk ? count() : `${count()}: those that this browser remembers. ${$("list-view").dataset.why ?? ""}`;
  const kinds = new Set(picked.map(({ run }) => runOf(run)?.reads));
  $("compare-picked").disabled = picked.length < 2 || kinds.size > 1;
  $("compare-picked").hidden = !rows.length;
  $("compare-picked").textContent = picked.length < 2 ? "Tick two to compare them" : kinds.size > 1 ? `A ${[...kinds].join(" and a ")} cannot be compared` : "Compare the two that are ticked";
  $("compare-picked").parentElement.classList.toggle("stays", picked.length > 1);
  $("none").hidden = rows.length > 0;
  $("none").textContent = Object.keys(wanted(0)).length > 4 ? "Nothing is like that; change the search." : "Nothing here yet.";
  $("scores").hidden = !rows.length;
  $("more").hidden = rows.length >= total || !service()?.desk;
  $("more").textContent = `Show ${Math.min(SIZE, total - rows.length)} more`;
  for (const head of $("heads").querySelectorAll("th[data-by]")) {
    if (head.dataset.by === sort.by) head.setAttribute("aria-sort", sort.order === "asc" ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
  $("sort").value = `${sort.by} ${sort.order}`;
  if (rows.some(waits)) timer = setTimeout(() => $("list-view").hidden || load(), POLL);
}

const waits = ({ status }) => status === "queued" || status === "scoring";

const count = () => `${number(total, 0)} ${word()}${total === 1 ? "" : "s"}`;

function line(row) {
  const made = element("tr");
  const open = element("button", "", { type: "button", class: "link", "data-row": `open-${row.id}` });
  named(open, row.name).onclick = () => (location.hash = row.id);
  const change = element("button", "Edit", { type: "button", class: "quiet", "aria-label": `Edit ${row.name}`, "data-row": `edit-${row.id}` });
  change.onclick = () => edit(row, () => load());
  const range = row.low === null ? "" : `${number(row.low)} – ${number(row.high)}`;
  const off = row.score === null || row.truth === null ? "" : number(Math.abs(row.score - row.truth));
  const pick = element("input", "", { type: "checkbox", "aria-label": `Choose ${row.name} to compare`, "data-row": `pick-${row.id}` });
  pick.checked = picked.some(({ id }) => id === row.id);
  pick.disabled = !row.video || row.status !== "finished";
  pick.onchange = () => choose(row, pick.checked);
  const title = element("div", "", { class: "title" });
  title.append(pick, open);
  made.append(
    styled("name", cell("Recording", title, tagged(row.tags), small(row.notes))),
    cell("Athlete", row.athlete),
    styled("whole", cell("Date", row.date)),
    figure("Score", row.score === null ? "" : number(row.score), small(range)),
    figure("True score", row.truth === null ? "" : number(row.truth), small(row.judges.join(" "))),
    figure("Off by", off),
    cell("Run", shortOf(row.run)),
    cell("State", ...state(row)),
    styled("actions", cell("", change)),
  );
  return made;
}

function choose(row, on) {
  picked = [...picked.filter(({ id }) => id !== row.id), ...(on ? [row] : [])].slice(-2);
  draw();
}

function tagged(tags) {
  const made = element("div");
  made.append(...tags.map((tag) => element("span", tag, { class: "tag" })));
  return tags.length ? made : "";
}

export function styled(name, made) {
  made.className = name;
  return made;
}

function state({ status, problem }) {
  if (status === "failed") return ["failed", element("small", problem, { class: "wrong" })];
  return [{ finished: "scored", scoring: "being scored", queued: "waiting" }[status]];
}

const small = (text) => (text ? element("small", text) : "");

export function cell(label, ...content) {
  const made = element("td", "", label ? { "data-label": label } : {});
  made.append(...content.filter((one) => one !== "").map((one) => (typeof one === "string" ? element("span", one) : one)));
  return made;
}

export const figure = (label, ...content) => styled("figure", cell(label, ...content));

function by(column, order) {
  sort = { by: column, order };
  load();
}

$("heads").replaceChildren(...COLUMNS.map(([column, label]) => {
  const head = element("th", "", { scope: "col", "data-by": column, ...(FIGURES.has(column) && { class: "figure" }) });
  const button = element("button", label, { type: "button" });
  button.onclick = () => by(column, sort.by === column && sort.order === "asc" ? "desc" : "asc");
  head.append(button);
  return head;
}), element("td"));
$("sort").replaceChildren(...[["created", "time of upload"], ...COLUMNS].flatMap(([column, label]) => [
  element("option", `${label.toLowerCase()}, falling`, { value: `${column} desc` }),
  element("option", `${label.toLowerCase()}, rising`, { value: `${column} asc` }),
]));
$("sort").onchange = () => by(...$("sort").value.split(" "));
$("filters").onsubmit = (event) => event.preventDefault();
let typing = null;
$("filters").oninput = ({ target }) => {
  if (target === $("sort")) return;
  clearTimeout(typing);
  typing = setTimeout(load, target.type === "search" ? 250 : 0);
};
$("compare-picked").onclick = () => go("compare", ...picked.map(({ id }) => id));
$("more").onclick = () => load(rows.length);

whenKnown(async ({ runs, desk }) => {
  options($("filter-run"), runs.map((run) => run.name), runs.map((run) => run.title || run.name));
  $("filters").hidden = !desk;
  if (desk) return;
  try {
    await ask("/api/scores");
  } catch ({ message }) {
    $("list-view").dataset.why = `${message[0].toUpperCase()}${message.slice(1)}.`;
  }
});

view("list", () => load());

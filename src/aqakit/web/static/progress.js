// How the scores of an athlete develop: predictions with their intervals, and the true scores that were told.

import { $, element, named, number, shape, ticks } from "./answer.js";
import { cell, fetchRows, figure, styled } from "./list.js";
import { service, titleOf, word } from "./service.js";
import { view } from "./views.js";

const MOST = 500, DAY = 24 * 3600;
let shown = null;

async function load(wanted = "") {
  const { athletes, rows: own } = await fetchRows({ limit: 1 });
  const all = service()?.desk ? athletes : [...new Set(own.map((row) => row.athlete).filter(Boolean))];
  fill($("who"), all, all, wanted || $("who").value);
  if (!all.length) return say(`Write who performs in a ${word()} (Edit, in the list): then the scores of each athlete are drawn here.`);
  const query = { athlete: $("who").value, sort: "date", order: "asc", state: "finished", limit: MOST };
  const { rows, total } = await fetchRows(query);
  const done = rows.filter((row) => row.score !== null);
  const runs = [...new Set(done.map((row) => row.run))];
  fill($("by-run"), runs, runs.map(titleOf), $("by-run").value);
  show(done.filter((row) => row.run === $("by-run").value), total > rows.length);
}

function fill(select, values, names, before) {
  select.replaceChildren(...values.map((value, k) => element("option", names[k], { value })));
  if (values.includes(before)) select.value = before;
}

function say(text) {
  $("progress-said").textContent = text;
  $("progress-figure").hidden = $("progress-table").hidden = true;
}

const when = (row) => (row.date ? Date.parse(`${row.date}T12:00`) / 1000 : row.created);

const dayOf = (seconds) => new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });

function show(rows, cut) {
  if (!rows.length) return say(`No ${word()} of this athlete has been scored yet.`);
  rows.sort((a, b) => when(a) - when(b));
  say(summary(rows, cut));
  $("progress-figure").hidden = $("progress-table").hidden = false;
  $("over-time-text").textContent =
    `Scores of ${rows[0].athlete} in ${rows[0].unit}: the dot is the prediction, the bar its 90 % interval, the diamond the true score.`;
  $("progress-rows").replaceChildren(...rows.map(line));
  shown = rows;
  draw(rows);
}

function summary(rows, cut) {
  const told = rows.filter((row) => row.truth !== null);
  const parts = [`${rows.length} ${rows.length === 1 ? "score" : "scores"}${cut ? ` (the first ${MOST})` : ""}.`];
  if (told.length) {
    const off = told.reduce((sum, row) => sum + Math.abs(row.score - row.truth), 0) / told.length;
    const sure = told.filter((row) => row.low !== null);
    const held = sure.filter((row) => row.truth >= row.low && row.truth <= row.high).length;
    const inside = sure.length ? `, and ${held} of the true scores ${held === 1 ? "lies" : "lie"} in the 90\u00a0% interval` : "";
    parts.push(`Of ${told.length} with a true score, predictions are off by ${number(off)} ${rows[0].unit} on average${inside}.`);
  }
  if (rows.length > 1 && rows.every((row) => row.low !== null)) {
    const low = Math.max(...rows.map((row) => row.low)), high = Math.min(...rows.map((row) => row.high));
    if (low <= high) parts.push("All intervals overlap: the predictions alone do not show that anything changed.");
  }
  return parts.join(" ");
}

function line(row) {
  const made = element("tr");
  const open = named(element("a", "", { href: `#${row.id}` }), row.name);
  made.append(
    styled("whole", cell("Date", dayOf(when(row)))), styled("name", cell("Recording", open)), figure("Score", number(row.score)),
    styled("figure whole", cell("90 % interval", row.low === null ? "none" : `${number(row.low)} – ${number(row.high)}`)),
    figure("True score", row.truth === null ? "–" : number(row.truth)),
  );
  return made;
}

function draw(rows) {
  const svg = $("over-time"), width = svg.clientWidth, height = svg.clientHeight;
  if (!width) return;
  const left = 44, foot = 26, top = 12, right = 14;
  const values = rows.flatMap((row) => [row.score, row.low, row.high, row.truth]).filter((value) => value !== null);
  const pad = (Math.max(...values) - Math.min(...values)) * 0.06 || 1;
  const [low, high] = [Math.min(...values) - pad, Math.max(...values) + pad];
  const times = rows.map(when);
  const [first, last] = times[0] === times.at(-1) ? [times[0] - DAY, times[0] + DAY] : [times[0], times.at(-1)];
  const y = (value) => top + ((high - value) / (high - low)) * (height - top - foot);
  const spot = (time) => left + 10 + ((time - first) / (last - first)) * (width - left - right - 20);
  const parts = ticks(low, high, (height - top - foot) * 1.2).flatMap((value) => [
    shape("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
    shape("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(value)),
  ]);
  parts.push(shape("text", { x: left, y: height - 6 }, dayOf(first)));
  if (last > first) parts.push(shape("text", { x: width - right, y: height - 6, "text-anchor": "end" }, dayOf(last)));
  const seen = new Map(); // several of one day stand beside each other
  for (const row of rows) {
    const turn = seen.get(when(row)) ?? 0;
    seen.set(when(row), turn + 1);
    const x = Math.min(width - right, spot(when(row)) + 9 * turn);
    if (row.low !== null) parts.push(shape("line", { class: "range", x1: x, x2: x, y1: y(row.low), y2: y(row.high) }));
    parts.push(shape("circle", { class: "mean", cx: x, cy: y(row.score), r: 5 }));
    if (row.truth !== null) parts.push(shape("path", { class: "true", d: `M${x} ${y(row.truth) - 6}l6 6l-6 6l-6 -6z` }));
  }
  svg.replaceChildren(...parts);
}

$("who").onchange = () => load($("who").value);
$("by-run").onchange = () => load($("who").value);
new ResizeObserver(() => shown && draw(shown)).observe($("over-time"));

view("progress", (athlete) => load(athlete));

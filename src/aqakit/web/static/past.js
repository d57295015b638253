// The list of videos scored in this browser, updated while some of them wait.

import { $, element, number } from "./answer.js";
import { ask } from "./ask.js";
import { read, write } from "./storage.js";

const HISTORY = "aqakit-history", MOST = 100, POLL = 2000;

let open = null, erase = null; // actions of a row
let timer = null;

export function past() {
  try {
    const rows = JSON.parse(read("localStorage", HISTORY) ?? "[]");
    return rows.filter((row) => typeof row?.id === "string" && typeof row.name === "string");
  } catch {
    return []; // another page's, or damaged
  }
}

const waits = ({ status }) => status === "queued" || status === "scoring";

function keep(rows) {
  write("localStorage", HISTORY, JSON.stringify(rows.slice(0, MOST)));
  draw();
}

export function showPast(opened, erased) {
  open = opened;
  erase = erased;
  draw();
}

export function remember({ id, name, status, ahead, result }) {
  const row = { id, name, status, ahead, score: result ? result.score : null };
  const rows = past(), place = rows.findIndex((one) => one.id === id);
  keep(place < 0 ? [row, ...rows] : rows.with(place, row));
}

export const drop = (id) => keep(past().filter((one) => one.id !== id));

export const forget = () => keep([]);

async function refresh() {
  for (const { id } of past().filter(waits)) {
    try {
      remember(await (await ask(`/api/scores/${id}`)).json());
    } catch (error) {
      if (error.status === 404) drop(id);
      else break; // no connection or no token: try later
    }
  }
  timer = null;
  draw();
}

function draw() {
  const rows = past();
  $("history").hidden = !rows.length;
  const focused = document.activeElement?.dataset?.row;
  $("past").replaceChildren(...rows.map(line));
  if (focused) $("past").querySelector(`[data-row="${focused}"]`)?.focus();
  if (!timer && rows.some(waits)) timer = setTimeout(refresh, POLL);
}

function line(row) {
  const { id, name } = row;
  const show = element("button", "", { type: "button", class: "quiet", "data-row": `show-${id}` });
  show.append(element("span", name), element("b", outcome(row)));
  show.onclick = () => open(id);
  const cross = element("button", "×", { type: "button", class: "quiet", "aria-label": `Delete ${name}`, "data-row": `drop-${id}` });
  cross.onclick = () => erase(row);
  const made = element("li");
  made.append(show, cross);
  return made;
}

function outcome({ status, ahead, score }) {
  if (status === "finished") return number(score);
  if (status === "failed") return "no score";
  return status === "scoring" ? "being scored" : ahead ? `${ahead} ahead` : "next";
}

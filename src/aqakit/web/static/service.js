// What the server offers: its runs, its limits, and whether this visitor may list all scores.

import { ask } from "./ask.js";

let known = null;
const listeners = [];

export const service = () => known;

export const runOf = (name) => known?.runs.find((one) => one.name === name);

export const titleOf = (name) => runOf(name)?.title || name;

export const shortOf = (name) => titleOf(name).split(" · ").slice(0, 2).join(" · ");

// what is scored here: videos, unless a run reads motion
export const word = () => (known?.runs.every((run) => run.reads === "video") === false ? "recording" : "video");

export const whenKnown = (listener) => {
  listeners.push(listener);
  if (known) listener(known);
};

export async function learn() {
  known = await (await ask("/api/runs")).json();
  for (const listener of listeners) listener(known);
  return known;
}

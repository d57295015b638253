// A recording of motion beside its score: curves, one below the other, with the chosen part shaded, and the skeleton.

import { $, element, negative, shape } from "./answer.js";
import { recordingOf } from "./players.js";
import { runOf } from "./service.js";

const WIDTH = 600, HEIGHT = 56;

export function drawMotion(motion, part) {
  $("curves").replaceChildren(...motion.names.map((name, k) => curve(motion, name, k, part)));
  showMoment();
}

function curve({ rows, values, units, length }, name, k, part) {
  const own = values[k], low = Math.min(...own), high = Math.max(...own), span = high - low || 1;
  const x = (row) => (row / Math.max(1, length - 1)) * WIDTH, y = (value) => 4 + ((high - value) / span) * (HEIGHT - 8);
  const unit = units[k] ? ` ${units[k]}` : "", digits = units[k] === "degrees" ? 0 : 2;
  const text = `${name}: ${negative(low, digits)} to ${negative(high, digits)}${unit}`;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": text });
  svg.append(
    shape("rect", { class: "part", x: x(part.first), width: Math.max(2, x(part.last) - x(part.first)), y: 0, height: HEIGHT }),
    shape("path", { class: "line", d: `M${own.map((value, i) => `${x(rows[i]).toFixed(1)} ${y(value).toFixed(1)}`).join("L")}` }),
  );
  const made = element("figure");
  made.append(element("figcaption", text), svg);
  return made;
}

// the skeleton, if there is one and the recording is still kept
export async function showSkeleton(job) {
  const player = $("player");
  player.hidden = true;
  player.clear();
  $("player-said").textContent = "";
  if (!job.result.motion || runOf(job.run)?.reads !== "skeleton") return;
  player.dataset.id = job.id;
  try {
    if (!job.video) throw new Error("The recording is no longer kept, so its skeleton cannot be shown.");
    const found = await recordingOf(job);
    if (player.dataset.id !== job.id) return; // another one was opened meanwhile
    player.hidden = false;
    player.show(job.name, found);
  } catch ({ message }) {
    $("player-said").textContent = message;
  }
}

// a line through all curves at the moment that the skeleton shows
export function showMoment() {
  const player = $("player"), shown = !player.hidden && player.duration > 0;
  for (const svg of $("curves").querySelectorAll("svg")) {
    svg.querySelector(".now")?.remove();
    if (!shown) continue;
    const x = (player.currentTime / player.duration) * WIDTH;
    svg.append(shape("line", { class: "now", x1: x, x2: x, y1: 0, y2: HEIGHT }));
  }
}

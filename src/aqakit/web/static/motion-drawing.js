// Draws one moment of a recording of motion on a canvas: bones, or curves with a line.

import { negative } from "./answer.js";

const EDGE = 14; // pixels around the space in which a body moves

// the largest distance of a joint from the middle of the body
export function bounds({ places, dimensions }) {
  let reach = 1;
  for (const frame of places) {
    const [x, y, z] = middle(frame, dimensions);
    for (let k = 0; k < frame.length; k += dimensions) {
      if (frame[k] === null) continue;
      reach = Math.max(reach, Math.hypot(frame[k] - x, frame[k + 1] - y, dimensions === 3 ? frame[k + 2] - z : 0));
    }
  }
  return reach;
}

function middle(frame, dimensions) {
  const sums = Array(dimensions).fill(0);
  let count = 0;
  for (let k = 0; k < frame.length; k += dimensions) {
    if (frame[k] === null) continue;
    count += 1;
    for (let axis = 0; axis < dimensions; axis++) sums[axis] += frame[k + axis];
  }
  return sums.map((sum) => sum / (count || 1));
}

// the last frame that has begun
export function frameAt(times, now) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const half = Math.ceil((low + high) / 2);
    if (times[half] <= now + 1e-6) low = half;
    else high = half - 1;
  }
  return low;
}

export function drawFigure(pen, { figure, bounds: reach, currentTime, turned, follows }, width, height, colour) {
  const { dimensions, size, joints, bones, times, places } = figure, frame = places[frameAt(times, currentTime)];
  const room = follows ? [2.1 * reach, 2.1 * reach] : size;
  const scale = Math.min((width - 2 * EDGE) / (room[0] || 1), (height - 2 * EDGE) / (room[1] || 1));
  const [x, y, z] = follows ? middle(frame, dimensions) : [0, size[1] / 2, 0];
  const angle = (turned * Math.PI) / 180, [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const spot = (k) => {
    const at = dimensions * k;
    if (frame[at] === null) return null;
    const across = dimensions === 3 ? (frame[at] - x) * cos + (frame[at + 2] - (z ?? 0)) * sin : frame[at] - x;
    return [width / 2 + scale * across, height / 2 - scale * (frame[at + 1] - y)];
  };
  const spots = joints.map((_, k) => spot(k));
  if (!follows) floor(pen, width, height / 2 + (scale * size[1]) / 2, colour);
  drawBones(pen, { joints, bones }, spots, Math.max(2, Math.min(width, height) / 110), colour);
}

// spots: the place of each joint on the canvas; null if it was not seen
export function drawBones(pen, { joints, bones }, spots, thick, colour) {
  const sides = joints.map((name) => (name.startsWith("left") ? "left" : name.startsWith("right") ? "right" : "between"));
  const common = (a, b) => (a === b ? a : a === "between" ? b : b === "between" ? a : "between");
  pen.lineCap = "round";
  pen.lineWidth = thick;
  for (const [a, b] of bones) {
    if (!spots[a] || !spots[b]) continue;
    pen.strokeStyle = colour(common(sides[a], sides[b]));
    pen.beginPath();
    pen.moveTo(...spots[a]);
    pen.lineTo(...spots[b]);
    pen.stroke();
  }
  spots.forEach((one, k) => {
    if (!one) return;
    pen.fillStyle = colour(sides[k]);
    pen.beginPath();
    pen.arc(...one, joints[k] === "head" ? 2.4 * thick : 0.9 * thick, 0, 2 * Math.PI);
    pen.fill();
  });
}

function floor(pen, width, y, colour) {
  pen.strokeStyle = colour("line");
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(0, Math.round(y) + 0.5);
  pen.lineTo(width, Math.round(y) + 0.5);
  pen.stroke();
}

export function drawCurves(pen, { curves, duration, currentTime }, width, height, colour) {
  const { names, units, rows, values, length } = curves, tall = (height - 8) / names.length;
  const small = width < 200, head = small ? 2 : 15; // no room for words
  const x = (row) => EDGE + (row / Math.max(1, length - 1)) * (width - 2 * EDGE);
  pen.font = `12px ${getComputedStyle(pen.canvas).fontFamily}`;
  names.forEach((name, k) => {
    const own = values[k], low = Math.min(...own), high = Math.max(...own), top = 4 + k * tall + head, deep = tall - head - 4;
    const y = (value) => top + ((high - value) / (high - low || 1)) * deep;
    pen.fillStyle = colour("soft");
    if (!small) pen.fillText(`${name}, ${negative(low, 2)} to ${negative(high, 2)}${units[k] ? ` ${units[k]}` : ""}`, EDGE, top - 3);
    pen.strokeStyle = colour("left");
    pen.lineWidth = small ? 1 : 1.5;
    pen.beginPath();
    own.forEach((value, i) => pen.lineTo(x(rows[i]), y(value)));
    pen.stroke();
  });
  if (small) return;
  const now = duration ? EDGE + (currentTime / duration) * (width - 2 * EDGE) : EDGE;
  pen.strokeStyle = colour("between");
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.moveTo(now, 2);
  pen.lineTo(now, height - 2);
  pen.stroke();
}

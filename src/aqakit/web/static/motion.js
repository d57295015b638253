// Draws a recording of motion as curves, one below the other, with the chosen part shaded.

import { $, element, number, shape } from "./answer.js";

const WIDTH = 600, HEIGHT = 56;

export function drawMotion(motion, part) {
  $("curves").replaceChildren(...motion.names.map((name, k) => curve(motion, name, k, part)));
}

function curve({ rows, values, units, length }, name, k, part) {
  const own = values[k], low = Math.min(...own), high = Math.max(...own), span = high - low || 1;
  const x = (row) => (row / Math.max(1, length - 1)) * WIDTH, y = (value) => 4 + ((high - value) / span) * (HEIGHT - 8);
  const unit = units[k] ? ` ${units[k]}` : "", text = `${name}: ${number(low, 2)} to ${number(high, 2)}${unit}`;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": text });
  svg.append(
    shape("rect", { class: "part", x: x(part.first), width: Math.max(2, x(part.last) - x(part.first)), y: 0, height: HEIGHT }),
    shape("path", { class: "line", d: `M${own.map((value, i) => `${x(rows[i]).toFixed(1)} ${y(value).toFixed(1)}`).join("L")}` }),
  );
  const made = element("figure");
  made.append(element("figcaption", text), svg);
  return made;
}

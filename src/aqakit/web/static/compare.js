// Two attempts side by side, kept together by the alignment that the server found.

import { $, element, number } from "./answer.js";
import { ask } from "./ask.js";
import { drawing } from "./drawing.js";
import { fetchRows } from "./list.js";
import { play } from "./players.js";
import { runOf } from "./service.js";
import { go, view } from "./views.js";

const DRIFT = 0.12, EASE = 1.5; // seconds that the second video may be off, and how hard smaller ones are evened out
const videos = [$("compare-video-0"), $("compare-video-1")];
const chosen = [$("compare-0"), $("compare-1")];
let rows = [], pairs = [], rate = 25, running = false, asked = 0;

async function load(first = "", second = "") {
  try {
    ({ rows } = await fetchRows({ state: "finished", limit: 500 }));
  } catch ({ message }) {
    return say(message);
  }
  rows = rows.filter((row) => row.video && runOf(row.run)?.reads === "video");
  for (const select of chosen) select.replaceChildren(...rows.map((row) => element("option", label(row), { value: row.id })));
  $("compare-pair").hidden = $("compare-tools").hidden = rows.length < 2;
  if (rows.length < 2) return say("Two scored videos that are still kept are needed to compare.");
  const known = new Set(rows.map((row) => row.id));
  chosen[0].value = known.has(first) ? first : rows[0].id;
  chosen[1].value = known.has(second) ? second : rows.find((row) => row.id !== chosen[0].value).id;
  show();
}

const label = (row) => [row.name, row.athlete, row.date].filter(Boolean).join(" · ");

async function show() {
  stop();
  pairs = [];
  const two = chosen.map((select) => rows.find((row) => row.id === select.value));
  two.forEach((row, k) => {
    play(videos[k], row, $(`compare-shown-${k}`));
    const range = row.low === null ? "" : `, 90 % interval ${number(row.low)} – ${number(row.high)}`;
    const told = row.truth === null ? "" : `; true score ${number(row.truth)}`;
    $(`compare-score-${k}`).textContent = `${number(row.score)} ${row.unit}${range}${told}`;
  });
  const now = ++asked;
  say("Finding which moments belong together …");
  try {
    const query = new URLSearchParams({ a: two[0].id, b: two[1].id });
    const found = await (await ask(`/api/alignment?${query}`)).json();
    if (now !== asked) return;
    [pairs, rate] = [found.pairs, found.rates[0]];
    const [a, b] = found.seconds.map((value) => number(value, 2));
    say(`The first lasts ${a} s, the second ${b} s. They are kept together by what moves in them.`);
    $("compare-time").max = found.seconds[0];
    $("compare-time").step = 1 / rate;
    to(videos[0].currentTime);
  } catch ({ message }) {
    if (now === asked) say(`${message} Both run by the clock.`);
  }
}

const say = (text) => ($("compare-said").textContent = text);

// time of the second video at a time of the first, and how fast it runs there
function partner(time, table) {
  if (table.length < 2) return [time, 1];
  let k = table.findIndex(([a]) => a > time);
  if (k < 1) k = k === 0 ? 1 : table.length - 1;
  const [[a, b], [c, d]] = [table[k - 1], table[k]];
  const slope = (d - b) / (c - a);
  return [Math.min(Math.max(b + (time - a) * slope, b), d), slope];
}

const table = () => ($("compare-aligned").checked ? pairs : []);

function to(time) {
  const [first, second] = videos;
  first.currentTime = Math.min(Math.max(time, 0), first.duration || time);
  second.currentTime = Math.min(partner(first.currentTime, table())[0], second.duration || Infinity);
  $("compare-time").value = first.currentTime;
  told();
}

function told() {
  $("compare-now").textContent = `${number(videos[0].currentTime, 2)} s and ${number(videos[1].currentTime, 2)} s`;
}

function follow() {
  if (!running) return;
  const [first, second] = videos, speed = Number($("compare-speed").value);
  const [target, slope] = partner(first.currentTime, table());
  const ahead = second.currentTime - target;
  if (Math.abs(ahead) > DRIFT) second.currentTime = target;
  const pace = speed * slope * (1 - EASE * ahead);
  second.playbackRate = Math.min(Math.max(pace, 0.0625), 8);
  first.playbackRate = speed;
  $("compare-time").value = first.currentTime;
  told();
  if (first.ended) stop();
  else requestAnimationFrame(follow);
}

function start() {
  if (videos[0].ended) to(0);
  running = true;
  $("compare-play").textContent = "Pause";
  for (const video of videos) video.play().catch(stop);
  follow();
}

function stop() {
  running = false;
  $("compare-play").textContent = "Play both";
  for (const video of videos) video.pause();
}

function step(frames) {
  stop();
  to(videos[0].currentTime + frames / rate);
}

$("compare-play").onclick = () => (running ? stop() : start());
$("compare-back").onclick = () => step(-1);
$("compare-on").onclick = () => step(1);
$("compare-time").oninput = () => {
  stop();
  to(Number($("compare-time").value));
};
$("compare-aligned").onchange = () => to(videos[0].currentTime);
chosen.forEach((select) => (select.onchange = () => go("compare", ...chosen.map((one) => one.value))));
$("compare-view").onkeydown = (event) => {
  if (event.target.closest("select, input[type=range], button") && event.key !== "," && event.key !== ".") return;
  const done = { " ": () => (running ? stop() : start()), ArrowLeft: () => step(-1), ArrowRight: () => step(1), ",": () => step(-1), ".": () => step(1) }[event.key];
  if (!done || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  done();
};
videos.forEach((video, k) => drawing(video, $(`compare-canvas-${k}`), $(`compare-draw-${k}`), $(`compare-keep-${k}`), stop));

view("compare", load, stop);

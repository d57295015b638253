// Two attempts side by side, videos or motion, kept together by the alignment that the server found.

import { $, element, number } from "./answer.js";
import { askInTurn } from "./ask.js";
import { drawing } from "./drawing.js";
import { cell, fetchRows, figure, styled } from "./list.js";
import { overlay } from "./overlay.js";
import { loaded, play } from "./players.js";
import { runOf } from "./service.js";
import { go, view } from "./views.js";

const DRIFT = 0.12, EASE = 1.5; // seconds that the second video may be off, and how hard smaller ones are evened out
const chosen = [$("compare-0"), $("compare-1")];
const motions = [$("compare-motion-0"), $("compare-motion-1")];
const WAYS = { video: "what moves in them", skeleton: "their joints", signal: "their columns" };
const bones = [0, 1].map((k) =>
  overlay($(`compare-video-${k}`), $(`compare-bones-${k}`), $(`compare-show-bones-${k}`), $(`compare-bones-said-${k}`)));
let players = [$("compare-video-0"), $("compare-video-1")]; // or motion players
let rows = [], pairs = [], rate = 25, running = false, asked = 0;

async function load(first = "", second = "") {
  try {
    ({ rows } = await fetchRows({ state: "finished", limit: 500 }));
  } catch ({ message }) {
    return say(message);
  }
  rows = rows.filter((row) => row.video && runOf(row.run));
  const pairable = rows.filter((row) => alike(row).length > 1);
  $("compare-pair").hidden = $("compare-tools").hidden = !pairable.length;
  if (!pairable.length) return say("Two scored recordings of a kind that are still kept are needed to compare.");
  const one = pairable.find((row) => row.id === first) ?? pairable[0], others = alike(one);
  const two = others.find((row) => row.id === second && row !== one) ?? others.find((row) => row !== one);
  [pairable, others].forEach((some, k) => {
    chosen[k].replaceChildren(...some.map((row) => element("option", label(row), { value: row.id })));
  });
  chosen[0].value = one.id;
  chosen[1].value = two.id;
  show([one, two]);
}

const reads = (row) => runOf(row.run).reads;

const alike = (row) => rows.filter((other) => reads(other) === reads(row));

const label = (row) => [row.name, row.athlete, row.date].filter(Boolean).join(" · ");

async function show(two) {
  stop();
  pairs = [];
  $("compare-differences").hidden = true;
  two.forEach((row, k) => {
    players[k] = play($(`compare-video-${k}`), motions[k], row, $(`compare-shown-${k}`));
    bones[k](row);
    const range = row.low === null ? "" : `, 90 % interval ${number(row.low)} – ${number(row.high)}`;
    const told = row.truth === null ? "" : `; true score ${number(row.truth)}`;
    $(`compare-score-${k}`).textContent = `${number(row.score)} ${row.unit}${range}${told}`;
  });
  $("compare-aspect").hidden = reads(two[0]) !== "skeleton";
  const now = ++asked;
  say("Finding which moments belong together …");
  if (reads(two[0]) === "skeleton") await Promise.all(players.map(loaded)); // which the server reads, two at a time
  if (now !== asked) return;
  $("compare-turn").parentElement.hidden = !motions.some((one) => one.figure?.dimensions === 3);
  try {
    const query = new URLSearchParams({ a: two[0].id, b: two[1].id });
    const found = await (await askInTurn(`/api/alignment?${query}`)).json();
    if (now !== asked) return;
    [pairs, rate] = [found.pairs, found.rates[0]];
    const [a, b] = found.seconds.map((value) => number(value, 2));
    say(`The first lasts ${a} s, the second ${b} s. They are kept together by ${WAYS[reads(two[0])]}.`);
    $("compare-time").max = found.seconds[0];
    $("compare-time").step = 1 / rate;
    to(players[0].currentTime);
    showDifferences(found.differences);
  } catch ({ message }) {
    if (now === asked) say(`${message.replace(/[.]?$/, ".")} Both run by the clock.`);
  }
}

function showDifferences(found) {
  $("compare-differences").hidden = !found.length;
  $("compare-channels").replaceChildren(...found.map(({ channel, unit, mean, largest, at_a: at }) => {
    const made = element("tr"), digits = unit === "degrees" ? 0 : 2, more = largest < 0 ? "−" : "+";
    const jump = element("button", `${number(at, 2)} s`, { type: "button", class: "link", "aria-label": `Show ${channel} at ${number(at, 2)} s` });
    jump.onclick = () => {
      stop();
      to(at);
    };
    made.append(
      styled("name", cell("Measure", channel)), figure("On average", `${number(mean, digits)} ${unit}`),
      figure("At most", `${more}${number(Math.abs(largest), digits)} ${unit}`), figure("At", jump),
    );
    return made;
  }));
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
  const [first, second] = players;
  first.currentTime = Math.min(Math.max(time, 0), first.duration || time);
  second.currentTime = Math.min(partner(first.currentTime, table())[0], second.duration || Infinity);
  $("compare-time").value = first.currentTime;
  told();
}

function told() {
  $("compare-now").textContent = `${number(players[0].currentTime, 2)} s and ${number(players[1].currentTime, 2)} s`;
}

function follow() {
  if (!running) return;
  const [first, second] = players, speed = Number($("compare-speed").value);
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
  if (players[0].ended) to(0);
  running = true;
  $("compare-play").textContent = "Pause";
  for (const player of players) player.play().catch(stop);
  follow();
}

function stop() {
  running = false;
  $("compare-play").textContent = "Play both";
  for (const player of players) player.pause();
}

function step(frames) {
  stop();
  to(players[0].currentTime + frames / rate);
}

$("compare-play").onclick = () => (running ? stop() : start());
$("compare-back").onclick = () => step(-1);
$("compare-on").onclick = () => step(1);
$("compare-time").oninput = () => {
  stop();
  to(Number($("compare-time").value));
};
$("compare-aligned").onchange = () => to(players[0].currentTime);
chosen.forEach((select) => (select.onchange = () => go("compare", ...chosen.map((one) => one.value))));
$("compare-view").onkeydown = (event) => {
  if (event.target.closest("select, input[type=range], button") && event.key !== "," && event.key !== ".") return;
  const done = { " ": () => (running ? stop() : start()), ArrowLeft: () => step(-1), ArrowRight: () => step(1), ",": () => step(-1), ".": () => step(1) }[event.key];
  if (!done || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  done();
};
for (const k of [0, 1]) {
  const [over, canvas, toggle, keep] = ["bones", "canvas", "draw", "keep"].map((name) => $(`compare-${name}-${k}`));
  drawing([$(`compare-video-${k}`), motions[k]], over, canvas, toggle, keep, stop);
}
$("compare-turn").oninput = () => motions.forEach((one) => one.look({ turned: Number($("compare-turn").value) }));
$("compare-middle").onchange = () => motions.forEach((one) => one.look({ follows: $("compare-middle").checked }));

view("compare", load, stop);

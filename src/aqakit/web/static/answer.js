// Shows a finished score: the distribution, the timeline under the video, and the rest.

import { showExemplars } from "./exemplars.js";
import { drawMotion, showMoment, showSkeleton } from "./motion.js";
import { shortOf } from "./service.js";

export const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

export const number = (value, digits = 1) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
export const short = (value) => number(value, Number.isInteger(value) ? 0 : 1);
export const negative = (value, digits) => number(value, digits).replace("-", "−");
const signed = (value) => {
  const size = Math.abs(value);
  return size < 0.005 ? "0" : (value < 0 ? "−" : "+") + number(size, size < 0.1 ? 2 : 1);
};
export const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
const seconds = (value) => `${number(value, 1)} s`;

export function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// a file's name, which may be broken after its dots, dashes and underscores
export const named = (made, name) => {
  made.replaceChildren(...name.split(/(?<=[-_.])/).flatMap((part) => [part, element("wbr")]));
  return made;
};

export function showAnswer(job, source, convert) {
  const answer = job.result;
  $("answer").hidden = false; // hidden elements have no width
  named($("answer-title"), job.name);
  $("score").textContent = number(answer.score);
  const spread = answer.std > 0 ? `, give or take ${number(answer.std)}` : "";
  $("unit").textContent = `${answer.unit} of ${short(answer.high)}${spread}`;
  $("intervals").hidden = $("figure").hidden = !spread;
  $("intervals").replaceChildren(...[...answer.intervals].reverse().map(interval));
  $("curve-text").textContent =
    `How likely ${shortOf(job.run)} takes each score to be (slightly smoothed); the line is the mean` +
    (answer.recalibrated ? "; the intervals were fitted on recordings held out from training." : ".");
  $("notes").replaceChildren(...answer.notes.map((note) => element("li", sentence(note))));
  showVideo(answer, source, convert);
  showSkeleton(job);
  showTimeline(answer);
  showSaid(answer.said);
  showExemplars(answer.exemplars, job.run);
  $("facts").textContent =
    `${recording(answer)}; scored by ${shortOf(job.run)} in ${seconds(answer.seconds)}` +
    (job.difficulty === null ? "." : ` with difficulty ${job.difficulty}.`);
  $("download").onclick = () => download(job);
  drawCurve(answer);
  curveWidth.disconnect();
  curveWidth.observe($("curve"));
  drawn = answer;
}

function recording({ video, motion }) {
  if (motion) return `${motion.length} rows of ${motion.channels} channels`;
  const { width, height, frames, rate, codec } = video;
  return `${width} × ${height} pixels, ${frames} frames${rate ? ` at ${number(rate)} per second` : ""}, ${codec}`;
}

let drawn = null;
const curveWidth = new ResizeObserver(() => drawn && drawCurve(drawn));

function interval({ level, low, high }) {
  const row = element("div");
  const term = element("dt", `${Math.round(100 * level)} % interval`);
  term.prepend(element("span", "", { class: `key ${level < 0.7 ? "fifty" : "ninety"}` }));
  row.append(term, element("dd", `${number(low)} – ${number(high)}`));
  return row;
}

function drawCurve({ curve, intervals, score }) {
  const svg = $("curve");
  const width = svg.clientWidth, height = svg.clientHeight, top = 24, foot = 24;
  const { scores, density } = curve;
  const [low, high] = [scores[0], scores.at(-1)], peak = Math.max(...density) || 1;
  const x = (value) => ((value - low) / (high - low)) * width;
  const y = (value) => height - foot - (value / peak) * (height - top - foot);
  const area = (from, to, name) => {
    const inside = scores.map((s, i) => [s, density[i]]).filter(([s]) => s > from && s < to);
    const points = [[from, at(from)], ...inside, [to, at(to)]].map(([s, d]) => `${x(s)} ${y(d)}`);
    return shape("path", { class: name, d: `M${x(from)} ${y(0)}L${points.join("L")}L${x(to)} ${y(0)}z` });
  };
  const at = (value) => {
    const place = ((value - low) / (high - low)) * (scores.length - 1), i = Math.min(Math.floor(place), scores.length - 2);
    return density[i] + (place - i) * (density[i + 1] - density[i]);
  };
  const clamp = (value) => Math.min(Math.max(value, low), high);
  const wide = intervals.map((one) => area(clamp(one.low), clamp(one.high), one.level < 0.7 ? "fifty" : "ninety"));
  const edge = clamp(score), label = Math.min(Math.max(x(edge), 24), width - 24);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    area(low, high, "tail"), ...wide.reverse(),
    shape("line", { class: "axis", x1: 0, x2: width, y1: y(0), y2: y(0) }),
    ...ticks(low, high, width).flatMap((value) => tick(value, x(value), height - foot)),
    shape("line", { class: "mean", x1: x(edge), x2: x(edge), y1: top - 4, y2: y(0) }),
    shape("text", { class: "mean-label", x: label, y: top - 9 }, number(score)),
  );
}

function tick(value, x, y) {
  const text = shape("text", { x, y: y + 19 }, value.toLocaleString("en"));
  return [shape("line", { class: "axis", x1: x, x2: x, y1: y, y2: y + 5 }), text];
}

export function ticks(low, high, width) {
  const rough = (high - low) / Math.max(2, Math.floor(width / 60));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(Number((k * step).toPrecision(12)));
  const margin = ((high - low) * 16) / width;
  return found.filter((value) => value > low + margin && value < high - margin);
}

export function shape(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

let shown = null; // the object URL of the video on the page, to be revoked

function showVideo(answer, source, convert) {
  const video = $("video");
  $("moving").hidden = !answer.motion;
  $("screen").hidden = Boolean(answer.motion);
  if (answer.motion) {
    $("convert").hidden = video.hidden = true;
    return;
  }
  if (shown) URL.revokeObjectURL(shown);
  shown = source ? URL.createObjectURL(source) : null;
  const still = () => {
    video.hidden = true;
    $("convert").hidden = !convert;
    $("still").hidden = !shownParts(answer).some((clip) => clip.still);
  };
  video.hidden = !source;
  $("convert").hidden = true;
  $("convert").onclick = convert && (async () => {
    $("convert").disabled = true;
    const made = await convert();
    $("convert").disabled = false;
    if (made) showVideo(answer, made, null);
  });
  $("still").hidden = true;
  video.onerror = still; // a format that the browser cannot play
  if (shown) video.src = shown;
  else still();
}

// the parts that are explained: the clips, or the moments of few clips
const shownParts = (answer) => (answer.moments?.length ? answer.moments : answer.clips);

const partName = (answer) => (answer.moments?.length ? "Moment" : "Clip");

function showTimeline(answer) {
  const { unit, low, high } = answer, clips = shownParts(answer), name = partName(answer);
  const values = clips.map((clip) => clip.contribution ?? 0);
  const up = Math.max(0, ...values), down = Math.max(0, ...values.map((value) => -value));
  const span = up + down, reach = Math.max(span, (high - low) / 50); // so that small contributions look small
  const zero = span ? up / reach + ((reach - span) / reach) * 0.5 : 0.5;
  $("words").replaceChildren(...(answer.words ?? []).map((sentence) => element("li", sentence)));
  $("words").hidden = !answer.words?.length;
  $("timeline-text").textContent = explained(answer);
  const bars = clips.map((clip, index) => bar(clip, describe(name, clip, index, clips.length, unit), zero, reach));
  $("timeline").replaceChildren(...bars);
  const select = (index, jump = true) => choose(answer, bars, index, jump);
  bars.forEach((one, index) => {
    one.onclick = () => select(index);
    one.onkeydown = (event) => walk(event, bars, index);
  });
  const start = values.reduce((best, value, i) => (Math.abs(value) > Math.abs(values[best]) ? i : best), 0);
  select(start, false);
  $("video").ontimeupdate = () => follow(answer, bars, $("video"));
  $("player").ontimeupdate = () => {
    showMoment();
    follow(answer, bars, $("player"));
  };
}

function explained(answer) {
  const { unit, baseline } = answer, clips = shownParts(answer);
  if (clips.every((clip) => clip.contribution === null)) return "This run cannot explain what each clip adds.";
  const best = clips.reduce((a, b) => (Math.abs(b.contribution) > Math.abs(a.contribution) ? b : a));
  const least = (answer.high - answer.low) / 200;
  const most = clips.length < 2 ? "" : Math.abs(best.contribution) < least ? "No moment made much of a difference. " : `${best.contribution < 0 ? "Most was lost" : "Most was won"} at ${when(best)}: ${signed(best.contribution)} ${unit}. `;
  if (answer.moments?.length)
    return `${most}Each bar is a moment: the points that the score loses (up) or gains (down) when the picture is grey meanwhile.`;
  return `${most}Each bar is a clip: how many ${unit} better (up) or worse (down) than average it was. An average recording scores ${number(baseline)}.`;
}

function bar(clip, label, zero, reach) {
  const value = clip.contribution;
  const made = element("button", "", { type: "button", tabindex: "-1", "aria-label": label });
  const column = element("span", "", { class: `bar ${value > 0 ? "adds" : value < 0 ? "takes" : ""}` });
  const share = value === null ? 0 : Math.abs(value) / reach;
  column.style.height = `${90 * share}%`;
  column.style.top = `${5 + 90 * (value > 0 ? zero - share : zero)}%`;
  const line = element("span", "", { class: "zero" });
  line.style.top = `${5 + 90 * zero}%`;
  made.append(line, column);
  return made;
}

function when({ start, end, first, last }) {
  const [from, to] = end ? [seconds(start), seconds(end)] : [`frame ${first}`, `frame ${last}`];
  return from === to ? from : `${from} to ${to}`;
}

function describe(name, clip, index, count, unit) {
  const error = clip.error ? ` ± ${number(clip.error, 2)}` : "";
  const what = clip.contribution === null ? "" : `: ${signed(clip.contribution)}${error} ${unit}`;
  return `${name} ${index + 1} of ${count}, ${when(clip)}${what}`;
}

function choose(answer, bars, index, jump) {
  const { unit } = answer, clips = shownParts(answer), video = $("video"), name = partName(answer);
  mark(bars, index);
  bars.forEach((one, i) => (one.tabIndex = i === index ? 0 : -1));
  $("clip").textContent = describe(name, clips[index], index, clips.length, unit);
  if (answer.motion) drawMotion(answer.motion, clips[index]);
  const near = clips.slice(0, index + 1).findLast((clip) => clip.still) ?? clips[index];
  if (near.still) $("still").src = near.still;
  $("still").alt = `Middle of ${name.toLowerCase()} ${index + 1}`;
  const strip = $("timeline");
  strip.scrollLeft = bars[index].offsetLeft - (strip.clientWidth - bars[index].offsetWidth) / 2;
  if (jump && !video.hidden) video.currentTime = clips[index].start;
  if (jump && !$("player").hidden) $("player").currentTime = clips[index].start;
}

function mark(bars, index) {
  bars.forEach((one, i) => (i === index ? one.setAttribute("aria-current", "true") : one.removeAttribute("aria-current")));
}

function follow(answer, bars, video) {
  const clips = shownParts(answer);
  if (video.paused) return;
  const now = clips.findIndex((clip) => video.currentTime >= clip.start && video.currentTime < clip.end);
  if (now >= 0) mark(bars, now);
}

function walk(event, bars, index) {
  const last = bars.length - 1;
  const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: last }[event.key];
  if (to === undefined || to < 0 || to > last) return;
  event.preventDefault();
  bars[to].focus();
  bars[to].click();
}

function showSaid(said) {
  const { caption = "", ...classes } = said;
  $("said-panel").hidden = !Object.keys(said).length;
  $("caption").textContent = caption;
  $("said").replaceChildren(...Object.entries(classes).map(([name, value]) => {
    const row = element("div");
    row.append(element("dt", name.replaceAll("_", " ")), element("dd", String(value)));
    return row;
  }));
}

function download(job) {
  const text = JSON.stringify(job, (key, value) => (key === "still" ? undefined : value), 1);
  save(new Blob([text], { type: "application/json" }), `${job.name}.json`);
}

export function save(blob, name) {
  const link = element("a", "", { download: name });
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

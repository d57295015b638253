// Uploads the chosen files, follows their progress and shows the scores.

import { $, element, number, save, short, showAnswer } from "./answer.js";
import { TOKEN, ask, headers, refusal } from "./ask.js";
import { close as closeCamera, offer } from "./camera.js";
import { edit, truthOf } from "./editor.js";
import "./compare.js";
import "./everything.js";
import "./improve.js";
import "./list.js";
import "./progress.js";
import "./teach.js";
import { overlay } from "./overlay.js";
import { drop, forget, remember, showPast } from "./past.js";
import { choose, chosen, draw, refused, sent } from "./queue.js";
import { learn, runOf, service, whenKnown, word } from "./service.js";
import { write } from "./storage.js";
import { route, view } from "./views.js";

const bones = overlay($("video"), $("bones"), $("show-bones"), $("bones-said"));
let current = null; // id of the video being followed

function complain({ message, name }) {
  const text = name === "Sentence" ? message : message[0].toUpperCase() + message.slice(1); // it begins with a file's name
  $("problem").textContent = text + (/[.?!]$/.test(text) ? "" : ".");
  $("problem").hidden = false;
  $("state").hidden = true;
}

function tell(text, share = null) {
  $("status").textContent = text;
  if (share === null) $("progress").removeAttribute("value");
  else $("progress").value = share;
  $("state").hidden = false;
}

function clear() {
  for (const id of ["problem", "answer", "welcome", "state"]) $(id).hidden = true;
  $("video").pause();
  $("player").pause();
}

function describeRuns({ runs, waiting, chosen }) {
  const before = $("run").value;
  $("run").replaceChildren(...runs.map((run) => element("option", run.title || run.name, { value: run.name })));
  $("run").value = runOf(before) ? before : (chosen ?? runs[0]?.name);
  describeRun();
  showQueue(waiting);
}

function describeRun() {
  const run = runOf($("run").value);
  $("about").textContent = `${run.title || run.name}. Scores from ${short(run.low)} to ${short(run.high)} ${run.unit}.`;
  const motion = run.reads !== "video";
  $("file").accept = motion ? ".csv,.txt,.gz,.npy,.npz,.bvh,.trc,.skeleton,.json" : "video/*,.avi,.mkv,.gif";
  offer(!motion);
  draw();
}

function showQueue(waiting) {
  const queue = waiting === 0 ? "The queue is empty" : `${waiting} ${word()}${waiting === 1 ? "" : "s"} in the queue`;
  const { upload_limit, duration_limit, kept_hours } = service();
  const kept = kept_hours === null ? `a ${word()} is kept until you delete it` : `a ${word()} is removed after ${number(kept_hours, 0)} hours`;
  $("hint").textContent = `${queue}. Up to ${Math.round(upload_limit / 2 ** 20)} MB and ${duration_limit} s; ${kept}.`;
}

async function send(event) {
  event.preventDefault();
  if ($("token").value) write("sessionStorage", TOKEN, $("token").value);
  $("send").disabled = true;
  try {
    if (!service()) await learn();
    clear();
    if (!chosen().length) throw new Error(`choose a ${word()} first`);
    const first = await uploadAll(chosen());
    $("send").disabled = false; // more videos may be sent while these are scored
    if (first) await follow(first.job.id, first.row.file);
  } catch (error) {
    complain(error);
  } finally {
    $("send").disabled = false;
  }
}

async function uploadAll(rows) {
  let first = null;
  for (const row of rows) {
    try {
      if (row.file.size > service().upload_limit) throw tooLarge(row.file);
      if (!row.file.size) throw { message: `${row.file.name} is empty; copy it from the camera once more`, name: "Sentence" };
      const job = await upload(row);
      remember(job);
      first ??= { job, row };
      sent(row);
    } catch (error) {
      const said = error.status === 413 ? tooLarge(row.file) : error;
      refused(row, said.message);
      complain(said);
      if (error.status && error.status !== 413) break; // the other videos would be refused too
    }
  }
  if (!chosen().length) $("file").value = "";
  return first;
}

function tooLarge({ name }) {
  const message = `${name} is larger than ${service().upload_limit / 2 ** 20} MB; cut or shrink it`;
  return { message, name: "Sentence" };
}

function upload({ file: video, difficulty, athlete, date, tags }) {
  const run = runOf($("run").value);
  const query = new URLSearchParams({ run: run.name, name: video.name, athlete, date, tags });
  if (run.needs_difficulty) query.set("difficulty", difficulty);
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/scores?${query}`);
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = ({ loaded, total }) =>
      tell(`Uploading ${video.name}: ${10 * Math.floor((10 * loaded) / total)} %`, loaded / total); // screen readers announce steps of 10 %
    request.onload = () =>
      request.status < 300 ? done(JSON.parse(request.responseText)) : failed(refusal(request.status, request.responseText));
    request.onerror = () => failed(refusal(0, ""));
    tell(`Uploading ${video.name}`, 0);
    request.send(video);
  });
}

async function follow(id, video = null) {
  current = id;
  history.replaceState(null, "", `#${id}`);
  for (let tries = 0; current === id && tries < 60; tries++) {
    try {
      for await (const job of events(id)) {
        if (current !== id) return;
        tries = 0;
        if (await report(job, video)) return;
      }
    } catch (error) {
      if (error.status) throw error;
    }
    tell("The connection was lost; trying again");
    await new Promise((later) => setTimeout(later, 2000));
  }
  if (current === id) throw new Error("the server cannot be reached; reload the page later to see the score");
}

async function* events(id) {
  const { body } = await ask(`/api/scores/${id}/events`);
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const line = part.split("\n").find((one) => one.startsWith("data: "));
      if (line) yield JSON.parse(line.slice(6));
    }
  }
}

async function report(job, video) {
  showQueue(job.waiting);
  if (job.status === "queued") tell(job.ahead ? `${job.name}: ${job.ahead} ahead in the queue` : `${job.name}: next`);
  else if (job.status === "scoring") reportClips(job);
  else return end(job, video);
  return false;
}

async function end(job, video) {
  remember(job);
  if (job.status === "failed") complain({ message: job.problem, name: "Sentence" });
  else {
    const source = job.result.motion ? null : (video ?? (job.video ? await kept(job.id) : null));
    $("state").hidden = true;
    bones(source && job);
    showAnswer(job, source, source && job.video ? () => playable(job.id) : null);
    showTruth(job);
    $("report").onclick = () => attempt(async () => save(await (await ask(`/api/scores/${job.id}/report`)).blob(), `${job.name}.html`));
    $("one-page").onclick = () => attempt(async () => save(await (await ask(`/api/scores/${job.id}/page`)).blob(), `${job.name}.pdf`));
    $("delete").onclick = () => erase(job);
    $("answer").focus();
  }
  return true;
}

function showTruth(job) {
  $("truth").textContent = job.truth === null ? "" : `True score ${truthOf(withInterval(job))}`;
  $("about-video").textContent = [job.athlete, job.date, job.tags.join(", "), job.notes].filter(Boolean).join(" · ");
  $("edit").onclick = () => edit(job, (saved) => (saved.status === "finished" ? showTruth(saved) : again(saved.id)));
}

const withInterval = ({ truth, judges, result }) => {
  const { low, high } = result.intervals.find((one) => one.level === 0.9);
  return { truth, judges, score: result.score, ...(result.std > 0 ? { low, high } : { low: null, high: null }) };
};

function reportClips({ name, progress }) {
  if (!progress || !progress.total) tell(`${name}: reading it`);
  else if (progress.done < progress.total) tell(`${name}: clip ${progress.done + 1} of ${progress.total}`, progress.done / progress.total);
  else tell(`${name}: explaining the score`, 1);
}

async function kept(id) {
  try {
    return await (await ask(`/api/scores/${id}/video`)).blob();
  } catch {
    return null; // removed in the meantime: show the stills
  }
}

async function playable(id) {
  try {
    return await (await ask(`/api/scores/${id}/playable`)).blob();
  } catch (error) {
    complain(error);
    return null;
  }
}

async function attempt(something) {
  try {
    await something();
  } catch (error) {
    complain(error);
  }
}

function again(id) {
  if (location.hash !== `#${id}`) return void (location.hash = id); // which comes back here
  clear();
  return attempt(() => follow(id));
}

function erase({ id, name }) {
  if (!confirm(`Delete ${name} and its score from the server?`)) return;
  attempt(async () => {
    await ask(`/api/scores/${id}`, "DELETE");
    drop(id);
    if (current !== id) return;
    current = null;
    history.replaceState(null, "", location.pathname);
    clear();
    $("welcome").hidden = false;
  });
}

$("form").onsubmit = send;
$("run").onchange = describeRun;
$("file").onchange = (event) => event.target.files.length && choose(event.target.files);
$("token").onchange = () => {
  write("sessionStorage", TOKEN, $("token").value);
  learn().then(() => {
    $("problem").hidden = true;
    route({ focus: false });
  }, complain);
};
$("forget").onclick = forget;
for (const kind of ["dragenter", "dragover"]) addEventListener(kind, (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
for (const kind of ["dragleave", "drop"]) addEventListener(kind, (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
});
addEventListener("drop", (event) => event.dataTransfer.files.length && choose(event.dataTransfer.files));

whenKnown(describeRuns);
showPast(again, erase);
view("score", (...rest) => {
  const id = rest.at(-1);
  if (id.length === 22 && id !== current) again(id);
}, closeCamera);
learn().then(() => route({ focus: false }), complain);

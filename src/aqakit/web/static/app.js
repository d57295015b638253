// Uploads the chosen files, follows their progress and shows the scores.

import { $, element, number, save, showAnswer } from "./answer.js";
import { TOKEN, ask, headers, refusal } from "./ask.js";
import { drop, forget, remember, showPast } from "./past.js";
import { write } from "./storage.js";

let service = null;
let chosen = [];
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
}

async function learn() {
  service = await (await ask("/api/runs")).json();
  const before = $("run").value;
  $("run").replaceChildren(...service.runs.map((run) => element("option", run.name, { value: run.name })));
  if (before) $("run").value = before;
  describeRun();
  showQueue(service.waiting);
}

function describeRun() {
  const run = service.runs.find((one) => one.name === $("run").value);
  $("about").textContent = `${run.summary} Trained on ${run.data}; scores from ${run.low} to ${run.high} ${run.unit}.`;
  $("difficulty-field").hidden = !run.needs_difficulty;
  $("difficulty").required = run.needs_difficulty;
}

function showQueue(waiting) {
  const queue = waiting === 0 ? "The queue is empty" : waiting === 1 ? "1 video in the queue" : `${waiting} videos in the queue`;
  const size = Math.round(service.upload_limit / 2 ** 20);
  const hours = number(service.kept_hours, 0);
  $("hint").textContent = `${queue}. Up to ${size} MB and ${service.duration_limit} s; a video is removed after ${hours} hours.`;
}

function take(files) {
  if (!files.length) return;
  chosen = [...files];
  const many = chosen.length > 1;
  $("chosen").textContent = many ? `${chosen.length} videos: ${chosen.map((one) => one.name).join(", ")}` : chosen[0].name;
  $("send").textContent = many ? `Score ${chosen.length} videos` : "Score";
}

async function send(event) {
  event.preventDefault();
  if ($("token").value) write("sessionStorage", TOKEN, $("token").value);
  $("send").disabled = true;
  try {
    if (!service) await learn();
    clear();
    if (!chosen.length) throw new Error("choose a video first");
    const sent = await uploadAll(chosen);
    $("send").disabled = false; // more videos may be sent while these are scored
    if (sent.length) await follow(sent[0].job.id, sent[0].video);
  } catch (error) {
    complain(error);
  } finally {
    $("send").disabled = false;
  }
}

async function uploadAll(videos) {
  const sent = [];
  for (const video of videos) {
    try {
      if (video.size > service.upload_limit) throw tooLarge(video);
      const job = await upload(video);
      remember(job);
      sent.push({ job, video });
    } catch (error) {
      complain(error.status === 413 ? tooLarge(video) : error);
      if (error.status && error.status !== 413) break; // the other videos would be refused too
    }
  }
  return sent;
}

function tooLarge({ name }) {
  const message = `${name} is larger than ${service.upload_limit / 2 ** 20} MB; cut or shrink it`;
  return { message, name: "Sentence" };
}

function upload(video) {
  const query = new URLSearchParams({ run: $("run").value, name: video.name });
  if (!$("difficulty-field").hidden) query.set("difficulty", $("difficulty").value);
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
    const source = video ?? (job.video ? await kept(job.id) : null);
    $("state").hidden = true;
    showAnswer(job, source);
    $("report").onclick = () => attempt(async () => save(await (await ask(`/api/scores/${job.id}/report`)).blob(), `${job.name}.html`));
    $("delete").onclick = () => erase(job);
    $("answer").focus();
  }
  return true;
}

function reportClips({ name, progress }) {
  if (!progress || !progress.total) tell(`${name}: reading the video`);
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

async function attempt(something) {
  try {
    await something();
  } catch (error) {
    complain(error);
  }
}

function again(id) {
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
$("file").onchange = (event) => take(event.target.files);
$("token").onchange = () => {
  write("sessionStorage", TOKEN, $("token").value);
  learn().then(() => ($("problem").hidden = true), complain);
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
addEventListener("drop", (event) => {
  $("file").files = event.dataTransfer.files; // so that the form counts them as chosen
  take(event.dataTransfer.files);
});

showPast(again, erase);
learn().then(() => location.hash.length === 23 && again(location.hash.slice(1)), complain);

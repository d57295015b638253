// From a chosen file to its score: upload, follow, show; and the list of what this browser had scored.

import { $, element, number, showAnswer } from "./answer.js";

const HISTORY = "aqakit-history", TOKEN = "aqakit-token", MOST = 30;

let service = null;
let file = null;
let current = null; // id of the video that is followed

const headers = () => {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
};

async function ask(path) {
  const response = await fetch(path, { headers: headers() });
  if (!response.ok) throw await refusal(response.status, await response.text());
  return response;
}

function refusal(status, text) {
  $("token-field").hidden = status !== 401 && !sessionStorage.getItem(TOKEN);
  let detail;
  try {
    detail = JSON.parse(text).detail;
  } catch { /* not ours: a proxy's page */ }
  if (Array.isArray(detail)) detail = detail.map((one) => one.msg).join("; ");
  const error = new Error(detail || `the server answered ${status || "nothing; is it still running?"}`);
  error.status = status;
  return error;
}

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
  const chosen = $("run").value;
  $("run").replaceChildren(...service.runs.map((run) => element("option", run.name, { value: run.name })));
  if (chosen) $("run").value = chosen;
  describeRun();
  showQueue(service.waiting);
}

function describeRun() {
  const run = service.runs.find((one) => one.name === $("run").value);
  $("about").textContent = `${run.summary} Learnt from ${run.data}; scores from ${run.low} to ${run.high} ${run.unit}.`;
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
  file = files[0];
  $("chosen").textContent = file.name;
}

async function send(event) {
  event.preventDefault();
  if ($("token").value) sessionStorage.setItem(TOKEN, $("token").value);
  $("send").disabled = true;
  try {
    if (!service) await learn();
    clear();
    if (!file) throw new Error("choose a video first");
    if (file.size > service.upload_limit) throw tooLarge();
    const video = file, job = await upload(video);
    remember(job);
    $("send").disabled = false; // the next one may be sent while this one is scored
    await follow(job.id, video);
  } catch (error) {
    complain(error.status === 413 ? tooLarge() : error);
  } finally {
    $("send").disabled = false;
  }
}

const tooLarge = () => new Error(`the video is larger than ${service.upload_limit / 2 ** 20} MB; cut or shrink it`);

function upload(video) {
  const query = new URLSearchParams({ run: $("run").value, name: video.name });
  if (!$("difficulty-field").hidden) query.set("difficulty", $("difficulty").value);
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/scores?${query}`);
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = ({ loaded, total }) =>
      tell(`Uploading ${video.name}: ${10 * Math.floor((10 * loaded) / total)} %`, loaded / total); // read aloud in tens
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
  if (current === id) throw new Error("the server cannot be reached; reload the page later, the score will be there");
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
  if (job.status === "queued") tell(job.ahead ? `${job.name}: ${job.ahead} before it in the queue` : `${job.name}: next`);
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
    $("answer").focus();
  }
  return true;
}

function reportClips({ name, progress }) {
  if (!progress || !progress.total) tell(`${name}: reading the video`);
  else if (progress.done < progress.total) tell(`${name}: clip ${progress.done + 1} of ${progress.total}`, progress.done / progress.total);
  else tell(`${name}: finding what made the score`, 1);
}

async function kept(id) {
  try {
    return await (await ask(`/api/scores/${id}/video`)).blob();
  } catch {
    return null; // removed in the meantime: the stills are left
  }
}

const past = () => JSON.parse(localStorage.getItem(HISTORY) ?? "[]");

function remember({ id, name, status, result }) {
  const others = past().filter((one) => one.id !== id);
  const row = { id, name, status, score: result ? result.score : null };
  localStorage.setItem(HISTORY, JSON.stringify([row, ...others].slice(0, MOST)));
  showPast();
}

function showPast() {
  const rows = past();
  $("history").hidden = !rows.length;
  $("past").replaceChildren(...rows.map(({ id, name, status, score }) => {
    const open = element("button", "", { type: "button", class: "quiet" });
    const outcome = score !== null ? number(score) : status === "failed" ? "no score" : "…";
    open.append(element("span", name), element("b", outcome));
    open.onclick = () => again(id);
    const row = element("li");
    row.append(open);
    return row;
  }));
}

async function again(id) {
  clear();
  try {
    await follow(id);
  } catch (error) {
    complain(error);
  }
}

$("form").onsubmit = send;
$("run").onchange = describeRun;
$("file").onchange = (event) => take(event.target.files);
$("token").onchange = () => {
  sessionStorage.setItem(TOKEN, $("token").value);
  learn().then(() => ($("problem").hidden = true), complain);
};
$("forget").onclick = () => {
  localStorage.removeItem(HISTORY);
  showPast();
};
for (const kind of ["dragenter", "dragover"]) addEventListener(kind, (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
for (const kind of ["dragleave", "drop"]) addEventListener(kind, (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
});
addEventListener("drop", (event) => {
  $("file").files = event.dataTransfer.files; // so that the form counts it as chosen
  take(event.dataTransfer.files);
});

showPast();
learn().then(() => location.hash.length === 23 && again(location.hash.slice(1)), complain);

// Films with the camera of this device, into the queue; where the browser has none, nothing of it is shown.

import { $, element, sentence } from "./answer.js";
import { add } from "./queue.js";
import { service } from "./service.js";

const KINDS = ["video/mp4;codecs=avc1.42E01E", "video/mp4", "video/webm;codecs=vp8", "video/webm"];
const CAMERA = { audio: false, video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, frameRate: { ideal: 30 } } };
const BITS = 5e6; // per second: movement stays sharp
const WHY = {
  NotAllowedError: "this page may not use the camera; allow it in the settings of the browser",
  NotFoundError: "no camera was found",
  NotReadableError: "another program uses the camera",
};
const BUTTONS = { record: ["Record", record], stop: ["Stop", stop], keep: ["Use this recording", keep], discard: ["Discard it", open], close: ["Close the camera", close] };
const SHOWN = { live: ["record", "close"], recording: ["stop"], preview: ["keep", "discard", "close"], none: ["close"] };

const has = Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);
const video = element("video", "", { playsinline: "", "aria-label": "Picture of the camera" });
const said = element("p", "", { role: "status", class: "hint" }), clock = element("b", "", { class: "clock" });
const buttons = Object.fromEntries(Object.entries(BUTTONS).map(([name, [text, act]]) => {
  const made = element("button", text, { type: "button", id: `camera-${name}`, ...(["close", "discard"].includes(name) && { class: "quiet" }) });
  made.onclick = act;
  return [name, made];
}));
let stream = null, recorder = null, film = null, timer = null;

export const offer = (wanted) => {
  $("film").hidden = !has || !wanted;
  if (!wanted) close();
};

function enter(state, words) {
  $("camera").dataset.state = state;
  $("camera").hidden = false;
  said.textContent = words;
  clock.textContent = "";
  for (const [name, one] of Object.entries(buttons)) one.hidden = !SHOWN[state].includes(name);
  buttons[SHOWN[state][0]].focus();
}

function release() {
  clearInterval(timer);
  stream?.getTracks().forEach((track) => track.stop()); // the camera's light goes out
  if (recorder) recorder.onstop = null;
  if (video.src) URL.revokeObjectURL(video.src);
  stream = recorder = film = video.srcObject = null;
  video.removeAttribute("src");
  video.controls = false;
}

async function open() {
  release();
  $("film").disabled = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia(CAMERA);
    if ($("score-view").hidden) return release(); // another view was opened while the browser asked
    Object.assign(video, { srcObject: stream, muted: true });
    enter("live", "The camera is on. Nothing is recorded yet.");
    await video.play();
  } catch ({ name, message }) {
    if (!stream) enter("none", sentence(WHY[name] ?? message));
  } finally {
    $("film").disabled = false;
  }
}

function record() {
  const parts = [], { upload_limit, duration_limit } = service(), started = performance.now();
  let size = 0;
  recorder = new MediaRecorder(stream, { mimeType: KINDS.find((one) => MediaRecorder.isTypeSupported(one)), videoBitsPerSecond: BITS });
  recorder.ondataavailable = ({ data }) => {
    parts.push(data);
    size += data.size;
    if (size + BITS / 4 > upload_limit) stop(); // the next second might be too much
  };
  recorder.onstop = () => preview(parts);
  recorder.start(1000);
  const tick = () => {
    const seconds = Math.floor((performance.now() - started) / 1000);
    clock.textContent = `${seconds} s`;
    if (seconds >= duration_limit - 1) stop();
  };
  enter("recording", "Recording");
  tick();
  timer = setInterval(tick, 250);
}

function stop() {
  if (recorder?.state === "recording") recorder.stop();
}

function preview(parts) {
  const kind = recorder.mimeType.split(";")[0], when = new Date(Date.now() - 60_000 * new Date().getTimezoneOffset());
  const name = `film-${when.toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-")}.${kind.endsWith("mp4") ? "mp4" : "webm"}`;
  release();
  film = new File(parts, name, { type: kind });
  video.src = URL.createObjectURL(film);
  video.controls = true;
  enter("preview", `Recorded as ${name}. It is still on this device only.`);
}

function keep() {
  add(film);
  close();
  $("send").focus();
}

export function close() {
  release();
  if (!$("camera").hidden) $("film").focus();
  $("camera").hidden = true;
}

if (has) {
  const screen = element("div", "", { class: "screen" }), line = element("div", "", { class: "line" }), row = element("div", "", { class: "buttons" });
  screen.append(video);
  line.append(said, clock);
  row.append(...Object.values(buttons));
  $("camera").append(screen, line, row);
  $("film").onclick = open;
  addEventListener("pagehide", close);
}

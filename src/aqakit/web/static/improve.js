// Improve: a new run learns from true scores and judgements, stands beside the old one, and the coach chooses.

import { $, element, number, sentence } from "./answer.js";
import { ask } from "./ask.js";
import { cell, figure } from "./list.js";
import { learn, runOf, service, titleOf, word } from "./service.js";
import { view } from "./views.js";

const POLL = 1500;
const VERDICTS = {
  better: "The new run is better: its error is smaller, beyond noise.",
  worse: "The new run is worse: its error is larger, beyond noise.",
  same: "The new run did not get better: the difference is within noise.",
};
const WHAT = { corrected: "those with a true score told here", others: "the other recordings" };
let timer = null, seen = "";

async function load() {
  clearTimeout(timer);
  const runs = service()?.runs ?? [], before = $("improve-run").value || service()?.chosen;
  $("improve-run").replaceChildren(...runs.map((run) => element("option", titleOf(run.name), { value: run.name })));
  if (before && runOf(before)) $("improve-run").value = before;
  drawRuns();
  try {
    const query = new URLSearchParams({ run: $("improve-run").value });
    await show(await (await ask(`/api/improvement?${query}`)).json());
  } catch ({ message }) {
    say(sentence(message));
  }
}

const say = (text) => ($("improve-said").textContent = text);

const many = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

async function show({ status, stage, done, total, corrected, judged, problem, run, new: made }) {
  const running = status === "running";
  $("improve-known").textContent = `To learn from: ${many(corrected, word())} with a true score, ${many(judged, "judgement")}.`;
  $("improve-start").disabled = running || !(corrected || judged);
  $("improve-stop").hidden = $("improve-bar").hidden = !running;
  if (total) $("improve-bar").value = done / total;
  else $("improve-bar").removeAttribute("value");
  if (running) {
    say(`Improving ${titleOf(run)}: ${stage}${total ? `, epoch ${done} of ${total}` : ""}.`);
    timer = setTimeout(load, POLL);
  } else if (status === "failed") say(sentence(problem));
  else if (status === "finished" && seen !== made) {
    seen = made;
    await learn(); // the new run is among the others
    say("The new run is finished; it stands below, beside the old one.");
    drawRuns();
  }
}

function drawRuns() {
  const { runs = [], improved = {}, chosen } = service() ?? {};
  const used = chosen ?? runs[0]?.name;
  $("improve-runs").replaceChildren(...runs.map((run) => card(run, improved[run.name], run.name === used)));
}

function card(run, comparison, used) {
  const made = element("li"), title = element("h3", run.title || run.name);
  made.append(title, element("p", sentence(run.trust.join("; ") || "nothing was measured of this run"), { class: "hint" }));
  if (comparison) made.append(...compared(comparison));
  const buttons = element("div", "", { class: "buttons" });
  if (used) buttons.append(element("p", "Used now", { class: "used" }));
  else buttons.append(button("Use this run", run, async () => {
    await ask(`/api/chosen?${query(run)}`, "PUT");
    $("run").value = run.name;
  }));
  if (comparison) buttons.append(button("Delete this run", run, async () => {
    if (confirm(`Delete the run ${run.title}?`)) await ask(`/api/improved?${query(run)}`, "DELETE");
  }));
  made.append(buttons);
  return made;
}

const query = (run) => new URLSearchParams({ run: run.name });

function button(text, run, done) {
  const made = element("button", text, { type: "button", class: "quiet", "aria-label": `${text}: ${run.title}` });
  made.onclick = async () => {
    try {
      await done();
      await learn();
      load();
      $("improve-view").focus();
    } catch ({ message }) {
      say(sentence(message));
    }
  };
  return made;
}

function compared({ verdict, rows, learnt, pairs, notes, unit }) {
  const table = element("table", "", { class: "cards" }), head = element("tr"), body = element("tbody"), top = element("thead");
  head.append(...["Judged on", "Number", "Old run off by", "New run off by"].map((text, k) => element("th", text, { scope: "col", ...(k && { class: "figure" }) })));
  top.append(head);
  body.append(...rows.map((row) => {
    const line = element("tr");
    line.append(cell("Judged on", WHAT[row.what]), figure("Number", String(row.samples)), figure("Old run off by", `${number(row.old)} ${unit}`), figure("New run off by", `${number(row.new)} ${unit}`));
    return line;
  }));
  table.append(element("caption", "Mean absolute error, each recording judged by models that did not learn from it"), top, body);
  const told = `Learnt from ${many(learnt, word())} with a true score and ${many(pairs, "judgement")} more than the old run.`;
  const list = element("ul", "", { class: "notes" });
  list.append(...notes.map((note) => element("li", sentence(note))));
  return [element("p", VERDICTS[verdict]), table, element("p", told, { class: "hint" }), list];
}

$("improve-run").onchange = load;
$("improve-start").onclick = async () => {
  try {
    await ask(`/api/improvement?${new URLSearchParams({ run: $("improve-run").value })}`, "POST");
    seen = "";
    load();
  } catch ({ message }) {
    say(sentence(message));
  }
};
$("improve-stop").onclick = async () => {
  await ask("/api/improvement", "DELETE").catch(() => {});
  load();
};

view("improve", load, () => clearTimeout(timer));

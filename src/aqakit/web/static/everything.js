// All that the server holds: taken away as one archive, or deleted.

import { $, save } from "./answer.js";
import { ask } from "./ask.js";
import { forget } from "./past.js";
import { whenKnown } from "./service.js";
import { route } from "./views.js";

const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");

$("export").onclick = async () => {
  $("export").disabled = true;
  $("everything-said").textContent = "The archive is being made …";
  try {
    const query = new URLSearchParams({ videos: $("with-videos").checked, runs: $("with-runs").checked });
    save(await (await ask(`/api/export?${query}`)).blob(), "aqakit-desk.zip");
    $("everything-said").textContent = "";
  } catch ({ message }) {
    $("everything-said").textContent = sentence(message);
  }
  $("export").disabled = false;
};

$("delete-all").onclick = () => {
  $("ending-words").value = "";
  $("ending-problem").hidden = true;
  $("ending").showModal();
};

$("ending-form").onsubmit = async (event) => {
  event.preventDefault();
  try {
    await ask(`/api/scores?${new URLSearchParams({ confirm: $("ending-words").value.trim().toLowerCase() })}`, "DELETE");
    $("ending").close();
    $("everything-said").textContent = "Everything was deleted.";
    forget();
    route();
  } catch ({ message }) {
    $("ending-problem").textContent = sentence(message);
    $("ending-problem").hidden = false;
  }
};

$("ending-cancel").onclick = () => $("ending").close();

whenKnown(({ desk }) => ($("everything").hidden = !desk));

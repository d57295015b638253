// One page, several views: the part of the address behind the # says which one is shown.

import { $ } from "./answer.js";

const views = new Map(); // name -> what to do when it is shown, and when it is left
let shown = "score";

export const view = (name, show, leave = () => {}) => views.set(name, { show, leave });

export function go(name, ...rest) {
  location.hash = [name, ...rest.map(encodeURIComponent)].join("/");
}

export function route({ focus = true } = {}) {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const known = views.has(name) ? name : "score";
  for (const other of views.keys()) {
    $(`${other}-view`).hidden = other !== known;
    const link = $(`to-${other}`);
    if (!link) continue;
    if (other === known) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const changed = shown !== known;
  if (changed) views.get(shown).leave();
  shown = known;
  if (changed && focus && known !== "score") $(`${known}-view`).focus({ preventScroll: true });
  views.get(known).show(...rest.map(decodeURIComponent), known === name ? "" : name);
}

addEventListener("hashchange", () => route());

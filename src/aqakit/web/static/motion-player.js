// <motion-player>: a skeleton that moves, or curves with a line at the present moment. It has the part of the interface
// of a <video> that the page uses, and with the attribute "controls" its own buttons and keys.

import { element, number } from "./answer.js";
import { bounds, drawCurves, drawFigure } from "./motion-drawing.js";

const FRAME = 1 / 30; // seconds, of what does not tell its rate
export const TURN = 30; // degrees by which a body is turned at first, since the front alone hides depth
const SPEEDS = [["1", "normal"], ["0.5", "half"], ["0.25", "quarter"], ["0.125", "eighth"]];

class MotionPlayer extends HTMLElement {
  figure = null;
  curves = null;
  playbackRate = 1;
  turned = TURN; // degrees about the vertical axis
  follows = false; // whether the body stays in the middle
  #now = 0;
  #running = null; // the time of the last frame of the screen while it plays

  connectedCallback() {
    if (this.canvas) return;
    this.canvas = element("canvas", "", { role: "img", "aria-label": "Recording of motion" });
    this.append(this.canvas);
    if (this.hasAttribute("controls")) this.#addControls();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
      matchMedia(query).addEventListener("change", () => this.draw());
    }
  }

  show(name, { figure = null, curves = null }) {
    this.clear();
    Object.assign(this, { figure, curves, bounds: figure && bounds(figure) });
    this.label(name);
    if (this.scrub) {
      Object.assign(this.scrub, { max: this.duration, step: this.frame });
      this.turn.parentElement.hidden = figure?.dimensions !== 3;
      this.middle.parentElement.hidden = !figure;
      this.legend.hidden = !figure?.bones.length;
      this.about.textContent = this.remarks();
    }
    this.currentTime = 0;
  }

  label(name) {
    if (this.hasAttribute("controls")) this.setAttribute("aria-label", name);
    this.canvas.setAttribute("aria-label", `${this.curves ? "Curves" : "Skeleton"} of ${name}`);
  }

  clear() {
    this.pause();
    this.figure = this.curves = null;
    this.dispatchEvent(new Event("emptied"));
  }

  remarks() {
    const rate = `The file does not tell its rate; ${Math.round(1 / this.frame)} rows per second are assumed.`;
    const unseen = this.figure?.places.some((frame) => frame.includes(null));
    return [
      this.figure && !this.figure.bones.length && "Which joint is which is not known, so there are no bones.",
      (this.figure ? this.figure.assumed : this.curves && !this.curves.rate) && rate,
      unseen && "Joints that were not seen are not drawn.",
    ].filter(Boolean).join(" ");
  }

  get frame() {
    return 1 / (this.figure?.rate || this.curves?.rate || 1 / FRAME);
  }

  get duration() {
    return this.figure ? this.figure.times.at(-1) : this.curves ? (this.curves.length - 1) * this.frame : 0;
  }

  get currentTime() {
    return this.#now;
  }

  set currentTime(seconds) {
    this.#now = Math.min(Math.max(seconds, 0), this.duration);
    this.draw();
    this.dispatchEvent(new Event("timeupdate"));
  }

  get paused() {
    return this.#running === null;
  }

  get ended() {
    return this.#now >= this.duration;
  }

  get videoWidth() {
    return this.canvas.width;
  }

  get videoHeight() {
    return this.canvas.height;
  }

  async play() {
    if (!this.paused || !this.duration) return;
    if (this.ended) this.currentTime = 0;
    this.#running = performance.now();
    this.#label();
    requestAnimationFrame((time) => this.#run(time));
  }

  pause() {
    this.#running = null;
    this.#label();
  }

  step(frames) {
    this.pause();
    this.currentTime = this.#now + frames * this.frame;
  }

  #run(time) {
    if (this.paused) return;
    const passed = Math.max(0, time - this.#running) / 1000;
    this.#running = time;
    this.currentTime = this.#now + passed * this.playbackRate;
    if (!this.ended) requestAnimationFrame((next) => this.#run(next));
    else if (this.hasAttribute("loop")) this.#again();
    else this.pause();
  }

  #again() {
    this.currentTime = 0;
    requestAnimationFrame((next) => this.#run(next));
  }

  draw() {
    const { canvas } = this, width = canvas.clientWidth, height = canvas.clientHeight;
    if (this.scrub) {
      this.scrub.value = this.#now;
      this.clock.textContent = `${number(this.#now, 2)} of ${number(this.duration, 2)} s`;
    }
    if (!width) return;
    const dots = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(width * dots), Math.round(height * dots)];
    const pen = canvas.getContext("2d");
    pen.scale(dots, dots);
    const style = getComputedStyle(this), colour = (name) => style.getPropertyValue(`--${name}`).trim();
    pen.fillStyle = colour("stage");
    pen.fillRect(0, 0, width, height);
    if (this.figure) drawFigure(pen, this, width, height, colour);
    else if (this.curves) drawCurves(pen, this, width, height, colour);
  }

  #label() {
    if (this.button) this.button.textContent = this.paused ? "Play" : "Pause";
  }

  #addControls() {
    this.setAttribute("role", "group");
    this.tabIndex = 0;
    this.button = element("button", "Play", { type: "button", class: "quiet" });
    this.button.onclick = () => this.#toggle();
    this.scrub = element("input", "", { type: "range", min: "0", max: "1", step: "0.01", value: "0", "aria-label": "Time" });
    this.scrub.oninput = () => {
      this.pause();
      this.currentTime = Number(this.scrub.value);
    };
    this.clock = element("span", "", { class: "clock" });
    const controls = element("div", "", { class: "controls" });
    controls.append(this.button, this.scrub, this.clock);
    this.legend = element("p", "", { class: "sides" });
    this.legend.append(element("span", "left side", { class: "left" }), element("span", "right side", { class: "right" }));
    this.about = element("p", "", { class: "hint" });
    this.append(controls, this.#aspect(), this.legend, this.about);
    this.onkeydown = (event) => this.#key(event);
  }

  #aspect() {
    const made = element("div", "", { class: "aspect" }), speed = element("select", "", { "aria-label": "Speed" });
    speed.append(...SPEEDS.map(([value, label]) => element("option", `${label} speed`, { value })));
    speed.onchange = () => (this.playbackRate = Number(speed.value));
    this.turn = element("input", "", { type: "range", min: "-180", max: "180", step: "5", value: TURN });
    this.turn.oninput = () => this.look({ turned: Number(this.turn.value) });
    this.middle = element("input", "", { type: "checkbox" });
    this.middle.onchange = () => this.look({ follows: this.middle.checked });
    const turn = element("label", "Turn ", { class: "check" }), middle = element("label", "", { class: "check" });
    turn.append(this.turn);
    middle.append(this.middle, " Keep the body in the middle");
    made.append(speed, turn, middle);
    return made;
  }

  look(how) {
    Object.assign(this, how);
    this.draw();
  }

  #toggle() {
    if (this.paused) this.play();
    else this.pause();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target !== this && event.key !== "," && event.key !== ".") return; // buttons have keys of their own
    const done = { " ": () => this.#toggle(), ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1), ",": () => this.step(-1), ".": () => this.step(1) }[event.key];
    if (!done) return;
    event.preventDefault();
    done();
  }
}

customElements.define("motion-player", MotionPlayer);

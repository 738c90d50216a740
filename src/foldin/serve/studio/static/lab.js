// The lab: EM, variational inference and diffusion step by step, run by the library on the server.

import { get } from "./api.js";
import { chart, el, fill, number, slider } from "./ui.js";
import { state } from "./state.js";

const PALETTE = ["#2457c5", "#c2410c", "#0f766e", "#7e22ce", "#a16207", "#be185d"];

function ellipse([mx, my], [[a, b], [, c]]) {
  const mean = (a + c) / 2;
  const root = Math.sqrt(((a - c) / 2) ** 2 + b * b);
  const angle = 0.5 * Math.atan2(2 * b, a - c);
  const [r1, r2] = [2 * Math.sqrt(mean + root), 2 * Math.sqrt(Math.max(mean - root, 0))];
  const t = Array.from({ length: 61 }, (_, at) => (2 * Math.PI * at) / 60);
  return {
    x: t.map((one) => mx + r1 * Math.cos(one) * Math.cos(angle) - r2 * Math.sin(one) * Math.sin(angle)),
    y: t.map((one) => my + r1 * Math.cos(one) * Math.sin(angle) + r2 * Math.sin(one) * Math.cos(angle)),
  };
}

// The sliders' positions are in the address, like the state of the other pages.
function kept(name, otherwise) {
  const text = new URLSearchParams(location.search).get(`lab.${name}`);
  return text !== null && Number(text) >= 0 ? Number(text) : otherwise;
}

function keep(name, value) {
  const asked = new URLSearchParams(location.search);
  asked.set(`lab.${name}`, value);
  history.replaceState(null, "", `?${asked}${location.hash}`);
  state.shown = location.href;
}

// A slider over frames, and what each of them shows.
function film(name, label, count, show, told = String) {
  const screen = el("div", { class: "wide" });
  const turn = (at) => screen.replaceChildren(...show(at));
  const first = Math.min(kept(`${name}.frame`, count - 1), count - 1);
  turn(first);
  return [slider(label, { id: `${name}-frame`, min: 0, max: count - 1, step: 1, value: first, told }, (at) => { keep(`${name}.frame`, at); turn(at); }), screen];
}

function em(part, query) {
  fill(part, "EM", get(`/v1/lab/em?${query}`), (content) => {
    const steps = content.frames.map((_, at) => at);
    const bound = content.frames.map((one) => one.log_likelihood);
    const [x, y] = [content.points.map((one) => one[0]), content.points.map((one) => one[1])];
    return film("em", "Step shown", content.frames.length, (at) => {
      const frame = content.frames[at];
      const own = frame.responsibilities.map((row) => row.indexOf(Math.max(...row)));
      return [
        chart([
          { x, y, mode: "markers", type: "scatter", marker: { size: 5, color: own.map((k) => PALETTE[k]), opacity: frame.responsibilities.map((row) => 0.25 + 0.75 * Math.max(...row)) }, showlegend: false },
          ...frame.means.map((mean, k) => ({ ...ellipse(mean, frame.covariances[k]), mode: "lines", line: { color: PALETTE[k] }, name: `weight ${(100 * frame.weights[k]).toFixed(0)} %` })),
        ], { title: { text: "Responsibilities" } }, "Points, colored by the component with the largest responsibility"),
        chart([{ x: steps, y: bound, mode: "lines" }, { x: [at], y: [bound[at]], mode: "markers", marker: { size: 10 } }], { title: { text: `Log-likelihood: ${number(bound[at], 4)} nats per point` }, showlegend: false }, "Log-likelihood by step: it never falls"),
      ];
    });
  });
}

function vi(part, query) {
  fill(part, "Variational inference", get(`/v1/lab/vi?${query}`), (content) => film("vi", "Number of steps shown", content.frames.length, (at) => {
    const frame = content.frames[at];
    const steps = content.frames.map((one) => one.steps);
    return [
      chart([
        { x: content.grid, y: content.posterior, mode: "lines", name: "exact posterior", fill: "tozeroy" },
        { x: content.grid, y: frame.density, mode: "lines", name: `q after ${frame.steps} steps` },
      ], { title: { text: `${content.taken} of ${content.shown} taken` }, xaxis: { title: { text: "θ, log-odds of taking" } } }, "The exact posterior and its Gaussian approximation"),
      chart([
        { x: steps, y: content.frames.map((one) => one.elbo), mode: "lines+markers", name: "ELBO" },
        { x: [steps[0], steps[steps.length - 1]], y: [content.log_evidence, content.log_evidence], mode: "lines", line: { dash: "dot" }, name: "log-evidence" },
      ], { title: { text: `Gap: ${number(content.log_evidence - frame.elbo, 4)} nats` }, xaxis: { type: "log", title: { text: "steps" } } }, "ELBO by steps, below the log-evidence"),
    ];
  }, (at) => String(content.frames[at].steps)));
}

function diffusion(part, query) {
  fill(part, "Diffusion", get(`/v1/lab/diffusion?${query}`), (content) => film("diffusion", "Step shown", content.frames.length, (at) => {
    const frame = content.frames[at];
    return [chart([
      { x: content.data.map((one) => one[0]), y: content.data.map((one) => one[1]), mode: "markers", type: "scatter", marker: { size: 4, color: "#94a3b8" }, name: "data" },
      { x: frame.map((one) => one[0]), y: frame.map((one) => one[1]), mode: "markers", type: "scatter", marker: { size: 5, color: PALETTE[0] }, name: "drawn" },
    ], { title: { text: `Signal ᾱ = ${number(content.signal[at], 3)}` }, xaxis: { range: [-3.5, 3.5] }, yaxis: { range: [-3, 3], scaleanchor: "x" } }, "Points on their way from noise to data")];
  }));
}

function experiment(name, title, text, controls, run) {
  const part = el("div", {});
  const values = Object.fromEntries(controls.map((one) => [one.name, Math.max(one.min, Math.min(one.max, kept(`${name}.${one.name}`, one.value)))]));
  let waiting = null;
  const ask = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { part.replaceChildren(); run(part, new URLSearchParams(values)); }, 200);
  };
  const section = el("section", { "aria-labelledby": `${name}-title` }, el("h2", { id: `${name}-title` }, title), el("p", { class: "quiet" }, text),
    el("div", { class: "wide" }, controls.map((one) => slider(one.label, { id: `${name}-${one.name}`, ...one, value: values[one.name] }, (value) => { values[one.name] = value; keep(`${name}.${one.name}`, value); ask(); }))), part);
  run(part, new URLSearchParams(values));
  return section;
}

export function labPage(page) {
  page.replaceChildren(el("h1", {}, "The lab"), el("p", { class: "lead" }, "Algorithms on small data, step by step, computed by the library."),
    experiment("em", "EM", "Each step computes responsibilities, then moments; the likelihood never decreases.",
      [{ name: "components", label: "Components", min: 1, max: 6, step: 1, value: 3 }, { name: "steps", label: "Steps", min: 5, max: 60, step: 5, value: 30 }, { name: "seed", label: "Seed", min: 0, max: 20, step: 1, value: 1 }], em),
    experiment("vi", "Variational inference", "The bound rises to the log-evidence minus KL(q ‖ posterior), which is positive for every Gaussian q.",
      [{ name: "events", label: "Items shown", min: 1, max: 100, step: 1, value: 5 }, { name: "steps", label: "Maximum number of steps", min: 50, max: 600, step: 50, value: 300 }, { name: "seed", label: "Seed", min: 0, max: 20, step: 1, value: 0 }], vi),
    experiment("diffusion", "Diffusion", "A sampler turns noise into data: DDIM with few steps, deterministic for η = 0, as noisy as DDPM for η = 1.",
      [{ name: "steps", label: "Steps", min: 1, max: 200, step: 1, value: 25 }, { name: "eta", label: "η", min: 0, max: 1, step: 0.1, value: 0 }, { name: "seed", label: "Seed", min: 0, max: 20, step: 1, value: 0 }], diffusion));
}

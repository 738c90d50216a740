// The model: training curve, test metrics and bound report.

import { get, segment } from "./api.js";
import { chart, count, el, empty, fill, number, table } from "./ui.js";
import { remember, state } from "./state.js";
import { componentCards } from "./components.js";
import { codeTree } from "./codes.js";

// A name of a metric may be broken at its underscores; large values need no fractions.
const metricName = (name) => el("span", {}, name.split("_").flatMap((part, at) => (at ? ["_", el("wbr"), part] : [part])));
const figure = (value) => (Math.abs(value) >= 100 ? count(Math.round(value)) : number(value, 4));

function curves(history) {
  if (!history.length) return empty("No epochs: a closed form, or a run without a history.");
  const x = history.map((one) => one.epoch);
  const names = [...new Set(history.flatMap((one) => Object.keys(one.terms || {})))].filter((name) => !name.endsWith("/loss") || name === "train/loss");
  const parts = [chart(names.map((name) => ({ x, y: history.map((one) => (one.terms || {})[name]), name, mode: "lines" })), { title: { text: "Terms of training" }, xaxis: { title: { text: "epoch" } } }, "Terms of training by epoch")];
  if (history.some((one) => one.metric !== null && one.metric !== undefined)) {
    parts.push(chart([{ x, y: history.map((one) => one.metric), mode: "lines+markers", name: "validation" }], { title: { text: "Validation" }, xaxis: { title: { text: "epoch" } } }, "Validation metric by epoch"));
  }
  return el("div", { class: "wide" }, parts);
}

// The equations of the bound with this model's numbers, one color a term.
export function equation(one) {
  const summands = one.terms.slice(1);
  const total = summands.reduce((all, term) => all + Math.abs(term.value ?? 0), 0) || 1;
  const math = (text) => document.importNode(new DOMParser().parseFromString(text, "text/html").querySelector("math"), true);
  const color = (term) => `var(--term-${term.name})`;
  return el("div", { class: "equation" },
    el("h3", {}, one.title),
    el("div", { class: "sum" }, one.terms.flatMap((term) => [
      term.sign ? el("span", { class: "sign" }, term.sign) : null,
      el("span", { class: "term", style: { borderColor: color(term) } }, math(term.mathml), el("span", { class: "value" }, `${term.only} ${number(term.value, 2)}`.trim())),
    ])),
    el("div", { class: "bar", "aria-hidden": "true" }, summands.map((term) => el("span", { style: { width: `${(100 * Math.abs(term.value ?? 0)) / total}%`, background: color(term) } }))),
    el("p", {}, `${one.sentence} `, el("a", { href: `book/book/en/${one.page}` }, "Where the book derives it")));
}

function explained(report, equations) {
  const parts = [];
  const bounds = report.bounds;
  if (equations.length) parts.push(el("h2", {}, `Where the nats go, per ${bounds.called.row}`), ...equations.map(equation));
  if (bounds) {
    const unit = bounds.called.row;
    const row = (name, entry) => [name, number(entry[`per_${unit}`], 1), number(entry[`per_${bounds.called.unit}`], 3)];
    const extra = [];
    if (bounds.objective) extra.push(row(bounds.objective.what, bounds.objective.objective));
    if (bounds.fold_in) extra.push(row("bound on log p(target half | fold-in half)", bounds.fold_in.best_bound));
    if (bounds.annealed) {
      const a = bounds.annealed;
      extra.push(row(`annealed lower bound, ${a.rows} ${bounds.called.rows}`, a.lower));
      if (a.simulated) extra.push(row(`annealed lower bound, ${a.rows} simulated`, a.simulated.lower), row(`annealed upper bound, ${a.rows} simulated`, a.simulated.upper));
    }
    parts.push(el("h2", {}, "The bound"), table(["nats", `per ${unit}`, `per ${bounds.called.unit}`], [
      row("ELBO", bounds.bound.elbo), row("reconstruction", bounds.bound.reconstruction), row("KL", bounds.bound.kl),
      row("best bound on log p(x)", bounds.gap.best_bound), row("gap: amortization, at least", bounds.gap.amortization_at_least), row("gap: approximation, estimate", bounds.gap.approximation_estimate),
      ...extra,
    ], "The bound and its gap"));
    const sets = { encoder: "the encoder's q", refined: `q refined for each ${unit}`, both: "both (best bound)" };
    const shape = (one) => (one.k_hat_median !== null ? number(one.k_hat_median, 2) : one.k_hat_infinite ? "∞" : "–");
    parts.push(table(["importance weights of", "draws", "median k̂", "median ESS"], Object.entries(sets).map(([key, name]) => [name, `${bounds.reliability[key].draws}`, shape(bounds.reliability[key]), number(bounds.reliability[key].ess_median, 1)]), "Reliability of the importance weights"));
    const ks = Object.keys(bounds.iwae).map(Number).sort((a, b) => a - b);
    const kl = bounds.health.kl_per_dimension;
    parts.push(el("div", { class: "wide" },
      chart([{ x: ks, y: ks.map((k) => bounds.iwae[String(k)][`per_${unit}`]), mode: "lines+markers" }], { title: { text: "IWAE bound by k" }, xaxis: { type: "log", title: { text: "k" } } }, "IWAE bound by number of draws"),
      kl.length ? chart([{ y: kl, type: "bar" }], { title: { text: "KL of each dimension" } }, "KL per latent dimension, sorted") : null));
    for (const alarm of bounds.health.alarms) parts.push(el("p", { class: "note" }, alarm));
  }
  if (report.bound) {
    const rows = [["the bound: the sum of its terms", report.bound.value], ...Object.entries(report.bound.terms)];
    parts.push(el("h2", {}, "Terms of the bound"), el("p", {}, `A lower bound on ${report.bound.of}: ${report.bound.users} held-out users.`),
      table(["nats", "per user", "per item"], rows.map(([name, one]) => [name, number(one.per_user, 2), number(one.per_item, 4)]), "Terms of the bound"));
  }
  const c = (report.calibration || []).filter((one) => one.observed > 0 && one.predicted > 0);
  if (c.length) {
    const px = c.map((one) => one.predicted);
    const py = c.map((one) => one.observed);
    parts.push(el("h2", {}, "Calibration"), chart([{ x: px, y: py, mode: "lines+markers", name: "observed" }, { x: px, y: px, mode: "lines", line: { dash: "dot" }, name: "ideal" }], { xaxis: { type: "log", title: { text: "predicted" } }, yaxis: { type: "log", title: { text: "observed" } } }, "Calibration: predicted against observed probability"));
  }
  if (report.item_tokens) {
    parts.push(el("h2", {}, "Use of the item tokens"), table(["level", "tokens used", "perplexity"], report.item_tokens.used.map((used, at) => [`${at + 1}`, `${(100 * used).toFixed(1)} %`, number(report.item_tokens.perplexity[at], 0)]), "Use of the item tokens by level"));
  }
  return parts.length ? parts : empty("There is nothing to report in nats for this model.");
}

// One report is computed at a time; meanwhile the service answers 503.
async function patient(path) {
  for (;;) {
    try {
      return await get(path);
    } catch (error) {
      if (error.status !== 503) throw error;
      await new Promise((done) => { setTimeout(done, 1500); });
    }
  }
}

// What all processes of the service are to serve, and what the one that answered serves.
function deployed(name) {
  const one = state.deployments.find((other) => other.name === name);
  if (!one) return null;
  const serving = `Generation ${one.generation}: run ${one.serving || "none"} is in service`;
  return one.serving === one.wanted ? el("p", {}, `${serving}.`) : el("p", { class: "note" }, `${serving}, ${one.wanted} is wanted: ${one.problem || "it is being loaded"}.`);
}

export function modelPage(page) {
  const about = el("section", { "aria-label": "Training and metrics" });
  const live = el("section", { "aria-label": "Bound report" });
  page.replaceChildren(el("h1", {}, "The model"), el("p", { class: "lead" }, "Training curve, test metrics, and the bound report: where every nat went."), deployed(state.model) || "", about, live);
  if (!state.model) {
    about.replaceChildren(empty("No model is in service."));
    return;
  }
  const path = `/v1/models/${segment(state.model)}/report`;
  fill(about, "Reading the run", get(path), (content) => {
    const metrics = Object.entries(content.metrics).filter(([, one]) => one && typeof one.mean === "number");
    return [
      el("p", {}, `Its kind is ${content.kind}; trained ${content.info.source ? `on ${content.info.source.path.split("/").pop()} ` : ""}with the seed ${content.info.seed ?? "–"}.`),
      curves(content.history),
      el("h2", {}, "On its test users"),
      metrics.length ? table(["metric", "mean", "95 % interval"], metrics.map(([name, one]) => [metricName(name), figure(one.mean), typeof one.low !== "number" ? "–" : `${figure(one.low)} – ${figure(one.high)}`]), "Test metrics with intervals") : empty("The run has no test metrics."),
      content.components.length ? componentCards(content.components) : null,
      content.levels === null ? null : codeTree(content.model, content.levels),
    ].filter(Boolean);
  });
  function compute() {
    live.replaceChildren();
    fill(live, "Drawing from the posterior of a hundred held-out users", patient(`${path}?live=true`), (content) => (content.explained ? explained(content.explained, content.equations) : empty(content.unexplained || "There is nothing to report.")));
  }

  const button = el("button", { class: "primary", type: "button", onclick: () => {
    state.live = true;
    remember();
    compute();
  } }, "Compute the bound report");
  live.replaceChildren(el("h2", {}, "The bound report"), el("p", {}, button));
  if (state.live) compute();
}

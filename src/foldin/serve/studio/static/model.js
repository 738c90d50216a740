// The model: how it was trained and judged, and where its nats went.

import { get, segment } from "./api.js";
import { chart, el, empty, fill, number, table } from "./ui.js";
import { state } from "./state.js";
import { codeTree } from "./codes.js";

function curves(history) {
  if (!history.length) return empty("No epochs: a closed form, or a run without a history.");
  const x = history.map((one) => one.epoch);
  const names = [...new Set(history.flatMap((one) => Object.keys(one.terms || {})))].filter((name) => !name.endsWith("/loss") || name === "train/loss");
  const parts = [chart(names.map((name) => ({ x, y: history.map((one) => (one.terms || {})[name]), name, mode: "lines" })), { title: { text: "Terms of training" }, xaxis: { title: { text: "epoch" } } }, "Terms of training by epoch")];
  if (history.some((one) => one.metric !== null && one.metric !== undefined)) {
    parts.push(chart([{ x, y: history.map((one) => one.metric), mode: "lines+markers", name: "validation" }], { title: { text: "Validation" }, xaxis: { title: { text: "epoch" } } }, "Validation figure by epoch"));
  }
  return el("div", { class: "wide" }, parts);
}

function explained(report) {
  const parts = [];
  const bounds = report.bounds;
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
    const sets = { encoder: "the encoder's q", refined: `each ${unit}'s own q`, both: "both (best bound)" };
    const shape = (one) => (one.k_hat_median !== null ? number(one.k_hat_median, 2) : one.k_hat_infinite ? "∞" : "–");
    parts.push(table(["importance weights of", "draws", "median k̂", "median ESS"], Object.entries(sets).map(([key, name]) => [name, `${bounds.reliability[key].draws}`, shape(bounds.reliability[key]), number(bounds.reliability[key].ess_median, 1)]), "How far the importance weights can be trusted"));
    const ks = Object.keys(bounds.iwae).map(Number).sort((a, b) => a - b);
    const kl = bounds.health.kl_per_dimension;
    const d = bounds.decomposition[bounds.decomposition.method];
    parts.push(el("div", { class: "wide" },
      chart([{ x: ks, y: ks.map((k) => bounds.iwae[String(k)][`per_${unit}`]), mode: "lines+markers" }], { title: { text: "IWAE bound by k" }, xaxis: { type: "log", title: { text: "k" } } }, "IWAE bound by number of draws"),
      chart([{ x: ["I(x; z)", "total correlation", "Σ KL_j"], y: [d.mutual_information, d.total_correlation, d.dimension_wise_kl], type: "bar" }], { title: { text: "Where the KL goes" } }, "Decomposition of the KL"),
      kl.length ? chart([{ y: kl, type: "bar" }], { title: { text: "KL of each dimension" } }, "KL per latent dimension, sorted") : null));
    for (const alarm of bounds.health.alarms) parts.push(el("p", { class: "note" }, alarm));
  }
  if (report.bound) {
    const rows = [["the bound: the sum of its terms", report.bound.value], ...Object.entries(report.bound.terms)];
    parts.push(el("h2", {}, "The bound by its terms"), el("p", {}, `A lower bound on ${report.bound.of}: ${report.bound.users} held-out users.`),
      table(["nats", "per user", "per item"], rows.map(([name, one]) => [name, number(one.per_user, 2), number(one.per_item, 4)]), "The bound by its terms"));
  }
  const c = (report.calibration || []).filter((one) => one.observed > 0 && one.predicted > 0);
  if (c.length) {
    const px = c.map((one) => one.predicted);
    const py = c.map((one) => one.observed);
    parts.push(el("h2", {}, "Calibration"), chart([{ x: px, y: py, mode: "lines+markers", name: "observed" }, { x: px, y: px, mode: "lines", line: { dash: "dot" }, name: "ideal" }], { xaxis: { type: "log", title: { text: "predicted" } }, yaxis: { type: "log", title: { text: "observed" } } }, "Calibration: predicted against observed probability"));
  }
  if (report.components) {
    parts.push(el("h2", {}, "Components, and the items that say most about each"),
      table(["share", "items"], report.components.slice(0, 24).map((one) => [`${(100 * one.share).toFixed(1)} %`, one.items.join("; ")]), "Components of the model"));
  }
  if (report.names) {
    parts.push(el("h2", {}, "Its names"), table(["level", "codes used", "perplexity"], report.names.used.map((used, at) => [`${at + 1}`, `${(100 * used).toFixed(1)} %`, number(report.names.perplexity[at], 0)]), "Use of codes by level"));
  }
  return parts.length ? parts : empty("This model has nothing to explain in nats.");
}

// One report is worked out at a time; whoever comes meanwhile asks again.
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

export function modelPage(page) {
  const about = el("section", { "aria-label": "Training and figures" });
  const live = el("section", { "aria-label": "Where the nats went" });
  page.replaceChildren(el("h1", {}, "The model"), el("p", { class: "lead" }, "How it was trained and judged, and where every nat went."), about, live);
  if (!state.model) {
    about.replaceChildren(empty("No model is in service."));
    return;
  }
  const path = `/v1/models/${segment(state.model)}/report`;
  fill(about, "Reading the run", get(path), (content) => {
    const metrics = Object.entries(content.metrics).filter(([, one]) => one && typeof one.mean === "number");
    return [
      el("p", {}, `${content.model}: ${content.kind}, seed ${content.info.seed ?? "–"}, trained on ${content.info.source ? content.info.source.path.split("/").pop() : "–"}.`),
      curves(content.history),
      el("h2", {}, "On its test users"),
      metrics.length ? table(["metric", "mean", "95 % interval"], metrics.map(([name, one]) => [name, number(one.mean, 4), typeof one.low !== "number" ? "–" : `${number(one.low, 4)} – ${number(one.high, 4)}`]), "Test metrics with intervals") : empty("The run was not judged."),
      content.levels === null ? null : codeTree(content.model, content.levels),
    ].filter(Boolean);
  });
  const button = el("button", { class: "primary", type: "button", onclick: () => {
    live.replaceChildren();
    fill(live, "Drawing from the posterior of a hundred held-out users", patient(`${path}?live=true`), (content) => (content.explained ? explained(content.explained) : empty(content.unexplained || "Nothing to explain.")));
  } }, "Work out where the nats went");
  live.replaceChildren(el("h2", {}, "The bound report"), el("p", {}, button));
}

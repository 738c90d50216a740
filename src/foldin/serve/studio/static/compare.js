// Compare: the same user under every model, and the models' figures.

import { get, post, segment } from "./api.js";
import { count, el, empty, fill, named, number, percent, table } from "./ui.js";
import { state, taken } from "./state.js";
import { historyEditor, workbench } from "./history.js";

export function comparePage(page) {
  const lists = el("section", { "aria-label": "Lists" });
  const figures = el("section", { "aria-label": "Figures" });

  function ask() {
    if (!state.models.length) {
      lists.replaceChildren(empty("No model is in service."));
      return;
    }
    const requests = state.models.map((one) => ({ ...taken(), k: 10, model: one.name }));
    fill(lists, "Requesting lists of every model", post("/v1/recommendations:batch", { requests }), ({ answers }) => {
      const counts = new Map();
      for (const answer of answers) for (const hit of answer.items) counts.set(hit.item, (counts.get(hit.item) || 0) + 1);
      const overlap = answers.map((a) => answers.map((b) => a.items.filter((hit) => b.items.some((other) => other.item === hit.item)).length));
      return [
        el("div", { class: "wide" }, answers.map((answer) => el("section", { "aria-label": answer.model }, el("h2", {}, named(answer.model, 60)),
          el("ol", {}, answer.items.map((hit) => el("li", { class: counts.get(hit.item) === answers.length && answers.length > 1 ? "seen" : null },
            named(hit.title, 60), hit.probability === null ? "" : el("span", { class: "quiet" }, ` ${percent(hit.probability)}`))))))),
        answers.length > 1 ? el("h2", {}, "Number of items in common, of ten") : null,
        answers.length > 1 ? table(["", ...answers.map((one) => named(one.model, 16))], answers.map((one, at) => [named(one.model, 40), ...overlap[at].map(String)]), "Items that two lists have in common") : null,
      ].filter(Boolean);
    });
  }

  page.replaceChildren(el("h1", {}, "Compare"), el("p", { class: "lead" }, "The lists of one user from every model in service. Items that are in all lists are colored."),
    workbench(historyEditor(ask), lists), el("h2", {}, "Metrics on their test users, with 95\u00a0% intervals"), figures);
  ask();
  fill(figures, "Reading the runs", Promise.all(state.models.map((one) => get(`/v1/models/${segment(one.name)}/report`))), (reports) => {
    const wanted = ["ndcg@100", "ndcg@10", "recall@20", "recall@50", "recall@10", "perplexity", "perplexity_per_event"].filter((name) => reports.some((one) => one.metrics[name]));
    if (!wanted.length) return empty("No run has test metrics.");
    return table(["model", ...wanted.map((name) => ({ perplexity: "perplexity over users", perplexity_per_event: "perplexity over events" })[name] || name)], reports.map((one) => [named(one.model, 40), ...wanted.map((name) => {
      const entry = one.metrics[name];
      const figure = (value) => (name.startsWith("perplexity") ? count(Math.round(value)) : number(value));
      if (!entry || typeof entry.mean !== "number") return "–";
      return el("span", {}, figure(entry.mean), typeof entry.low === "number" ? el("span", { class: "interval" }, ` (${figure(entry.low)}–${figure(entry.high)})`) : null);
    })]), "Test metrics of the models in service");
  });
}

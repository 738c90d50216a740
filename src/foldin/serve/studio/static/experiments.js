// Experiments: each split of users between models, what came of it, and what counts as an outcome. All of it is in the address.

import { moment, selection } from "./course.js";
import { get, segment } from "./api.js";
import { el, empty, fill, named } from "./ui.js";
import { MEASURES, outcome } from "./outcome.js";
import { remember, state } from "./state.js";

const HOUR = 3600;
const NO_KEY = "anybody"; // in place of a key's name where the service needs none
const WINDOWS = [[HOUR, "1 hour"], [24 * HOUR, "1 day"], [168 * HOUR, "1 week"], [672 * HOUR, "4 weeks"]];

// Names of arms may be longer than a line of a choice: what tells experiments apart comes first.
const called = (one) => `${one.id}, since ${moment(one.start)}: ${Object.keys(one.shares).join(", ")}`;
const period = (one) => [one.end === null ? `Began ${moment(one.start)} and goes on` : `From ${moment(one.start)} to ${moment(one.end)}`,
  ...(one.key === NO_KEY ? [] : ["; set by ", named(one.key, 60)]), "."];

function settings(changed) {
  const measure = selection("measure", Object.entries(MEASURES), state.measure, "", (value) => changed({ measure: value }));
  const span = selection("window", WINDOWS, state.window, "seconds", (value) => changed({ window: Number(value) }));
  const weights = el("input", { id: "weights", class: "full", value: state.weights.join(", "), placeholder: "buy:5, view:1", autocomplete: "off", enterkeyhint: "done", "aria-describedby": "weights-help" });
  weights.addEventListener("change", () => changed({ weights: weights.value.split(",").map((one) => one.trim()).filter(Boolean) }));
  return el("section", { "aria-label": "What counts" }, el("h2", {}, "What counts"),
    el("label", { for: "measure" }, "Outcome that is compared"), measure,
    el("label", { for: "window" }, "Time after a user's first list within which events count"), span,
    el("label", { for: "weights" }, "Weights of events by kind"), weights,
    el("p", { id: "weights-help", class: "quiet" }, "With weights, events of other kinds do not count. Without any, every event weighs 1."));
}

export function experimentsPage(page) {
  const list = el("section", { "aria-label": "Experiments" });
  const part = el("section", { "aria-label": "Outcome" });
  const beside = el("div", { class: "beside" });
  const workbench = el("div", { class: "workbench" }, el("div", { class: "find" }, list), el("div", { class: "main" }, part), beside);

  function ask() {
    const query = new URLSearchParams([["window", state.window], ["measure", state.measure], ...state.weights.map((one) => ["weight", one])]);
    fill(part, "Reading the experiment", get(`/v1/experiments/${segment(state.experiment)}?${query}`), outcome);
  }

  function change(values) {
    Object.assign(state, values);
    remember();
    ask();
  }

  page.replaceChildren(el("h1", {}, "Experiments"),
    el("p", { class: "lead" }, "Each split of users between models is an experiment. Its intervals hold at all times together: look as often as you like."), workbench);
  fill(list, "Reading the experiments", get("/v1/experiments?limit=1000"), ({ experiments }) => {
    if (!experiments.length) {
      workbench.replaceWith(list);
      return empty("There was no split of users yet: PUT /v1/split begins one.");
    }
    if (state.experiment === null) {
      state.experiment = experiments[0].id;
      remember({ replace: true }); // a link shows this one even if there is a newer one by then
    }
    const about = el("p", { class: "quiet" });
    const tell = () => { about.replaceChildren(...experiments.filter((one) => one.id === state.experiment).flatMap(period)); };
    const choice = selection("experiment", experiments.map((one) => [one.id, called(one)]), state.experiment, "", (value) => { change({ experiment: Number(value) }); tell(); });
    tell();
    ask();
    beside.replaceChildren(settings(change));
    return [el("label", { for: "experiment" }, "Experiment"), choice, about];
  });
}

// Experiments: the arms of a split, and their differences with intervals that may be looked at any time.

import { get, segment } from "./api.js";
import { chart, el, empty, fill, number, percent, table } from "./ui.js";

const HOUR = 3600;
const WINDOWS = { "an hour": HOUR, "a day": 24 * HOUR, "a week": 168 * HOUR, "four weeks": 672 * HOUR };
const MEASURES = { users: "share of users with an event", events: "weighted events of a user" };
const date = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ");
const signed = (value) => (value === null ? "–" : `${value < 0 ? "−" : "+"}${Math.abs(value).toPrecision(3)}`);

// The query for weights such as "buy:5, view:1"; the service says which part is none.
const weightsOf = (text) => text.split(",").map((one) => one.trim()).filter(Boolean).map((one) => `&weight=${segment(one)}`).join("");

function armsTable({ arms, control, measure }) {
  const mean = (one) => (one.mean === null ? "–" : measure === "users" ? percent(one.mean) : number(one.mean));
  const share = (value) => (value === null ? "–" : percent(value));
  return table(
    ["arm", "planned", "users", "counted", MEASURES[measure], "lists", "empty", "by another model"],
    arms.map((one) => [one.model === control ? `${one.model} (control)` : one.model, percent(one.share), String(one.users), String(one.counted),
      mean(one), String(one.lists), share(one.empty_lists), share(one.elsewhere)]),
    "Arms of the experiment",
  );
}

function sequence(one, control) {
  const looks = one.looks.filter((look) => look.low !== null && look.high !== null);
  const heading = el("h2", {}, `${one.arm} compared with ${control}`);
  const said = el("p", { class: "note" }, one.sentence);
  if (!looks.length) return [heading, said];
  const x = looks.map((look) => date(look.time));
  const line = (name, of, more) => ({ x, y: looks.map(of), name, type: "scatter", mode: "lines", ...more });
  return [heading, said, chart([
    line("upper end", (look) => look.high, { line: { width: 1 } }),
    line("lower end", (look) => look.low, { line: { width: 1 }, fill: "tonexty" }),
    line("difference", (look) => look.difference, { line: { width: 3 } }),
  ], { yaxis: { title: { text: "difference" }, zeroline: true }, xaxis: { type: "date" } },
  `Difference of ${one.arm} to ${control} along the time, with the ends of its ${percent(one.level)} interval, now from ${signed(one.low)} to ${signed(one.high)}`)];
}

function shown(outcome) {
  const { differences, control, arms, ratio_p_value: p, mismatch } = outcome;
  const anew = arms.filter((one) => one.runs.length > 1).map((one) => one.model);
  return [
    armsTable(outcome),
    mismatch ? el("p", { class: "state error", role: "alert" }, `The arms did not get users in the planned shares (p = ${p.toPrecision(2)}): their difference says nothing about the models.`) : null,
    p !== null && !mismatch ? el("p", { class: "quiet" }, `Users came in the planned shares, as far as can be said (p = ${p.toPrecision(2)}, valid at any time).`) : null,
    anew.length ? el("p", { class: "quiet" }, `Deployed anew during the experiment: ${anew.join(", ")}. The arm is the name, whatever run it had.`) : null,
    ...differences.flatMap((one) => sequence(one, control)),
  ].filter(Boolean);
}

export function experimentsPage(page) {
  const narrow = { minWidth: "0" }; // a wide table scrolls inside, and does not widen the page
  const list = el("section", { "aria-label": "Experiments", style: narrow });
  const part = el("section", { "aria-label": "Outcome", style: narrow });
  const choice = el("select", { id: "experiment", class: "full" });
  const measure = el("select", { id: "measure", class: "full" }, Object.entries(MEASURES).map(([name, text]) => el("option", { value: name }, text)));
  const span = el("select", { id: "window", class: "full" }, Object.entries(WINDOWS).map(([text, seconds]) => el("option", { value: seconds, selected: text === "a day" }, text)));
  const weights = el("input", { id: "weights", class: "full", placeholder: "buy:5, view:1", autocomplete: "off" });

  function ask() {
    const query = `window=${span.value}&measure=${measure.value}${weightsOf(weights.value)}`;
    fill(part, "Reading the experiment", get(`/v1/experiments/${segment(choice.value)}?${query}`), shown);
  }

  for (const one of [choice, measure, span, weights]) one.addEventListener("change", ask);
  page.replaceChildren(
    el("h1", {}, "Experiments"),
    el("p", { class: "lead" }, "Each split of users between models is an experiment. Its intervals hold at all times together: look as often as you like."),
    el("div", { class: "columns" }, list, part),
  );
  fill(list, "Reading the experiments", get("/v1/experiments"), ({ experiments }) => {
    if (!experiments.length) return empty("There was no split of users yet: PUT /v1/split begins one.");
    choice.replaceChildren(...experiments.map((one) => el("option", { value: one.id }, `${one.id}: ${Object.keys(one.shares).join(", ")}, since ${date(one.start)}${one.end === null ? "" : ` to ${date(one.end)}`}`)));
    ask();
    return [
      el("label", { for: "experiment" }, "Experiment"), choice,
      el("label", { for: "measure" }, "Outcome of a user"), measure,
      el("label", { for: "window" }, "Within, after a user's first list"), span,
      el("label", { for: "weights" }, "Weights of events by kind; all weigh 1 if empty"), weights,
    ];
  });
}

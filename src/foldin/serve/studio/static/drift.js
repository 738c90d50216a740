// Drift: how far the events of the last days are from what the model was trained on, hour by hour. The span is in the address.

import { ago, band, course, line, moment, selection } from "./course.js";
import { get, segment } from "./api.js";
import { color, el, empty, fill, many, minus, named, number, percent, table } from "./ui.js";
import { remember, state } from "./state.js";

const HOUR = 3600;
const SPANS = [[24, "1 day"], [168, "1 week"], [672, "4 weeks"]];
const MOST = 1000; // measurements of one request
function nats(one) {
  const interval = one.low === null || one.high === null ? null : el("span", { class: "interval" }, ` (${number(one.low)} to ${number(one.high)})`);
  return el("span", {}, number(one.mean), interval);
}

// The newest measurements, newest first: one an hour as a rule, and more requests where the service measures more often.
async function measured(model, hours) {
  for (const limit of [hours + 1, MOST]) {
    const { drift } = await get(`/v1/drift?model=${segment(model)}&limit=${Math.min(limit, MOST)}`);
    const inside = drift.filter((one) => one.time > drift[0].time - HOUR * hours);
    if (inside.length < drift.length || drift.length < limit || limit === MOST) return inside;
  }
}

function figures(one) {
  const { likelihood, first } = one;
  return [
    el("p", { class: "quiet" }, `Measured ${moment(one.time)}, ${ago(one.time)}, on ${many(one.events, "event")} of ${many(one.users, "user")} since ${moment(one.since)}.`),
    table(["figure", "value"], [
      ["events with items that the model does not know", percent(one.unknown_items)],
      ["users without an earlier event", percent(one.new_users)],
      ["age of the model in days", one.age === null ? "unknown" : number(one.age, 1)],
      ...(likelihood === null ? [] : [
        ["log-likelihood in nats per item", nats(likelihood)],
        ["log-likelihood in nats per item by popularity alone", number(likelihood.popularity)],
      ]),
      ...(first === null ? [] : [["log-likelihood in nats per item in the first period after training", nats(first)]]),
    ], "The newest measurement"),
  ];
}

function alarms(one) {
  const over = one.alarms.length;
  if (!over) return el("p", { class: "note better" }, "No figure exceeds its limit.");
  return el("div", { class: "note worse", role: "alert" }, el("p", {}, el("strong", {}, over === 1 ? "A figure exceeds its limit" : `${over} figures exceed their limits`)),
    el("ul", {}, one.alarms.map((text) => el("li", {}, minus(text)))));
}

function likelihood(rows) {
  const known = rows.filter((one) => one.likelihood !== null).map((one) => ({ time: one.time, ...one.likelihood }));
  if (!known.length) return el("p", { class: "quiet" }, "No log-likelihood: the model has no density, or no known user took an item of its catalog for the first time.");
  return course([
    ...band(known, "95 % interval", (one) => one.low, (one) => one.high),
    line(known, "the model", (one) => one.mean, { line: { width: 3, color: color("--accent") } }),
    line(known, "popularity", (one) => one.popularity, { line: { dash: "dot", color: color("--quiet") } }),
  ], { title: { text: "nats per item" } }, "Log-likelihood of the latest events, with the ends of its 95 % interval");
}

function shares(rows) {
  return course([
    line(rows, "events with unknown items", (one) => one.unknown_items, { line: { width: 3, color: color("--accent") } }),
    line(rows, "users without an earlier event", (one) => one.new_users, { line: { dash: "dot", color: color("--quiet") } }),
  ], { tickformat: ".0%", rangemode: "tozero" }, "Unknown items and new users");
}

function courses(rows) {
  const runs = new Set(rows.map((one) => one.run)).size;
  return [
    el("p", { class: "quiet" }, `${many(rows.length, "measurement")} since ${moment(rows[0].time)}.`,
      runs > 1 ? ` The model was deployed anew meanwhile: ${runs} runs.` : ""),
    el("h2", {}, "Log-likelihood of the latest events"), likelihood(rows),
    el("h2", {}, "Unknown items and new users"), shares(rows),
  ];
}

export function driftPage(page) {
  const newest = el("section", { "aria-label": "Newest measurement", class: "facts", hidden: true });
  const part = el("section", { "aria-label": "Course" });
  const said = el("div");
  const period = el("section", { "aria-label": "Period", hidden: true }, el("label", { for: "span" }, "Measurements of the last"), selection("span", SPANS, state.span, "hours", (value) => {
    state.span = Number(value);
    remember();
    ask();
  }));
  const ask = () => fill(part, "Reading the measurements", measured(state.model, state.span), (found) => {
    period.hidden = newest.hidden = !found.length;
    if (!found.length) return empty("Nothing was measured yet: the service measures once an hour, if there were events in the last day.");
    said.replaceChildren(alarms(found[0]));
    newest.replaceChildren(el("h2", {}, "The newest measurement"), ...figures(found[0]));
    return courses([...found].reverse()); // oldest first
  });
  page.replaceChildren(el("h1", {}, "Drift"),
    el("p", { class: "lead" }, "How far the latest events are from what ", named(state.model || "the model"), " was trained on, measured once an hour on a sample of users."));
  if (!state.model) {
    page.append(empty("No model is in service."));
    return;
  }
  page.append(said, el("div", { class: "wide" }, newest, el("div", {}, period, part)));
  ask();
}

// Drift: how far the events of the last days are from what the model was trained on, hour by hour.

import { get, segment } from "./api.js";
import { chart, el, empty, fill, named, number, percent, table } from "./ui.js";
import { state } from "./state.js";

const HOURS = { "a day": 24, "a week": 168, "four weeks": 672 };
const date = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ");
const nats = (one) => (one === null ? "–" : `${number(one.mean)}${one.low === null || one.high === null ? "" : ` (${number(one.low)} to ${number(one.high)})`}`);

function figures(one) {
  return table(["figure", "value"], [
    ["measured", date(one.time)],
    ["latest events", `${one.events}, since ${date(one.since)}`],
    ["their users", String(one.users)],
    ["users without an earlier event", percent(one.new_users)],
    ["events with items that the model does not know", percent(one.unknown_items)],
    ["age of the model in days", one.age === null ? "unknown" : number(one.age, 1)],
    ["log-likelihood in nats per item", nats(one.likelihood)],
    ["the same by popularity", one.likelihood === null ? "–" : number(one.likelihood.popularity)],
    ["the same in the first period after training", nats(one.first)],
  ], "The newest measurement");
}

function alarms(one) {
  if (!one.alarms.length) return el("p", { class: "note" }, "No figure exceeds its limit.");
  return el("div", { class: "state error", role: "alert" }, el("ul", {}, one.alarms.map((text) => el("li", {}, text))));
}

function likelihood(measured) {
  const known = measured.filter((one) => one.likelihood !== null);
  if (!known.length) return el("p", { class: "quiet" }, "No log-likelihood: the model has no density, or no known user took an item of its catalog for the first time.");
  const x = known.map((one) => date(one.time));
  const line = (name, of, more) => ({ x, y: known.map((one) => of(one.likelihood)), name, type: "scatter", mode: "lines+markers", ...more });
  return chart([
    line("upper end", (one) => one.high, { mode: "lines", line: { width: 1 } }),
    line("lower end", (one) => one.low, { mode: "lines", line: { width: 1 }, fill: "tonexty" }),
    line("the model", (one) => one.mean, { line: { width: 3 } }),
    line("popularity", (one) => one.popularity, { mode: "lines", line: { dash: "dot" } }),
  ], { yaxis: { title: { text: "nats per item" } }, xaxis: { type: "date" } }, "Log-likelihood of the latest events, with the ends of its 95 % interval");
}

function shares(measured) {
  const x = measured.map((one) => date(one.time));
  const line = (name, of) => ({ x, y: measured.map(of), name, type: "scatter", mode: "lines+markers" });
  return chart([line("events with unknown items", (one) => one.unknown_items), line("users without an earlier event", (one) => one.new_users)],
    { yaxis: { tickformat: ".0%", rangemode: "tozero" }, xaxis: { type: "date" } }, "Unknown items and new users");
}

function shown(measurements) {
  if (!measurements.length) return empty("Nothing was measured yet: the service measures once an hour, if there were events in the last day.");
  const measured = [...measurements].reverse(); // oldest first
  const newest = measurements[0];
  const runs = new Set(measured.map((one) => one.run)).size;
  return [
    alarms(newest), figures(newest),
    runs > 1 ? el("p", { class: "quiet" }, `The model was deployed anew meanwhile: ${runs} runs.`) : null,
    el("h2", {}, "Log-likelihood of the latest events"), likelihood(measured),
    el("h2", {}, "Unknown items and new users"), shares(measured),
  ].filter(Boolean);
}

export function driftPage(page) {
  const span = el("select", { id: "span", class: "full" }, Object.entries(HOURS).map(([text, hours]) => el("option", { value: hours, selected: text === "a week" }, text)));
  const part = el("section", { "aria-label": "Drift", class: "facts", style: { minWidth: "0" } }); // a wide table scrolls inside
  const ask = () => fill(part, "Reading the measurements", get(`/v1/drift?model=${segment(state.model)}&limit=${span.value}`), ({ drift }) => shown(drift));
  page.replaceChildren(
    el("h1", {}, "Drift"),
    el("p", { class: "lead" }, "How far the latest events are from what ", named(state.model || "the model"), " was trained on, measured once an hour on a sample of users."),
  );
  if (!state.model) {
    page.append(empty("No model is in service."));
    return;
  }
  span.addEventListener("change", ask);
  page.append(el("div", { class: "columns" }, el("section", { "aria-label": "Period" }, el("label", { for: "span" }, "Measurements of the last"), span), part));
  ask();
}

// Figures along the time: the times in words and on an axis, always in UTC, and a figure with the ends of its interval.

import { chart, color, el, many } from "./ui.js";

const minute = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ");

export const moment = (seconds) => `${minute(seconds)} UTC`;

// How long ago, in the largest unit of which there is one.
export function ago(seconds) {
  const past = Math.max(0, Date.now() / 1000 - seconds);
  const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"]].find(([one]) => past >= one) || [60, "minute"];
  return `${many(Math.floor(past / size), unit)} ago`;
}

// A line of `rows`, of which each has a `time`.
export const line = (rows, name, of, more = {}) => ({ x: rows.map((one) => minute(one.time)), y: rows.map(of), name, type: "scatter", mode: "lines", ...more });

// The two ends of an interval, and what lies between them colored.
export function band(rows, name, low, high) {
  const end = { line: { width: 0 }, hoverinfo: "skip" };
  return [
    line(rows, `upper end of the ${name}`, high, { ...end, showlegend: false }),
    line(rows, `lower end of the ${name}`, low, { ...end, name, fill: "tonexty", fillcolor: `${color("--bar")}80` }),
  ];
}

export const course = (traces, yaxis, label) => chart(traces, {
  margin: { l: 50, r: 16, t: 8, b: 44 }, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
  xaxis: { type: "date", ticks: "outside", title: { text: "time (UTC)" } }, yaxis: { nticks: 6, ...yaxis },
}, label);

// A choice between a few values; a value that an address asks for beside them is one more.
export function selection(id, choices, chosen, unit, changed) {
  const all = choices.some(([value]) => value === chosen) ? choices : [...choices, [chosen, `${chosen} ${unit}`.trim()]];
  const made = el("select", { id, class: "full" }, all.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
  made.addEventListener("change", () => changed(made.value));
  return made;
}

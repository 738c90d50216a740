// The outcome of an experiment: the verdicts first, then the arms, then the differences along the time.

import { band, course, line } from "./course.js";
import { color, count, el, minus, named, number, percent, table } from "./ui.js";

export const MEASURES = { users: "share of users with an event", events: "weighted events of a user" };
const NAME = 40; // letters of an arm's name
const signed = (value) => (value === null ? "none" : `${value < 0 ? "" : "+"}${minus(value.toPrecision(3))}`);
const share = (value) => (value === null ? "–" : percent(value));

function verdict(one, control) {
  return el("div", { class: `note ${one.verdict}` },
    el("h2", {}, named(one.arm, NAME), " compared with ", named(control, NAME)),
    el("p", {}, minus(one.sentence)));
}

function armsTable({ arms, control, measure }) {
  const mean = (value) => (measure === "users" ? share(value) : number(value ?? NaN));
  const rows = [
    ["planned share of users", (one) => percent(one.share)],
    ["users with a list", (one) => count(one.users)],
    ["users whose outcome is known", (one) => count(one.counted)],
    [MEASURES[measure], (one) => mean(one.mean)],
    ["lists", (one) => count(one.lists)],
    ["lists without an item", (one) => share(one.empty_lists)],
    ["lists that another model answered", (one) => share(one.elsewhere)],
  ];
  return table(
    ["figure", ...arms.map((one) => (one.model === control ? el("span", {}, named(one.model, NAME), " (control)") : named(one.model, NAME)))],
    rows.map(([name, of]) => [name, ...arms.map(of)]),
    "Arms of the experiment",
  );
}

function sequence(one, control) {
  const looks = one.looks.filter((look) => look.low !== null && look.high !== null);
  if (!looks.length) return null;
  const interval = `${Number((100 * one.level).toPrecision(6))}\u00a0% interval`;
  return el("section", { "aria-label": `${one.arm} minus ${control}` }, el("h3", {}, named(one.arm, NAME), " minus ", named(control, NAME)),
    course([
      ...band(looks, interval, (look) => look.low, (look) => look.high),
      line(looks, "difference", (look) => look.difference, { line: { width: 3, color: color("--accent") } }),
    ], { zeroline: true, zerolinecolor: color("--text"), rangemode: "tozero" },
    `Difference of ${one.arm} to ${control} along the time, with the ends of its ${interval}, now from ${signed(one.low)} to ${signed(one.high)}`));
}

export function outcome({ differences, control, arms, measure, ratio_p_value: p, mismatch }) {
  const anew = arms.filter((one) => one.runs.length > 1);
  const courses = differences.map((one) => sequence(one, control)).filter(Boolean);
  return [
    mismatch ? el("p", { class: "state error", role: "alert" }, `The arms did not get users in the planned shares (p = ${p.toPrecision(2)}): their difference says nothing about the models.`) : null,
    ...differences.map((one) => verdict(one, control)),
    differences.length ? null : el("p", { class: "note" }, "There is a single arm, and nothing to compare it with."),
    el("h2", {}, "The arms"), armsTable({ arms, control, measure }),
    p !== null && !mismatch ? el("p", { class: "quiet" }, `Users came in the planned shares, as far as can be said (p = ${p.toPrecision(2)}, valid at any time).`) : null,
    anew.length ? el("p", { class: "quiet" }, "Deployed anew during the experiment: ", anew.flatMap((one, at) => [at ? ", " : "", named(one.model, NAME)]), ". The arm is the name, whatever run it had.") : null,
    courses.length ? el("h2", {}, `Difference of the ${MEASURES[measure]} over time`) : null, ...courses,
  ].filter(Boolean);
}

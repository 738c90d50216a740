// The tree of semantic ids: a node opens when it is asked for.

import { get, segment } from "./api.js";
import { count, el, fill, listed, many, named, percent } from "./ui.js";
import { remember, state } from "./state.js";

const FIRST = 20;
const ALL = 1000;

function branch(model, path, one, most) {
  const meter = el("span", { class: "meter", "aria-hidden": "true" }, el("span", { style: { width: `${(100 * one.share) / most}%` } }));
  const about = [el("span", { class: "code" }, `${one.code}`), " ", meter, ` ${percent(one.share)}, `];
  if (one.item !== null) return el("li", { class: "leaf" }, about, named(one.titles[0]));
  const inside = el("div");
  const here = [...path, one.code].join(".");
  const node = el("details", { open: state.open.includes(here) }, el("summary", {}, about, `${many(one.items, "item")}: `, listed(one.titles), one.items > one.titles.length ? "; …" : ""), inside);
  node.addEventListener("toggle", () => {
    if (node.open && !inside.hasChildNodes()) showBranches(inside, model, [...path, one.code], FIRST);
    state.open = [...state.open.filter((other) => other !== here), ...(node.open ? [here] : [])];
    if (node.isConnected) remember({ replace: true });
  });
  return el("li", {}, node);
}

function showBranches(part, model, path, limit) {
  const query = new URLSearchParams([["limit", String(limit)], ...path.map((code) => ["path", String(code)])]);
  fill(part, "Reading the item tokens", get(`/v1/models/${segment(model)}/codes?${query}`), (content) => {
    const most = Math.max(1e-12, ...content.branches.map((one) => one.share));
    const parts = [el("ul", { class: "tree" }, content.branches.map((one) => branch(model, path, one, most)))];
    if (content.of > content.branches.length) {
      parts.push(el("p", {}, el("button", { class: "small", type: "button", onclick: () => showBranches(part, model, path, ALL) }, `All ${count(content.of)} tokens`)));
    }
    return parts;
  });
}

export function codeTree(model, levels) {
  const part = el("div");
  showBranches(part, model, [], FIRST);
  return el("section", { "aria-label": "Code tree" },
    el("h2", {}, "The tree of item tokens"),
    el("p", { class: "quiet" }, `An item has ${levels} tokens, from coarse to fine; the last one makes items unique that share the others. Each token is shown with its share of training events and its most popular items.`),
    part);
}

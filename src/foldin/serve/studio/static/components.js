// The components of a model, such as topics: a card each, with its most characteristic items as chips.

import { el, named, percent } from "./ui.js";

const FIRST = 24;

function card(one, at, most) {
  return el("li", { class: "card" },
    el("h3", {}, `Component ${at + 1}`, el("span", { class: "value" }, percent(one.share))),
    el("div", { class: "meter", "aria-hidden": "true" }, el("span", { style: { width: `${(100 * one.share) / most}%` } })),
    el("ul", { class: "chips" }, one.items.map((item) => el("li", { class: "chip" }, named(item.title, 60), el("span", { class: "value" }, percent(item.share))))));
}

export function componentCards(components) {
  const most = Math.max(1e-12, ...components.map((one) => one.share));
  const cards = (count) => components.slice(0, count).map((one, at) => card(one, at, most));
  const list = el("ol", { class: "plain cards" }, cards(FIRST));
  const more = components.length > FIRST ? el("p", {}, el("button", { class: "small", type: "button", onclick: () => {
    list.replaceChildren(...cards(components.length));
    more.remove();
  } }, `All ${components.length} components`)) : null;
  return el("section", { "aria-label": "Components" }, el("h2", {}, "Components, such as topics"),
    el("p", { class: "quiet" }, "Each with its share, its most characteristic items, and how probable each of them is in it."), list, more);
}

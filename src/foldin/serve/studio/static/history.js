// The editor of a history: search titles, add, remove, or take a known user's events.

import { get, segment } from "./api.js";
import { el, failed, say } from "./ui.js";
import { current, remember, state } from "./state.js";

// `changed` is told of every change; `beside(one, at)` gives further buttons for an event.
export function historyEditor(changed, beside = () => []) {
  const found = el("ul", { class: "plain", "aria-label": "Found items" });
  const taken = el("ul", { class: "plain", "aria-label": "The history, oldest first" });
  const search = el("input", { id: "search", class: "full", type: "search", autocomplete: "off" });
  const user = el("input", { id: "known", type: "text", autocomplete: "off" });
  let control = null;

  function update() {
    remember();
    show();
    changed();
  }

  function show() {
    taken.replaceChildren(...(state.history.length
      ? state.history.map((one, at) => el("li", {}, el("span", {}, one.title), el("span", { class: "buttons" }, beside(one, at),
          el("button", { class: "small", type: "button", "aria-label": `Remove ${one.title}`, onclick: () => {
            state.history.splice(at, 1);
            say(`${one.title} removed`);
            update();
          } }, "Remove"))))
      : [el("li", { class: "quiet" }, "No items yet: the list is the one for a user about whom nothing is known.")]));
  }

  function add(item) {
    if (!state.history.some((one) => one.item === item.item)) {
      const time = Math.max(Math.floor(Date.now() / 1000), ...state.history.map((one) => one.time || 0)); // stays the newest
      state.history.push({ item: item.item, title: item.title, time });
      say(`${item.title} added`);
      update();
    }
  }

  async function look() {
    if (control) control.abort();
    control = new AbortController();
    try {
      const query = new URLSearchParams({ q: search.value, limit: "8", ...(state.model ? { model: state.model } : {}) });
      const { items } = await get(`/v1/items?${query}`, control.signal);
      found.replaceChildren(...(items.length
        ? items.map((item) => el("li", {}, el("span", {}, item.title),
            el("button", { class: "small", type: "button", "aria-label": `Add ${item.title}`, onclick: () => add(item) }, "Add")))
        : [el("li", { class: "quiet" }, "No item has such a title.")]));
    } catch (error) {
      if (error.name !== "AbortError") found.replaceChildren(el("li", {}, failed(error)));
    }
  }

  async function load(event) {
    event.preventDefault();
    const where = event.target.querySelector("p");
    try {
      const { events } = await get(`/v1/users/${segment(user.value)}`);
      const once = new Map();
      for (const one of events) {
        // Of events with one item that one counts which counted when the model was trained.
        if (current() && current().repeats === "last") once.delete(one.item);
        if (!once.has(one.item)) once.set(one.item, { item: one.item, title: one.title || one.item, time: one.time });
      }
      state.history = [...once.values()];
      where.textContent = events.length ? `${events.length} events.` : "No events of this user are stored.";
      update();
    } catch (error) {
      where.textContent = error.message;
    }
  }

  let waiting = null;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 150);
  });
  show();
  look();
  return el("section", { "aria-label": "History" },
    el("label", { for: "search" }, "Search titles"), search, found,
    el("h2", {}, "The history"), taken,
    el("p", {}, el("button", { type: "button", onclick: () => { state.history = []; update(); } }, "Clear")),
    el("form", { onsubmit: load }, el("label", { for: "known" }, "Or a stored user, by id"),
      el("span", { class: "inline" }, user, " ", el("button", {}, "Load")), el("p", { class: "quiet", role: "status" })));
}


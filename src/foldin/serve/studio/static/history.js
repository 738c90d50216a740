// The editor of a history: search titles, add, remove, or take a stored user's events; and where a page places it.

import { el, many, named, say } from "./ui.js";
import { remember, state, storedHistory } from "./state.js";
import { titleSearch } from "./search.js";

export function addItem(item) {
  if (state.history.some((one) => one.item === item.item)) {
    say(`${item.title} is in the history already`);
    return false;
  }
  const time = Math.max(Math.floor(Date.now() / 1000), ...state.history.map((one) => one.time || 0)); // stays the newest
  state.history.push({ item: item.item, title: item.title, time });
  state.user = null;
  say(`${item.title} added`);
  return true;
}

// `changed` is told of every change; `beside(one, at)` gives further buttons for an event.
export function historyEditor(changed, beside = () => []) {
  const events = el("ul", { class: "plain", "aria-label": "The history, oldest first" });
  const user = el("input", { id: "known", type: "text", autocomplete: "off", value: state.user || "" });
  const told = el("p", { class: "quiet", role: "status" });
  const link = el("p", { class: "quiet" });

  function update() {
    remember();
    show();
    changed();
  }

  function add(item) {
    if (addItem(item)) update();
  }

  function remove(one, at) {
    state.history.splice(at, 1);
    state.user = null;
    say(`${one.title} removed`);
    update();
    const left = events.querySelectorAll("button.remove");
    (left[Math.min(at, left.length - 1)] || document.getElementById("search")).focus();
  }

  function show() {
    events.replaceChildren(...(state.history.length
      ? state.history.map((one, at) => el("li", {}, named(one.title), el("span", { class: "buttons" }, beside(one, at),
          el("button", { class: "small remove", type: "button", "aria-label": `Remove ${one.title}`, onclick: () => remove(one, at) }, "Remove"))))
      : [el("li", { class: "quiet" }, "No items yet: the list is the one for a user about whom nothing is known.")]));
    clearing.disabled = !state.history.length;
    link.textContent = new URLSearchParams(location.search).has("kept") ? "This history is too long for a link: it is kept in this tab alone." : "";
  }

  function clear() {
    Object.assign(state, { history: [], user: null });
    update();
    document.getElementById("search").focus();
  }

  async function load(event) {
    event.preventDefault();
    try {
      const found = await storedHistory(user.value);
      told.textContent = found.length ? `${many(found.length, "item")}.` : "No events of this user are stored.";
      Object.assign(state, { history: found, user: found.length ? user.value : null });
      update();
    } catch (error) {
      told.textContent = error.message;
    }
  }

  const clearing = el("button", { type: "button", onclick: clear }, "Clear");
  show();
  const history = el("section", { "aria-label": "History" },
    el("h2", {}, "The history"), events, el("p", {}, clearing), link,
    el("form", { onsubmit: load }, el("label", { for: "known" }, "Or a stored user, by id"),
      el("span", { class: "inline" }, user, " ", el("button", {}, "Load")), told));
  return { search: titleSearch(add), history, show };
}

// A page with an editor: on a narrow screen the search, then what the page is about, then the history and the rest.
export function workbench({ search, history }, main, ...rest) {
  return el("div", { class: "workbench" }, el("div", { class: "find" }, search), el("div", { class: "main" }, main), el("div", { class: "beside" }, history, rest));
}

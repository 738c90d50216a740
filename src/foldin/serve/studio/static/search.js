// The search of items by title: a button for each hit, and Enter for the first.

import { get } from "./api.js";
import { el, failed, named } from "./ui.js";
import { state } from "./state.js";

// `add(item)` takes a hit.
export function titleSearch(add) {
  const found = el("ul", { class: "plain found", "aria-label": "Found items" });
  const search = el("input", { id: "search", class: "full", type: "search", autocomplete: "off", enterkeyhint: "done", placeholder: "Search titles", "aria-describedby": "search-help" });
  let control = null;
  let waiting = null;

  async function look() {
    clearTimeout(waiting);
    if (control) control.abort();
    const mine = (control = new AbortController());
    try {
      const query = new URLSearchParams({ q: search.value, limit: "8", ...(state.model ? { model: state.model } : {}) });
      const { items } = await get(`/v1/items?${query}`, mine.signal);
      found.replaceChildren(...(items.length
        ? items.map((item) => el("li", {}, named(item.title),
            el("button", { class: "small", type: "button", "aria-label": `Add ${item.title}`, onclick: () => add(item) }, "Add")))
        : [el("li", { class: "quiet" }, "No item has such a title.")]));
      return items;
    } catch (error) {
      if (error.name !== "AbortError") found.replaceChildren(el("li", {}, failed(error)));
      return [];
    }
  }

  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 150);
  });
  search.addEventListener("keydown", async (event) => {
    if (event.isComposing) return; // Enter ends a syllable of Korean
    if (event.key === "Escape") search.blur();
    if (event.key !== "Enter" || !search.value.trim()) return;
    event.preventDefault();
    const [first] = await look();
    if (!first) return;
    add(first);
    search.select();
  });
  found.addEventListener("mousedown", (event) => event.preventDefault()); // the found items stay open while one is chosen
  look();
  return el("section", { class: "search", "aria-label": "Search" },
    el("label", { for: "search" }, "Search titles"), search,
    el("p", { id: "search-help", class: "visually-hidden" }, "Enter adds the first item that is found."), found);
}

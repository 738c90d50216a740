// How the list is made: its length, its exploration and its filters. What the model refuses cannot be chosen, and says why.

import { el, named, slider } from "./ui.js";
import { current, remember, state } from "./state.js";

const EXPLORE = [["none", "the best"], ["thompson", "one draw from the posterior"], ["temperature", "drawn item by item"]];
const CONDITIONS = {
  number: [["low", "at least"], ["high", "at most"], ["any_of", "is"], ["none_of", "is not"]],
  text: [["contains", "contains"], ["any_of", "is"], ["none_of", "is not"]],
  truth: [["any_of", "is"], ["none_of", "is not"]],
  date: [["low", "at least"], ["high", "at most"], ["any_of", "is"], ["none_of", "is not"]],
  other: [["any_of", "is"], ["none_of", "is not"]],
};
const WORDS = Object.fromEntries(Object.values(CONDITIONS).flat());

const choice = (id, values, selected) => {
  const made = el("select", { id }, values.map(([value, text, refused]) => el("option", { value, disabled: Boolean(refused), title: refused }, refused ? `${text} (refused)` : text)));
  made.value = selected;
  return made;
};

function exploration(changed) {
  const refused = current() ? current().refused : {};
  const explore = choice("explore", EXPLORE.map(([value, text]) => [value, text, refused[value]]), state.explore);
  const again = el("button", { type: "button", onclick: () => { state.seed += 1; set(); } }, "Draw again");

  function mark() {
    again.disabled = state.explore === "none";
    again.title = again.disabled ? "The best items are not drawn." : "";
  }

  function set(options) {
    mark();
    remember(options);
    changed();
  }

  explore.addEventListener("change", () => { state.explore = explore.value; set(); });
  const temperature = slider("Temperature", { id: "temperature", min: 0.5, max: 5, step: 0.1, value: state.temperature }, (value) => {
    Object.assign(state, { temperature: value, explore: "temperature" });
    explore.value = "temperature";
    set({ replace: true });
  });
  Object.assign(temperature.querySelector("input"), { disabled: Boolean(refused.temperature), title: refused.temperature || "" });
  mark();
  const reasons = EXPLORE.filter(([value]) => refused[value]).map(([value, text]) => el("li", {}, `${text}: ${refused[value]}.`));
  if (reasons.length) for (const one of [explore, temperature.querySelector("input")]) one.setAttribute("aria-describedby", "refused");
  return el("fieldset", {}, el("legend", {}, "Exploration"), el("label", { for: "explore" }, "List"), explore, temperature, el("p", {}, again),
    reasons.length ? el("div", { id: "refused", class: "quiet" }, el("p", {}, named(`Not with ${state.model}:`)), el("ul", {}, reasons)) : null);
}

function filters(changed) {
  const model = current();
  const active = el("ul", { class: "chips", "aria-label": "Filters" });
  const set = () => { remember(); show(); changed(); };

  function show() {
    active.replaceChildren(...state.filters.map((one, at) => {
      const missing = !model || !model.attributes.includes(one.name);
      const words = `${one.name} ${WORDS[one.condition] || one.condition} ${one.value}`;
      return el("li", { class: missing ? "chip quiet" : "chip" }, named(words, 60), missing ? " (no such feature in this model)" : "",
        el("button", { class: "small", type: "button", "aria-label": `Remove the filter ${words}`, onclick: () => {
          state.filters.splice(at, 1);
          set();
          (active.querySelector("button") || document.getElementById("feature") || document.getElementById("search")).focus();
        } }, "×"));
    }));
  }

  show();
  const part = el("fieldset", {}, el("legend", {}, "Filters"), active);
  if (!model || !model.attributes.length) {
    part.append(el("p", { class: "quiet" }, "The items of this model have no features to filter by."));
    return part;
  }
  const feature = choice("feature", model.attributes.map((name) => [name, name]), model.attributes[0]);
  const condition = el("select", { id: "condition" });
  const value = el("input", { id: "value", type: "text", autocomplete: "off", required: true });
  const fit = () => {
    const kind = model.attribute_kinds[feature.value];
    condition.replaceChildren(...(CONDITIONS[kind] || CONDITIONS.other).map(([name, text]) => el("option", { value: name }, text)));
    value.inputMode = kind === "number" ? "decimal" : "text";
    value.pattern = kind === "number" ? "\\s*[\\-+]?[0-9]*\\.?[0-9]+\\s*" : ".*";
    value.title = { number: "A number.", truth: "true or false.", date: "A date such as 2024-01-31." }[kind] || "";
  };
  feature.addEventListener("change", fit);
  fit();
  part.append(el("form", { onsubmit: (event) => {
    event.preventDefault();
    state.filters.push({ name: feature.value, condition: condition.value, value: value.value.trim() });
    value.value = "";
    set();
  } }, el("label", { for: "feature" }, "Feature"), feature, el("label", { for: "condition" }, "Condition"), condition, el("label", { for: "value" }, "Value"),
    el("span", { class: "inline" }, value, " ", el("button", {}, "Add filter"))));
  return part;
}

export function listOptions(changed) {
  const length = el("input", { id: "length", type: "number", min: 1, max: 100, step: 1, value: state.k });
  length.addEventListener("change", () => {
    const k = Math.round(Number(length.value));
    length.value = state.k = k >= 1 && k <= 100 ? k : state.k;
    remember();
    changed();
  });
  return el("section", { "aria-label": "Options" }, el("h2", {}, "Options"),
    el("label", { for: "length" }, "Number of items"), length, exploration(changed), filters(changed));
}

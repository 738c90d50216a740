// A user: build a history, and the list reacts.

import { post } from "./api.js";
import { clear, el, empty, fill, percent, slider } from "./ui.js";
import { current, state, taken } from "./state.js";
import { historyEditor } from "./history.js";
import { showWithout } from "./without.js";

const settings = { explore: "none", temperature: 1, seed: 1, k: 10 };

// Two figures whatever the size: effects on scores may be thousandths.
const signed = (value) => `${value > 0 ? "+" : "−"}${Number(Math.abs(value).toPrecision(2))}`;

const UNITS = { nats: "nats of log-probability", score: "the model's score, which has no unit" };

export function hits(content, most) {
  if (!content.items.length) return empty("No item may be listed.");
  return el("ol", { class: "plain hits", "aria-label": "What the model expects next" }, content.items.map((hit) => {
    const value = hit.probability ?? hit.score;
    const width = (share) => `${Math.max(0, Math.min(100, (100 * share) / most))}%`;
    const meter = hit.probability === null ? null : el("div", { class: "meter", "aria-hidden": "true" },
      el("span", { style: { width: width(hit.probability) } }),
      hit.sd === null ? null : el("i", { style: {
        left: width(Math.max(0, hit.probability - hit.sd)),
        width: `calc(${width(hit.probability + hit.sd)} - ${width(Math.max(0, hit.probability - hit.sd))})`,
      } }));
    return el("li", {},
      el("span", { class: "quiet" }, `${hit.rank}`),
      el("span", { class: "line" }, el("span", {}, hit.title), el("span", {},
        hit.probability === null ? value.toFixed(3) : percent(value),
        hit.sd === null ? "" : ` ± ${percent(hit.sd)}`,
        hit.propensity === null ? "" : `, propensity ${percent(hit.propensity)}`)),
      meter,
      ...[["because of", hit.raised_by], ["despite", hit.lowered_by]].map(([word, moved]) => (moved && moved.length
        ? el("span", { class: "why" }, `${word} `, moved.map((one) => `${one.title} (${signed(one.change)})`).join(", "))
        : null)));
  }));
}

export function userPage(page) {
  const list = el("section", { "aria-label": "List" });
  const changes = el("section", { "aria-label": "Without one event" });
  const note = el("p", { class: "note", role: "status" });
  let before = null;

  const without = (one, at) => el("button", { class: "small", type: "button", "aria-label": `What changes without ${one.title}`, onclick: () => showWithout(changes, one, at) }, "Without?");

  function ask() {
    clear(changes);
    const model = current();
    const question = {
      ...taken(), k: settings.k, attributions: true, model: state.model,
      uncertainty: Boolean(model && model.has_posterior),
      ...(settings.explore === "none" ? {} : { explore: settings.explore, temperature: settings.temperature, seed: settings.seed }),
    };
    fill(list, "Requesting the list", post("/v1/recommendations", question), (content) => {
      const names = content.items.map((hit) => hit.item);
      const fresh = before === null ? [] : content.items.filter((hit) => !before.includes(hit.item)).map((hit) => hit.title);
      note.textContent = content.prior
        ? "Nothing is known about this user: this is the model's prior prediction."
        : `From ${content.known_events} events.${fresh.length ? ` New in the list: ${fresh.join("; ")}.` : ""}`;
      before = names;
      if (content.items.some((hit) => hit.raised_by.length || hit.lowered_by.length)) note.append(el("br"), `In brackets: the effect of an event on an item, in ${UNITS[content.effect_unit]}.`);
      return hits(content, Math.max(1e-9, ...content.items.map((hit) => (hit.probability ?? 0) + (hit.sd ?? 0))));
    });
  }

  const explore = el("select", { id: "explore" }, [["none", "the best"], ["thompson", "one draw from the posterior"], ["temperature", "drawn item by item"]]
    .map(([value, text]) => el("option", { value }, text)));
  explore.value = settings.explore;
  explore.addEventListener("change", () => { settings.explore = explore.value; ask(); });
  page.replaceChildren(
    el("h1", {}, "A user"),
    el("p", { class: "lead" }, "Users are folded in; nothing is retrained. Each item shows the events that raised it, and the events that lowered it."),
    el("div", { class: "columns" }, historyEditor(ask, without),
      el("div", {}, note,
        el("fieldset", {}, el("legend", {}, "Exploration"),
          el("label", { for: "explore" }, "List"), explore,
          slider("Temperature", { id: "temperature", min: 0.5, max: 5, step: 0.1, value: settings.temperature }, (value) => { settings.temperature = value; settings.explore = explore.value = "temperature"; ask(); }),
          el("p", {}, el("button", { type: "button", onclick: () => { settings.seed += 1; ask(); } }, "Draw again"))),
        changes, list)));
  ask();
}

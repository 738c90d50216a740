// A user: build a history, and the list reacts.

import { post } from "./api.js";
import { clear, el, empty, fill, listed, many, named, percent } from "./ui.js";
import { conditions, current, state, taken } from "./state.js";
import { historyEditor, workbench } from "./history.js";
import { listOptions } from "./options.js";
import { showWithout } from "./without.js";

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
      el("span", { class: "line" }, named(hit.title), el("span", { class: "value" },
        value === null ? hit.source : hit.probability === null ? value.toFixed(3) : percent(value),
        hit.sd === null ? "" : ` ± ${percent(hit.sd)}`,
        hit.propensity === null ? "" : `, propensity ${percent(hit.propensity)}`)),
      meter,
      ...[["because of", hit.raised_by], ["despite", hit.lowered_by]].map(([word, moved]) => (moved && moved.length
        ? el("span", { class: "why" }, `${word} `, moved.flatMap((one, at) => [at ? ", " : "", named(one.title, 40), ` (${signed(one.change)})`]))
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
      ...taken(), ...conditions(), k: state.k, attributions: true, model: state.model,
      uncertainty: Boolean(model && model.has_posterior),
      ...(state.explore === "none" ? {} : { explore: state.explore, temperature: state.temperature, seed: state.seed }),
    };
    fill(list, "Requesting the list", post("/v1/recommendations", question), (content) => {
      const items = content.items.map((hit) => hit.item);
      const fresh = before === null ? [] : content.items.filter((hit) => !before.includes(hit.item)).map((hit) => hit.title);
      note.replaceChildren(...(content.prior
        ? ["Nothing is known about this user: this is the model's prior prediction."]
        : [`From ${many(content.known_events, "event")}.`, ...(fresh.length ? [" New in the list: ", ...listed(fresh), "."] : [])]));
      before = items;
      if (content.items.some((hit) => hit.raised_by.length || hit.lowered_by.length)) note.append(el("br"), `In brackets: the effect of an event on an item, in ${UNITS[content.effect_unit]}.`);
      return hits(content, Math.max(1e-9, ...content.items.map((hit) => (hit.probability ?? 0) + (hit.sd ?? 0))));
    });
  }

  page.replaceChildren(
    el("h1", {}, "A user"),
    el("p", { class: "lead" }, "Users are folded in; nothing is retrained. Each item shows the events that raised it, and the events that lowered it."),
    workbench(historyEditor(ask, without), [note, changes, list], listOptions(ask)));
  ask();
}

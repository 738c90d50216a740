// What changes when one event is left out of the history: two lists of the same model, item by item.

import { post } from "./api.js";
import { clear, el, fill, listed, named, number, percent, table } from "./ui.js";
import { conditions, state, taken } from "./state.js";

const SHOWN = 10;
const LOOKED_AT = 50;

function row(title, before, after, taken) {
  const rank = (hit, otherwise = `below ${LOOKED_AT}`) => (hit ? `${hit.rank}` : otherwise);
  const value = (hit) => (!hit ? "–" : hit.probability !== null ? percent(hit.probability) : hit.score !== null ? number(hit.score) : hit.source);
  const moved = before && after ? (before.rank === after.rank ? "stays" : before.rank > after.rank ? `up ${before.rank - after.rank}` : `down ${after.rank - before.rank}`) : before ? "leaves" : "enters";
  return [named(title), moved, taken ? rank(before, "taken") : rank(before), rank(after), value(before), value(after)];
}

export function showWithout(part, one, at) {
  const asked = document.activeElement;
  const requests = [taken(), taken(at)].map((events) => ({ ...events, ...conditions(), k: LOOKED_AT, model: state.model }));
  clear(part);
  fill(part, `Requesting the list without ${one.title}`, post("/v1/recommendations:batch", { requests }), ({ answers: [whole, less] }) => {
    const of = (answer) => new Map(answer.items.map((hit) => [hit.item, hit]));
    const [before, after] = [of(whole), of(less)];
    const [top, then] = [whole, less].map((answer) => answer.items.slice(0, SHOWN));
    const gone = top.filter((hit) => !then.some((other) => other.item === hit.item));
    const come = then.filter((hit) => !top.some((other) => other.item === hit.item));
    const titles = (hits) => (hits.length ? listed(hits.map((hit) => hit.title)) : ["nothing"]);
    // An item left out of the history may be listed again: it enters from outside the list.
    const rows = [...top, ...come].map((hit) => row(hit.title, before.get(hit.item), after.get(hit.item), hit.item === one.item));
    const what = top.some((hit) => hit.probability !== null) ? "probability" : "score";
    return [
      el("h2", {}, "Without ", named(one.title)),
      el("p", { role: "status" }, `Of the first ${SHOWN}, leaves: `, titles(gone), ". Enters: ", titles(come), "."),
      table(["item", "moves", "rank", "rank without", what, `${what} without`], rows, `The list with and without ${one.title}`),
      el("p", {}, el("button", { type: "button", onclick: () => { clear(part); asked.focus(); } }, "Close")),
    ];
  });
}

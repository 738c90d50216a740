// The state of the pages as a query string, and back. What stands in it that is not the state's, such as figures', stays there.

const LONGEST = 6000; // characters; servers and messengers cut longer links

const NAMES = [
  "model", "user", "item", "times", "kept", "k", "explore", "temperature", "seed", "filter", "live", "open", "view", "selected",
  "experiment", "measure", "window", "weight", "span",
];
export const FRESH = {
  model: null, user: null, history: [], k: 10, explore: "none", temperature: 1, seed: 1, filters: [], live: false, open: [], view: null, selected: null,
  experiment: null, measure: "users", window: 86400, weights: [], span: 168,
};
const NUMBERS = {
  k: [1, 100], temperature: [0.5, 5], seed: [0, 2 ** 31 - 1],
  experiment: [1, Number.MAX_SAFE_INTEGER], window: [1, 366 * 86400], span: [1, 1000], // an id; seconds; hours
};
const WORDS = { explore: ["thompson", "temperature"], measure: ["events"] }; // beside the usual one

export const hasState = (search) => [...new URLSearchParams(search).keys()].some((name) => NAMES.includes(name));

function readFilter(text) {
  try {
    const [name, condition, value] = text.split(":").map(decodeURIComponent);
    return value === undefined ? null : { name, condition, value };
  } catch {
    return null;
  }
}

// `kept` is the history of this tab, for a link that was too short for it.
export function readSearch(search, kept = []) {
  const asked = new URLSearchParams(search);
  const times = (asked.get("times") || "").split(",").map(Number);
  const items = asked.getAll("item");
  const found = {
    ...FRESH,
    model: asked.get("model"),
    user: asked.get("user"),
    history: asked.has("kept") ? kept : items.map((item, at) => ({ item, title: item, ...(times.length === items.length && Number.isInteger(times[at]) ? { time: times[at] } : {}) })),
    filters: asked.getAll("filter").map(readFilter).filter(Boolean),
    live: asked.get("live") === "1",
    open: asked.getAll("open"),
    selected: asked.get("selected"),
    weights: asked.getAll("weight"),
  };
  for (const [name, [low, high]] of Object.entries(NUMBERS)) {
    const value = asked.has(name) ? Number(asked.get(name)) : NaN;
    if (value >= low && value <= high) found[name] = name === "temperature" ? value : Math.round(value);
  }
  for (const [name, words] of Object.entries(WORDS)) if (words.includes(asked.get(name))) found[name] = asked.get(name);
  const view = (asked.get("view") || "").split(",").map(Number);
  if (view.length === 3 && view.every(Number.isFinite) && view[2] > 0) found.view = view;
  return found;
}

function withHistory(asked, state) {
  if (state.user !== null) {
    asked.set("user", state.user);
    return;
  }
  const whole = new URLSearchParams(asked);
  for (const one of state.history) whole.append("item", one.item);
  if (state.history.length && state.history.every((one) => Number.isInteger(one.time))) whole.set("times", state.history.map((one) => one.time).join(","));
  const tooLong = whole.toString().length > LONGEST;
  for (const [name, value] of tooLong ? [["kept", "1"]] : ["item", "times"].flatMap((name) => whole.getAll(name).map((value) => [name, value]))) asked.append(name, value);
}

// The query string of a state; `standard` is the name of the default model.
export function searchOf(state, standard, before) {
  const asked = new URLSearchParams();
  withHistory(asked, state);
  for (const name of ["k", "explore", "temperature", "seed", "selected", "experiment", "measure", "window", "span"]) if (state[name] !== FRESH[name]) asked.set(name, String(state[name]));
  for (const one of state.filters) asked.append("filter", [one.name, one.condition, one.value].map(encodeURIComponent).join(":"));
  for (const one of state.weights) asked.append("weight", one);
  if (state.live) asked.set("live", "1");
  for (const one of state.open) asked.append("open", one);
  if (state.view) asked.set("view", state.view.map((one) => Number(one.toPrecision(4))).join(","));
  if (state.model !== null && (asked.size || state.model !== standard)) asked.set("model", state.model);
  for (const [name, value] of new URLSearchParams(before)) if (!NAMES.includes(name)) asked.append(name, value);
  const text = asked.toString();
  return text ? `?${text}` : "";
}

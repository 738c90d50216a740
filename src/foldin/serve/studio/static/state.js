// What pages share: the models, and the state that is in the address, such as the history. This tab keeps it too.

import { get, segment } from "./api.js";
import { FRESH, hasState, readSearch, searchOf } from "./address.js";

export const state = { ...FRESH, models: [], deployments: [], shown: null };
const titles = new Map();

const standard = () => (state.models.find((one) => one.default) || state.models[0] || { name: null }).name;
const kept = () => JSON.parse(sessionStorage.getItem("foldin-state") || "{}");

function keep() {
  state.shown = location.href;
  sessionStorage.setItem("foldin-state", JSON.stringify({ search: location.search, history: state.history }));
}

// Write the state to the address: as a step to which the browser goes back, or in place of the last one.
export function remember({ replace = false } = {}) {
  for (const one of state.history) titles.set(one.item, one.title);
  const search = searchOf(state, standard(), location.search);
  if (search !== location.search) history[replace ? "replaceState" : "pushState"](null, "", `${location.pathname}${search}${location.hash}`);
  keep();
}

// The stored events of a user, one for each item.
export async function storedHistory(user) {
  const { events } = await get(`/v1/users/${segment(user)}`);
  const once = new Map();
  for (const one of events) {
    // Of events with one item that one counts which counted when the model was trained.
    if (current() && current().repeats === "last") once.delete(one.item);
    if (!once.has(one.item)) once.set(one.item, { item: one.item, title: one.title || one.item, time: one.time });
  }
  return [...once.values()];
}

async function withTitles(events) {
  const unknown = [...new Set(events.map((one) => one.item).filter((item) => !titles.has(item)))];
  for (let at = 0; at < unknown.length; at += 100) {
    const query = new URLSearchParams([...unknown.slice(at, at + 100).map((item) => ["item", item]), ...(state.model ? [["model", state.model]] : [])]);
    for (const one of (await get(`/v1/items?${query}`)).items) titles.set(one.item, one.title);
  }
  return events.map((one) => ({ ...one, title: titles.get(one.item) || one.item }));
}

// The state of the address; at the first visit of a page without one, that of this tab. What cannot be read is an error's text.
let turns = 0;
export async function restore({ first = false } = {}) {
  const tab = kept();
  const turn = (turns += 1);
  if (first && !hasState(location.search) && tab.search) {
    Object.assign(state, readSearch(tab.search, tab.history));
    if (!state.models.some((one) => one.name === state.model)) state.model = standard();
    history.replaceState(null, "", `${location.pathname}${searchOf(state, standard(), location.search)}${location.hash}`);
  }
  Object.assign(state, readSearch(location.search, tab.history));
  if (!state.models.some((one) => one.name === state.model)) state.model = standard();
  refuse();
  try {
    const found = state.user === null ? await withTitles(state.history) : await storedHistory(state.user);
    if (turn !== turns) return null; // another step was taken meanwhile
    state.history = found;
    keep();
    return null;
  } catch (error) {
    return error;
  }
}

// An exploration that the model refuses is none.
export function refuse() {
  const model = current();
  if (model && model.refused[state.explore]) state.explore = "none";
}

export function choose(model) {
  Object.assign(state, { model, live: false, open: [], view: null });
  refuse();
  remember();
}

export const ids = () => state.history.map((one) => one.item);

// The history as a question has it: without one event where its place is given; with times where every event has one.
export function taken(except = -1) {
  const left = state.history.filter((_, place) => place !== except);
  const times = left.map((one) => one.time);
  return { history: left.map((one) => one.item), ...(times.every(Number.isInteger) ? { times } : {}) };
}

export const current = () => state.models.find((one) => one.name === state.model) || null;

// The filters of a question to the model: those on features that its items have.
export function conditions() {
  const found = {};
  for (const { name, condition, value } of state.filters) {
    if (!current() || !current().attributes.includes(name)) continue;
    const one = (found[name] = found[name] || {});
    if (condition.endsWith("_of")) (one[condition] = one[condition] || []).push(value);
    else one[condition] = condition === "contains" || current().attribute_kinds[name] === "date" ? value : Number(value);
  }
  return Object.keys(found).length ? { filter: found } : {};
}

// What pages share: the model that is looked at, and the history that is being built. Kept in this tab.

const kept = JSON.parse(sessionStorage.getItem("foldin-state") || "{}");

export const state = { model: kept.model || null, history: kept.history || [], models: [], deployments: [] };

export function remember() {
  sessionStorage.setItem("foldin-state", JSON.stringify({ model: state.model, history: state.history }));
}

export const ids = () => state.history.map((one) => one.item);
// The history as a question has it: without one event where its place is given; with times where every event has one.
export function taken(except = -1) {
  const left = state.history.filter((_, place) => place !== except);
  const times = left.map((one) => one.time);
  return { history: left.map((one) => one.item), ...(times.every(Number.isInteger) ? { times } : {}) };
}
export const current = () => state.models.find((one) => one.name === state.model) || null;

// What pages share: the model that is looked at, and the history that is being built. Kept in this tab.

const kept = JSON.parse(sessionStorage.getItem("foldin-state") || "{}");

export const state = { model: kept.model || null, history: kept.history || [], models: [] };

export function remember() {
  sessionStorage.setItem("foldin-state", JSON.stringify({ model: state.model, history: state.history }));
}

export const ids = () => state.history.map((one) => one.item);
export const current = () => state.models.find((one) => one.name === state.model) || null;

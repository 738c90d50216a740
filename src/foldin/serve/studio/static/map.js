// The map: items in the plane, and the user's posterior over it. An item that is clicked can be added to the history.

import { get, post, segment } from "./api.js";
import { el, empty, fill, many, named, percent } from "./ui.js";
import { current, ids, remember, state, taken } from "./state.js";
import { addItem, historyEditor, workbench } from "./history.js";
import { itemPlane } from "./plane.js";

const NAME = 28; // letters of a title on the map
const BASES = {
  vectors: "their vectors",
  components: "the probabilities of the components given the item",
  profiles: "their scores after each of the most popular items alone",
};

export function mapPage(page) {
  const where = el("section", { "aria-label": "Map" });
  const told = el("p", { class: "note", role: "status" }, "Click on an item to select it; drag to move, scroll, pinch or use + and − to zoom.");
  const selection = el("div", { class: "selection", role: "status" });
  const places = new Map();
  let user = null;
  let waiting = null;

  const plane = itemPlane({
    marks: () => ({ taken: new Set(ids()), selected: state.selected, user }),
    told: (one) => told.replaceChildren(named(one.title), `, taken ${many(one.count, "time")} in training`),
    picked: (one) => { state.selected = one.item; remember(); choose(); },
    moved: (view) => {
      state.view = view.map((one) => Number(one.toPrecision(4)));
      clearTimeout(waiting); // a browser takes a hundred changes of the address in ten seconds
      waiting = setTimeout(() => { if (plane.canvas.isConnected) remember({ replace: true }); }, 250);
    },
  });

  function choose() {
    const one = places.get(state.selected);
    const there = one && ids().includes(one.item);
    selection.replaceChildren(...(one ? [el("p", {}, el("strong", {}, named(one.title)), `, taken ${many(one.count, "time")} in training`),
      el("p", { class: "buttons" }, el("button", { type: "button", class: "primary", disabled: there, onclick: () => { if (addItem(one)) change(); } }, there ? "In the history" : "Add to the history"),
        el("button", { type: "button", onclick: () => { state.selected = null; remember(); choose(); plane.canvas.focus(); } }, "Deselect"))] : []));
    plane.draw();
  }

  function change() {
    remember();
    editor.show();
    locate();
    choose();
  }

  async function locate() {
    const model = current();
    if (!model) return;
    try {
      user = await post(`/v1/models/${segment(model.name)}/map:user`, { ...taken(), seed: 1 });
    } catch {
      user = null;
    }
    plane.draw();
  }

  const editor = historyEditor(() => { locate(); choose(); });
  page.replaceChildren(el("h1", {}, "The map"), el("p", { class: "lead" }, `Items that the model treats alike are near each other. Rings: the history. Green: the user${current()?.has_posterior ? ", and draws from the posterior" : ""}.`),
    workbench(editor, [told, selection, where]));
  if (!state.model) {
    where.replaceChildren(empty("No model is in service."));
    return;
  }
  fill(where, "Placing the items", get(`/v1/models/${segment(state.model)}/map`), (content) => {
    const most = Math.max(1, ...content.items.map((one) => one.count));
    const items = content.items.map((one) => ({ ...one, name: named(one.title, NAME).textContent, size: 1.5 + 4 * Math.sqrt(one.count / most) })).sort((a, b) => b.count - a.count);
    for (const one of items) places.set(one.item, one);
    plane.show(items, state.view);
    choose();
    locate();
    const button = (text, label, factor) => el("button", { type: "button", "aria-label": label, onclick: () => plane.zoom(factor) }, text);
    const buttons = el("p", { class: "buttons" }, button("+", "Zoom in", 0.6), button("−", "Zoom out", 1.6), el("button", { type: "button", onclick: plane.all }, "All"));
    return [plane.canvas, buttons, el("p", { class: "quiet" }, `${many(items.length, "item")}; the plane shows ${percent(content.explained)} of the variance of ${BASES[content.basis]}.`)];
  });
}

// The map: items in the plane, and the user's posterior over it; drawn on a canvas, so that ten thousand items move smoothly.

import { get, post, segment } from "./api.js";
import { el, empty, fill, percent } from "./ui.js";
import { current, ids, state, taken } from "./state.js";
import { historyEditor } from "./history.js";

export function mapPage(page) {
  const where = el("section", { "aria-label": "Map" });
  const told = el("p", { class: "note", role: "status" }, "Point at an item to see its title; drag to move, scroll, pinch or use + and − to zoom.");
  const canvas = el("canvas", { class: "map", tabindex: "0", role: "img", "aria-label": "Map of all items; arrow keys move, plus and minus zoom" });
  let items = [];
  let user = null;
  let view = null;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function draw() {
    if (!view || !canvas.isConnected) return;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (canvas.width !== width * ratio || canvas.height !== height * ratio) {
      canvas.width = width * ratio;
      canvas.height = height * ratio;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const scale = Math.min(width, height) / view.span;
    const px = (x) => width / 2 + (x - view.x) * scale;
    const py = (y) => height / 2 - (y - view.y) * scale;
    view.back = (at) => [view.x + (at[0] - width / 2) / scale, view.y - (at[1] - height / 2) / scale];
    view.scale = scale;
    const own = new Set(ids());
    context.fillStyle = color("--bar");
    for (const one of items) {
      const x = px(one.x);
      const y = py(one.y);
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      context.beginPath();
      context.arc(x, y, one.size, 0, 7);
      context.fill();
    }
    if (user) {
      context.globalAlpha = 0.35;
      context.fillStyle = color("--seen");
      for (const [x, y] of user.draws) context.fillRect(px(x) - 1.5, py(y) - 1.5, 3, 3);
      context.globalAlpha = 1;
      context.beginPath();
      context.arc(px(user.mean[0]), py(user.mean[1]), 7, 0, 7);
      context.fill();
    }
    context.strokeStyle = color("--accent");
    context.lineWidth = 2;
    for (const one of items) {
      if (!own.has(one.item)) continue;
      context.beginPath();
      context.arc(px(one.x), py(one.y), one.size + 3, 0, 7);
      context.stroke();
    }
    // The most taken items in view by name, as far as they do not cover each other.
    context.fillStyle = color("--text");
    context.font = "12px system-ui, sans-serif";
    const placed = [];
    for (const one of items) {
      if (placed.length > 24) break;
      const x = px(one.x);
      const y = py(one.y);
      if (x < 0 || y < 10 || x > width - 60 || y > height) continue;
      const box = [x, y - 12, x + context.measureText(one.title).width, y + 3];
      if (placed.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      placed.push(box);
      context.fillText(one.title, x + 6, y);
    }
  }

  function zoom(factor, at) {
    const focus = at ? view.back(at) : [view.x, view.y];
    view.x = focus[0] + (view.x - focus[0]) * factor;
    view.y = focus[1] + (view.y - focus[1]) * factor;
    view.span *= factor;
    draw();
  }

  const at = (event) => [event.offsetX, event.offsetY];
  let held = null;
  const fingers = new Map();
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return [Math.hypot(a[0] - b[0], a[1] - b[1]), [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]];
  };
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY > 0 ? 1.15 : 0.87, at(event)); }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    held = at(event);
    fingers.set(event.pointerId, held);
    canvas.setPointerCapture(event.pointerId);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      held = fingers.size ? [...fingers.values()][0] : null;
    });
  }
  canvas.addEventListener("pointermove", (event) => {
    if (!view) return;
    const now = at(event);
    if (fingers.size === 2 && fingers.has(event.pointerId)) {
      const [before] = spread();
      fingers.set(event.pointerId, now);
      const [after, middle] = spread();
      if (after > 0) zoom(before / after, middle);
      return;
    }
    if (held) {
      fingers.set(event.pointerId, now);
      view.x -= (now[0] - held[0]) / view.scale;
      view.y += (now[1] - held[1]) / view.scale;
      held = now;
      draw();
      return;
    }
    const [x, y] = view.back(now);
    let best = null;
    let least = (10 / view.scale) ** 2;
    for (const one of items) {
      const distance = (one.x - x) ** 2 + (one.y - y) ** 2;
      if (distance < least) [best, least] = [one, distance];
    }
    if (best) told.textContent = `${best.title}, taken ${best.count} times in training`;
  });
  canvas.addEventListener("keydown", (event) => {
    if (!view) return;
    const step = view.span / 10;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) { view.x += moves[event.key][0]; view.y += moves[event.key][1]; draw(); }
    else if (event.key === "+" || event.key === "=") zoom(0.8);
    else if (event.key === "-") zoom(1.25);
    else return;
    event.preventDefault();
  });
  new ResizeObserver(draw).observe(canvas);

  async function locate() {
    const model = current();
    if (!model) return;
    try {
      user = await post(`/v1/models/${segment(model.name)}/map:user`, { ...taken(), seed: 1 });
    } catch {
      user = null;
    }
    draw();
  }

  page.replaceChildren(el("h1", {}, "The map"), el("p", { class: "lead" }, "Items with similar vectors are near each other. Rings: the history. Green: the user, and draws from the posterior."),
    el("div", { class: "columns" }, historyEditor(locate), el("div", {}, told, where)));
  if (!state.model) {
    where.replaceChildren(empty("No model is in service."));
    return;
  }
  fill(where, "Reading the item vectors", get(`/v1/models/${segment(state.model)}/map`), (content) => {
    const most = Math.max(1, ...content.items.map((one) => one.count));
    items = content.items.map((one) => ({ ...one, size: 1.5 + 4 * Math.sqrt(one.count / most) })).sort((a, b) => b.count - a.count);
    const reach = Math.max(1e-9, ...items.map((one) => Math.max(Math.abs(one.x), Math.abs(one.y))));
    view = { x: 0, y: 0, span: 2.2 * reach };
    requestAnimationFrame(draw);
    locate();
    const button = (text, label, factor) => el("button", { type: "button", "aria-label": label, onclick: () => zoom(factor) }, text);
    const buttons = el("p", { class: "buttons" }, button("+", "Zoom in", 0.6), button("−", "Zoom out", 1.6),
      el("button", { type: "button", onclick: () => { Object.assign(view, { x: 0, y: 0, span: 2.2 * reach }); draw(); } }, "All"));
    return [canvas, buttons, el("p", { class: "quiet" }, `${items.length} items; the plane shows ${percent(content.explained)} of the variance of their vectors.`)];
  });
}

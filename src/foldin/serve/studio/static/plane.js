// A canvas with items in the plane, which is moved, zoomed and picked from by mouse, fingers and keys.

import { el } from "./ui.js";

const NEAR = 14; // pixels between a click and the item that it picks
const STILL = 6; // pixels that a click may move
const NAMES = 24;

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// `marks()` gives the ids of the history and of the selected item, and the user; `told(item)`, `picked(item)` and `moved(view)` are
// called for what is pointed at, what is picked, and after a change of the view, [x, y, span].
export function itemPlane({ marks, told, picked, moved }) {
  const canvas = el("canvas", { class: "map", tabindex: "0", role: "application", "aria-label": "Map of all items: arrow keys move, plus and minus zoom, Enter selects the item at the center" });
  let items = [];
  let view = null;
  let whole = null;

  const frame = () => {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const scale = Math.min(width, height) / view[2];
    return { width, height, scale, px: (x) => width / 2 + (x - view[0]) * scale, py: (y) => height / 2 - (y - view[1]) * scale };
  };
  const back = ([x, y]) => {
    const { width, height, scale } = frame();
    return [view[0] + (x - width / 2) / scale, view[1] - (y - height / 2) / scale];
  };

  function ring(context, { px, py }, one, name) {
    context.strokeStyle = color(name);
    context.lineWidth = 2;
    context.beginPath();
    context.arc(px(one.x), py(one.y), one.size + 3, 0, 7);
    context.stroke();
  }

  function drawUser(context, { px, py }, user) {
    context.globalAlpha = 0.35;
    context.fillStyle = color("--seen");
    for (const [x, y] of user.draws) context.fillRect(px(x) - 1.5, py(y) - 1.5, 3, 3);
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(px(user.mean[0]), py(user.mean[1]), 7, 0, 7);
    context.fill();
  }

  // The most taken items in view by name, as far as they do not cover each other.
  function drawNames(context, { width, height, px, py }) {
    context.fillStyle = color("--text");
    context.font = "12px system-ui, sans-serif";
    context.strokeStyle = color("--ground"); // letters stay readable on points
    context.lineWidth = 3;
    context.lineJoin = "round";
    const placed = [];
    for (const one of items) {
      if (placed.length > NAMES) break;
      const [x, y] = [px(one.x), py(one.y)];
      if (x < 0 || y < 10 || x > width || y > height) continue;
      const wide = context.measureText(one.name).width;
      const left = x + 6 + wide < width ? x + 6 : x - 6 - wide; // on the side on which there is room
      if (left < 0) continue;
      const box = [left - 6, y - 12, left + wide, y + 3];
      if (placed.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      placed.push(box);
      context.strokeText(one.name, left, y);
      context.fillText(one.name, left, y);
    }
  }

  function draw() {
    if (!view || !canvas.isConnected || !canvas.clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    const at = frame();
    if (canvas.width !== Math.round(at.width * ratio) || canvas.height !== Math.round(at.height * ratio)) {
      canvas.width = Math.round(at.width * ratio);
      canvas.height = Math.round(at.height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, at.width, at.height);
    context.fillStyle = color("--bar");
    for (const one of items) {
      const [x, y] = [at.px(one.x), at.py(one.y)];
      if (x < -9 || y < -9 || x > at.width + 9 || y > at.height + 9) continue;
      context.beginPath();
      context.arc(x, y, one.size, 0, 7);
      context.fill();
    }
    drawNames(context, at);
    const { taken, selected, user } = marks();
    if (user) drawUser(context, at, user);
    for (const one of items) {
      if (one.item === selected) ring(context, at, one, "--warn");
      else if (taken.has(one.item)) ring(context, at, one, "--accent");
    }
    if (document.activeElement === canvas && canvas.matches(":focus-visible")) {
      context.fillStyle = color("--text");
      context.fillRect(at.width / 2 - 6, at.height / 2 - 0.5, 12, 1);
      context.fillRect(at.width / 2 - 0.5, at.height / 2 - 6, 1, 12);
    }
  }

  function look(next) {
    view = next;
    draw();
    moved(view);
  }

  function zoom(factor, at) {
    if (!view) return;
    const focus = at ? back(at) : view;
    look([focus[0] + (view[0] - focus[0]) * factor, focus[1] + (view[1] - focus[1]) * factor, view[2] * factor]);
  }

  function nearest(at, reach) {
    const [x, y] = back(at);
    let [best, least] = [null, (reach / frame().scale) ** 2];
    for (const one of items) {
      const distance = (one.x - x) ** 2 + (one.y - y) ** 2;
      if (distance < least) [best, least] = [one, distance];
    }
    return best;
  }

  const at = (event) => [event.offsetX, event.offsetY];
  const fingers = new Map();
  let begun = null; // where a press began that may still be a click
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return [Math.hypot(a[0] - b[0], a[1] - b[1]), [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]];
  };
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY > 0 ? 1.15 : 0.87, at(event)); }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, at(event));
    begun = fingers.size === 1 ? at(event) : null;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", (event) => {
    fingers.delete(event.pointerId);
    const one = begun && view ? nearest(at(event), NEAR) : null;
    begun = null;
    if (one) picked(one);
  });
  canvas.addEventListener("pointercancel", (event) => {
    fingers.delete(event.pointerId);
    begun = null;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!view) return;
    const now = at(event);
    const held = fingers.get(event.pointerId);
    if (!held) {
      const one = nearest(now, NEAR);
      if (one) told(one);
      return;
    }
    if (fingers.size === 2) {
      const [before] = spread();
      fingers.set(event.pointerId, now);
      const [after, middle] = spread();
      if (after > 0) zoom(before / after, middle);
      return;
    }
    if (begun && Math.hypot(now[0] - begun[0], now[1] - begun[1]) < STILL) return;
    begun = null;
    fingers.set(event.pointerId, now);
    const { scale } = frame();
    look([view[0] - (now[0] - held[0]) / scale, view[1] + (now[1] - held[1]) / scale, view[2]]);
  });
  canvas.addEventListener("keydown", (event) => {
    if (!view) return;
    const step = view[2] / 10;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) look([view[0] + moves[event.key][0], view[1] + moves[event.key][1], view[2]]);
    else if (event.key === "+" || event.key === "=") zoom(0.8);
    else if (event.key === "-") zoom(1.25);
    else if (event.key === "Enter") {
      const one = nearest([canvas.clientWidth / 2, canvas.clientHeight / 2], Infinity);
      if (one) picked(one);
    } else return;
    event.preventDefault();
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, draw);
  new ResizeObserver(draw).observe(canvas);

  function show(shown, first) {
    items = shown;
    const reach = Math.max(1e-9, ...items.map((one) => Math.max(Math.abs(one.x), Math.abs(one.y))));
    whole = [0, 0, 2.2 * reach];
    view = first || whole;
    requestAnimationFrame(draw);
  }

  return { canvas, draw, show, zoom, all: () => look(whole) };
}

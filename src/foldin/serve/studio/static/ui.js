// Small pieces that pages share: elements, the states of a part of a page, charts in the page's colors.

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(made.style, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

// A title as the reader's language writes it; a long one is cut, and whole where it is pointed at.
export function named(title, most = 120) {
  const letters = title.length > most ? [...new Intl.Segmenter().segment(title)].map((one) => one.segment) : [];
  return letters.length > most ? el("bdi", { title }, `${letters.slice(0, most - 1).join("")}…`) : el("bdi", {}, title);
}

// Titles in a sentence.
export const listed = (titles, between = "; ", most = 40) => titles.flatMap((title, at) => [at ? between : "", named(title, most)]);

export function say(text) {
  document.getElementById("said").textContent = text;
}

export const loading = (what) => el("p", { class: "state" }, `${what} …`);
export const empty = (text) => el("p", { class: "state" }, text);
export const failed = (error) => el("p", { class: "state error", role: "alert" }, error.message || String(error));

// Fill a part with what a promise gives; meanwhile and in error it says so. A later call wins.
export async function fill(part, what, promise, show) {
  const turn = (part.turn = (part.turn || 0) + 1);
  if (!part.hasChildNodes()) part.replaceChildren(loading(what));
  part.setAttribute("aria-busy", "true");
  try {
    const content = await promise;
    if (turn === part.turn) part.replaceChildren(...[show(content)].flat());
  } catch (error) {
    if (error.name !== "AbortError" && turn === part.turn) part.replaceChildren(failed(error));
  } finally {
    if (turn === part.turn) part.removeAttribute("aria-busy");
  }
}

// Empty a part; what is still on its way to it is dropped.
export function clear(part) {
  part.turn = (part.turn || 0) + 1;
  part.removeAttribute("aria-busy");
  part.replaceChildren();
}

export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A chart in words: how many values, where they begin, end and lie.
function told(traces) {
  return traces.map((trace) => {
    const y = (trace.y || []).filter(Number.isFinite);
    if (!y.length) return null;
    const short = (value) => Number(value.toPrecision(4));
    return `${trace.name || "values"}: ${y.length} from ${short(y[0])} to ${short(y[y.length - 1])}, between ${short(Math.min(...y))} and ${short(Math.max(...y))}`;
  }).filter(Boolean).join("; ");
}

export function chart(traces, layout = {}, label = "chart") {
  const words = told(traces);
  // A legend of many lines is as high as a chart of a few.
  const height = traces.length > 3 ? { height: `${320 + 20 * (traces.length - 3)}px` } : {};
  const node = el("div", { class: "chart", style: height, role: "img", "aria-label": words ? `${label}. ${words}` : label });
  const axis = { gridcolor: color("--line"), zerolinecolor: color("--line"), automargin: true, exponentformat: "power" };
  requestAnimationFrame(() => {
    if (!window.Plotly) {
      node.replaceChildren(empty("charts need the package plotly"));
      return;
    }
    window.Plotly.newPlot(
      node,
      traces,
      {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { color: color("--text"), family: "system-ui, sans-serif" },
        margin: { l: 50, r: 16, t: 36, b: 44 }, legend: { orientation: "h", y: layout.xaxis?.title ? -0.4 : -0.2 },
        ...layout,
        xaxis: { ...axis, ...(layout.xaxis || {}) }, yaxis: { ...axis, ...(layout.yaxis || {}) },
      },
      { displayModeBar: false, responsive: true },
    );
  });
  return node;
}

export function table(head, rows, caption) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {},
      el("caption", { class: "visually-hidden" }, caption),
      el("thead", {}, el("tr", {}, head.map((one) => el("th", { scope: "col" }, one)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, at) => (at ? el("td", {}, cell) : el("th", { scope: "row" }, cell))))))));
}

// Two figures of a small share, so that those of thousands of items can be told apart.
const places = (value) => (value === 0 ? "0" : value < 0.001 ? (100 * value).toPrecision(2) : (100 * value).toFixed(value < 0.1 ? 2 : 1));
export const percent = (value) => `${places(value)}\u00a0%`; // the sign stays on the line of its number
export const minus = (text) => text.replace(/-(?=[\d.])/g, "−"); // a minus sign in place of a number's hyphen
export const number = (value, digits = 3) => (Number.isFinite(value) ? minus(value.toFixed(digits).replace(/^-(?=[0.]*$)/, "")) : "–");
export const count = (value) => value.toLocaleString("en");
export const many = (value, unit) => `${count(value)} ${unit}${value === 1 ? "" : "s"}`;

export function slider(label, { id, min, max, step, value, told: words = String }, changed) {
  const shown = el("output", { for: id }, words(value));
  const input = el("input", { id, type: "range", min, max, step, value, "aria-valuetext": words(value) });
  input.addEventListener("input", () => {
    shown.textContent = words(Number(input.value));
    input.setAttribute("aria-valuetext", shown.textContent);
    changed(Number(input.value));
  });
  return el("div", {}, el("label", { for: id }, `${label}: `, shown), input);
}

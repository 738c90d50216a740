// Pictures as SVG: plots with axes, stacked bars, matrices. Each redraws in place, so that a handle stays under the pointer.

import "./d3.min.js";

const { d3 } = globalThis;
const SVG = "http://www.w3.org/2000/svg";

export const number = (value, digits = 3) => (Number.isFinite(value) ? value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−") : value > 0 ? "∞" : value < 0 ? "−∞" : "–");

// A color of a term (`q`, `elbo`, …; see figures.css), or a color as it is.
const paint = (color) => (color.startsWith("#") || color.startsWith("var(") ? color : `var(--figure-${color})`);

// `host` holds one element for each part, in the order in which a drawing asks for them.
export class Picture {
  constructor(host) {
    this.host = host;
    this.at = 0;
  }

  // To be called before and after all parts are drawn.
  begin() { this.at = 0; }
  end() { while (this.host.children.length > this.at) this.host.lastElementChild.remove(); }

  part(kind, className) {
    let found = this.host.children[this.at];
    if (!found || found.dataset.kind !== kind) {
      const made = document.createElement("div");
      made.dataset.kind = kind;
      if (found) found.replaceWith(made);
      else this.host.append(made);
      found = made;
    }
    found.className = className;
    this.at += 1;
    return found;
  }

  // A plot. x, y: [from, to] of the axes; equal: one unit is as long on both; `title` stands above it; axes: false draws none.
  plot({ x, y, title = "", xLabel = "", yLabel = "", equal = false, axes = true, height = 240, width = 360, wide = false, xTicks = 5, yTicks = 5, yLog = false }) {
    const part = this.part("plot", wide ? "part across" : "part");
    // On a phone a wide plot is drawn narrower, so that its letters stay as large.
    const room = Math.min(width, Math.max(330, this.host.clientWidth || width));
    return new Plot(part, { x, y, title, xLabel, yLabel, equal, axes, height, width: room, xTicks, yTicks, yLog });
  }

  // Horizontal stacked bars: rows of { label, parts: [{ value, color, label }], mark } on one scale from `from` to `to`.
  // A part with a negative value is drawn to the left of zero. `mark`: { value, label }, a line across the row.
  bars({ rows, from = 0, to, title = "", unit = "", wide = true }) {
    const part = this.part("bars", wide ? "part across" : "part");
    part.replaceChildren(...(title ? [line("p", "figure-title", title)] : []));
    const percent = (value) => `${(100 * (Math.min(Math.max(value, from), to) - from)) / (to - from)}%`;
    for (const row of rows) {
      const track = line("div", "track");
      let [right, left] = [0, 0];
      for (const one of row.parts) {
        const [start, stop] = one.value >= 0 ? [right, right + one.value] : [left + one.value, left];
        if (one.value >= 0) right = stop;
        else left = start;
        const block = line("span", "block");
        block.style.left = percent(start);
        block.style.width = `calc(${percent(stop)} - ${percent(start)})`;
        block.style.background = paint(one.color);
        track.append(block);
      }
      if (row.mark) {
        const mark = line("span", "mark");
        mark.style.left = percent(row.mark.value);
        mark.title = row.mark.label;
        track.append(mark);
      }
      const legend = line("p", "legend");
      for (const one of row.parts) {
        const item = line("span", "item");
        const swatch = line("i", "swatch");
        swatch.style.background = paint(one.color);
        item.append(swatch, `${one.label} ${number(one.value)}${unit ? ` ${unit}` : ""}`);
        legend.append(item);
      }
      if (row.mark) legend.append(line("span", "item", `│ ${row.mark.label} ${number(row.mark.value)}${unit ? ` ${unit}` : ""}`));
      part.append(line("p", "bar-label", row.label), track, legend);
    }
  }

  // A table of numbers whose cells are shaded by size: blue for positive, orange for negative. `marked`: (row, column) → class or "".
  matrix({ values, rows, columns, title = "", digits = 2, most = null, corner = "", wide = false, marked = () => "" }) {
    const part = this.part("matrix", wide ? "part across" : "part");
    const largest = most ?? Math.max(1e-12, ...values.flat().filter(Number.isFinite).map(Math.abs));
    const table = document.createElement("table");
    table.className = "matrix";
    if (title) table.append(line("caption", "figure-title", title));
    const head = document.createElement("tr");
    head.append(line("th", "", corner), ...columns.map((name) => column(name)));
    table.append(head);
    values.forEach((row, i) => {
      const made = document.createElement("tr");
      const name = line("th", "", rows[i]);
      name.scope = "row";
      made.append(name, ...row.map((value, j) => {
        const cell = line("td", marked(i, j), value === null ? "" : number(value, digits));
        if (value !== null && Number.isFinite(value)) cell.style.background = `color-mix(in srgb, var(--figure-${value >= 0 ? "q" : "p"}) ${Math.round(70 * Math.min(1, Math.abs(value) / largest))}%, transparent)`;
        return cell;
      }));
      table.append(made);
    });
    part.replaceChildren(table);
    part.tabIndex = 0; // wide ones scroll, by keyboard too
  }

  // A sentence, or a number with its name, under the plots; `color` gives it the color of a term.
  say(text, color = null) {
    const part = this.part("say", "part across say");
    part.replaceChildren(line("p", "", text));
    part.style.borderColor = color ? paint(color) : "transparent";
  }
}

class Plot {
  constructor(part, { x, y, title, xLabel, yLabel, equal, axes, height, width, xTicks, yTicks, yLog }) {
    const margin = { top: 10, right: 18, bottom: axes ? (xLabel ? 40 : 26) : 8, left: axes ? (yLabel ? 52 : 38) : 8 };
    const inner = width - margin.left - margin.right;
    const tall = equal ? (inner * (y[1] - y[0])) / (x[1] - x[0]) : height - margin.top - margin.bottom;
    this.x = d3.scaleLinear(x, [0, inner]);
    this.y = (yLog ? d3.scaleLog : d3.scaleLinear)(y, [tall, 0]);
    this.width = inner;
    this.height = tall;
    let svg = part.querySelector("svg");
    if (!svg) {
      svg = document.createElementNS(SVG, "svg");
      part.replaceChildren(line("p", "figure-title"), svg);
    }
    part.firstElementChild.textContent = title;
    svg.setAttribute("viewBox", `0 0 ${width} ${tall + margin.top + margin.bottom}`);
    svg.setAttribute("aria-hidden", "true"); // the figure's description and its sliders speak for it
    this.svg = d3.select(svg);
    this.svg.selectAll("*").remove();
    const clip = `clip-${(Plot.made = (Plot.made ?? 0) + 1)}`;
    this.svg.append("clipPath").attr("id", clip).append("rect").attr("width", inner).attr("height", tall);
    const frame = this.svg.append("g").attr("transform", `translate(${margin.left},${margin.top})`);
    if (axes) {
      frame.append("g").attr("class", "axis").attr("transform", `translate(0,${tall})`).call(d3.axisBottom(this.x).ticks(xTicks).tickSizeOuter(0));
      frame.append("g").attr("class", "axis").call(d3.axisLeft(this.y).ticks(yTicks).tickSizeOuter(0));
      if (xLabel) frame.append("text").attr("class", "axis-label").attr("x", inner).attr("y", tall + 34).attr("text-anchor", "end").text(xLabel);
      if (yLabel) frame.append("text").attr("class", "axis-label").attr("transform", "rotate(-90)").attr("x", 0).attr("y", -40).attr("text-anchor", "end").text(yLabel);
    }
    this.inside = frame.append("g").attr("clip-path", `url(#${clip})`);
    this.over = frame.append("g");
    this.handles = [];
    svg.style.touchAction = "";
    svg.onpointerdown = null;
    this.offset = margin;
    this.node = svg;
  }

  // points: [[x, y], …]
  line(points, { color = "text", dash = "", thick = 2, opacity = 1, close = false } = {}) {
    const path = d3.line((one) => this.x(one[0]), (one) => this.y(one[1])).defined((one) => Number.isFinite(one[0]) && Number.isFinite(one[1]));
    this.inside.append("path").attr("d", (path(points) ?? "") + (close ? "Z" : "")).attr("fill", "none").style("stroke", paint(color)).attr("stroke-width", thick).attr("stroke-dasharray", dash).attr("opacity", opacity);
    return this;
  }

  // The area between a curve and a base (a number, or one for each point).
  area(points, { color = "q", opacity = 0.25, base = 0 } = {}) {
    const floor = (at) => (Array.isArray(base) ? base[at] : base);
    const path = d3.area((one) => this.x(one[0]), (_, at) => this.y(floor(at)), (one) => this.y(one[1]));
    this.inside.append("path").attr("d", path(points)).style("fill", paint(color)).attr("opacity", opacity);
    return this;
  }

  // color, size, opacity: a value, or a function of the place of a point.
  points(points, { color = "text", size = 3, opacity = 0.8, shape = "circle" } = {}) {
    const of = (value, at) => (typeof value === "function" ? value(at) : value);
    const symbol = { circle: d3.symbolCircle, cross: d3.symbolCross, square: d3.symbolSquare, triangle: d3.symbolTriangle }[shape];
    points.forEach((one, at) => {
      this.inside.append("path").attr("d", d3.symbol(symbol, Math.PI * of(size, at) ** 2)()).attr("transform", `translate(${this.x(one[0])},${this.y(one[1])})`).style("fill", paint(of(color, at))).attr("opacity", of(opacity, at));
    });
    return this;
  }

  arrow(from, to, { color = "text", thick = 2, opacity = 1 } = {}) {
    const [x1, y1, x2, y2] = [this.x(from[0]), this.y(from[1]), this.x(to[0]), this.y(to[1])];
    const angle = Math.atan2(y2 - y1, x2 - x1);
    const group = this.inside.append("g").style("stroke", paint(color)).attr("stroke-width", thick).attr("opacity", opacity).attr("fill", "none");
    group.append("line").attr("x1", x1).attr("y1", y1).attr("x2", x2).attr("y2", y2);
    if (Math.hypot(x2 - x1, y2 - y1) > 4) {
      const wing = (turn) => `${x2 - 7 * Math.cos(angle + turn)},${y2 - 7 * Math.sin(angle + turn)}`;
      group.append("path").attr("d", `M${wing(0.45)}L${x2},${y2}L${wing(-0.45)}`);
    }
    return this;
  }

  // The ellipse at `sds` standard deviations of a Gaussian with a 2 × 2 covariance.
  ellipse(center, [[a, b], [, c]], { color = "q", sds = 2, fill = 0, thick = 2, dash = "" } = {}) {
    const [middle, root] = [(a + c) / 2, Math.hypot((a - c) / 2, b)];
    const angle = 0.5 * Math.atan2(2 * b, a - c);
    const [r1, r2] = [sds * Math.sqrt(middle + root), sds * Math.sqrt(Math.max(middle - root, 0))];
    const ring = Array.from({ length: 73 }, (_, at) => (Math.PI * at) / 36).map((t) => [
      center[0] + r1 * Math.cos(t) * Math.cos(angle) - r2 * Math.sin(t) * Math.sin(angle),
      center[1] + r1 * Math.cos(t) * Math.sin(angle) + r2 * Math.sin(t) * Math.cos(angle),
    ]);
    if (fill) this.inside.append("path").attr("d", d3.line((one) => this.x(one[0]), (one) => this.y(one[1]))(ring)).style("fill", paint(color)).attr("opacity", fill);
    return this.line(ring, { color, thick, dash, close: true });
  }

  rule({ x = null, y = null, color = "quiet", dash = "4 3", thick = 1.5 }) {
    const [from, to] = x === null ? [[this.x.domain()[0], y], [this.x.domain()[1], y]] : [[x, this.y.domain()[0]], [x, this.y.domain()[1]]];
    return this.line([from, to], { color, dash, thick });
  }

  // Vertical bars: [{ x, value, color }], each `thick` units of the x axis wide, from zero.
  columns(bars, { thick = 0.8, base = 0, opacity = 0.85 } = {}) {
    for (const one of bars) {
      const [y1, y2] = [this.y(base), this.y(one.value)];
      this.inside.append("rect").attr("x", this.x(one.x - thick / 2)).attr("width", this.x(thick) - this.x(0)).attr("y", Math.min(y1, y2)).attr("height", Math.abs(y2 - y1)).style("fill", paint(one.color ?? "q")).attr("opacity", opacity);
    }
    return this;
  }

  // Lines of equal height: values[row][column] over the plot, row 0 at the bottom.
  contours(values, { levels, color = "quiet", opacity = 0.7 } = {}) {
    const [rows, columns] = [values.length, values[0].length];
    const made = d3.contours().size([columns, rows]).thresholds(levels)(values.flat());
    const [x0, x1] = this.x.domain();
    const [y0, y1] = this.y.domain();
    const path = d3.line((one) => this.x(x0 + ((x1 - x0) * (one[0] - 0.5)) / (columns - 1)), (one) => this.y(y0 + ((y1 - y0) * (one[1] - 0.5)) / (rows - 1)));
    for (const one of made) {
      const d = one.coordinates.flatMap((polygon) => polygon.map((ring) => `${path(ring)}Z`)).join("");
      this.inside.append("path").attr("d", d).attr("fill", "none").style("stroke", paint(color)).attr("opacity", opacity);
    }
    return this;
  }

  // The cell of each center: the part of the plot that is nearest to it.
  cells(centers, { color = () => "quiet", fill = 0.12 } = {}) {
    const voronoi = d3.Delaunay.from(centers, (one) => this.x(one[0]), (one) => this.y(one[1])).voronoi([0, 0, this.width, this.height]);
    centers.forEach((_, at) => {
      this.inside.append("path").attr("d", voronoi.renderCell(at)).style("fill", paint(color(at))).attr("fill-opacity", fill).style("stroke", paint("line")).attr("stroke-width", 1);
    });
    return this;
  }

  text([x, y], text, { color = "text", anchor = "start", dx = 0, dy = 0 } = {}) {
    this.over.append("text").attr("class", "figure-text").attr("x", this.x(x) + dx).attr("y", this.y(y) + dy).attr("text-anchor", anchor).style("fill", paint(color)).text(text);
    return this;
  }

  // Names of what is drawn, in the upper corner: [["label", "color"], …].
  legend(items, { left = false } = {}) {
    items.forEach(([label, color], at) => {
      this.over.append("text").attr("class", "figure-text").attr("x", left ? 4 : this.width - 2).attr("y", 12 + 15 * at).attr("text-anchor", left ? "start" : "end").style("fill", paint(color)).text(label);
    });
    return this;
  }

  // A point that can be dragged. `moved([x, y])` gets the place under the pointer; every handle also has its sliders.
  handle(place, moved, { color = "accent" } = {}) {
    this.over.append("circle").attr("class", "handle").attr("cx", this.x(place[0])).attr("cy", this.y(place[1])).attr("r", 8).style("fill", paint(color));
    this.handles.push({ place, moved });
    const svg = this.node;
    const where = (event) => {
      const box = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / box.width;
      return [(event.clientX - box.left) * scale - this.offset.left, (event.clientY - box.top) * scale - this.offset.top];
    };
    svg.onpointerdown = (event) => {
      const [px, py] = where(event);
      const near = this.handles.map((one, at) => [Math.hypot(this.x(one.place[0]) - px, this.y(one.place[1]) - py), at]).sort((a, b) => a[0] - b[0])[0];
      if (near[0] > 28) return;
      event.preventDefault();
      svg.setPointerCapture(event.pointerId);
      const index = near[1];
      const clamp = (value, [low, high]) => Math.min(Math.max(value, low), high);
      // The plot is drawn anew while it moves: the handle of the newest one answers.
      svg.onpointermove = (later) => {
        const [x, y] = where(later);
        svg.current.handles[index]?.moved([clamp(this.x.invert(x), this.x.domain()), clamp(this.y.invert(y), this.y.domain())]);
      };
      svg.onpointerup = svg.onpointercancel = () => { svg.onpointermove = null; };
    };
    svg.style.touchAction = "pan-y";
    svg.current = this;
    return this;
  }
}

function line(tag, className, text = null) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== null) made.textContent = text;
  return made;
}

function column(name) {
  const made = line("th", "", name);
  made.scope = "col";
  return made;
}

"use strict";

// Charts: uPlot, with a legend of buttons, a switch for the logarithmic scale, keys to read values
// with, and the colours of the page.

const charts = new Set();
const LEAST = 1e-15; // of a number's size, if it is not 0

const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function figure(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 1e9) return powers(value, 4);
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}

/** A large number, "1.235e11": the same length for any size. */
const powers = (value, digits) => Number(value.toPrecision(digits)).toExponential().replace("e+", "e");

/**
 * One chart.
 *
 * title: a text. axis: what x is, "step". x: ascending numbers.
 * log: whether it begins with the logarithmic scale.
 * series: {label, values, colour (of CSS, "--train"), faint, points, best (an x to be marked)}.
 * group: charts of one group share cursor and zoom.
 */
class Chart {
  constructor(parent, spec) {
    this.spec = spec;
    this.isLog = Boolean(spec.log);
    this.hidden = new Set(); // labels
    this.zoom = null; // {min, max} of x
    this.place = element("span", { class: "place" });
    this.unzoom = this.button("switch", "reset zoom", () => this.setZoom(null));
    this.log = this.button("switch", "log", () => {
      this.isLog = !this.isLog;
      this.build();
    });
    this.log.title = "Logarithmic scale";
    this.legend = element("div", { class: "legend" });
    this.plot = element("div", { class: "plot", tabindex: "0", role: "img" });
    this.plot.addEventListener("keydown", (event) => this.key(event));
    const caption = element("figcaption", {}, element("strong", {}, spec.title), this.place);
    caption.append(this.unzoom, this.log, this.legend);
    this.card = element("figure", { class: "card chart" }, caption, this.plot);
    parent.append(this.card);
    this.build();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.plot);
    charts.add(this);
  }

  button(kind, text, action) {
    const button = element("button", { type: "button", class: kind }, text);
    button.addEventListener("click", action);
    return button;
  }

  /** Other values. What is hidden and zoomed stays so. */
  update(spec) {
    const isSame = this.spec.series.map((s) => s.label).join() === spec.series.map((s) => s.label).join();
    this.spec = spec;
    if (!isSame) return this.build();
    const { min, max } = this.uplot.scales.x;
    this.uplot.setData(this.values(), !this.zoom);
    if (this.zoom) this.uplot.setScale("x", { min, max });
    this.describe();
  }

  /** What uPlot gets: it never ends to divide an axis down to less than this. */
  values() {
    const positive = (v) => (v !== null && v >= LEAST ? v : null);
    const plain = (v) => (v !== null && Math.abs(v) < LEAST ? 0 : v);
    const { x, series } = this.spec;
    return [x.map(plain), ...series.map((s) => s.values.map(this.isLog ? positive : plain))];
  }

  build() {
    this.uplot?.destroy();
    this.log.setAttribute("aria-pressed", this.isLog);
    const axis = { stroke: colour("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
    const isDecade = (v) => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6;
    const decades = (u, values) => values.map((v) => (!this.isLog || isDecade(v) ? v : null));
    const grid = { stroke: colour("--grid"), width: 1, filter: decades };
    const compact = (u, values) => values.map((v) => (v === null ? "" : shorten(v)));
    this.uplot = new uPlot(
      {
        width: this.plot.clientWidth || 400,
        height: 230,
        legend: { show: false },
        scales: {
          x: { time: false, range: (u, min, max) => (min === max ? [min - 0.5, max + 0.5] : [min, max]) },
          y: this.isLog ? { distr: 3 } : {},
        },
        axes: [
          { ...axis, grid: { show: false }, size: 26, values: compact },
          { ...axis, grid, size: 52, gap: 6, values: compact },
        ],
        series: [{}, ...this.spec.series.map((s) => this.curve(s))],
        cursor: {
          y: false,
          points: { size: 7 },
          drag: { x: true, y: false, setScale: true },
          sync: { key: this.spec.group, scales: ["x", null] },
        },
        hooks: {
          setCursor: [() => this.describe()],
          setScale: [(u, key) => key === "x" && this.noteZoom()],
          draw: [(u) => this.mark(u)],
        },
      },
      this.values(),
      this.plot,
    );
    if (this.zoom) this.uplot.setScale("x", this.zoom);
    this.buildLegend();
    this.describe();
  }

  curve({ label, colour: name, faint, points, dash }) {
    const stroke = colour(name);
    return {
      label,
      stroke: faint ? stroke + "66" : stroke,
      width: faint ? 1 : 2,
      dash,
      show: !this.hidden.has(label),
      spanGaps: true,
      points: points ? { size: 5, fill: stroke } : { show: false },
    };
  }

  buildLegend() {
    this.numbers = this.spec.series.map(({ label, colour: name, faint }) => {
      const line = element("i");
      line.style.background = colour(name);
      line.style.opacity = faint ? 0.4 : 1;
      const number = element("b");
      const button = this.button("", "", () => this.toggle(label));
      button.append(line, element("span", {}, label), number);
      button.setAttribute("aria-pressed", !this.hidden.has(label));
      button.dataset.label = label;
      return { button, number };
    });
    this.legend.replaceChildren(...this.numbers.map(({ button }) => button));
  }

  toggle(label) {
    const isHidden = this.hidden.delete(label) || !this.hidden.add(label);
    const i = this.spec.series.findIndex((s) => s.label === label);
    this.uplot.setSeries(i + 1, { show: isHidden });
    this.numbers[i].button.setAttribute("aria-pressed", isHidden);
  }

  /** The values under the cursor; without one, the last. */
  describe() {
    if (!this.numbers) return;
    const { x, series, axis } = this.spec;
    const under = this.uplot.cursor.idx;
    const i = under ?? x.length - 1;
    this.place.textContent = under === null || under === undefined ? "" : `${axis} ${figure(x[i])}`;
    series.forEach(({ values }, j) => {
      this.numbers[j].number.textContent = figure(values[i] ?? (under ? null : lastOf(values)));
    });
    const told = series.map((s) => `${s.label} ${figure(lastOf(s.values))}`).join(", ");
    this.plot.setAttribute("aria-label", `${this.spec.title} by ${axis}; at the end ${told}`);
  }

  noteZoom() {
    const { min, max } = this.uplot.scales.x;
    const { x } = this.spec;
    const isZoomed = x.length > 1 && (min > x[0] || max < x[x.length - 1]);
    this.zoom = isZoomed ? { min, max } : null;
    this.unzoom.hidden = !isZoomed;
  }

  setZoom(zoom) {
    for (const chart of charts) {
      if (chart.spec.group !== this.spec.group) continue;
      const { x } = chart.spec;
      chart.uplot.setScale("x", zoom ?? { min: x[0], max: x[x.length - 1] });
    }
  }

  key(event) {
    const { x } = this.spec;
    const i = this.uplot.cursor.idx ?? x.length - 1;
    const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: x.length - 1 }[event.key];
    if (to === undefined && event.key !== "Escape") return;
    event.preventDefault();
    if (event.key === "Escape") return this.setZoom(null);
    const at = x[Math.max(0, Math.min(x.length - 1, to))];
    this.uplot.setCursor({ left: this.uplot.valToPos(at, "x"), top: 10 });
  }

  /** Rings around the best values. */
  mark(u) {
    const { x, series } = this.spec;
    series.forEach(({ best, values, colour: name, label }) => {
      const i = best === undefined ? -1 : x.indexOf(best);
      if (i < 0 || values[i] === null || this.hidden.has(label)) return;
      const [left, top] = [u.valToPos(x[i], "x", true), u.valToPos(values[i], "y", true)];
      if (left < u.bbox.left || left > u.bbox.left + u.bbox.width) return;
      u.ctx.save();
      u.ctx.beginPath();
      u.ctx.arc(left, top, 6.5 * devicePixelRatio, 0, 2 * Math.PI);
      u.ctx.strokeStyle = colour(name);
      u.ctx.lineWidth = 1.5 * devicePixelRatio;
      u.ctx.stroke();
      u.ctx.restore();
    });
  }

  resize() {
    const width = this.plot.clientWidth;
    if (width && width !== this.uplot.width) this.uplot.setSize({ width, height: 230 });
  }

  remove() {
    this.observer.disconnect();
    this.uplot.destroy();
    this.card.remove();
    charts.delete(this);
  }
}

function lastOf(values) {
  for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null) return values[i];
  return null;
}

function shorten(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return powers(value, 3);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(6)));
}

/** Whether a loss falls so far that a linear scale shows its beginning only. */
function isSteep(name, ...columns) {
  const values = columns.flat().filter((v) => v !== null && v !== undefined);
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), 0);
  return name.includes("loss") && low > 0 && high > 30 * low;
}

/** Exponential moving average without its bias towards 0, as in singa.picture. */
function smooth(values, decay) {
  let average = 0;
  let weight = 0;
  return values.map((value) => {
    if (value === null) return null;
    average = decay * average + (1 - decay) * value;
    weight = decay * weight + (1 - decay);
    return average / weight;
  });
}

// Other colours: another scheme, or paper.
const redraw = () => charts.forEach((chart) => chart.build());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("beforeprint", () => {
  document.documentElement.classList.add("printing");
  redraw();
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("printing");
  redraw();
});

// The page of one run: its curves, samples, and graph.

// -- curves -----------------------------------------------------------------------------------

const title = (name) => name.replaceAll("_", " ");
const has = (columns, name) => columns[name]?.some((value) => value !== null);

const isRate = (name) => /^lr(_.*)?$/.test(name);
const rates = (columns) => Object.keys(columns).filter((name) => isRate(name) && has(columns, name));

/** The columns that are measured, the loss first. */
function measures(columns) {
  const others = ["epoch", "step", "seconds", "samples_per_second"];
  const names = Object.keys(columns).filter((n) => !others.includes(n) && !isRate(n) && has(columns, n));
  return [...new Set(names.map((n) => n.replace(/^val_/, "")))].sort((a, b) => b.includes("loss") - a.includes("loss"));
}

function epochCharts({ epochs: columns, steps, best }) {
  const points = (columns.epoch ?? []).length <= 60;
  const spec = (title, series, log = false) => ({ title, series, log, axis: "epoch", group: "epochs", x: columns.epoch });
  const curve = (label, name, colour) =>
    has(columns, name) ? [{ label, values: columns[name], colour, points, best: best[name] }] : [];
  const found = measures(columns).map((name) =>
    spec(
      title(name),
      [...curve("training", name, "--train"), ...curve("validation", `val_${name}`, "--validation")],
      isSteep(name, columns[name] ?? [], columns[`val_${name}`] ?? []),
    ),
  );
  if (has(columns, "samples_per_second")) found.push(spec("speed", curve("samples/s", "samples_per_second", "--update")));
  if (!rates(steps).length) found.push(...rates(columns).map((name) => spec(rateTitle(name), curve("lr", name, "--update"))));
  return found;
}

function stepCharts({ steps: columns }, decay) {
  const spec = (title, series, log = false) => ({ title, series, log, axis: "step", group: "steps", x: columns.step });
  const found = measures(columns).map((name) =>
    spec(
      `${title(name)} of each batch`,
      [
        { label: "batch", values: columns[name], colour: "--train", faint: true },
        { label: "smoothed", values: smooth(columns[name], decay), colour: "--train" },
      ],
      isSteep(name, columns[name]),
    ),
  );
  const rate = (name) => spec(rateTitle(name), [{ label: "lr", values: columns[name], colour: "--update" }]);
  return [...found, ...rates(columns).map(rate)];
}

const rateTitle = (name) => title(name.replace("lr", "learning rate"));

const drawn = new Map(); // the group's id: its charts

function drawCharts(id, specs) {
  const group = document.getElementById(id);
  group.hidden = !specs.length;
  const old = drawn.get(id) ?? [];
  const isSame = old.length === specs.length && old.every((chart, i) => chart.spec.title === specs[i].title);
  if (isSame) return specs.forEach((spec, i) => old[i].update(spec));
  old.forEach((chart) => chart.remove());
  drawn.set(id, specs.map((spec) => new Chart(group, spec)));
}

const smoothing = document.getElementById("smoothing");

function drawStepCharts() {
  smoothing.nextElementSibling.value = Number(smoothing.value).toFixed(2);
  drawCharts("step-charts", stepCharts(data, Number(smoothing.value)));
}

onData(() => {
  document.getElementById("curves").hidden = !data.epochs.epoch?.length && !data.steps.step?.length;
  drawCharts("epoch-charts", epochCharts(data));
  drawStepCharts();
});
smoothing.addEventListener("input", drawStepCharts);

// -- samples ----------------------------------------------------------------------------------

const chosen = new Map(); // the title: the epoch that is shown, if it is not the last one

enhance((part) => {
  for (const figure of part.querySelectorAll(".sample")) {
    const slider = figure.querySelector("input");
    const images = [...figure.querySelectorAll("img")];
    const show = () => {
      images.forEach((image, i) => (image.hidden = i !== Number(slider.value)));
      slider.nextElementSibling.value = images[slider.value].dataset.epoch;
    };
    slider.addEventListener("input", () => {
      const isLast = slider.value === slider.max;
      chosen.set(figure.dataset.name, isLast ? null : images[slider.value].dataset.epoch);
      show();
    });
    const i = images.findIndex((image) => image.dataset.epoch === chosen.get(figure.dataset.name));
    if (i >= 0) slider.value = i;
    show();
  }
});

// -- the graph --------------------------------------------------------------------------------

enhance((part) => {
  const drawing = part.querySelector(".drawing");
  const svg = drawing?.querySelector("svg");
  if (!svg) return;
  const { width, height } = svg.viewBox.baseVal;
  const all = width ? [0, 0, width, height] : [0, 0, svg.width.baseVal.value, svg.height.baseVal.value];
  let view = all;
  const show = (box) => {
    view = box;
    svg.setAttribute("viewBox", box.map((v) => v.toFixed(2)).join(" "));
  };
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  svg.style.aspectRatio = `${all[2]} / ${all[3]}`; // no more room than it needs where it is narrow
  show(all);

  /** Pixels to units of the drawing. */
  const scale = () => 1 / Math.min(svg.clientWidth / view[2], svg.clientHeight / view[3]);
  /** Zoom around a point, which is given from 0 to 1; without one around the middle. */
  const zoom = (factor, x = 0.5, y = 0.5) => {
    const size = Math.min(2, Math.max(0.02, (view[2] / all[2]) * factor)) / (view[2] / all[2]);
    const [w, h] = [view[2] * size, view[3] * size];
    show([view[0] + (view[2] - w) * x, view[1] + (view[3] - h) * y, w, h]);
  };
  const move = (dx, dy) => show([view[0] - dx * scale(), view[1] - dy * scale(), view[2], view[3]]);
  const full = () => (document.fullscreenElement ? document.exitFullscreen() : drawing.requestFullscreen());
  const actions = { in: () => zoom(0.7), out: () => zoom(1 / 0.7), fit: () => show(all), full };

  for (const button of drawing.querySelectorAll("button")) {
    button.addEventListener("click", actions[button.dataset.zoom]);
  }
  drawing.addEventListener("keydown", (event) => {
    const keys = {
      "+": actions.in, "=": actions.in, "-": actions.out, 0: actions.fit,
      ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0),
      ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  // The wheel scrolls the page, until the drawing has been clicked.
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !drawing.contains(document.activeElement)) return;
    event.preventDefault();
    const box = svg.getBoundingClientRect();
    zoom(Math.exp(event.deltaY * 0.0015), (event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height);
  }, { passive: false });
  const pointers = new Map();
  svg.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event);
    svg.setPointerCapture(event.pointerId);
    drawing.focus({ preventScroll: true });
  });
  svg.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    if (pointers.size === 1) move(event.clientX - before.clientX, event.clientY - before.clientY);
    if (pointers.size === 2) {
      const [other] = [...pointers.values()].filter((p) => p.pointerId !== event.pointerId);
      const distance = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY) || 1;
      zoom(distance(before) / distance(event));
    }
    pointers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    svg.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
});

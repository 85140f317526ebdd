// The page of all runs: which are compared, their curves on top of each other, and in which
// settings they differ.

const COLOURS = 8; // --run-0, --run-1, ...
const seen = new Set(); // the keys of runs
const slots = new Map(); // the key of a chosen run: the number of its colour

function choose(key) {
  const taken = new Set(slots.values());
  let slot = 0;
  while (taken.has(slot)) slot += 1;
  slots.set(key, slot);
}

const slotColour = (slot) => `--run-${slot % COLOURS}`;

/** The swatches in the table, and what is checked. */
function markRows() {
  for (const box of document.querySelectorAll("#runs input[type=checkbox]")) {
    const slot = slots.get(box.dataset.key);
    box.checked = slot !== undefined;
    box.nextElementSibling.style.background = slot === undefined ? "transparent" : `var(${slotColour(slot)})`;
  }
}

// -- curves -----------------------------------------------------------------------------------

const axisChoice = document.getElementById("axis");

/** What a run's epochs are drawn over. */
function places({ epochs }, axis) {
  if (axis !== "seconds") return epochs[axis] ?? [];
  let total = 0;
  return (epochs.seconds ?? []).map((seconds) => (total += seconds ?? 0));
}

function comparisonSpec(name, runs, axis) {
  const tables = runs.map((run) => [places(run, axis), run.epochs[name]]);
  const [x, ...columns] = uPlot.join(tables, tables.map(() => [2])); // 2: gaps are closed
  return {
    title: name.replace(/^val_/, "validation ").replaceAll("_", " "),
    axis,
    group: "comparison",
    log: isSteep(name, ...columns),
    x,
    series: runs.map((run, i) => ({
      label: run.name === run.key ? run.name : run.key,
      values: columns[i].map((v) => v ?? null),
      colour: slotColour(slots.get(run.key)),
      dash: slots.get(run.key) < COLOURS ? undefined : [6, 4],
      points: x.length <= 60,
    })),
  };
}

let compared = []; // charts

function compare() {
  const runs = data.runs.filter((run) => slots.has(run.key));
  const axis = axisChoice.value;
  const hasColumn = (run, name) => run.epochs[name]?.some((v) => v !== null) && places(run, axis).length;
  const others = /^(epoch|step|seconds|lr(_.*)?)$/;
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.epochs)))].filter((name) => !others.test(name));
  const rank = (name) => (name === "samples_per_second" ? 2 : name.startsWith("val_") ? 0 : 1);
  names.sort((a, b) => rank(a) - rank(b));
  const specs = names.flatMap((name) => {
    const having = runs.filter((run) => hasColumn(run, name));
    return having.length ? [comparisonSpec(name, having, axis)] : [];
  });
  const kind = (charts) => JSON.stringify(charts.map((c) => [c.title, c.axis, c.series.map((s) => [s.label, s.colour])]));
  if (kind(compared.map((chart) => chart.spec)) === kind(specs)) {
    compared.forEach((chart, i) => chart.update(specs[i]));
  } else {
    compared.forEach((chart) => chart.remove());
    const group = document.getElementById("comparison-charts");
    compared = specs.map((spec) => new Chart(group, spec));
  }
  showDifferences(runs);
}

// -- settings ---------------------------------------------------------------------------------

function showDifferences(runs) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.settings)))].filter(
    (name) => !["started", "finished"].includes(name) && new Set(runs.map((run) => run.settings[name])).size > 1,
  );
  const box = document.getElementById("differences");
  box.hidden = !names.length;
  const row = (tag, texts) => element("tr", {}, ...texts.map((text) => element(tag, {}, text)));
  const head = element("thead", {}, row("th", ["settings that differ", ...names]));
  const body = element("tbody");
  for (const run of runs) {
    const made = row("td", [run.name === run.key ? run.name : run.key, ...names.map((name) => run.settings[name] ?? "–")]);
    const swatch = element("i", { class: "swatch" });
    swatch.style.background = `var(${slotColour(slots.get(run.key))})`;
    made.cells[0].prepend(swatch);
    body.append(made);
  }
  box.firstElementChild.replaceChildren(element("table", {}, head, body));
}

// -- the table --------------------------------------------------------------------------------

const filter = document.getElementById("filter");

function applyFilter() {
  const words = filter.value.toLowerCase().split(/\s+/);
  for (const row of document.querySelectorAll("#runs tbody tr")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
}

enhance((part) => {
  for (const box of part.querySelectorAll("input[type=checkbox]")) {
    box.addEventListener("change", () => {
      if (box.checked) choose(box.dataset.key);
      else slots.delete(box.dataset.key);
      markRows();
      compare();
    });
  }
  markRows();
  applyFilter();
});

filter.addEventListener("input", applyFilter);
axisChoice.addEventListener("change", compare);

onData(() => {
  // New runs are compared as long as there are colours.
  for (const { key, epochs } of data.runs) {
    if (seen.has(key) || !epochs.epoch?.length) continue;
    seen.add(key);
    if (slots.size < COLOURS) choose(key);
  }
  for (const key of slots.keys()) if (!data.runs.some((run) => run.key === key)) slots.delete(key);
  markRows();
  compare();
});

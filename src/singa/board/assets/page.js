// What every page has: its data, tables that can be sorted, and parts that are exchanged while a
// training is in progress.

let source = document.getElementById("data").textContent;
let data = JSON.parse(source);
const enhancers = []; // what makes a part alive: functions of a part that is new in the page
const listeners = []; // what is told of new data

/** Call a function with every part of the page, now and whenever one is exchanged. */
function enhance(enhancer) {
  enhancers.push(enhancer);
  document.querySelectorAll("[data-part]").forEach(enhancer);
}

/** Call a function now, and whenever there is new data. */
function onData(listener) {
  listeners.push(listener);
  listener();
}

// -- tables -----------------------------------------------------------------------------------

const sorting = new Map(); // the part's name: the column, and the direction

function sortTable(table, column, direction) {
  const key = (row) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent;
    return text === "" || isNaN(text) ? text : Number(text);
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === ""); // nothing goes to the end
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return direction === "ascending" ? order : -order;
  };
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => compare(a, b));
  table.tBodies[0].append(...rows.map(([, row]) => row));
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    if (head.hasAttribute("aria-sort")) head.setAttribute("aria-sort", i === column ? direction : "none");
  });
}

enhance((part) => {
  for (const table of part.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.querySelector("button")?.addEventListener("click", () => {
        const isNumber = head.classList.contains("number");
        const first = isNumber ? "descending" : "ascending";
        const other = isNumber ? "ascending" : "descending";
        const direction = head.getAttribute("aria-sort") === first ? other : first;
        sorting.set(part.dataset.part, [column, direction]);
        sortTable(table, column, direction);
      });
    });
    const sorted = sorting.get(part.dataset.part);
    if (sorted) sortTable(table, ...sorted);
  }
});

// -- news -------------------------------------------------------------------------------------

const PERIOD = 2000; // milliseconds
const sources = new Map(); // the parts as they came, before scripts changed them
for (const part of document.querySelectorAll("[data-part]")) sources.set(part.dataset.part, part.outerHTML);

const focusable = (part) => [...part.querySelectorAll("a, button, input, [tabindex]")];

/** Ask for the page once more, and exchange what is different; whether it goes on. */
async function refresh() {
  const answer = await fetch(location.pathname, { cache: "no-store" });
  if (!answer.ok) throw new Error(answer.statusText);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const name = part.dataset.part;
    if (sources.get(name) === part.outerHTML) continue;
    sources.set(name, part.outerHTML);
    const old = document.querySelector(`[data-part="${name}"]`);
    const focused = focusable(old).indexOf(document.activeElement);
    const made = document.importNode(part, true);
    old.replaceWith(made);
    enhancers.forEach((enhancer) => enhancer(made));
    focusable(made)[focused]?.focus({ preventScroll: true });
  }
  const text = fresh.getElementById("data").textContent;
  if (text !== source) {
    source = text;
    data = JSON.parse(text);
    listeners.forEach((listener) => listener());
  }
  return fresh.querySelector("main").dataset.live;
}

async function live() {
  let goesOn = document.querySelector("main").dataset.live;
  while (goesOn) {
    await new Promise((resolve) => setTimeout(resolve, PERIOD));
    if (document.hidden) continue;
    try {
      goesOn = await refresh();
    } catch {
      continue; // the server may come back
    }
  }
}
addEventListener("load", live);

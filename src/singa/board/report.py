"""The page of one run."""

from __future__ import annotations

import math
from html import escape

from singa.board.markup import (
    cell,
    count,
    duration,
    figure,
    moment,
    pairs,
    problems,
    section,
    status,
    table,
    to_json,
)
from singa.board.page import page
from singa.board.run import Details, Run, finite, spread
from singa.board.table import Column, ReadTable
from singa.report import readable

_MOST_NUMBERS = 400_000  # of all curves
_MOST_ROWS = 1000  # of the table of epochs
_MOST_POINTS = 20_000  # of a curve: longer ones show averages of neighbouring steps
_PARTS = ("parameters", "states", "arguments", "constants", "results", "scratch", "code")
_PART_TITLES = {"states": "other state", "arguments": "arguments (the batch)"}
_LINKS = {
    "curves": "Curves",
    "samples": "Samples",
    "model": "Model",
    "graph": "Graph",
    "time": "Time",
    "memory": "Memory",
    "settings": "Settings",
}


def report(run: Run, details: Details, back: str = "", is_live: bool = False) -> str:
    """The page of a run as one self-contained HTML document.

    Args:
        run: its present state.
        details: the rest of its folder.
        back: a link to the page of all runs, if there is one.
        is_live: whether the page updates itself while the run is in progress.
    """
    contents = {
        "samples": _samples(details),
        "model": _model(run),
        "graph": _graph(details),
        "time": _time(details),
        "memory": _memory(details),
        "settings": _settings(run),
    }
    sections = [section(name, _LINKS[name], content) for name, content in contents.items()]
    curves = ["curves"] if _has_curves(run, details) else []
    linked = [*curves, *(name for name, content in contents.items() if content)]
    data = {
        "steps": columns(details.steps, "step"),
        "epochs": columns(run.epochs, "epoch"),
        "best": {name: best.epoch for name in run.measures if (best := run.best(name))},
    }
    return page(
        title=run.name,
        body="".join(
            [
                _bar(run, back, linked),
                f'<main data-live="{"run" if is_live and run.is_running else ""}">',
                _header(run, details),
                _curves(run, details),
                *sections,
                "</main>",
            ]
        ),
        data=to_json(data),
        scripts=("charts.js", "page.js", "report.js"),
    )


def _bar(run: Run, back: str, names: list[str]) -> str:
    links = "".join(f'<a href="#{name}">{_LINKS[name]}</a>' for name in names)
    home = f'<a class="home" href="{escape(back)}">All runs</a>' if back else ""
    return (
        f'<nav class="bar" data-part="bar" aria-label="Sections">{home}'
        f'<a class="title" href="#top">{escape(run.name)}</a>'
        f'<span class="links">{links}</span></nav>'
    )


def _header(run: Run, details: Details) -> str:
    line = [
        escape(run.text("model")),
        escape(run.data_name),
        f"started {moment(run.time('started'))}" if run.time("started") else "",
        f"last written {moment(run.written)}" if run.is_running else "",
        escape(run.text("stopped")),
    ]
    return (
        '<header id="top" data-part="header">'
        f"<h1>{escape(run.name)} {status(run.status)}</h1>"
        f'<p class="under">{" · ".join(filter(None, line))}</p>'
        f"{_progress(run)}{problems([*run.problems, *details.problems, *_not_finite(details)])}"
        f'<dl class="tiles">{_tiles(run)}</dl></header>'
    )


def _progress(run: Run) -> str:
    epoch, epochs = run.number("epoch"), run.number("epochs")
    if not run.is_running or not epochs or epoch is None:
        return ""
    return (
        f'<progress value="{epoch:g}" max="{epochs:g}" '
        f'aria-label="epochs">{epoch:g} of {epochs:g} epochs</progress>'
    )


def _not_finite(details: Details) -> list[str]:
    """Messages about values that became NaN or infinite, which the curves do not show."""
    found = []
    for name, column in details.steps.items():
        for step, value in zip(details.steps.column("step"), column, strict=True):
            if value is not None and not math.isfinite(value):
                found.append(f"{name} is {value:g} at step {figure(step)}")
                break
    return found


def _tiles(run: Run) -> str:
    tiles: list[tuple[str, str, str]] = []
    for name in sorted(run.measures, key=lambda n: "loss" in n)[:3]:
        best = run.best(name)
        if best is not None:
            tiles.append((f"best {title(name)}", figure(best.value), f"epoch {best.epoch}"))
    epoch, epochs = run.number("epoch"), run.number("epochs")
    if epoch is not None:
        tiles.append(("epochs", figure(epoch), f"of {figure(epochs)}" if epochs else ""))
    tiles += [
        ("duration", duration(run.seconds), "of all epochs"),
        ("speed", figure(run.speed and round(run.speed)), "samples/s"),
        ("parameters", count(run.number("parameters")), run.text("precision")),
    ]
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(unit)}</small></dd></div>"
        for name, value, unit in tiles
        if value != "–"
    )


def title(column: str) -> str:
    """A column's name as readable text: ``validation loss``."""
    name = column.removeprefix("val_").replace("_", " ")
    return f"validation {name}" if column.startswith("val_") else name


def _curves(run: Run, details: Details) -> str:
    """The section for the charts. An update does not replace it: the charts get new values."""
    heads = ["#" + title(name) for name in run.epochs]
    places = spread(range(run.epochs.rows), _MOST_ROWS)
    rows = (
        "<tr>" + "".join(cell(figure(c[i]), c[i], is_number=True) for c in shown) + "</tr>"
        for shown in [[*run.epochs.values()]]
        for i in places
    )
    numbers = "Every epoch" if len(places) == run.epochs.rows else f"{len(places)} of the epochs"
    bucket = _bucket(details.steps.rows, len(details.steps))
    averaged = f"Each point is the average of {bucket} steps." if bucket > 1 else ""
    hidden = "" if _has_curves(run, details) else " hidden"
    return (
        f'<section id="curves" aria-labelledby="curves-title"{hidden}>'
        '<h2 id="curves-title">Curves</h2>'
        '<p class="note screen">Drag over a chart to zoom in, double-click to zoom out; '
        "click a name to hide its curve.</p>"
        '<div class="group" id="epoch-charts" hidden>'
        '<div class="tools"><h3>Every epoch</h3></div></div>'
        '<div class="group" id="step-charts" hidden><div class="tools"><h3>Every step</h3>'
        f'<p class="note" data-part="averaged">{averaged}</p>'
        '<label>smoothing <input type="range" id="smoothing" min="0" max="0.99" step="0.01" '
        'value="0.8"><output for="smoothing">0.80</output></label></div></div>'
        f"<details><summary>{numbers} in numbers</summary>"
        f'<div data-part="numbers">{table(heads, rows, caption="Every epoch")}</div></details>'
        "</section>"
    )


def _has_curves(run: Run, details: Details) -> bool:
    return bool(run.epochs.rows or details.steps.rows)


def _samples(details: Details) -> str:
    cards = []
    for name, samples in details.samples.items():
        images = "".join(
            f'<img src="data:image/png;base64,{sample.png}" data-epoch="{sample.epoch}" '
            f'alt="{escape(name)} after epoch {sample.epoch}"'
            f"{'' if sample is samples[-1] else ' hidden'}>"
            for sample in samples
        )
        last = len(samples) - 1
        slider = (
            f'<label>epoch <input type="range" min="0" max="{last}" value="{last}">'
            f"<output>{samples[-1].epoch}</output></label>"
        )
        cards.append(
            f'<figure class="card sample" data-name="{escape(name)}"><figcaption>'
            f"<strong>{escape(name)}</strong>{slider}</figcaption>{images}</figure>"
        )
    return f'<div class="gallery">{"".join(cards)}</div>' if cards else ""


def _model(run: Run) -> str:
    summary = run.text("summary")
    return f'<pre tabindex="0">{escape(summary)}</pre>' if summary else ""


def _graph(details: Details) -> str:
    if not details.graph:
        return ""
    buttons = "".join(
        f'<button type="button" data-zoom="{action}" aria-label="{label}" title="{label}">'
        f"{sign}</button>"
        for action, sign, label in (
            ("in", "+", "Zoom in"),
            ("out", "−", "Zoom out"),
            ("fit", "fit", "Show all"),
            ("full", "full", "Full screen"),
        )
    )
    return (
        '<p class="note screen">Drag to move; the buttons, + and −, or the wheel after a click '
        "zoom. Hover over a box for its shapes.</p>"
        f'<div class="card drawing" tabindex="0" role="group" aria-label="The step as a graph">'
        f'<div class="buttons">{buttons}</div>{details.graph}</div>'
    )


def _time(details: Details) -> str:
    if not details.operations:
        return ""
    most = max(row.share for row in details.operations) or 1
    rows = (
        "<tr>"
        + cell(escape(row.name), row.name)
        + cell(escape(row.layer), row.layer)
        + cell(f'<span class="direction {_kind(row.direction)}">{escape(row.direction)}</span>')
        + cell(figure(row.calls), row.calls, is_number=True)
        + cell(f"{row.milliseconds:.3f}", row.milliseconds, is_number=True)
        + cell(
            f'<span class="meter {_kind(row.direction)}"><i style="width:'
            f'{max(0.0, 100 * row.share / most):.1f}%"></i></span>{row.share:.1%}',
            row.share,
        )
        + cell(
            f'<span class="remark" title="{escape(row.remark)}">{escape(row.remark)}</span>',
            row.remark,
        )
        + "</tr>"
        for row in details.operations
    )
    heads = ["operation", "layer", "direction", "#calls", "#ms per step", "share", "remark"]
    total = sum(row.milliseconds for row in details.operations)
    return (
        f'<p class="note">{total:.3f} ms in operations per step.</p>'
        f'<div class="card flush">{table(heads, rows, "time", "Time of each operation")}</div>'
    )


def _kind(direction: str) -> str:
    return direction if direction in ("forward", "backward", "update") else "other"


def _memory(details: Details) -> str:
    sizes = {name: details.memory[name] for name in _PARTS if details.memory.get(name)}
    total = sum(sizes.values())
    if not total:
        return ""
    bars = "".join(
        f'<i class="part-{name}" style="width:{100 * size / total:.2f}%"></i>'
        for name, size in sizes.items()
    )
    keys = "".join(
        f'<li><i class="part-{name}"></i>{_PART_TITLES.get(name, name)} '
        f"<b>{readable(size)}</b> <small>{size / total:.1%}</small></li>"
        for name, size in sizes.items()
    )
    peak = details.memory.get("peak")
    note = f"{readable(peak)} at the most" if peak else f"{readable(total)} in all"
    donated = details.memory.get("donated")
    if donated:
        note += f"; {readable(donated)} of new values are written over the old ones"
    return (
        f'<div class="card"><p class="note">One step: {note}.</p>'
        f'<div class="stack" aria-hidden="true">{bars}</div><ul class="keys">{keys}</ul></div>'
    )


def _settings(run: Run) -> str:
    versions = {k: v for k, v in run.settings.items() if k.startswith("versions.")}
    others = {k: v for k, v in run.settings.items() if k not in versions}
    if not run.settings:
        return ""
    parts = [f'<div class="card"><h3>Training</h3>{pairs(others.items())}</div>'] if others else []
    if versions:
        named = ((name.removeprefix("versions."), v) for name, v in versions.items())
        parts.append(f'<div class="card"><h3>Versions</h3>{pairs(named)}</div>')
    return f'<div class="columns">{"".join(parts)}</div>'


def columns(rows: ReadTable, key: str) -> dict[str, Column]:
    """The columns for the charts, in the order of the axis.

    If several rows are of one step (repeated after an interruption) or epoch, the last is used.
    """
    places = {x: i for i, x in enumerate(rows.column(key)) if x is not None and math.isfinite(x)}
    kept = [places[x] for x in sorted(places)]
    bucket = _bucket(len(kept), len(rows))
    return {
        name: finite(_averages([column[i] for i in kept], bucket), 12 if name == key else 6)
        for name, column in rows.items()
    }


def _bucket(rows: int, columns: int) -> int:
    most = min(_MOST_POINTS, _MOST_NUMBERS // max(columns, 1))
    return -(-rows // most)


def _averages(column: Column, size: int) -> Column:
    if size <= 1:
        return column
    averages: Column = []
    for i in range(0, len(column), size):
        values = [v for v in column[i : i + size] if v is not None and math.isfinite(v)]
        averages.append(sum(values) / len(values) if values else None)
    return averages

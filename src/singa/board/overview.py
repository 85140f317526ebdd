"""The page of all runs: a table, and the curves of selected runs in the same charts."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from singa.board.markup import (
    cell,
    count,
    duration,
    figure,
    problems,
    section,
    sparkline,
    status,
    table,
    to_json,
)
from singa.board.page import page
from singa.board.report import columns, title
from singa.board.run import Run

_MOST_MEASURES = 4  # columns of the table with best values


def address(key: str) -> str:
    """The page of a run, from the page of all: ``run/sweep/lr-0.1.html``."""
    return f"run/{quote(os.fsencode(key))}.html"


def back(key: str) -> str:
    """The page of all runs, from the page of one."""
    return "../" * (key.count("/") + 1) + "index.html"


def overview(runs: Sequence[Run], name: str, is_live: bool = False) -> str:
    """The page of all runs as one self-contained HTML document.

    Args:
        runs: at least one.
        name: the title: the folder's name.
        is_live: whether the page updates itself every few seconds.
    """
    began = datetime.min.replace(tzinfo=UTC)
    runs = sorted(runs, key=lambda run: run.key)
    runs.sort(key=lambda run: run.time("started") or began, reverse=True)
    running = sum(run.is_running for run in runs)
    counted = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    if running:
        counted += f", {running} in progress"
    header = (
        f'<header id="top" data-part="header"><h1>{escape(name)}</h1><p class="under">{counted}. '
        "Losses and metrics are those of each run's best epoch.</p></header>"
    )
    data = {
        "runs": [
            {
                "key": run.key,
                "name": run.name,
                "epochs": columns(run.epochs, "epoch"),
                "settings": run.settings,
            }
            for run in runs
        ]
    }
    return page(
        title=name,
        body=(
            f'<main data-live="{"all" if is_live else ""}"><div class="top">{header}'
            '<label>filter <input type="search" id="filter"></label></div>'
            f"{section('runs', 'Runs', _table(runs))}{_comparison()}</main>"
        ),
        data=to_json(data),
        scripts=("charts.js", "page.js", "overview.js"),
    )


def _table(runs: Sequence[Run]) -> str:
    counts = Counter(name for run in runs for name in run.measures)
    measures = [name for name, _ in counts.most_common(_MOST_MEASURES)]
    heads = [
        "", "run", "status", "model", "#epochs", *(f"#{title(m)}" for m in measures),
        "loss", "#duration", "#samples/s", "#parameters", "started",
    ]  # fmt: skip
    rows = (_row(run, measures) for run in runs)
    return f'<div class="card flush">{table(heads, rows, "runs", "All runs")}</div>'


def _row(run: Run, measures: Sequence[str]) -> str:
    name = escape(run.name)
    place = _below(escape(run.key)) if run.key != run.name else ""
    chosen = (
        f'<input type="checkbox" data-key="{escape(run.key)}" aria-label="compare {name}">'
        '<i class="swatch"></i>'
    )
    epoch, epochs = run.number("epoch"), run.number("epochs")
    of = f" <small>of {figure(epochs)}</small>" if epochs else ""
    cells = [
        cell(chosen if run.epochs.rows else ""),
        cell(
            f'<a href="{address(run.key)}"><strong>{name}</strong></a>{place}'
            f"{problems(run.problems)}",
            run.name,
        ),
        cell(status(run.status), run.status),
        cell(escape(run.text("model")) + _below(escape(run.data_name)), run.text("model")),
        cell(figure(epoch) + of, epoch, is_number=True),
    ]
    for measure in measures:
        best = run.best(measure)
        value = best.value if best else None
        cells.append(cell(figure(value), value, is_number=True))
    started = run.time("started")
    cells += [
        cell(_sparkline(run)),
        cell(duration(run.seconds), run.seconds, is_number=True),
        cell(figure(run.speed and round(run.speed)), run.speed, is_number=True),
        cell(count(run.number("parameters")), run.number("parameters"), is_number=True),
        cell(_moment(started), started.isoformat() if started else None),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _below(content: str) -> str:
    """A second line of a cell."""
    return f'<span class="place">{content}</span>' if content else ""


def _moment(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d}{_below(f'{time:%H:%M} UTC')}" if time else "–"


def _sparkline(run: Run) -> str:
    """The losses, on a logarithmic scale if they are positive, which is usual."""
    curves = []
    for kind, name in (("training", "loss"), ("validation", "val_loss")):
        values = [
            v if v is not None and math.isfinite(v) else None for v in run.epochs.column(name)
        ]
        curves.append((kind, values))
    numbers = [v for _, values in curves for v in values if v is not None]
    if numbers and min(numbers) > 0:
        curves = [(kind, [v and math.log(v) for v in values]) for kind, values in curves]
    return sparkline(curves, f"loss of {run.name}")


def _comparison() -> str:
    axes = "".join(f"<option>{name}</option>" for name in ("epoch", "step", "seconds"))
    return (
        '<section id="comparison" aria-labelledby="comparison-title">'
        '<h2 id="comparison-title">Comparison</h2>'
        '<div class="group" id="comparison-charts"><div class="tools">'
        '<p class="note">The runs that are selected in the table; drag to zoom in, double-click to '
        f'zoom out.</p><label>by <select id="axis">{axes}</select></label></div></div>'
        '<div class="card flush" id="differences" hidden><div class="scroll" tabindex="0"></div>'
        "</div></section>"
    )

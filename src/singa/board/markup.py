"""Small pieces of HTML, and numbers as readable text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any

from singa.board.table import Column

_LARGE = 1e9  # from here on a number with all its digits is too long for its place


def figure(value: float | None) -> str:
    """A number with four significant digits: ``0.9861``, ``12,345``, ``1e-05``."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if 1000 <= abs(value) < _LARGE else f"{value:.4g}"


def count(number: float | None) -> str:
    """How many there are: as :func:`figure`, but ``7.242 billion``."""
    if number is not None and abs(number) >= _LARGE:
        return f"{figure(number / _LARGE)} billion"
    return figure(number)


def duration(seconds: float | None) -> str:
    """A duration as readable text: ``5.2 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds is None or not 0 <= seconds < 1e12:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def moment(time: datetime | None) -> str:
    """A ``<time>``: in UTC, without seconds."""
    if time is None:
        return "–"
    return f'<time datetime="{time:%Y-%m-%dT%H:%M:%SZ}">{time:%Y-%m-%d %H:%M} UTC</time>'


def status(name: str) -> str:
    """A status with its colour."""
    known = ("running", "completed", "interrupted", "diverged", "failed")
    kind = name if name in known else "unknown"
    return f'<span class="status {kind}">{escape(name)}</span>'


def section(name: str, title: str, content: str) -> str:
    """A part of a page that is replaced when its content changes; hidden while it is empty."""
    hidden = "" if content else " hidden"
    return (
        f'<section id="{name}" data-part="{name}" aria-labelledby="{name}-title"{hidden}>'
        f'<h2 id="{name}-title">{title}</h2>{content}</section>'
    )


def table(heads: Sequence[str], rows: Iterable[str], kind: str = "", caption: str = "") -> str:
    """A table whose columns can be sorted. If a head begins with ``#``, its column has numbers."""
    cells = "".join(
        f'<th scope="col" aria-sort="none"{_numeric(head)}>'
        f'<button type="button">{escape(head.removeprefix("#"))}</button></th>'
        if head
        else "<td></td>"
        for head in heads
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="sortable {kind}">'
        f'<caption class="unseen">{escape(caption)}</caption>'
        f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def cell(content: str, value: float | str | None = None, is_number: bool = False) -> str:
    """A cell: HTML, and the value by which it is sorted."""
    key = "" if value is None else f' data-value="{escape(str(value))}"'
    return f"<td{key}{' class=number' if is_number else ''}>{content}</td>"


def pairs(items: Iterable[tuple[str, str]]) -> str:
    """Names and their values: texts, not HTML."""
    rows = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in items)
    return f'<dl class="pairs">{rows}</dl>'


def problems(texts: Sequence[str]) -> str:
    """A list of what could not be read; empty if there is nothing."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="problems">{items}</ul>' if texts else ""


def to_json(value: Any) -> str:
    """JSON that can be put into a ``<script>``."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def sparkline(curves: Sequence[tuple[str, Column]], label: str) -> str:
    """Curves without axes, with a common scale; the name of each is its class."""
    values = [v for _, curve in curves for v in curve if v is not None]
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    lines = ""
    for name, curve in curves:
        points = " ".join(
            f"{2 + 116 * i / max(len(curve) - 1, 1):.1f},"
            f"{27 - 24 * (v - low) / ((high - low) or 1):.1f}"
            for i, v in enumerate(curve)
            if v is not None
        )
        lines += f'<polyline class="{name}" points="{points}"/>' if points else ""
    return (
        f'<svg class="sparkline" viewBox="0 0 120 30" role="img" aria-label="{escape(label)}">'
        f"{lines}</svg>"
    )


def _numeric(head: str) -> str:
    return ' class="number"' if head.startswith("#") else ""

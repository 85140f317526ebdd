"""SVG: the few shapes of a drawing, as the text of a self-contained file."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"

Point = tuple[float, float]


def text_width(text: str, size: float, bold: bool = False) -> float:
    """The approximate width of a text, in the widest of the fonts that may be used."""
    return len(text) * size * (0.69 if bold else 0.62)


class Canvas:
    """Collects the parts of a drawing. Lengths are pixels; y grows downwards."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    @contextmanager
    def group(self, kind: str, tooltip: str) -> Iterator[None]:
        """A block whose shapes belong together: they get a class, and a tooltip."""
        self._parts.append(f'<g class="{html.escape(kind)}"><title>{html.escape(tooltip)}</title>')
        yield
        self._parts.append("</g>")

    def box(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        fill: str,
        stroke: str = "none",
        radius: float = 5,
    ) -> None:
        """A rectangle with round corners."""
        self._parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
            f' rx="{radius:g}" fill="{fill}" stroke="{stroke}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        anchor: str = "start",
        fill: str = "#222222",
        bold: bool = False,
    ) -> None:
        """A line of text; ``anchor`` (``start``, ``middle`` or ``end``) is the point at x."""
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}"'
            f' fill="{fill}"{weight}>{html.escape(text)}</text>'
        )

    def line(
        self,
        points: Sequence[Point],
        stroke: str,
        dashed: bool = False,
        has_arrow: bool = True,
    ) -> None:
        """A polygonal line, with an arrow at its end."""
        path = "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._path(path, stroke, dashed, has_arrow)

    def curve(self, points: Sequence[Point], stroke: str) -> None:
        """A line that leaves and enters each point vertically, with an arrow at its end."""
        path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
        for (x, y), (u, v) in pairwise(points):
            middle = (y + v) / 2
            path += f" C{x:.1f},{middle:.1f} {u:.1f},{middle:.1f} {u:.1f},{v:.1f}"
        self._path(path, stroke)

    def _path(self, path: str, stroke: str, dashed: bool = False, has_arrow: bool = True) -> None:
        dashes = ' stroke-dasharray="4 3"' if dashed else ""
        arrow = ' marker-end="url(#arrow)"' if has_arrow else ""
        self._parts.append(
            f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="1.3"{dashes}{arrow}/>'
        )

    def document(self, width: float, height: float, title: str) -> str:
        """The whole drawing as a file's text."""
        return "\n".join(
            [
                '<?xml version="1.0" encoding="UTF-8"?>',
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
                f' viewBox="0 0 {width:.0f} {height:.0f}" font-family="{FONT}">',
                f"<title>{html.escape(title)}</title>",
                '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="6"'
                ' markerHeight="6" orient="auto"><path d="M0,0.5 L8,4 L0,7.5 z" fill="#555555"/>'
                "</marker></defs>",
                f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
                *self._parts,
                "</svg>\n",
            ]
        )

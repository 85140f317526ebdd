"""The chart: how many times as long the other libraries take, a panel for each measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.report import Section

# Medium tones and no background: it can be read on light and dark pages.
INK = "#7d8590"
OURS, PEER, LIMIT = "#2da44e", "#4c8eda", "#a371c9"
LONGEST = 6.0  # bars beyond this are cut, with an arrow
BAR, TITLE = 0.25, 0.45  # inches


def draw(
    sections: list[Section],
    file: Path,
    note: str,
    heading: str = "Times as long as singa, compiled",
) -> None:
    """Horizontal bars in two columns; bars that end right of the line take longer than ours."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [section for section in sections if section.ours in section.values]
    if not shown:
        return
    # The start of the second column, chosen so that the higher column is as low as possible.
    split = min(range(1, len(shown) + 1), key=lambda i: max(_inches(shown[:i]), _inches(shown[i:])))
    columns = [column for column in (shown[:split], shown[split:]) if column]
    higher = max(map(_inches, columns))
    with pyplot.rc_context({"font.size": 10, "text.color": INK, "font.family": "DejaVu Sans"}):
        figure = pyplot.figure(figsize=(5.4 * len(columns), higher + 0.9))
        for number, column in enumerate(columns):
            top = higher + 0.45
            for section in column:
                size = BAR * len(section.values)
                box = (number + 0.36, top - TITLE - size, 0.6, size)
                _panel(figure.add_axes(_relative(box, figure, len(columns))), section)
                top -= TITLE + size
        height = figure.get_figheight()
        figure.text(0.5, 1 - 0.25 / height, heading, ha="center",
                    weight="bold", size=12)  # fmt: skip
        figure.text(0.5, 0.12 / height, note, ha="center", size=8)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=160, transparent=True)
        pyplot.close(figure)


def _inches(column: list[Section]) -> float:
    return sum(TITLE + BAR * len(section.values) for section in column)


def _relative(box: tuple[float, ...], figure: Any, columns: int) -> tuple[float, ...]:
    """Convert columns (horizontal) and inches (vertical) to fractions of the figure."""
    left, bottom, width, height = box
    return (
        left / columns, bottom / figure.get_figheight(),
        width / columns, height / figure.get_figheight(),
    )  # fmt: skip


def _panel(axis: Any, section: Section) -> None:
    names = list(section.values)
    for place, who in enumerate(names):
        ratio = section.ratio(who)
        color = OURS if who.startswith("singa") or who == section.ours else PEER
        end = min(ratio, LONGEST)
        axis.barh(place, end, height=0.74, color=LIMIT if who.startswith("limit") else color)
        label = f"{ratio:.2f}" if ratio <= LONGEST else f"{ratio:.1f} →"
        axis.text(max(1, end) + 0.06, place, label, va="center", size=9)  # clear of the line
    axis.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
    axis.set_title(section.title, loc="left", color=INK, weight="bold", size=10)
    axis.set_yticks(range(len(names)), map(_label, names), color=INK)
    for tick in axis.get_yticklabels():
        tick.set(size=6.5 if "\n" in tick.get_text() else 9)
    axis.set_xlim(0, LONGEST + 0.9)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(length=0, labelbottom=False)
    axis.spines[:].set_visible(False)


def _label(who: str) -> str:
    """The label; in two lines if it is long."""
    if len(who) < 30:
        return who
    return who.replace(": ", ":\n").replace(", ", ",\n")

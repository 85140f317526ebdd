"""The picture: how many times as long the others take, one panel for each workload."""

from __future__ import annotations

from pathlib import Path

from report import Section

# Middle tones and no background: it can be read on a white page and on a dark one.
INK = "#7d8590"
OURS, PEER, FLOOR = "#2da44e", "#4c8eda", "#a371c9"
LONGEST = 6.0  # bars beyond this are cut, and say so


def draw(sections: list[Section], file: Path, note: str) -> None:
    """Horizontal bars; ours is the line at 1, and what ends to the right of it is slower."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [section for section in sections if section.ours in section.values]
    sizes = [len(section.values) for section in shown]
    with pyplot.rc_context({"font.size": 9, "text.color": INK, "font.family": "DejaVu Sans"}):
        figure, axes = pyplot.subplots(
            len(shown), 1, sharex=True, squeeze=False, layout="constrained",
            figsize=(8, 0.6 + sum(0.24 * size + 0.34 for size in sizes)), height_ratios=sizes,
        )  # fmt: skip
        for axis, section in zip(axes[:, 0], shown, strict=True):
            _panel(axis, section)
        figure.suptitle("Times as long as singa, compiled", weight="bold", color=INK)
        figure.supxlabel(note, fontsize=7.5, color=INK)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=160, transparent=True)
        pyplot.close(figure)


def _panel(axis, section: Section) -> None:
    names = list(section.values)
    for place, who in enumerate(names):
        ratio = section.ratio(who)
        color = OURS if who.startswith(("singa", section.ours)) else PEER
        color = FLOOR if who.startswith("limit") else color
        axis.barh(place, min(ratio, LONGEST), height=0.72, color=color)
        label = f"{ratio:.2f}" if ratio < LONGEST else f"{ratio:.1f} →"
        end = max(1, min(ratio, LONGEST))  # clear of the line
        axis.text(end + 0.05, place, label, va="center", fontsize=8)
    axis.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
    axis.set_title(section.title, loc="left", fontsize=9.5, color=INK, weight="bold")
    axis.set_yticks(range(len(names)), names, color=INK)
    axis.invert_yaxis()
    axis.set_xlim(0, LONGEST + 0.6)
    axis.tick_params(length=0, labelbottom=False)
    for side in ("top", "right", "bottom", "left"):
        axis.spines[side].set_visible(False)

"""What was measured, and how it is shown."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from goals import COMPILED, GOALS, Goal
from rich.table import Table

UNITS = {"ms": 1e-3, "s": 1.0, "MiB": 2.0**20}


@dataclass
class Section:
    """One question with every contender's answer: seconds or bytes, as often as measured.

    Attributes:
        ours: whose number the others are divided by.
        losses: the losses of the first five steps, where there are any.
    """

    what: str
    title: str
    unit: str
    ours: str = COMPILED
    values: dict[str, list[float]] = field(default_factory=dict)
    losses: dict[str, list[float]] = field(default_factory=dict)

    def median(self, who: str) -> float:
        return statistics.median(self.values[who])

    def ratio(self, peer: str, ours: str | None = None) -> float | None:
        """How many times our number the peer's is."""
        ours = ours or self.ours
        if peer not in self.values or ours not in self.values:
            return None
        return self.median(peer) / self.median(ours)

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "unit": "bytes" if self.unit == "MiB" else "seconds",
            "contenders": {
                who: {
                    "median": self.median(who),
                    "ratio": self.ratio(who),
                    "all": values,
                    "losses": self.losses.get(who),
                }
                for who, values in self.values.items()
            },
        }


def verdicts(sections: list[Section], natively: bool) -> list[tuple[Goal, float, float]]:
    """The goals that something was measured for, with what is wanted and what is the case."""
    found = []
    for section in sections:
        for goal in GOALS:
            wanted, ratio = goal.on(natively), section.ratio(goal.peer, goal.ours)
            if goal.what == section.what and wanted is not None and ratio is not None:
                found.append((goal, wanted, round(ratio, 2)))  # judged as it is shown
    return found


def table(sections: list[Section], natively: bool) -> Table:
    shown = Table(title="Training steps: forward, backward, SGD with momentum and weight decay")
    shown.add_column("what", max_width=24)
    shown.add_column("contender", no_wrap=True)
    shown.add_column("median", justify="right", no_wrap=True)
    shown.add_column("ratio", justify="right", no_wrap=True)
    shown.add_column("goal", no_wrap=True)
    decided = {
        (goal.what, goal.ours, goal.peer): (wanted, ratio)
        for goal, wanted, ratio in verdicts(sections, natively)
    }
    for section in sections:
        title = section.title
        for who in section.values:
            ratio = section.ratio(who)
            marks = []
            for (what, ours, peer), (wanted, reached) in decided.items():
                mark = "[green]✓[/]" if reached >= wanted else "[red]✗[/]"
                if what != section.what:
                    continue
                if ours == section.ours and peer == who:
                    marks.append(f"≥ {wanted:g} {mark}")
                elif ours == who != section.ours:  # singa eager has a goal of its own
                    marks.append(f"{peer}: {reached:.2f} ≥ {wanted:g} {mark}")
            shown.add_row(
                title,
                who,
                f"{section.median(who) / UNITS[section.unit]:.3f} {section.unit}",
                "" if ratio is None or who == section.ours else f"{ratio:.2f}",
                ", ".join(marks),
            )
            title = ""
        shown.add_section()
    return shown


def as_json(sections: list[Section], about: dict[str, Any], natively: bool) -> dict[str, Any]:
    return {
        "about": about,
        "results": {section.what: section.as_json() for section in sections},
        "goals": [
            {
                "what": goal.what, "ours": goal.ours, "peer": goal.peer, "goal": wanted,
                "ratio": ratio, "reached": ratio >= wanted,
            }
            for goal, wanted, ratio in verdicts(sections, natively)
        ],
    }  # fmt: skip

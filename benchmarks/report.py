"""The results of measurements, and the tables that show them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from benchmarks.goals import COMPILED, Goal

UNITS = {"ms": 1e-3, "s": 1.0, "MiB": 2.0**20}


@dataclass
class Section:
    """One measurement with the results of every contender: seconds or bytes, all repetitions.

    Attributes:
        ours: the contender by whose number the others are divided.
        losses: the losses of the first five steps, if there are any.
        memory: the peak of each process afterwards, in bytes: the device's memory on GPUs.
    """

    what: str
    title: str
    unit: str
    ours: str = COMPILED
    values: dict[str, list[float]] = field(default_factory=dict)
    losses: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def median(self, who: str) -> float:
        return statistics.median(self.values[who])

    def ratio(self, peer: str, ours: str | None = None) -> float | None:
        """The other library's number divided by ours."""
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
                    "peak memory": self.memory.get(who),
                }
                for who, values in self.values.items()
            },
        }


def sections_of(results: dict[str, Any]) -> list[Section]:
    """The sections of a results file."""
    ours = {"import": "import singa"}
    units = {"import": "ms", "compile": "s", "memory": "MiB"}
    return [
        Section(
            what, each["title"], units.get(what, "ms"), ours.get(what, COMPILED),
            {who: found["all"] for who, found in each["contenders"].items()},
            {who: found["losses"] for who, found in each["contenders"].items() if found["losses"]},
            {
                who: found["peak memory"]
                for who, found in each["contenders"].items()
                if found.get("peak memory")
            },
        )
        for what, each in results.items()
    ]  # fmt: skip


def verdicts(sections: list[Section], goals: dict[Goal, float]) -> dict[Goal, float]:
    """The ratios reached, for the goals that were measured."""
    found = {}
    for section in sections:
        for goal in goals:
            ratio = section.ratio(goal.peer, goal.ours)
            if goal.what == section.what and ratio is not None:
                found[goal] = round(ratio, 2)  # judged by the rounded value that is shown
    return found


def table(
    sections: list[Section],
    goals: dict[Goal, float],
    title: str = "Training steps: forward, backward, SGD with momentum (AdamW for GPT)",
) -> Table:
    shown = Table(title=title)
    shown.add_column("what", max_width=24)
    shown.add_column("contender", no_wrap=True)
    shown.add_column("median", justify="right", no_wrap=True)
    shown.add_column("ratio", justify="right", no_wrap=True)
    shown.add_column("peak MiB", justify="right", no_wrap=True)
    shown.add_column("goal", no_wrap=True)
    reached = verdicts(sections, goals)
    for section in sections:
        what = section.title
        for who in section.values:
            ratio = section.ratio(who)
            shown.add_row(
                what,
                who,
                f"{section.median(who) / UNITS[section.unit]:.3f} {section.unit}",
                "" if ratio is None or who == section.ours else f"{ratio:.2f}",
                f"{section.memory[who] / UNITS['MiB']:.0f}" if who in section.memory else "",
                ", ".join(_marks(section, who, goals, reached)),
            )
            what = ""
        shown.add_section()
    return shown


def _marks(
    section: Section, who: str, goals: dict[Goal, float], reached: dict[Goal, float]
) -> Iterator[str]:
    for goal, ratio in reached.items():
        mark = "[green]✓[/]" if ratio >= goals[goal] else "[red]✗[/]"
        if goal.what != section.what:
            continue
        if goal.ours == section.ours and goal.peer == who:
            yield f"≥ {goals[goal]:g} {mark}"
        elif goal.ours == who != section.ours:  # singa eager has a goal of its own
            yield f"{goal.peer}: {ratio:.2f} ≥ {goals[goal]:g} {mark}"


def as_json(
    sections: list[Section], about: dict[str, Any], goals: dict[Goal, float]
) -> dict[str, Any]:
    return {
        "about": about,
        "results": {section.what: section.as_json() for section in sections},
        "goals": [
            {
                "what": goal.what, "ours": goal.ours, "peer": goal.peer, "goal": goals[goal],
                "ratio": ratio, "reached": ratio >= goals[goal],
            }
            for goal, ratio in verdicts(sections, goals).items()
        ],
    }  # fmt: skip

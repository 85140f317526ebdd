"""Timing several contenders fairly: they take turns, and what is kept are medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def take_turns(
    steps: dict[str, Callable[[], object]],
    rounds: int = 20,
    warm_up: int = 5,
    block: float = 0.02,
    done: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """The seconds that each contender's step took, one value a round.

    In each round every contender runs a block of steps back to back, as a training loop does,
    and the next round begins with another one. A step has to wait for its own result (read its
    loss), so that the last step of a block leaves no work to the next contender.

    Args:
        steps: one step of each contender, by name.
        rounds: the number of blocks of each.
        warm_up: the steps of each before anything is timed; those that compile are among them.
        block: the seconds that a block should last at least, however short a step is.
        done: called after each contender's warm-up and after each block.

    Returns:
        For each contender the mean seconds of a step in each of its blocks.
    """
    counts = {}
    for who, step in steps.items():
        for _ in range(warm_up):
            step()
        start = time.perf_counter()
        step()
        counts[who] = max(2, round(block / (time.perf_counter() - start)))
        done()
    names = list(steps)
    times: dict[str, list[float]] = {who: [] for who in names}
    for number in range(rounds):
        first = number % len(names)
        for who in names[first:] + names[:first]:
            step, count = steps[who], counts[who]
            step()  # back into the caches after the others
            start = time.perf_counter()
            for _ in range(count):
                step()
            times[who].append((time.perf_counter() - start) / count)
            done()
    return times


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """The median of each contender's blocks."""
    return {who: statistics.median(values) for who, values in times.items()}

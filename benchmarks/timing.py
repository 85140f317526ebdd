"""Timing several contenders fairly: they take turns, and what is kept are medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

Run = Callable[[int], float]
"""Runs so many steps back to back, and tells the mean seconds of one."""


def take_turns(
    runs: dict[str, Run],
    rounds: int = 20,
    warm_up: int = 5,
    block: float = 0.2,
    done: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """The seconds that each contender's step took, one value a round.

    In each round every contender runs a block of steps back to back, as a training loop does,
    and the next round begins with another one. A step has to wait for its own result (read its
    loss), so that the last step of a block leaves no work to the next contender.

    Args:
        runs: a way to run steps for each contender, by name.
        rounds: the number of blocks of each.
        warm_up: the steps of each before anything is timed; those that compile are among them.
        block: the seconds that a block should last, however short a step is. Linux needs some
            100 ms until it has put two threads that wake each other on different cores.
        done: called after each contender's warm-up and after each block.

    Returns:
        For each contender the mean seconds of a step in each of its blocks.
    """
    counts = {}
    for who, run in runs.items():
        run(warm_up)
        counts[who] = 2
        # The first few steps take longer, so that they do not tell how many fill a block.
        while counts[who] * run(counts[who]) < block / 2:
            counts[who] *= 2
        done()
    names = list(runs)
    times: dict[str, list[float]] = {who: [] for who in names}
    for number in range(rounds):
        first = number % len(names)
        for who in names[first:] + names[:first]:
            time.sleep(0.01)  # until the last one's threads have gone to sleep
            runs[who](max(1, counts[who] // 4))  # back into the caches after the others
            times[who].append(runs[who](counts[who]))
            done()
    return times


def run_of(step: Callable[[], object]) -> Run:
    """The way to run a step that is a function of this process."""

    def run(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - start) / count

    return run


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """The median of each contender's blocks."""
    return {who: statistics.median(values) for who, values in times.items()}

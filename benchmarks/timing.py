"""Fair timing of several contenders: they run in turns, and the results are medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

Run = Callable[[int], float]
"""Runs a number of steps without a pause, and returns the mean seconds of one."""


def take_turns(
    runs: dict[str, Run],
    rounds: int = 20,
    warm_up: int = 5,
    block: float = 0.2,
    done: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """The seconds of each contender's step, one value for each round.

    In each round every contender runs a block of steps without a pause, as a training loop does,
    and the next round begins with another contender. A step has to wait for its own result (read
    its loss), so that the last step of a block leaves no work that disturbs the next contender.

    Args:
        runs: a way to run steps for each contender, by name.
        rounds: the number of blocks of each.
        warm_up: the steps of each before anything is timed; those that compile are among them.
        block: the seconds that a block should last, also for short steps. Linux needs about
            100 ms until two threads that wake each other run on different cores.
        done: called after each contender's warm-up and after each block.

    Returns:
        For each contender the mean seconds of a step in each of its blocks.
    """
    counts = {}
    for who, run in runs.items():
        run(warm_up)
        counts[who] = 2
        # The first steps take longer, so they do not show how many steps fill a block.
        while counts[who] * run(counts[who]) < block / 2:
            counts[who] *= 2
        done()
    names = list(runs)
    times: dict[str, list[float]] = {who: [] for who in names}
    for number in range(rounds):
        first = number % len(names)
        for who in names[first:] + names[:first]:
            time.sleep(0.01)  # until the threads of the previous contender sleep
            runs[who](max(1, counts[who] // 4))  # fill the caches again
            times[who].append(runs[who](counts[who]))
            done()
    return times


def run_of(step: Callable[[], object]) -> Run:
    """A :data:`Run` of a step that is a function of this process."""

    def run(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - start) / count

    return run


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """The median of each contender's blocks."""
    return {who: statistics.median(values) for who, values in times.items()}

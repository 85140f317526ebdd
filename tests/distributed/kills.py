"""Ends ranks at random times, in all ways, and shows what was said of it. Not a part of the tests.

``python -m tests.distributed.kills 100`` runs a hundred of them (10 to 20 seconds each).
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import jax.numpy as jnp
import numpy as np

from singa import distributed
from singa.device import get_default_device
from singa.errors import DistributedError

ENDLESS = 10**6


def _raise() -> None:
    raise ValueError("has had enough")


FROM_OUTSIDE = {
    "SIGKILL": "was killed by SIGKILL",
    "SIGTERM": "was killed by SIGTERM",
    "SIGSEGV": "was killed by SIGSEGV",
    "SIGSTOP": "has been stopped",
}
FROM_INSIDE: dict[str, tuple[Callable[[], object], str]] = {
    "raise": (_raise, "failed:"),
    "os._exit(7)": (lambda: os._exit(7), "ended with status 7"),
    "sys.exit(3)": (lambda: sys.exit(3), "ended with status 3"),
    "MemoryError": (lambda: bytearray(2**60), "failed:"),
    "fewer steps": (lambda: None, "exchanges, and rank"),
    "other shapes": (lambda: exchange(3), "exchanges something else"),
}


def exchange(size: int) -> None:
    ours = distributed.communicator(get_default_device())
    np.asarray(ours.all_reduce([jnp.ones(size)])[0])


def work(folder: str, victim: int, way: str, seconds: float) -> None:
    """Exchange something again and again, with pauses, until something happens."""
    rank = distributed.rank()
    until = time.monotonic() + seconds
    for step in range(ENDLESS):
        if rank == victim and way in FROM_INSIDE and time.monotonic() > until:
            (Path(folder) / "when").write_text(repr(time.time()))
            FROM_INSIDE[way][0]()
            return
        exchange(2)
        time.sleep(0.001 * (step % 7))


def end_from_outside(folder: str, victim: int, way: str, seconds: float) -> None:
    """Send a signal to a rank, some seconds after its start."""
    while len(multiprocessing.active_children()) <= victim:
        time.sleep(0.01)
    children = sorted(multiprocessing.active_children(), key=lambda child: child.pid or 0)
    time.sleep(seconds)
    (Path(folder) / "when").write_text(repr(time.time()))
    os.kill(children[victim].pid or 0, getattr(signal, way))


def attempt(rng: random.Random, way: str) -> tuple[bool, float, int, str]:
    """Whether the right rank and way were named, the seconds, what is left, and the words."""
    size = rng.choice([2, 2, 3])
    victim = rng.randrange(size)
    is_outside = way in FROM_OUTSIDE
    seconds = rng.uniform(0, 8 if is_outside else 2)  # the start takes a part of it
    with TemporaryDirectory() as folder:
        if is_outside:
            args = (folder, victim, way, seconds)
            threading.Thread(target=end_from_outside, args=args, daemon=True).start()
        try:
            distributed.launch(work, size, folder, victim, way, seconds)
            said = "nothing"
        except DistributedError as error:
            said = str(error)
        took = time.time() - float((Path(folder) / "when").read_text())
    words = FROM_OUTSIDE[way] if is_outside else FROM_INSIDE[way][1]
    # Which of two ranks has the other shapes nobody can say.
    is_right = words in said and (way == "other shapes" or f"rank {victim} " in said)
    return is_right, took, len(multiprocessing.active_children()), said


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    ways = [*FROM_OUTSIDE, *FROM_INSIDE]
    found: dict[str, list[tuple[bool, float, int, str]]] = {}
    for number in range(count):
        way = ways[number % len(ways)]
        found.setdefault(way, []).append(attempt(rng, way))
        is_right, took, left, said = found[way][-1]
        if not is_right or left or took > 15:
            print(f"{way}: {took:.1f} s, {left} left: {said}", flush=True)
        if number % len(ways) == len(ways) - 1 or number == count - 1:
            show(found)


def show(found: dict[str, list[tuple[bool, float, int, str]]]) -> None:
    print(f"{'way':14} {'times':>5} {'named':>5} {'median s':>8} {'longest':>7} {'left':>4}")
    for way, rows in found.items():
        right, seconds, left, _ = zip(*rows, strict=True)
        print(
            f"{way:14} {len(rows):5} {sum(right):5} {statistics.median(seconds):8.1f} "
            f"{max(seconds):7.1f} {sum(left):4}",
            flush=True,
        )


if __name__ == "__main__":
    main()

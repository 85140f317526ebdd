"""Ctrl-C and SIGTERM end a training after its present step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


@contextmanager
def interrupts(end: Callable[[str], None]) -> Iterator[None]:
    """A block in which Ctrl-C calls ``end``, instead of raising in the middle of a step.

    SIGTERM does the same, by which a system ends programs; unless the user has a handler for it.
    The second signal does what it did before the block.

    Args:
        end: takes the reason, as text.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    previous: dict[int, Any] = {}

    def interrupt(signum: int, frame: FrameType | None) -> None:
        end(f"interrupted by {_SIGNALS[signal.Signals(signum)]}")
        signal.signal(signum, previous[signum])

    try:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if number == signal.SIGINT or handler is signal.SIG_DFL:
                previous[number] = signal.signal(number, interrupt)
        yield
    finally:
        for caught, before in previous.items():
            signal.signal(caught, before)

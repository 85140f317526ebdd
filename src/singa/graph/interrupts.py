"""Delays Ctrl-C while donated arrays are not yet replaced by the new ones."""

from __future__ import annotations

import signal
import threading
from typing import Any


class uninterrupted:
    """A block during which Ctrl-C is delayed: it is raised when the block has ended.

    Only the main thread is ever interrupted; in others this does nothing.
    """

    def __init__(self) -> None:
        self._before: Any = None
        self._came = False

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            if self._before is not None:
                signal.signal(signal.SIGINT, self._wait)

    def _wait(self, *_: object) -> None:
        self._came = True

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            if self._came:
                signal.raise_signal(signal.SIGINT)

"""Files that are written in the background, while the program goes on."""

from __future__ import annotations

import atexit
import sys
import threading
import traceback
from collections.abc import Callable


class Background:
    """Writes one file at a time, in a thread of its own.

    The next task waits for the one before, so that at most one is in memory. The process ends only
    when all tasks are done. An error is raised by the next :meth:`run` or :meth:`wait`; if there is
    none, it is printed when the process ends.

    Example:
        >>> from singa.formats.background import Background
        >>> writer = Background()
        >>> writer.run(lambda: print("written"), "a line")
        >>> writer.wait()
        written
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def run(self, task: Callable[[], object], what: str) -> None:
        """Begin a task, after the end of the one before.

        Args:
            task: what is to be done.
            what: the file, for messages.

        Raises:
            BaseException: that of the task before. This one is not begun.
        """
        with self._lock:
            self._join()
            # Not a daemon: the end of the program must not cut a file off.
            self._thread = threading.Thread(target=self._do, args=(task, what), daemon=False)
            self._thread.start()

    def wait(self) -> None:
        """Wait for the end of the present task, if there is one.

        Raises:
            BaseException: that of the task.
        """
        with self._lock:
            self._join()

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            _failed.pop(id(error), None)
            raise error

    def _do(self, task: Callable[[], object], what: str) -> None:
        try:
            task()
        except BaseException as error:
            error.add_note(f"while {what} was being written in the background")
            self._error = _failed[id(error)] = error


_failed: dict[int, BaseException] = {}  # errors that nobody has seen yet


@atexit.register  # when all threads are done
def _report() -> None:
    for error in _failed.values():
        print("".join(traceback.format_exception_only(error)), end="", file=sys.stderr)

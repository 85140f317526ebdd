"""Ranks on this machine that run a script, as ``singa launch`` starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, Any

from singa.distributed import watch
from singa.distributed.group import Group
from singa.distributed.hub import BEAT, Failure, Hub
from singa.distributed.world import free_address

_ASKS = (signal.SIGINT, signal.SIGTERM)


class Scripts:
    """Runs a script in several ranks, and again after a failure.

    Args:
        command: the program and its arguments.
        ranks: the number of ranks.
        restarts: how often all ranks are started again after one has failed.

    Example:
        >>> scripts.Scripts([sys.executable, "-c", "raise SystemExit(3)"], 1).run()
        3
    """

    def __init__(self, command: Sequence[str], ranks: int, restarts: int = 0) -> None:
        self._command, self._ranks, self._restarts = command, ranks, restarts
        self._asked = 0  # the signal that asks for an end
        self._group: Group | None = None

    def run(self) -> int:
        """Run it until all ranks are done, or too many have failed.

        Returns:
            0, or the status of the rank that has failed first: as shells have it, 128 and the
            number of the signal if a signal has ended it.
        """
        before = {number: signal.signal(number, self._on_signal) for number in _ASKS}
        try:
            for attempt in range(self._restarts + 1):
                failure, status = self._once(attempt)
                if failure is None or self._asked:
                    break
                is_last = attempt == self._restarts
                more = "" if is_last else f"; restart {attempt + 1} of {self._restarts}"
                print(f"singa: {_in_short(failure)}{more}", file=sys.stderr, flush=True)
            return 128 + self._asked if self._asked else status
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _once(self, attempt: int) -> tuple[Failure | None, int]:
        """Start all ranks, and wait for their end."""
        hub = Hub(self._ranks, sees_processes=True)
        self._group = group = Group(hub)
        lines = Lines()
        host, _, port = free_address().rpartition(":")
        ours = {
            "WORLD_SIZE": self._ranks,
            "LOCAL_WORLD_SIZE": self._ranks,
            "MASTER_ADDR": host,
            "MASTER_PORT": port,
            "TORCHELASTIC_RESTART_COUNT": attempt,
            "TORCHELASTIC_MAX_RESTARTS": self._restarts,
            "TORCHELASTIC_USE_AGENT_STORE": False,
            "PYTHONUNBUFFERED": 1,
            watch.HUB: hub.address,
        }

        def turn(seconds: float) -> None:
            lines.read(hub.turn(seconds, lines.files()))

        try:
            for rank in range(self._ranks):
                places = ours | {"RANK": rank, "LOCAL_RANK": rank}
                process = subprocess.Popen(
                    self._command,
                    env=os.environ | {name: str(value) for name, value in places.items()},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,  # so that Ctrl-C comes once, from here
                )
                group.add(process)
                lines.add(f"[{rank}] ", process)
            # Ranks that were asked to end have all the time they need: they may save something.
            while not group.has_ended() and (hub.failure is None or self._asked):
                turn(BEAT / 5)
        finally:
            group.end(turn)
            lines.close()
            hub.close()
        if hub.failure is None:
            return None, 0
        status = group.status(hub.failure.rank)
        return hub.failure, 128 - status if status < 0 else status or 1

    def _on_signal(self, number: int, _: object) -> None:
        """Ask the ranks to end; the second time, end them."""
        if self._group is not None:
            self._group.signal(signal.SIGKILL if self._asked else number)
        self._asked = number


class Lines:
    """What processes write, line by line, each with the mark of its process.

    Example:
        >>> process = subprocess.Popen(["echo", "hello"], stdout=subprocess.PIPE)
        >>> lines = scripts.Lines()
        >>> lines.add("[0] ", process)
        >>> _ = process.wait()
        >>> lines.close()
        [0] hello
    """

    def __init__(self) -> None:
        self._targets: dict[IO[bytes], tuple[str, Any]] = {}
        self._begun: dict[IO[bytes], bytes] = {}

    def add(self, mark: str, process: subprocess.Popen[bytes]) -> None:
        """Show what this process writes."""
        for source, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            if source is not None:
                os.set_blocking(source.fileno(), False)
                self._targets[source] = mark, target

    def files(self) -> list[IO[bytes]]:
        """The files that something may come from."""
        return list(self._targets)

    def read(self, files: Sequence[IO[bytes]]) -> bool:
        """Show the lines that have come, and the rest where a file ends; whether any came."""
        came = False
        for file in files:
            try:
                new = os.read(file.fileno(), 2**16)
            except BlockingIOError:
                continue
            came |= bool(new)
            *lines, rest = (self._begun.pop(file, b"") + new).split(b"\n")
            mark, target = self._targets[file]
            if new:
                self._begun[file] = rest
            else:
                del self._targets[file]
                file.close()
                lines += [rest] if rest else []
            for line in lines:
                target.write(f"{mark}{line.decode(errors='replace')}\n")
            target.flush()
        return came

    def close(self) -> None:
        """Show what there is, and read no more."""
        while self.read(self.files()):
            pass
        for file, (mark, target) in self._targets.items():  # a process of a process has it still
            if rest := self._begun.get(file):
                target.write(f"{mark}{rest.decode(errors='replace')}\n")
            file.close()


def _in_short(failure: Failure) -> str:
    """A failure in one line: of a traceback, the last one."""
    first, *others = str(failure).strip().splitlines()
    return f"{first} {others[-1]}" if others else first

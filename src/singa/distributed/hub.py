"""The hub: where all ranks report, and where each one learns that another one has failed.

It is in the process that has started the ranks, if that is one of ours, or else in rank 0. Messages
are JSON, for they may come over a network:

- a rank says who it is, once a second what it exchanges, that it has failed, that it is done,
  and that it needs jax's service no more;
- the hub says where jax's service is, that it is still there, who has failed, that all are done;
  and it asks what a certain exchange was (``comparison.py``).

Nobody's clock is read for this: a second counts only if this process was awake in it. So ranks
that were all suspended together, as by Ctrl-Z, go on later.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from singa.distributed.comparison import Comparison, Exchange

BEAT = 1.0
"""Seconds between two signs of life."""

DOUBT = 3
"""Beats for which a failure that may be a consequence of another one is not believed."""

GRACE = 3.0
"""Seconds in which a program may end by itself after another rank has failed."""

PATIENCE = 10.0
"""Seconds for which a rank may be silent or stopped, if it does not say otherwise."""

MOST = 2**20
"""Bytes of a message."""

CONSEQUENCES = (-signal.SIGABRT,)
"""Ends by which jax's own client ends a process that has lost the service in rank 0."""


class Failure(NamedTuple):
    """Which rank has failed, and what has happened to it; -1 for the process that started all."""

    rank: int
    what: str

    def __str__(self) -> str:
        return f"rank {self.rank} {self.what}" if self.rank >= 0 else self.what


def status_in_words(status: int) -> str:
    """How a process has ended, from its status: negative for a signal.

    Example:
        >>> hub.status_in_words(7)
        'ended with status 7'
        >>> hub.status_in_words(-9)
        'was killed by SIGKILL (the system does that too when memory runs out)'
    """
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    why = " (the system does that too when memory runs out)" if name == "SIGKILL" else ""
    return f"was killed by {name}{why}"


def send(link: Connection, **message: Any) -> None:
    """Send a message; that nobody is there to get it is noticed when reading."""
    with suppress(OSError):
        link.send_bytes(json.dumps(message).encode())


def receive(link: Connection) -> dict[str, Any] | None:
    """The next message; None if the other side is gone, or is none of ours."""
    try:
        message = json.loads(link.recv_bytes(MOST))
    except (EOFError, OSError, ValueError):
        return None
    return message if isinstance(message, dict) else None


class Hub:
    """Hears all ranks, judges who has failed, and tells all of them.

    Args:
        size: the number of ranks.
        host, port: where to listen: all of this machine's addresses if empty, any free port if 0.
        sees_processes: whether the ranks are processes of this one. Then the system says how they
            end and whether they are stopped (:meth:`ended`, :meth:`fail`), and no rank is judged by
            its silence.

    Attributes:
        address: ``host:port``.
        failure: the first one; None as long as all is well.

    Raises:
        OSError: the port is taken.

    Example:
        >>> ours = hub.Hub(2)
        >>> ours.fail(1, "ended with status 7")
        >>> str(ours.failure)
        'rank 1 ended with status 7'
        >>> ours.close()
    """

    def __init__(
        self, size: int, host: str = "127.0.0.1", port: int = 0, sees_processes: bool = False
    ) -> None:
        self.size = size
        self.failure: Failure | None = None
        self._sees_processes = sees_processes
        both = not host and socket.has_dualstack_ipv6()
        self._server = socket.create_server(
            (host, port),
            family=socket.AF_INET6 if both else socket.AF_INET,
            backlog=max(size, 16),
            dualstack_ipv6=both,
        )
        self.address = f"{host}:{self._server.getsockname()[1]}"
        self._links: dict[Connection, int | None] = {}  # None: who it is has not been said yet
        self._hellos: dict[int, dict[str, Any]] = {}
        self._silent: dict[int, int] = {}  # beats since a rank was last heard
        self._comparison = Comparison(size, self._ask)
        self._done: dict[int, int] = {}  # how many exchanges a rank has made that is done
        self._left: set[int] = set()  # ranks that need jax's service no more
        self._gone: dict[int, int] = {}  # the status of processes that have ended
        self._doubtful: dict[int, str] = {}  # what may be a consequence of something else
        self._early: dict[int, str] = {}  # what else is known, of ranks that others wait for
        self._doubts = 0  # beats since there is something of this
        self._is_over = False
        self._beat = time.monotonic()
        self._beats = 0  # since the first rank has connected

    def turn(self, seconds: float, others: Sequence[Any] = ()) -> list[Any]:
        """Wait for messages, and deal with them.

        Args:
            seconds: how long to wait.
            others: further objects to wait for, as for ``multiprocessing.connection.wait``.

        Returns:
            Those of the others that are ready.
        """
        ready = wait([self._server, *self._links, *others], seconds)
        for each in ready:
            if each is self._server:
                self._accept()
            elif isinstance(each, Connection) and each in self._links:
                self._read(each)
        now = time.monotonic()
        if now - self._beat >= BEAT:
            self._beat = now
            self._on_beat()
        self._look_for_the_end()
        return [each for each in others if each in ready]

    def serve(self) -> None:
        """Go on until this process ends."""
        while True:
            self.turn(BEAT)

    def fail(self, rank: int, what: str) -> None:
        """A rank has failed: tell all, if it is the first."""
        if self.failure is None:
            self.failure = Failure(rank, what)
            for link in self._links:
                self._tell(link)

    def doubt(self, rank: int, what: str) -> None:
        """A rank has failed, perhaps because of another one of which this hub hears later."""
        self._doubtful.setdefault(rank, what)

    def ended(self, rank: int, status: int) -> None:
        """The process of a rank has ended."""
        self._gone[rank] = status
        if status in CONSEQUENCES:
            self.doubt(rank, status_in_words(status))
        elif status and rank not in self._doubtful:
            self.fail(rank, status_in_words(status))

    @property
    def patience(self) -> float:
        """Seconds for which a rank may be silent or stopped."""
        asked = [float(hello.get("silence") or 0) for hello in self._hellos.values()]
        return max(asked, default=0) or PATIENCE

    def hears(self, rank: int) -> bool:
        """Whether a rank is connected."""
        return rank in self._links.values()

    def close(self) -> None:
        """Listen no more."""
        self._server.close()
        for link in self._links:
            link.close()

    def _accept(self) -> None:
        try:
            link, _ = self._server.accept()
        except OSError:  # it has gone again
            return
        # Whoever begins a message and does not end it must not keep all others waiting.
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
        self._links[Connection(link.detach())] = None

    # -- what ranks say -----------------------------------------------------------------------

    def _read(self, link: Connection) -> None:
        message = receive(link)
        if message is None:
            self._lost(link)
            return
        rank = self._links[link]
        try:
            if rank is None:
                self._greet(link, message)
            else:
                self._hear(rank, message)
        except (TypeError, ValueError):  # it speaks another language
            self._lost(link)

    def _greet(self, link: Connection, hello: dict[str, Any]) -> None:
        rank, size = hello.get("rank"), hello.get("size")
        if not isinstance(rank, int) or rank < 0:
            self._lost(link)
            return
        self._links[link] = rank
        if size != self.size or rank >= self.size:
            self.fail(rank, f"was started as one of {size}, and another one as one of {self.size}")
        elif rank in self._hellos:
            self.fail(rank, "was started twice")
        self._hellos[rank] = hello
        if self.failure is not None:
            self._tell(link)
        elif len(self._hellos) == self.size:  # only from now on they give signs of life
            self._silent = dict.fromkeys(self._hellos, 0)
            for each in self._links:
                silence = None if self._sees_processes else self.patience
                send(each, coordinator=self._hellos[0].get("coordinator"), silence=silence)

    def _hear(self, rank: int, message: dict[str, Any]) -> None:
        self._silent[rank] = 0
        if "made" in message:
            self._comparison.hear(rank, [Exchange.of(each) for each in message["made"]])
            self._compare()
        if "failed" in message:
            tell = self.fail if message.get("certain") else self.doubt
            tell(rank, str(message["failed"]))
        if "done" in message:
            self._done[rank] = int(message["done"])
        if "left" in message:
            self._left.add(rank)

    def _lost(self, link: Connection) -> None:
        rank = self._links.pop(link)
        link.close()
        if rank is None:
            return
        if rank not in self._done and rank not in self._doubtful and not self._sees_processes:
            self.fail(rank, "ended without a word: it was killed, or ended by os._exit")

    def _tell(self, link: Connection) -> None:
        if self.failure is not None:
            send(link, failed=self.failure.rank, what=self.failure.what)

    # -- what follows from it -----------------------------------------------------------------

    def _on_beat(self) -> None:
        self._beats += bool(self._hellos)
        self._comparison.look()
        self._compare()
        self._look_for_waiting()
        suspects = self._early or self._doubtful
        self._doubts += bool(suspects)
        if self._doubts > DOUBT:
            self.fail(*next(iter(suspects.items())))
        self._look_for_late_ones()
        if self._sees_processes:
            return
        linked = [(link, rank) for link, rank in self._links.items() if rank is not None]
        for link, rank in linked:
            send(link, beat=self._beats)
            if rank not in self._silent:
                continue
            self._silent[rank] += 1
            if rank not in self._done and self._silent[rank] * BEAT > self.patience:
                self.fail(
                    rank,
                    f"has not been heard of for {self.patience:g} seconds: it is stopped, or its "
                    "machine or the network is down",
                )

    def _look_for_late_ones(self) -> None:
        missing = [str(rank) for rank in range(self.size) if rank not in self._hellos]
        if not missing or not self._hellos:
            return
        for rank, status in self._gone.items():
            if rank not in self._hellos:
                self.fail(rank, f"{status_in_words(status)} before it had connected")
        most = min(float(hello.get("timeout") or 300) for hello in self._hellos.values())
        if self._beats * BEAT > most:
            others = f", as have ranks {', '.join(missing[1:])}" if missing[1:] else ""
            self.fail(int(missing[0]), f"has not connected within {most:g} seconds{others}")

    def _look_for_waiting(self) -> None:
        """Find a rank that is done, and for which another one waits in an exchange."""
        if not self._done:
            return
        furthest = max(range(self.size), key=self._comparison.begun)
        for early, count in self._done.items():
            if self._comparison.begun(furthest) > count:
                self._early[early] = (
                    f"ended after {count} exchanges, and rank {furthest} has begun another one: "
                    "all ranks have to run the same number of steps"
                )

    def _compare(self) -> None:
        """Find a rank that exchanges something else, and has not said why yet."""
        found = self._comparison.difference()
        if found is None:
            return
        rank, what = found
        why = (
            "All ranks have to make the same exchanges and, on a mesh of them all, the same "
            "operations, in the same order and of the same shapes and types; to give the same "
            "arrays to such a mesh; and to begin the same epochs of loaders that they share"
        )
        if self._comparison.is_exact:
            self.fail(rank, f"{what}. {why}")
        else:  # which one was the first may be known soon
            self._early[rank] = f"{what}. {why}"

    def _ask(self, number: int) -> None:
        for link, rank in self._links.items():
            if rank is not None:
                send(link, which=number)

    def _look_for_the_end(self) -> None:
        """Rank 0 ends last: jax's service is in it."""
        others = {rank for rank in self._links.values() if rank} - self._left
        is_over = not others and (self.failure is not None or len(self._done) == self.size)
        if is_over and not self._is_over:
            self._is_over = True
            for link, rank in self._links.items():
                if rank == 0:
                    send(link, over=True)

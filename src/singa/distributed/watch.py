"""A rank's watch: a thread that reports to the hub, and hears from it who has failed.

If another rank has failed, the main thread gets a :class:`~singa.errors.DistributedError` that
names it. A thread that waits inside of XLA cannot get one. If the collective does not end by
itself soon, the watch prints the error and ends the process.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from multiprocessing.connection import Connection
from types import FrameType, TracebackType
from typing import Any
from zlib import crc32

import jax

from singa import placement
from singa.distributed.comparison import Exchange
from singa.distributed.group import end_with_parent
from singa.distributed.hub import BEAT, DOUBT, GRACE, Failure, Hub, receive, send, status_in_words
from singa.errors import DistributedError

HUB = "SINGA_HUB"
"""The environment variable with the address of the hub, for processes that one of ours starts."""

KEPT = 2**14
"""So many exchanges a rank can tell of: if it is that far ahead of another one, it is not known
exactly any more in which they differ."""

LAST = 64
"""So many exchanges a rank tells of when it ends, because it cannot be asked later."""

WORDS = 300
"""Letters of what an exchange is."""

SIGNAL: int = getattr(signal, "SIGURG", 0)
"""Wakes the main thread. Without a handler it is ignored, and nobody else uses it."""

_TRANSPORTS = ("gloo", "nccl", "coordination")


class Watch:
    """This rank's link with the hub, and the thread that listens to it.

    Args:
        link: the connection to the hub.
        rank: the number of this rank.
        silence: seconds after which a silent hub is lost; None if its end is enough of a sign.

    Attributes:
        failure: which rank has failed; None as long as all is well.
    """

    def __init__(self, link: Connection, rank: int, silence: float | None) -> None:
        self.failure: Failure | None = None
        self._link, self._rank, self._silence = link, rank, silence
        self._lock = threading.Lock()
        self._count = self._checksum = 0
        self._recent: deque[Exchange] = deque(maxlen=KEPT)
        self._has_failed = threading.Event()  # somebody
        self._is_told = threading.Event()  # the main thread knows it
        self._is_over = threading.Event()  # all other ranks have ended
        self._is_leaving = self._has_left = False
        self._main = threading.main_thread()
        self._excepthook = sys.excepthook
        self._has_signal = bool(SIGNAL) and threading.current_thread() is self._main
        if self._has_signal:
            signal.signal(SIGNAL, self._on_signal)
        sys.excepthook = self._on_exception
        atexit.register(self.leave)  # after jax's, and so before it at the end
        threading.Thread(target=self._listen, name="singa-watch", daemon=True).start()

    # -- the main thread ----------------------------------------------------------------------

    def exchanging(self, what: str) -> None:
        """Count an exchange that begins now.

        Raises:
            DistributedError: another rank has failed.
        """
        if self.failure is not None:
            raise self.error()
        self._count += 1
        self._checksum = crc32(what.encode(), self._checksum)
        self._recent.append(Exchange(self._count, self._checksum, what))

    def error(self) -> DistributedError:
        """The error of the rank that has failed."""
        self._is_told.set()
        if self.failure is not None and self.failure.rank == self._rank:
            return DistributedError(f"this rank, {self.failure}")
        return DistributedError(str(self.failure))

    def report(self, error: BaseException) -> None:
        """Tell the hub of an exception that ends this rank's program.

        If it may be the consequence of another rank's end, wait until that is known.
        """
        if self._is_told.is_set():
            return
        self._is_told.set()
        if isinstance(error, SystemExit):
            code = 0 if error.code is None else error.code
            what = status_in_words(code if isinstance(code, int) else 1)
        else:
            text = "".join(traceback.format_exception(error))
            what = f"failed:\n\n{text[-20_000:]}"
        is_consequence = _speaks_of_others(error)
        self._report_exchanges(LAST, failed=what, certain=not is_consequence)
        self._has_failed.wait((DOUBT + 2) * BEAT if is_consequence else BEAT)

    def leave(self) -> None:
        """The end of this rank's program. Rank 0 waits for all others: jax's service is in it.

        It waits until they need the service no more, and not until they have ended: the ends of
        processes may have to wait for each other, as those of MPI's do.
        """
        self._is_leaving = True
        atexit.unregister(self.leave)
        was_told = self._is_told.is_set()
        if not was_told:
            self._report_exchanges(LAST, done=self._count)
        if self._rank != 0:
            if not self._has_failed.is_set():
                jax.distributed.shutdown()  # jax would do it as the last one
                self._has_left = True
                self._send(left=True)
            return
        while not self._is_over.is_set() and not self._has_failed.is_set():
            self._is_over.wait(BEAT / 10)
        if self._has_failed.is_set():
            self._is_over.wait(GRACE)  # its end would end the others before they can say why
            if not was_told and self.failure is not None and self.failure.rank != self._rank:
                self._end(f"rank {self._rank} was done, and {self.failure}")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code in _ENDING:
                return  # the reason is being told already
            frame = frame.f_back
        if self.failure is not None and not self._is_told.is_set():
            raise self.error()

    def _on_exception(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        self.report(error)
        self._excepthook(kind, error, trace)
        failure = self.failure
        if failure is not None and failure.rank != self._rank and str(failure) not in str(error):
            print(f"\nsinga: rank {self._rank} has failed because {failure}", file=sys.stderr)

    # -- the thread ---------------------------------------------------------------------------

    def _listen(self) -> None:
        silent, beat = 0, time.monotonic()
        while self.failure is None and not self._has_left:
            if self._link.poll(BEAT):
                silent = 0
                self._hear(receive(self._link))
            if time.monotonic() - beat >= BEAT:
                beat = time.monotonic()
                silent += 1
                self._report_exchanges()
                if self._silence is not None and silent * BEAT > self._silence:
                    self._lost(
                        f"has not been heard of for {self._silence:g} seconds: it is stopped, or "
                        "its machine or the network is down"
                    )
        if not self._has_left:
            self._let_it_end()

    def _hear(self, message: dict[str, Any] | None) -> None:
        if self._has_left:
            return  # rank 0 may have ended before this one
        if message is None:
            self._lost("ended without a word: it was killed, or ended by os._exit")
        elif "failed" in message:
            self._fail(Failure(message["failed"], message["what"]))
        elif "over" in message:
            self._is_over.set()
        elif "which" in message:
            self._tell_of(int(message["which"]))

    def _lost(self, what: str) -> None:
        """The hub is gone, and with it the process where it is."""
        if self._silence is None:
            self._fail(Failure(-1, "the process that has started the ranks has ended"))
        else:
            failure = Failure(0, what)
            # At once: jax's client ends this process soon after jax's service is gone.
            print(
                f"\nsinga: rank {self._rank} has lost rank 0: {failure}",
                file=sys.stderr,
                flush=True,
            )
            self._fail(failure)

    def _fail(self, failure: Failure) -> None:
        if self.failure is not None:
            return
        self.failure = failure
        self._has_failed.set()
        if self._is_leaving or self._is_told.is_set():
            return
        if self._has_signal and self._main.ident is not None:
            signal.pthread_kill(self._main.ident, SIGNAL)
        if not self._is_told.wait(GRACE - BEAT) and not self._is_leaving:
            frame = sys._current_frames().get(self._main.ident or 0)
            where = "".join(traceback.format_stack(frame)) if frame is not None else ""
            self._end(f"{failure}\n\nMeanwhile rank {self._rank} waited here:\n{where}")

    def _let_it_end(self) -> None:
        """Wait for this process to end: what still runs in XLA may wait for ever."""
        is_own = self.failure is not None and self.failure.rank == self._rank
        seconds, most = 0.0, 3 * GRACE if is_own else GRACE
        while seconds < most:
            if self._is_over.is_set():
                # jax's service would wait for ranks that cannot say goodbye any more.
                most = most if is_own else min(most, seconds + BEAT)
                time.sleep(BEAT)
            elif self._link.poll(BEAT) and receive(self._link) in (None, {"over": True}):
                self._is_over.set()
            seconds += BEAT if self._is_leaving or not self._main.is_alive() else 0
        os._exit(1)

    def _end(self, why: str) -> None:
        """End this process, whatever its main thread does."""
        print(f"\nsinga: DistributedError: {why}", file=sys.stderr, flush=True)
        try:
            sys.stdout.flush()
        finally:
            os._exit(1)

    def _report_exchanges(self, count: int = 1, **more: Any) -> None:
        """Tell of the last exchanges."""
        self._send(made=_short([*self._recent][-count:]), **more)

    def _tell_of(self, number: int) -> None:
        """Tell of one exchange, if it was not too long ago."""
        self._send(made=_short([each for each in [*self._recent] if each.number == number]))

    def _send(self, **message: Any) -> None:
        with self._lock:
            send(self._link, **message)


def _short(exchanges: list[Exchange]) -> list[Exchange]:
    return [Exchange(each.number, each.checksum, each.what[:WORDS]) for each in exchanges]


_ENDING = tuple(f.__code__ for f in (Watch._on_exception, Watch.report, Watch.leave))


def _speaks_of_others(error: BaseException | None) -> bool:
    """Whether an exception comes from a transport, which fails when another rank has ended."""
    while error is not None:
        if any(name in str(error).lower() for name in _TRANSPORTS):
            return True
        error = error.__cause__ or error.__context__
    return False


_watch: Watch | None = None


def exchanging(what: str) -> None:
    """Count an exchange of this rank that begins now; alone there is none to count.

    Args:
        what: what is exchanged; the same on all ranks.

    Raises:
        DistributedError: another rank has failed.

    Example:
        >>> watch.exchanging("the sum of float32[3]")
    """
    if _watch is not None:
        _watch.exchanging(what)


def present() -> Watch | None:
    """This process's watch; None if it has not connected to others.

    Example:
        >>> watch.present() is None
        True
    """
    return _watch


def join(address: str, rank: int, size: int, timeout: float, silence: float) -> str:
    """Connect to the hub, wait for all ranks, and watch from then on.

    Args:
        address: that of rank 0. The hub is there, if this process was not started by one.
        rank, size: the number of this rank, and how many there are.
        timeout: seconds to wait for the others.
        silence: seconds without a sign of life after which a rank has failed.

    Returns:
        The address for jax's service.

    Raises:
        DistributedError: not all have connected.
    """
    global _watch
    place = os.environ.pop(HUB, None)
    host, _, port = (place or address).rpartition(":")
    coordinator = address
    if place is not None:
        end_with_parent()
    elif rank == 0:
        coordinator = _host(host, int(port), size)
    try:
        link = _connect(host.strip("[]"), int(port), 0 if place else timeout)
    except OSError as error:
        what = "what has started this process" if place else f"rank 0 within {timeout:g} seconds"
        raise DistributedError(
            f"initialize: did not find {what} at {host}:{port}: {error.strerror}"
        ) from error
    send(link, rank=rank, size=size, timeout=timeout, silence=silence, coordinator=coordinator)
    message: dict[str, Any] | None = {"beat": 0}
    while message is not None and "beat" in message:
        is_there = link.poll(None if place else silence)  # who has started us gives no signs
        message = receive(link) if is_there else None
    if message is None:
        raise DistributedError(
            "initialize: rank 0, or what has started it, has ended or is stopped"
        )
    if "failed" in message:
        raise DistributedError(f"initialize: {Failure(message['failed'], message['what'])}")
    _watch = Watch(link, rank, message["silence"])
    placement.exchanges.append(exchanging)
    return str(message["coordinator"])


def _host(host: str, port: int, size: int) -> str:
    """Begin to serve a hub in this process; returns a free address for jax's service."""
    is_here = host in ("127.0.0.1", "localhost")
    try:
        hub = Hub(size, "127.0.0.1" if is_here else "", port)
    except OSError as error:
        raise DistributedError(f"initialize: {host}:{port}: {error.strerror}") from error
    threading.Thread(target=hub.serve, name="singa-hub", daemon=True).start()
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{host}:{probe.getsockname()[1]}"


def _connect(host: str, port: int, timeout: float) -> Connection:
    until = time.monotonic() + timeout
    while True:
        try:
            return Connection(socket.create_connection((host, port), timeout=None).detach())
        except OSError:
            if time.monotonic() >= until:
                raise
        time.sleep(0.1)

"""What a thread is in the middle of, and who is told of it: of Tensors, layers and operations.

Nothing listens as a rule. A captured step does (:mod:`singa.graph`), and so does an eager one that
may have to be undone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    _GeneratorContextManager,
    contextmanager,
    nullcontext,
)
from functools import wraps
from typing import Any, Generic, NoReturn, ParamSpec, Protocol, TypeVar

import jax

from singa.device import CTensor, DType


class Handle:
    """What a Tensor is to those below it: something whose value may be another one each time."""

    __slots__ = ()

    _data: Any


T = TypeVar("T", bound=Handle)


FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"
"""What a call does in a step."""


class Listener(Generic[T]):
    """Who is told of what happens to Tensors: a step that may be undone, or is being captured.

    This one takes no notice of what is made and changed, which is a journal's part, and refuses the
    part of a capture: to be asked for values, and to be given new ones. Conditions that it is told
    of have to hold when a captured step runs: if one does not, its error is made and raised, and
    nothing is assigned.
    """

    # -- of a journal -------------------------------------------------------------------------

    def made(self, tensor: T) -> None:
        """Be told of a Tensor that has just been made."""

    def note(self, tensor: T) -> None:
        """Be told of a Tensor that is about to be changed."""

    def attribute(self, owner: Any, name: str) -> None:
        """Be told of an attribute that is about to be assigned."""

    # -- of a capture -------------------------------------------------------------------------

    def refuse(self) -> NoReturn:
        """Say why this cannot be done here."""
        raise NotImplementedError

    def calling(self, kind: str, owner: Any) -> AbstractContextManager[Any]:
        """A block in which something compiled is called: forward, backward, or an update."""
        self.refuse()

    def check(self, holds: CTensor, error: Callable[[], Exception]) -> None:
        """Be told of a condition, a bool of shape ()."""
        self.refuse()

    def communicates(self, communicator: Exchange) -> None:
        """Be told by whom something is exchanged with other ranks."""
        self.refuse()

    def read(self, tensor: T) -> CTensor:
        """The value of a Tensor at present."""
        self.refuse()

    def write(self, tensor: T, value: CTensor) -> None:
        """Let this be its value."""
        self.refuse()

    def has_assigned(self, tensor: T) -> bool:
        """Whether a Tensor's value is one of the step, and not what it was before."""
        return False

    def peek(self, tensor: T) -> Any:
        """The value of a Tensor at present, without reading it, for :meth:`put_back`."""
        return tensor._data

    def put_back(self, tensor: T, before: Any) -> None:
        """Let its value be what it was."""
        tensor._data = before


class Exchange(Protocol):
    """By whom several ranks exchange something: a :class:`singa.distributed.Communicator`."""

    def run(self, function: Callable[..., Any], *args: Any) -> Any: ...

    def mapped(self, function: Callable[..., Any]) -> Callable[..., Any]: ...

    def everywhere(self, arrays: Any) -> Any: ...

    def here(self, arrays: Any) -> Any: ...


class Reading(Protocol):
    """What is told of all that is read: a :class:`singa.core.guard.Guard`."""

    def note(self, owner: Any, name: Any) -> Any: ...

    def attribute(self, owner: Any, name: str) -> None: ...

    def include(self, other: Any) -> None: ...

    def paused(self) -> AbstractContextManager[None]: ...

    def with_outer(self) -> list[Any]: ...


class Segment(Protocol):
    """What is told of every operation that is recorded, once it has been."""

    def add(self, operation: Any, kernel: Any, arrays: list[CTensor], xs: Any) -> None: ...


class Calls(Protocol):
    """What is told of every layer that is called, and computes its outputs."""

    def call(self, layer: Any, xs: tuple[Any, ...], options: dict[str, Any]) -> Any: ...


class _Local(threading.local):
    """What this thread is in the middle of."""

    capture: Listener[Any] | None = None  # a step that is being captured
    journal: Listener[Any] | None = None  # a step, eager or in capture, that may be undone
    guard: Reading | None = None  # code of which it is noted what it reads
    segment: Segment | None = None  # what is computed again in the backward pass
    calls: Calls | None = None  # a summary that is being made
    training: bool | None = None  # a model's step, which has its own mode
    precision: DType | None = None  # a block of mixed precision, in this short type
    anomaly: bool = False  # a block in which NaN and infinity are looked for
    recording: bool | None = None  # a block in which operations are recorded, or are not
    still: bool = False  # a block in which optimizers update nothing


local = _Local()


def calling(kind: str, owner: Any) -> AbstractContextManager[Any]:
    """A block in which something compiled is called, for the step that is being captured, if any.

    Args:
        kind: :data:`FORWARD`, :data:`BACKWARD` or :data:`UPDATE`.
        owner: what is called: the record of an operation's call or, where nothing is recorded, the
            operation; for an update its optimizer.
    """
    capture = local.capture
    return nullcontext() if capture is None else capture.calling(kind, owner)


@contextmanager
def outside_capture() -> Iterator[None]:
    """Compute with real values for a while, although a step is being captured, and for good.

    For what happens once and is not part of the step, nor undone with it: making parameters. What
    has read it before sees it as if it had always been there.
    """
    capture, local.capture = local.capture, None
    journal, local.journal = local.journal, None
    paused = nullcontext() if local.guard is None else local.guard.paused()
    try:
        with paused, jax.ensure_compile_time_eval():
            yield
    finally:
        local.capture, local.journal = capture, journal


P = ParamSpec("P")


def unless_still(update: Callable[P, None]) -> Callable[P, None]:
    """A method of an optimizer that does nothing in a block of :func:`still`."""

    @wraps(update)
    def method(*args: P.args, **options: P.kwargs) -> None:
        if not local.still:
            update(*args, **options)

    return method


@contextmanager
def within(name: str, value: Any) -> Iterator[None]:
    """A block in which this attribute of :data:`local` has this value."""
    before = getattr(local, name)
    setattr(local, name, value)
    try:
        yield
    finally:
        setattr(local, name, before)


def still() -> _GeneratorContextManager[None]:
    """A block in which optimizers update nothing."""
    return within("still", True)


def concrete() -> AbstractContextManager[Any]:
    """A block in which arrays are made with real values, although a step may be in capture."""
    return nullcontext() if local.capture is None else jax.ensure_compile_time_eval()

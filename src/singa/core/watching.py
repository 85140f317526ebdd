"""The state of each thread, and listeners for its Tensors, layers and operations.

Usually there is no listener. A step that is being captured has one (:mod:`singa.graph`), and so has
an eager step that may have to be undone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
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
    """A Tensor, for the modules below it: an object whose value may change."""

    __slots__ = ()

    _data: Any


T = TypeVar("T", bound=Handle)


FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"
"""The kinds of compiled calls in a step."""


class Listener(Generic[T]):
    """Is notified of what happens to Tensors: a step that may be undone or is being captured.

    This base class ignores that Tensors are made and changed (a journal notes it), and refuses what
    only a capture can do: get and set the values of Tensors. The conditions given to :meth:`check`
    have to be true when a captured step runs: if one is false, its error is raised, and no Tensor
    is assigned.
    """

    # -- of a journal -------------------------------------------------------------------------

    def made(self, tensor: T) -> None:
        """A Tensor has just been made."""

    def note(self, tensor: T) -> None:
        """A Tensor is about to be changed."""

    def note_all(self, tensors: Iterable[T]) -> None:
        """Tensors are about to be changed."""

    def attribute(self, owner: Any, name: str) -> None:
        """An attribute is about to be assigned."""

    # -- of a capture -------------------------------------------------------------------------

    def refuse(self) -> NoReturn:
        """Raise an error that says why this cannot be done here."""
        raise NotImplementedError

    def calling(self, kind: str, owner: Any) -> AbstractContextManager[Any]:
        """A block in which something compiled is called: forward, backward, or an update."""
        self.refuse()

    def check(self, holds: CTensor, error: Callable[[], Exception]) -> None:
        """Add a condition, a bool of shape (); ``error`` makes the exception if it is false."""
        self.refuse()

    def communicates(self, communicator: Exchange) -> None:
        """Something is exchanged with other ranks, by this communicator."""
        self.refuse()

    def read(self, tensor: T) -> CTensor:
        """The present value of a Tensor."""
        self.refuse()

    def write(self, tensor: T, value: CTensor) -> None:
        """Set the value of a Tensor."""
        self.refuse()

    def aval(self, tensor: T) -> Any:
        """The shape and type of the present value of a Tensor; it is not noted as read."""
        return jax.typeof(tensor._data)

    def has_assigned(self, tensor: T) -> bool:
        """Whether the step has assigned a Tensor, so that its value from before is replaced."""
        return False

    def peek(self, tensor: T) -> Any:
        """The present value of a Tensor for :meth:`put_back`; it is not noted as read."""
        return tensor._data

    def put_back(self, tensor: T, before: Any) -> None:
        """Set the value of a Tensor to what :meth:`peek` has returned."""
        tensor._data = before


class Exchange(Protocol):
    """Exchanges data between ranks: a :class:`singa.distributed.Communicator`."""

    mesh: Any

    def run(self, function: Callable[..., Any], *args: Any) -> Any: ...

    def mapped(self, function: Callable[..., Any]) -> Callable[..., Any]: ...

    def everywhere(self, arrays: Any) -> Any: ...

    def here(self, arrays: Any) -> Any: ...


class Reading(Protocol):
    """Notes everything that is read: a :class:`singa.core.guard.Guard`."""

    def note(self, owner: Any, name: Any) -> Any: ...

    def attribute(self, owner: Any, name: str) -> None: ...

    def include(self, other: Any) -> None: ...

    def paused(self) -> AbstractContextManager[None]: ...

    def with_outer(self) -> list[Any]: ...


class Segment(Protocol):
    """Is notified of every operation, after it was recorded."""

    def add(self, operation: Any, kernel: Any, arrays: list[CTensor], xs: Any) -> None: ...


class Calls(Protocol):
    """Is given every call of a layer, and computes its outputs."""

    def call(self, layer: Any, xs: tuple[Any, ...], options: dict[str, Any]) -> Any: ...


class _Local(threading.local):
    """The state of one thread: of the blocks in which its code runs.

    ``vars(local)`` has all of it, so that a step can put it back in one call of C code. An
    interrupt may hit the very beginning of any ``__exit__``, which then does nothing.
    """

    capture: Listener[Any] | None = None  # the step that is being captured
    journal: Listener[Any] | None = None  # of the step, eager or in capture, that may be undone
    guard: Reading | None = None  # notes what the running code reads
    segment: Segment | None = None  # of operations that the backward pass will compute again
    calls: Calls | None = None  # the summary that is being made
    part: str = ""  # the part of a layer that runs, for reports: a node of a graph
    training: bool | None = None  # the mode of the model's step that runs; None outside of steps
    precision: DType | None = None  # the short type of the block of mixed precision
    anomaly: bool = False  # in a block that searches for NaN and infinity
    recording: bool | None = None  # whether the block records operations; None without a block
    making: bool = False  # in a block that makes parameters and states, which are no inputs
    still: bool = False  # in a block in which optimizers update nothing
    singly: bool = False  # in a block that times each backward by itself
    follows: bool = False  # in a block that records all operations, to see how a loss was computed

    def __init__(self) -> None:
        vars(self).update({name: getattr(self, name) for name in _Local.__annotations__})


local = _Local()


def calling(kind: str, owner: Any) -> AbstractContextManager[Any]:
    """A block around a call of something compiled; the capture, if there is one, notes the call.

    Args:
        kind: :data:`FORWARD`, :data:`BACKWARD` or :data:`UPDATE`.
        owner: the object that is called: the record of an operation's call or, if nothing is
            recorded, the operation; for an update, the optimizer.
    """
    capture = local.capture
    return nullcontext() if capture is None else capture.calling(kind, owner)


@contextmanager
def outside_capture() -> Iterator[None]:
    """A block that computes with real values even if a step is being captured.

    It is for work that is done once, such as making parameters: it is not part of the step, and is
    not undone with it. If a guard has already read objects that the block changes, their new state
    counts as what was read.
    """
    capture, local.capture = local.capture, None
    journal, local.journal = local.journal, None
    making, local.making = local.making, True
    paused = nullcontext() if local.guard is None else local.guard.paused()
    try:
        with paused, jax.ensure_compile_time_eval():
            yield
    finally:
        local.capture, local.journal, local.making = capture, journal, making


P = ParamSpec("P")


def unless_still(update: Callable[P, None]) -> Callable[P, None]:
    """Decorate a method of an optimizer: it does nothing in a block of :func:`still`."""

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
    """A block in which arrays are made with real values, even if a step is being captured."""
    return nullcontext() if local.capture is None else jax.ensure_compile_time_eval()

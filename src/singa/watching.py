"""What is told of Tensors that are read, assigned and made, and of changes around them.

Nothing listens as a rule. A captured step does (:mod:`singa.graph`), and so does an eager one that
may have to be undone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import jax

from singa.device import CTensor, DType

if TYPE_CHECKING:
    from singa._tensor import Tensor
    from singa.distributed import Communicator


class Watcher(Protocol):
    """What is told of every Tensor that is made, read or assigned in a captured step.

    And of conditions that have to hold when it runs: if one does not, its error is made and raised,
    and nothing is assigned. And of whoever communicates with other ranks in it.
    """

    def check(self, holds: CTensor, error: Callable[[], Exception]) -> None: ...
    def communicates(self, communicator: Communicator) -> None: ...
    def made(self, tensor: Tensor) -> None: ...
    def read(self, tensor: Tensor) -> CTensor: ...
    def write(self, tensor: Tensor, value: CTensor) -> None: ...


class Journal(Protocol):
    """What is told of every Tensor just before it is assigned."""

    def note(self, tensor: Tensor) -> None: ...


class Segment(Protocol):
    """What is told of every operation that is recorded, once it has been."""

    def add(self, operation: Any, kernel: Any, arrays: list[CTensor], xs: Any) -> None: ...


class Calls(Protocol):
    """What is told of every layer that is called, and computes its outputs."""

    def call(self, layer: Any, xs: tuple[Any, ...], options: dict[str, Any]) -> Any: ...


class _Local(threading.local):
    """What this thread is in the middle of."""

    capture: Watcher | None = None  # a step that is being captured
    segment: Segment | None = None  # what is computed again in the backward pass
    calls: Calls | None = None  # a summary that is being made
    journal: Journal | None = None  # an eager step that may be rolled back
    training: bool | None = None  # a model's step, which has its own mode
    precision: DType | None = None  # a block of mixed precision, in this short type
    anomaly: bool = False  # a block in which NaN and infinity are looked for
    recording: bool | None = None  # a block in which operations are recorded, or are not


local = _Local()


@contextmanager
def outside_capture() -> Iterator[None]:
    """Compute with real values for a while, although a step is being captured, and for good.

    For what happens once and is not part of the step, nor undone with it: making parameters.
    """
    capture, local.capture = local.capture, None
    journal, local.journal = local.journal, None
    try:
        with jax.ensure_compile_time_eval():
            yield
    finally:
        local.capture, local.journal = capture, journal


def concrete() -> Any:
    """A block in which arrays are made with real values, although a step may be in capture."""
    return nullcontext() if local.capture is None else jax.ensure_compile_time_eval()


class Structure:
    """Counts changes to what Python code sees of a model other than its Tensors' values.

    A captured step ran the model's Python once. When this number has moved since, it runs it
    again, so that freezing a parameter or exchanging the optimizer is never silently ignored.
    """

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0

    def changed(self) -> None:
        self.version += 1


structure = Structure()


class Structural:
    """Base of objects whose plain attributes a captured step depends on: layers, optimizers."""

    def __setattr__(self, name: str, value: Any) -> None:
        known = self.__dict__
        if name not in known or not _same(known[name], value):
            structure.changed()
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        structure.changed()
        object.__delattr__(self, name)


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    return type(a) is type(b) and isinstance(a, (bool, int, float, str, bytes)) and a == b

"""Steps: functions of Tensors that are captured on first use, and again when it has to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from singa._tensor import Tensor
from singa.device import CTensor
from singa.errors import CaptureError, RecompilationWarning, warn
from singa.graph.program import Program
from singa.tape import mode
from singa.watching import Journal, local, structure

MOST_PROGRAMS = 32
"""So many programs of one model are kept; the one that was not used for longest is dropped."""

_WARN_AT = {10, 100, 1000}  # captures
_LEAVES = 7  # where in a key the arguments begin


class Steps:
    """Functions of Tensors whose calls become compiled programs, one for each kind of call.

    The kind is all that can change the program: the function, the shapes, types and devices of
    the Tensors, the values of all other arguments, whether it is in training, and what was
    changed about the model other than its Tensors' values (see :class:`singa.watching.Structure`).
    A call of a new kind runs the function's Python once more; it is never served by a program
    that does not fit it. The :data:`MOST_PROGRAMS` kinds that were used last are kept. When calls
    are of ever new kinds, a :class:`RecompilationWarning` says what keeps changing.

    Attributes:
        captures: how often a function's Python has run.
        compilations: how often XLA has compiled the result.
        last: the program that served the last call.

    Example:
        >>> def double(x):
        ...     return 2 * x
        >>> steps = graph.Steps()
        >>> for size in (2, 2, 3):
        ...     y = steps(double, (Tensor((size,)),), {}, sequential=False)
        >>> steps.captures, y.shape
        (2, (3,))
    """

    def __init__(self) -> None:
        # By the kind of call; the one that was used last is at the end.
        self._programs: dict[Any, tuple[int, Program]] = {}
        self.captures = 0
        self.compilations = 0
        self.last: Program | None = None

    def __call__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        options: dict[str, Any],
        sequential: bool,
    ) -> Any:
        """``function(*args, **options)``, by the program that fits this call.

        Raises:
            CaptureError: an argument that is neither a Tensor nor hashable, or something in the
                function that a compiled step cannot do.
        """
        leaves, tree = jax.tree.flatten((args, options))
        # The program's arguments: each Tensor once, however often it was passed. A parameter is
        # none: it is state, and the program is one for this parameter.
        places: dict[Tensor, int] = {}
        for leaf in leaves:
            if isinstance(leaf, Tensor) and not leaf.is_parameter:
                places.setdefault(leaf, len(places))
        tensors = list(places)
        key = (
            # Not the method itself: it would keep its model alive.
            function.__name__,
            tree,
            mode.training,
            mode.recording,
            local.anomaly,
            local.precision,
            sequential,
            # From here on (_LEAVES) the arguments.
            *[
                (type(leaf), leaf)
                if not isinstance(leaf, Tensor)
                else _Itself(leaf)
                if leaf.is_parameter
                else (places[leaf], leaf._data.aval, leaf.device, leaf.requires_grad)
                for leaf in leaves
            ],
        )
        try:
            version, program = self._programs.get(key, (None, None))
        except TypeError:
            raise CaptureError(_unhashable(leaves)) from None
        if program is None or version != structure.version:
            program = self._capture(key, function, leaves, tree, places, sequential, program)
        elif len(self._programs) > 1:
            self._programs[key] = self._programs.pop(key, (version, program))
        self.last = program
        try:
            return program(tensors)
        except (TypeError, ValueError):
            # Someone may have given a Tensor of the state another shape, type or device.
            if program.fits(tensors):
                raise
            return self._capture(key, function, leaves, tree, places, sequential, None)(tensors)

    def _capture(
        self,
        key: Any,
        function: Callable[..., Any],
        leaves: list[Any],
        tree: Any,
        places: dict[Tensor, int],
        sequential: bool,
        previous: Program | None,
    ) -> Program:
        # For each leaf the number of its argument; the program keeps no argument alive.
        numbers = [places.get(leaf) if isinstance(leaf, Tensor) else None for leaf in leaves]

        def step(*handles: Tensor) -> Any:
            args, options = tree.unflatten(
                [
                    leaf if number is None else handles[number]
                    for leaf, number in zip(leaves, numbers, strict=True)
                ]
            )
            return function(*args, **options)

        self.captures += 1
        if self.captures in _WARN_AT:
            warn(
                f"{function.__name__} has now been captured {self.captures} times, which takes "
                f"longer than an eager step each time; the last time because "
                f"{self._what_changed(key)}",
                RecompilationWarning,
            )
        program = Program(step, list(places), sequential, previous)
        self.compilations += program.is_compiled_anew
        self._programs.pop(key, None)
        self._programs[key] = structure.version, program
        if len(self._programs) > MOST_PROGRAMS:
            del self._programs[next(iter(self._programs))]
        self.last = program
        return program

    def _what_changed(self, key: Any) -> str:
        """How this kind of call differs from the last one of the same function."""
        if key in self._programs:
            return (
                "an attribute of a layer, a model or an optimizer was assigned since; numbers "
                "that change from step to step belong into Tensors, or arguments that are Tensors"
            )
        before = next((k for k in reversed(self._programs) if k[0] == key[0]), None)
        if before is None or before[1] != key[1] or len(before) != len(key):
            return "its arguments are of another structure"
        for i, (old, new) in enumerate(zip(before[_LEAVES:], key[_LEAVES:], strict=True)):
            if old != new:
                return (
                    f"argument {i} is {_describe(new)}, and was {_describe(old)} before; batches "
                    "of one size (padded, or without the last one) need one program"
                )
        return "the mode of training or execution was changed"


def _describe(part: Any) -> str:
    """A part of a key that stands for an argument, for people."""
    match part:
        case (int(), aval, device, bool()):
            return f"a Tensor {aval.str_short()} on {device.name}"
        case (type(), value):
            return repr(value)
    return "another parameter"


class _Itself:
    """A Tensor as a part of a key: equal to itself only, whatever its values."""

    __slots__ = ("_tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other._tensor is self._tensor

    def __hash__(self) -> int:
        return hash(self._tensor)


class Rollback:
    """What Tensors were before an eager step: restored if it fails, or on request.

    Example:
        >>> x = Tensor(data=[1.0, 2.0])
        >>> with graph.Rollback() as before:
        ...     _ = x.set_value(0.0)
        ...     before.restore()
        >>> x.to_numpy()
        array([1., 2.], dtype=float32)
    """

    def __init__(self) -> None:
        self._before: dict[Tensor, CTensor] = {}
        self._outer: Journal | None = None

    def note(self, tensor: Tensor) -> None:
        """Remember what a Tensor is, before it is assigned for the first time."""
        if tensor not in self._before:
            self._before[tensor] = tensor._data
            if self._outer is not None:  # the step of a model inside another model's
                self._outer.note(tensor)

    def __enter__(self) -> Rollback:
        self._outer, local.journal = local.journal, self
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        local.journal = self._outer
        if kind is not None:
            self.restore()

    def restore(self) -> None:
        """Undo all assignments so far."""
        for tensor, data in self._before.items():
            tensor._data = data


def _unhashable(leaves: list[Any]) -> str:
    for leaf in leaves:
        try:
            hash(leaf)
        except TypeError:
            return (
                f"a compiled step takes Tensors, and plain values that can be hashed, not "
                f"{type(leaf).__name__}; tensor.from_numpy makes a Tensor of an array"
            )
    raise AssertionError("all arguments can be hashed")

"""Steps: functions of Tensors that are captured on first use, and again when it has to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from singa.device import CTensor
from singa.errors import CaptureError
from singa.graph.program import Program
from singa.tape import mode
from singa.tensor import Tensor
from singa.watching import Journal, local, structure


class Steps:
    """Functions of Tensors whose calls become compiled programs, one for each kind of call.

    The kind is all that can change the program: the function, the shapes, types and devices of
    the Tensors, the values of all other arguments, whether it is in training, and what was
    changed about the model other than its Tensors' values (see :class:`singa.watching.Structure`).
    A call of a new kind runs the function's Python once more; it is never served by a program
    that does not fit it.

    Attributes:
        captures: how often a function's Python has run.
        compilations: how often XLA has compiled the result.
        last: the program that served the last call.
    """

    def __init__(self) -> None:
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
            sequential,
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
        program = Program(step, list(places), sequential, previous)
        self.compilations += program.is_compiled_anew
        self._programs[key] = structure.version, program
        self.last = program
        return program


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
    """What Tensors were before an eager step: restored if it fails, or on request."""

    def __init__(self) -> None:
        self._before: dict[Tensor, CTensor] = {}
        self._outer: Journal | None = None

    def note(self, tensor: Tensor) -> None:
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

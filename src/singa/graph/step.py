"""Steps: functions of Tensors that are captured on first use, and again when it has to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from singa.device import CTensor
from singa.errors import CaptureError
from singa.graph.program import Program
from singa.tape import mode
from singa.tensor import Journal, Tensor, local, structure


class Steps:
    """Functions of Tensors whose calls become compiled programs, one for each kind of call.

    The kind is all that can change the program: the function, the shapes, types and devices of
    the Tensors, the values of all other arguments, whether it is in training, and what was
    changed about the model other than its Tensors' values (see :class:`singa.tensor.Structure`).
    A call of a new kind runs the function's Python once more; it is never served by a program
    that does not fit it.

    Attributes:
        captures: how often a function's Python has run.
        compilations: how often XLA has compiled the result.
    """

    def __init__(self) -> None:
        self._programs: dict[Any, tuple[int, Program]] = {}
        self.captures = 0
        self.compilations = 0

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
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        key = (
            # Not the method itself: it would keep its model alive.
            function.__name__,
            tree,
            mode.training,
            sequential,
            *[
                (leaf._data.aval, leaf.device, leaf.requires_grad, leaf.stores_grad)
                if isinstance(leaf, Tensor)
                else (type(leaf), leaf)
                for leaf in leaves
            ],
        )
        try:
            version, program = self._programs.get(key, (None, None))
        except TypeError:
            raise CaptureError(_unhashable(leaves)) from None
        if program is None or version != structure.version:
            program = self._capture(key, function, leaves, tree, sequential, program)
        try:
            return program(tensors)
        except (TypeError, ValueError):
            # Someone may have given a Tensor of the state another shape, type or device.
            if program.fits(tensors):
                raise
            return self._capture(key, function, leaves, tree, sequential, None)(tensors)

    def _capture(
        self,
        key: Any,
        function: Callable[..., Any],
        leaves: list[Any],
        tree: Any,
        sequential: bool,
        previous: Program | None,
    ) -> Program:
        def step(*handles: Tensor) -> Any:
            given = iter(handles)
            args, options = tree.unflatten(
                [next(given) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            )
            return function(*args, **options)

        self.captures += 1
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        program = Program(step, tensors, sequential, previous)
        self.compilations += program.is_compiled_anew
        self._programs[key] = structure.version, program
        return program


class Rollback:
    """What Tensors were before an eager step, to be restored if the step fails."""

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

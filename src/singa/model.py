"""Model: a layer that knows how to train itself, with its step compiled into one program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from singa import checkpoint
from singa.errors import ArgumentError, CaptureError, DTypeError
from singa.graph import Capture, Rollback, Step
from singa.layer import Layer
from singa.opt import Optimizer
from singa.tape import mode
from singa.tensor import Tensor, local


class Model(Layer):
    """Base of the user's models.

    A subclass defines ``forward`` and ``train_one_batch``. The latter computes the loss, hands it
    to an optimizer, and returns whatever the caller wants to see. After
    ``compile(inputs, use_graph=True)`` each call of the model runs as one compiled program; the
    same code, eagerly, gives the same numbers to rounding.

    Attributes:
        training: whether calling the model means ``train_one_batch`` or ``forward``.
        graph_mode: whether a call runs as a compiled program.
        sequential: whether that program's operations run one by one, in recorded order.
    """

    training = False
    graph_mode = False
    sequential = False

    def __init__(self) -> None:
        # Which of these serves a call depends on nothing that a captured step reads.
        object.__setattr__(self, "_train_step", Step(self._train_one_batch))
        object.__setattr__(self, "_forward_step", Step(self._forward))

    def compile(
        self,
        inputs: Sequence[Tensor],
        is_train: bool = True,
        use_graph: bool = False,
        sequential: bool = False,
    ) -> None:
        """Make the parameters, and say how calls are to run.

        ``forward`` is run on the inputs' shapes only: nothing is computed, and no state changes.

        Args:
            inputs: Tensors such as ``forward`` will get; their values do not matter.
            is_train: see :meth:`train`.
            use_graph, sequential: see :meth:`graph`.
        """
        if isinstance(inputs, Tensor) or not all(isinstance(x, Tensor) for x in inputs):
            raise DTypeError("Model.compile: a list of Tensors is expected: compile([tx])")
        self.graph(use_graph, sequential)
        before, mode.training = mode.training, bool(is_train)
        try:
            Capture(self._forward, inputs)
        except CaptureError:
            if use_graph:
                raise
            with Rollback():  # something in it runs on the host and needs real values
                self._forward(*inputs)
        except BaseException:
            mode.training = before
            raise
        self.train(is_train)

    def train_one_batch(self, *args: Any, **options: Any) -> Any:
        """One step of training: to be defined by the subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no train_one_batch")

    def train(self, mode_: bool = True) -> None:
        """Let calls mean ``train_one_batch``, and turn ``autograd.training`` on."""
        object.__setattr__(self, "training", bool(mode_))
        mode.training = bool(mode_)

    def eval(self) -> None:
        """Let calls mean ``forward``, and turn ``autograd.training`` off."""
        self.train(False)

    def graph(self, mode_: bool = True, sequential: bool = False) -> None:
        """Choose between compiled and eager calls.

        Args:
            mode_: whether a call runs as one compiled program.
            sequential: run its operations one by one, in recorded order. Slower; for looking at
                what a step does.
        """
        object.__setattr__(self, "graph_mode", bool(mode_))
        object.__setattr__(self, "sequential", bool(sequential))

    def __call__(self, *args: Any, **options: Any) -> Any:
        """``train_one_batch(...)`` in training, else ``forward(...)``.

        If it raises, every Tensor is as it was before.
        """
        if local.capture is not None:  # a part of another model's step
            return self._train_one_batch(*args, **options) if self.training else self._forward(
                *args, **options
            )
        before, mode.training = mode.training, self.training
        try:
            if self.graph_mode:
                step = self._train_step if self.training else self._forward_step
                return step(args, options, self.sequential)
            with Rollback():
                if self.training:
                    return self._train_one_batch(*args, **options)
                return self._forward(*args, **options)
        finally:
            mode.training = before

    _train_step: Step
    _forward_step: Step

    def _train_one_batch(self, *args: Any, **options: Any) -> Any:
        return self.train_one_batch(*args, **options)

    def _forward(self, *args: Any, **options: Any) -> Any:
        return Layer.__call__(self, *args, **options)

    # -- checkpoints --------------------------------------------------------------------------

    def optimizers(self) -> dict[str, Optimizer]:
        """The optimizers among the model's attributes, by name."""
        return {name: o for name, o in vars(self).items() if isinstance(o, Optimizer)}

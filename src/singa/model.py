"""Model: a layer that knows how to train itself, with its step compiled into one program."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from singa import checkpoint, tensor
from singa.device import DType, get_default_device, int32
from singa.errors import CaptureError, CheckpointError, DTypeError
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
            return (
                self._train_one_batch(*args, **options)
                if self.training
                else self._forward(*args, **options)
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

    def save_states(
        self,
        fpath: str | os.PathLike[str],
        aux_states: Mapping[str, Tensor] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write a checkpoint: all that is needed to go on training, or to use the model.

        That is the parameters and states, the optimizers' state, the random stream of the model's
        device, and ``aux_states``. The file is written whole or not at all.

        Args:
            fpath: where to; SINGA's format, a zip (see :mod:`singa.checkpoint`).
            aux_states: Tensors of the caller's own, by name.
            overwrite: whether a file that is there may be replaced.

        Raises:
            FileExistsError: it exists and ``overwrite`` is false.
            CheckpointError: an aux state has the name of one of the model's.
        """
        checkpoint.write(
            fpath,
            {
                checkpoint.MODEL: _values(self.get_states()),
                checkpoint.AUX: _values(aux_states or {}),
                checkpoint.TRAINING: _values(self._training_states()),
            },
            overwrite,
        )

    def load_states(self, fpath: str | os.PathLike[str], resume: bool = True) -> dict[str, Tensor]:
        """Read a checkpoint into this model, which must have been compiled.

        Args:
            fpath: the file.
            resume: also take over the optimizers' state and the random stream, so that training
                goes on bit for bit. An optimizer that is not in the file is left alone.

        Returns:
            The aux states.

        Raises:
            CheckpointError: the file is damaged, no checkpoint, or of another model or optimizer.
                Nothing has been changed then.
        """
        states = self.get_states()
        if not states:
            raise CheckpointError(
                f"{type(self).__name__} has no states yet: compile it before load_states"
            )
        with checkpoint.Reader(fpath) as reader:
            reader.expect(
                checkpoint.MODEL, {name: (t.shape, t.dtype) for name, t in states.items()}
            )
            kinds = [checkpoint.MODEL, checkpoint.AUX]
            if resume:
                self._expect_training_states(reader)
                kinds.append(checkpoint.TRAINING)
            arrays = reader.read(*kinds)
            aux = reader.named(checkpoint.AUX)
        with Rollback():
            self.set_states({name: arrays.pop(name) for name in states})
            found = {name: tensor.from_numpy(arrays.pop(name)) for name in aux}
            self._set_training_states(arrays)
        return found

    def _names(self) -> dict[Tensor, str]:
        return {t: name for name, t in self.get_params().items()}

    def _random_key(self) -> Tensor:
        first = next(iter(self.get_states().values()), None)
        return tensor.random_key(first.device if first is not None else get_default_device())

    def _training_states(self) -> dict[str, Tensor]:
        states = {_RANDOM: self._random_key()}
        for name, optimizer in self.optimizers().items():
            for key, t in optimizer.get_states(self._names()).items():
                states[f"{name}/{key}"] = t
        return states

    def _expect_training_states(self, reader: checkpoint.Reader) -> None:
        """What the file says of the training fits this model, before any of it is read."""
        params, optimizers = self.get_params(), self.optimizers()
        wanted: dict[str, tuple[tuple[int, ...], DType]] = {}
        for key in reader.named(checkpoint.TRAINING):
            owner, _, state = key.partition("/")
            param, _, slot = state.rpartition(":")
            optimizer = optimizers.get(owner)
            if key == _RANDOM:
                wanted[key] = ((2,), np.dtype(np.uint32))
            elif state == "step_counter":
                wanted[key] = ((), int32)
            elif param in params and (optimizer is None or slot in optimizer.slots()):
                wanted[key] = (params[param].shape, params[param].dtype)
            elif param in params:
                raise CheckpointError(
                    f"{reader.path}: {key!r} is no state of the model's {type(optimizer).__name__};"
                    " load_states(..., resume=False) leaves the optimizer alone"
                )
        reader.expect(checkpoint.TRAINING, wanted)

    def _set_training_states(self, arrays: dict[str, Any]) -> None:
        if _RANDOM in arrays:
            self._random_key().copy_from_numpy(arrays[_RANDOM])
        for name, optimizer in self.optimizers().items():
            prefix = f"{name}/"
            own = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
            if own:
                optimizer.set_states(own, self._names())


_RANDOM = "random_key"


def _values(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: t.to_numpy() for name, t in tensors.items()}

"""Model: a layer with its own training step, which is compiled into one program."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from singa import tape
from singa.core.guard import Guard
from singa.core.journal import Journal
from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.device import DType, float32, timed_devices
from singa.errors import CaptureError, DTypeError, TrainingWarning, warn
from singa.graph import Capture
from singa.layer import Layer
from singa.layer.base import named_states
from singa.model.reported import Reported
from singa.opt import DistOpt, Optimizer
from singa.report import device_profiler

ModelMeta = type
"""The class of the class Model, by SINGA's name for it."""


class Model(Reported):
    """Base of the user's models.

    A subclass defines ``forward`` and ``train_one_batch``. The latter computes the loss, gives it
    to an optimizer, and returns any results for the caller. After
    ``compile(inputs, use_graph=True)`` each call of the model runs as one compiled program; the
    same code, run eagerly, gives the same numbers up to rounding.

    Inside another model's step a model is a layer like any other: calling it runs ``forward``.

    Attributes:
        training: whether calling the model runs ``train_one_batch`` (True) or ``forward``
            (False). None before ``compile``, ``train`` or ``eval`` was called: it is a plain
            layer then, and runs eagerly.
        graph_mode: whether a call runs as a compiled program.
        sequential: whether that program's operations run one by one, in recorded order.
        precision: the short type of matrix products and convolutions; None for float32.

    Example:
        >>> class Net(model.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.linear = layer.Linear(10)
        ...         self.loss = layer.SoftMaxCrossEntropy()
        ...         self.optimizer = opt.SGD(0.5)
        ...     def forward(self, x):
        ...         return self.linear(x)
        ...     def train_one_batch(self, x, y):
        ...         out = self.forward(x)
        ...         loss = self.loss(out, y)
        ...         self.optimizer(loss)
        ...         return out, loss
        >>> net, digits = Net(), data.load_digits()
        >>> x, y = Tensor(data=digits.train_images[:64]), Tensor(data=digits.train_labels[:64])
        >>> net.compile([x], use_graph=True)
        >>> losses = [net(x, y)[1].item() for _ in range(50)]
        >>> losses[-1] < losses[0] / 4
        True
        >>> net.eval()
        >>> net(x).shape
        (64, 10)
        >>> metric.accuracy(net(x), y).item() > 0.9
        True
    """

    training: bool | None = None
    graph_mode = False
    sequential = False
    precision: DType | None = None
    _unread = frozenset(
        {"_steps", "_profiler", "_stream", "_first", "_lock", "_writer", "_example"}
    )

    def compile(
        self,
        inputs: Sequence[Tensor],
        is_train: bool = True,
        use_graph: bool = False,
        sequential: bool = False,
        precision: Any = float32,
    ) -> None:
        """Make the parameters, name them by their paths, and choose how calls run.

        ``forward`` is run on the inputs' shapes only: nothing is computed, and no state changes.

        Args:
            inputs: Tensors with the shapes and types of ``forward``'s inputs; any values.
            is_train: whether the model is in training afterwards, as after :meth:`train`, or not,
                as after :meth:`eval`. Both set ``autograd.training`` too, for the whole process.
            use_graph, sequential: see :meth:`graph`.
            precision: ``"bfloat16"`` or ``"float16"`` for mixed precision, see
                :func:`singa.autograd.mixed_precision`. The parameters stay float32. On CPUs that
                have no instructions for the type, a SlowPrecisionWarning says how slow it is.

        Raises:
            DTypeError: the inputs are not a list of Tensors; the precision is not a type.
            ArgumentError: the precision is another type.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((32, 1, 8, 8))], is_train=False, use_graph=True)
            >>> mlp(Tensor((32, 1, 8, 8))).shape
            (32, 10)
            >>> list(mlp.get_params())
            ['linear1.b', 'linear1.W', 'linear2.b', 'linear2.W']
        """
        if isinstance(inputs, Tensor) or not all(isinstance(x, Tensor) for x in inputs):
            raise DTypeError("Model.compile: a list of Tensors is expected: compile([tx])")
        self.precision = tape.as_precision(precision)
        if inputs:
            tape.warn_where_slow(self.precision, inputs[0].device)
        blocks = vars(local)
        before = blocks.copy()
        try:
            local.training, local.precision = bool(is_train), self.precision
            Capture(partial(Layer.__call__, self), inputs, Guard())
        except CaptureError:
            if use_graph:
                raise
            with Journal() as states:  # an operation in it runs on the host with real values
                Layer.__call__(self, *inputs)
                states.restore()
        finally:
            blocks.update(before)
        _name(self._walk(all_tensors=True))  # first: an own get_states may read the names
        _name(named_states(self).items())
        self._example = [(x.shape, x.device, x.dtype) for x in inputs]
        self.graph(use_graph, sequential)
        self.train(is_train)

    def set_optimizer(self, optimizer: Optimizer | DistOpt) -> None:
        """Attach the optimizer as ``self.optimizer``, to which ``train_one_batch`` gives the loss.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.set_optimizer(opt.SGD(0.1))
            >>> mlp.optimizer.lr
            Constant(init_value=0.1)
        """
        self.optimizer = optimizer

    def train_one_batch(self, *args: Any, **options: Any) -> Any:
        """One step of training: to be defined by the subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no train_one_batch")

    def train(self, mode: bool = True) -> None:
        """Make calls run ``train_one_batch``, and turn ``autograd.training`` on, as in SINGA.

        ``autograd.training`` is for the whole process: it holds for what is outside of models too.
        """
        self.training = bool(mode)
        tape.mode.training = bool(mode)

    def eval(self) -> None:
        """Make calls run ``forward``, and turn ``autograd.training`` off.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.eval()
            >>> mlp(Tensor((2, 1, 8, 8))).shape
            (2, 10)
        """
        self.train(False)

    def graph(self, mode: bool = True, sequential: bool = False) -> None:
        """Choose between compiled and eager calls.

        Args:
            mode: whether a call runs as one compiled program.
            sequential: run its operations one by one, in recorded order. It is slower, and useful
                to inspect a step.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((2, 1, 8, 8))], is_train=False, use_graph=True)
            >>> _ = mlp(Tensor((2, 1, 8, 8)))
            >>> mlp.captures
            1
            >>> mlp.graph(False)
            >>> _ = mlp(Tensor((7, 1, 8, 8)))  # eagerly
            >>> mlp.captures
            1
        """
        self.graph_mode = bool(mode)
        self.sequential = bool(sequential)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """``train_one_batch(...)`` in training, else ``forward(...)``.

        If it raises an error, no Tensor has changed.
        """
        in_a_step = local.capture is not None or local.journal is not None
        if in_a_step:
            return super().__call__(*args, **options)
        if self.training is None:
            try:
                return super().__call__(*args, **options)
            except TypeError as error:
                self._explain(error, args, options)
                raise
        return self._call(args, options)

    def call_and_measure(self, measure: Callable[..., Any], *args: Any) -> Any:
        """A call in training, and ``measure(its results, *args)``, as a pair.

        What is measured is a part of the same step: of the same program, while the results have
        their records.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.set_optimizer(opt.SGD(0.1))
            >>> x, t = Tensor((2, 1, 8, 8)), Tensor((2,), dtype="int32")
            >>> mlp.compile([x], use_graph=True)
            >>> (out, loss), number = mlp.call_and_measure(lambda found, *batch: len(found), x, t)
            >>> number
            2
        """
        return self._call(args, {}, measure)

    def _call(
        self, args: tuple[Any, ...], options: dict[str, Any], *measures: Callable[..., Any]
    ) -> Any:
        profiler = self._profiler
        if profiler is None and timed_devices:
            profiler = device_profiler((args, options))
        if profiler is None:
            return self._run(args, options, *measures)
        step = partial(self._run, args, options, *measures)
        compiled = self._steps if self.graph_mode else None
        return profiler.run(step, (args, options), self._arrays, compiled)

    def _measured_batch(self, measure: Callable[..., Any], *args: Any) -> Any:
        returned = self.train_one_batch(*args)
        return returned, measure(returned, *args)

    _measured_batch.__name__ = "train_one_batch"  # in messages and reports

    def _run(
        self, args: tuple[Any, ...], options: dict[str, Any], *measures: Callable[..., Any]
    ) -> Any:
        assert self.training is not None
        function = self.train_one_batch if self.training else super().__call__
        given = args
        if measures:
            function, given = self._measured_batch, (*measures, *args)
        blocks = vars(local)
        before = blocks.copy()
        changed: Iterable[Tensor] = ()  # by a first step in training
        with self._lock:
            try:
                blocks["training"], blocks["precision"] = self.training, self.precision
                if self.graph_mode:
                    steps = self._steps
                    captures = steps.captures
                    result = steps(function, given, options, self.sequential)
                    is_new = steps.captures != captures
                    if is_new and steps.last is not None:
                        changed = steps.last.capture.written
                else:
                    with Journal() as journal:
                        result = function(*given, **options)
                        if self._stream is None:
                            changed = tuple(journal.tensors)
                    is_new = True
            except TypeError as error:
                self._explain(error, args, options)
                raise
            finally:
                blocks.update(before)  # all blocks inside have ended, even if interrupted
            if is_new and self.training:
                if self._stream is None:
                    self._expect_learning(changed)
                # A compiled step always uses the stream of the thread that has captured it.
                self._stream = self._random_key()
            return result

    def _expect_learning(self, changed: Iterable[Tensor]) -> None:
        """Warn if the first step in training, which changed these, has not used an optimizer."""
        states = {t for each in self.optimizers().values() for t in each.tensors()}
        if states and not any(t.is_parameter or t in states for t in changed):
            warn(
                f"{type(self).__name__}.train_one_batch has changed no parameter and has not given "
                "the loss to the model's optimizer: self.optimizer(loss). A step that is not to "
                "learn runs after model.eval(), as forward",
                TrainingWarning,
            )

    def _explain(self, error: TypeError, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Add to an error which method a call is, if that does not take the arguments."""
        mode, method, other = {
            None: ("not compiled", "forward", "compile([x])"),
            True: ("in training", "train_one_batch", "eval()"),
            False: ("not in training", "forward", "train()"),
        }[self.training]
        signature = inspect.signature(getattr(self, method))
        try:
            signature.bind(*args, **options)
        except TypeError:
            error.add_note(
                f"{type(self).__name__} is {mode}, where a call is {method}{signature}; "
                f"model.{other} changes that"
            )

    def __getstate__(self) -> dict[str, Any]:
        # Compiled steps refer to this model's own Tensors: a copy compiles its own.
        own = ("_steps", "_profiler", "_lock", "_writer", "_stream", "_first")
        return {name: v for name, v in vars(self).items() if name not in own}

    @property
    def captures(self) -> int:
        """How often the Python of this model's steps was captured.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((8, 1, 8, 8))], is_train=False, use_graph=True)
            >>> for size in (8, 8, 5, 8):  # a batch of another size is another program
            ...     _ = mlp(Tensor((size, 1, 8, 8)))
            >>> mlp.captures
            2
        """
        return self._steps.captures

    @property
    def compilations(self) -> int:
        """How often XLA has compiled one of this model's steps.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((8, 1, 8, 8))], is_train=False, use_graph=True)
            >>> _ = mlp(Tensor((8, 1, 8, 8)))
            >>> mlp.note = "an attribute that no step reads"
            >>> _ = mlp(Tensor((8, 1, 8, 8)))
            >>> mlp.captures, mlp.compilations
            (1, 1)
        """
        return self._steps.compilations


def _name(found: Iterable[tuple[str, Any]]) -> None:
    """Give the Tensors among these, which have none, their names."""
    for name, value in found:
        if isinstance(value, Tensor) and value.name is None:
            value.name = name

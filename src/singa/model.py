"""Model: a layer with its own training step, which is compiled into one program."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, partial
from typing import Any, Self
from weakref import ref

import numpy as np

from singa import tape, tensor
from singa.core.guard import Guard
from singa.core.journal import Journal
from singa.core.tensor import Tensor, random_key
from singa.core.watching import local
from singa.device import CTensor, Device, DType, float32, get_default_device, timed_devices
from singa.errors import CaptureError, CheckpointError, DTypeError, ReportError
from singa.formats import checkpoint
from singa.graph import Capture, Recording, Steps
from singa.layer import Layer
from singa.opt import DistOpt, Optimizer, stored
from singa.report import MemoryReport, Profile, Profiler, device_profiler, draw, memory_report
from singa.report.summary import Summary


class Model(Layer):
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
    _profiler: Profiler | None = None
    _example: list[tuple[tuple[int, ...], Device, DType]] | None = None  # of compile's inputs
    _stream: Tensor | None = None  # the random stream of the thread that trains
    _first: ref[Tensor] | None = None
    _unread = frozenset({"_steps", "_profiler", "_stream", "_first", "_lock", "_example"})
    _lock: threading.RLock  # held while a step runs, and while its results are read

    def __new__(cls, *args: Any, **options: Any) -> Self:
        model = super().__new__(cls)
        object.__setattr__(model, "_lock", threading.RLock())
        return model

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
            is_train: see :meth:`train`.
            use_graph, sequential: see :meth:`graph`.
            precision: ``"bfloat16"`` or ``"float16"`` for mixed precision, see
                :func:`singa.autograd.mixed_precision`. The parameters stay float32.

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
        with tape.StepModes(bool(is_train), self.precision):
            try:
                Capture(partial(Layer.__call__, self), inputs, Guard())
            except CaptureError:
                if use_graph:
                    raise
                with Journal() as states:  # an operation in it runs on the host with real values
                    Layer.__call__(self, *inputs)
                    states.restore()
        for name, state in self.get_states().items():
            if state.name is None:
                state.name = name
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
        """Make calls run ``train_one_batch``, and turn ``autograd.training`` on."""
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
        if in_a_step or self.training is None:
            return super().__call__(*args, **options)
        profiler = self._profiler
        if profiler is None and timed_devices:
            profiler = device_profiler((args, options))
        if profiler is None:
            return self._run(args, options)
        step = partial(self._run, args, options)
        compiled = self._steps if self.graph_mode else None
        return profiler.run(step, (args, options), self._arrays, compiled)

    def _run(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        assert self.training is not None
        function = self.train_one_batch if self.training else super().__call__
        with self._lock, tape.StepModes(self.training, self.precision):
            try:
                if self.graph_mode:
                    steps = self._steps
                    captures = steps.captures
                    result = steps(function, args, options, self.sequential)
                    is_new = steps.captures != captures
                else:
                    with Journal():
                        result = function(*args, **options)
                    is_new = True
            except TypeError as error:
                self._explain(error, args, options)
                raise
            if is_new and self.training:
                # A compiled step always uses the stream of the thread that has captured it.
                self._stream = self._random_key()
            return result

    def _explain(self, error: TypeError, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Add to an error which method a call is, if that does not take the arguments."""
        method, other = ("train_one_batch", "eval") if self.training else ("forward", "train")
        signature = inspect.signature(getattr(self, method))
        try:
            signature.bind(*args, **options)
        except TypeError:
            mode = "in training" if self.training else "not in training"
            error.add_note(
                f"{type(self).__name__} is {mode}, where a call is {method}{signature}; "
                f"model.{other}() changes that"
            )

    def between_steps(self) -> AbstractContextManager[Any]:
        """A block in which no other thread runs a step of this model, and it stays as it is.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((2, 1, 8, 8))])
            >>> with mlp.between_steps():
            ...     copies = {name: t.clone() for name, t in mlp.get_states().items()}
        """
        return self._lock

    @cached_property
    def _steps(self) -> Steps:
        return Steps()

    def __getstate__(self) -> dict[str, Any]:
        # Compiled steps refer to this model's own Tensors: a copy compiles its own.
        own = ("_steps", "_profiler", "_lock", "_stream", "_first")
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

    # -- reports ------------------------------------------------------------------------------

    def summary(self, inputs: Sequence[Tensor] | None = None) -> Summary:
        """The layers of the model: outputs, parameters, memory, multiply-adds.

        ``print`` shows it as a table. Nothing is computed: ``forward`` runs on shapes.

        Args:
            inputs: Tensors with the shapes and types of ``forward``'s inputs; those of ``compile``
                if not given.

        Raises:
            ReportError: no inputs are given, and the model was not compiled.
            CaptureError: ``forward`` needs real values.

        Example:
            >>> from singa.models import MLP
            >>> table = MLP().summary([Tensor((1, 1, 8, 8))])
            >>> table.total("parameters"), table.total("multiply_adds")
            (7510, 7400)
        """
        if inputs is None:
            if self._example is None:
                raise ReportError(
                    "summary: the shapes of the inputs are not known yet: compile the model, "
                    "or call summary([tx])"
                )
            inputs = [Tensor(shape, device, dtype) for shape, device, dtype in self._example]
        return Summary(self, inputs)

    def memory_report(self) -> MemoryReport:
        """The memory of the last compiled step: parameters, scratch, peak, ...; in bytes.

        Raises:
            ReportError: no step has been compiled yet.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((32, 1, 8, 8))], is_train=False, use_graph=True)
            >>> _ = mlp(Tensor((32, 1, 8, 8)))
            >>> report = mlp.memory_report()
            >>> report.parameters, report.arguments  # bytes
            (30040, 8192)
        """
        return memory_report(self._steps.last)

    @contextmanager
    def profile(self, skip: int = 2, limit: int = 100) -> Iterator[Profile]:
        """Measure the time of this model's calls in a ``with`` block, operation by operation.

        ::

            with model.profile() as profile:
                for x, y in batches:
                    model(x, y)
            print(profile)

        Each call is waited for; its results do not change.

        Args:
            skip: the number of first calls that are not timed: they compile, and warm up. Later
                calls that compile a step are not timed either.
            limit: the number of calls that are timed; later calls run as usual.

        Yields:
            The :class:`singa.report.Profile`, complete when the block has ended.

        Raises:
            ReportError: another profile is running.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((32, 1, 8, 8))], is_train=False, use_graph=True)
            >>> with mlp.profile() as profile:
            ...     for _ in range(7):
            ...         _ = mlp(Tensor((32, 1, 8, 8)))
            >>> profile
            <Profile of 5 steps, 4 operations>
        """
        if self._profiler is not None:
            raise ReportError("profile: one of this model is already running")
        profiler = Profiler(skip, limit)
        self._profiler = profiler
        try:
            yield profiler.profile
        finally:
            self._profiler = None
            profiler.finish()

    @property
    def is_profiled(self) -> bool:
        """Whether the time of its calls is being taken, by :meth:`profile`."""
        return self._profiler is not None

    def draw_graph(
        self, fpath: str | os.PathLike[str] = "graph.svg", profile: Profile | None = None
    ) -> None:
        """Draw the captured step that ran last, as a self-contained SVG.

        Operations are in the order of their dependencies: forward on the left and downwards,
        backward beside it and upwards, the update on the right. The file is written completely or
        not at all; an existing file is replaced.

        Args:
            fpath: the file's path; the name ends in ``.svg``.
            profile: the result of :meth:`profile`: operations are then coloured by their time.

        Raises:
            ReportError: no step has been captured yet, or the profile is not complete.
            ArgumentError: the name does not end in ``.svg``.
            OSError: it cannot be written.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((32, 1, 8, 8))], is_train=False, use_graph=True)
            >>> _ = mlp(Tensor((32, 1, 8, 8)))
            >>> mlp.draw_graph("mlp.svg")
        """
        program = self._steps.last
        if program is None:
            raise ReportError(
                "draw_graph: no step has been captured yet: compile the model with "
                "use_graph=True and call it once"
            )
        recording = Recording(program.capture, self._tensor_names(), program.arg_names)
        what = "A training step" if recording.is_training else "The forward pass"
        draw(fpath, recording, f"{what} of {type(self).__name__}", profile)

    def _tensor_names(self) -> dict[Tensor, str]:
        names = {t: name for name, t in {**self._training_states(), **self.get_states()}.items()}
        for owner, optimizer in self.optimizers().items():
            for name, schedule in optimizer.schedules().items():
                values = [t for t in vars(schedule).values() if isinstance(t, Tensor)]
                names |= dict.fromkeys(values, f"{owner}/{name}")
        return names

    def _arrays(self) -> list[CTensor]:
        kept = [t for optimizer in self.optimizers().values() for t in optimizer.tensors()]
        return [t._data for t in (*self.get_states().values(), *kept)]

    # -- checkpoints --------------------------------------------------------------------------

    def optimizers(self) -> dict[str, Optimizer | DistOpt]:
        """The optimizers of the model and of the layers inside it, each once, by their paths.

        They are found among the attributes, as layers are, also in lists, tuples and dicts.

        Example:
            >>> net = model.Model()
            >>> net.blocks = [layer.Linear(2), layer.Linear(2)]
            >>> net.blocks[1].optimizer = opt.SGD(0.1)
            >>> net.rates = {"slow": opt.SGD(0.01)}
            >>> list(net.optimizers())
            ['rates.slow', 'blocks.1.optimizer']
        """
        found: dict[Optimizer | DistOpt, str] = {}
        for path, each in (("", self), *((f"{path}.", each) for path, each in self.sublayers())):
            for name, value in _flat(path, vars(each)):
                if isinstance(value, (Optimizer, DistOpt)):
                    found.setdefault(value, name)
        return {name: optimizer for optimizer, name in found.items()}

    def save_states(
        self,
        fpath: str | os.PathLike[str],
        aux_states: Mapping[str, Tensor] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write a checkpoint: all that is needed to resume training, or to use the model.

        That is the parameters and states, the optimizers' state, the random stream that the model
        was trained with, and ``aux_states``. The file is written completely or not at all. Any
        thread may call this while another one trains: it waits for the end of a step.

        Args:
            fpath: the file's path; SINGA's format, a zip (see :mod:`singa.formats.checkpoint`).
            aux_states: the caller's own Tensors, by name.
            overwrite: whether an existing file may be replaced.

        Raises:
            FileExistsError: it exists and ``overwrite`` is false.
            CheckpointError: an aux state has the name of one of the model's.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((32, 1, 8, 8))])
            >>> mlp.save_states("mlp.zip", aux_states={"epoch": Tensor(data=3)})
        """
        checkpoint.write(fpath, self.states_to_save(aux_states or {}), overwrite)

    def states_to_save(self, aux_states: Mapping[str, Tensor]) -> dict[int, dict[str, Any]]:
        """What :meth:`save_states` writes, by its kind in :mod:`singa.formats.checkpoint`.

        All of it is of the same moment between two steps, whichever thread asks.
        """
        with self.between_steps():
            return {
                checkpoint.MODEL: _values(self.get_states()),
                checkpoint.AUX: _values(aux_states),
                checkpoint.TRAINING: _values(self._training_states(self._stream)),
            }

    def load_states(self, fpath: str | os.PathLike[str], resume: bool = True) -> dict[str, Tensor]:
        """Read a checkpoint into this model, which must have been compiled.

        Args:
            fpath: the file.
            resume: also load the optimizers' state and the random stream, so that training
                continues bit for bit. An optimizer that is not in the file is not changed. A state
                that only the file's optimizer keeps for each parameter, such as a momentum, is
                left out with a :class:`singa.errors.CheckpointWarning`.

        Returns:
            The aux states.

        Raises:
            CheckpointError: the file is damaged, not a checkpoint, of another model, or its
                optimizer is of another algorithm. Nothing has changed then.

        Example:
            >>> from singa.models import MLP
            >>> old, new = MLP(), MLP()
            >>> for mlp in (old, new):
            ...     mlp.compile([Tensor((32, 1, 8, 8))], is_train=False)
            >>> old.save_states("old.zip", aux_states={"epoch": Tensor(data=3)})
            >>> new.load_states("old.zip")["epoch"].item()
            3
            >>> x = Tensor((32, 1, 8, 8)).set_value(1.0)
            >>> bool((new(x).to_numpy() == old(x).to_numpy()).all())
            True
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
        optimizers = self.optimizers() if resume else {}
        resumed = {n: a for n, a in arrays.items() if n in reader.named(checkpoint.TRAINING)}
        with self._lock, Journal():
            stored.assign_numbers(resumed, optimizers)  # they decide which states there are
            training = stored.fitting(reader.path, resumed, optimizers, self._names())
            self.set_states({name: arrays[name] for name in states})
            found = {name: tensor.from_numpy(arrays[name]) for name in aux}
            if _RANDOM in arrays:
                for stream in (self._random_key(), self._stream):  # this thread's, the trainer's
                    if stream is not None:
                        stream.copy_from_numpy(arrays[_RANDOM])
            for owner, own in training.states.items():
                optimizers[owner].set_states(own, self._names())
        training.warn()
        return found

    def _names(self) -> dict[Tensor, str]:
        return {t: name for name, t in self.get_params().items()}

    def _random_key(self) -> Tensor:
        """The random stream of this thread on the model's device, which is its first Tensor's."""
        first = None if self._first is None else self._first()
        if first is None:  # looked for once: each eager step asks
            first = next((tensor for _, tensor, _ in self._tensors()), None)
            self._first = None if first is None else ref(first)
        return random_key(get_default_device() if first is None else first.device)

    def _training_states(self, stream: Tensor | None = None) -> dict[str, Tensor]:
        states = {_RANDOM: self._random_key() if stream is None else stream}
        return states | stored.states(self.optimizers(), self._names())

    def _expect_training_states(self, reader: checkpoint.Reader) -> None:
        """Check that the file's training states fit this model, before they are read."""
        found = {
            name: (kind.shape, kind.dtype)
            for name, kind in reader.named(checkpoint.TRAINING).items()
        }
        wanted = stored.acceptable(found, self.optimizers(), self._names())
        if _RANDOM in found:
            wanted[_RANDOM] = (2,), np.dtype(np.uint32)
        reader.expect(checkpoint.TRAINING, wanted)


_RANDOM = "random_key"


def _values(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: t.to_numpy() for name, t in tensors.items()}


def _flat(prefix: str, values: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The elements of (nested) dicts, lists and tuples, by their paths."""
    for key, value in values.items():
        if isinstance(value, (list, tuple)):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value

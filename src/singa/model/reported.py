"""A Model's reports: summary, memory, profile and drawing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from singa.core.tensor import Tensor
from singa.device import CTensor, Device, DType
from singa.errors import ReportError
from singa.graph import Recording, Steps
from singa.model.exported import Exported
from singa.report import (
    Collectives,
    MemoryReport,
    Profile,
    Profiler,
    collectives,
    draw,
    memory_report,
)
from singa.report.summary import Summary


class Reported(Exported):
    """The part of a Model that reports what its steps are, and what they cost."""

    _profiler: Profiler | None = None
    _example: list[tuple[tuple[int, ...], Device, DType]] | None = None  # of compile's inputs

    @cached_property
    def _steps(self) -> Steps:
        return Steps()

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

    def collectives(self) -> Collectives:
        """What the devices of a mesh exchange in the last compiled step: kinds, bytes, axes.

        ``print`` shows it as a table. It is read from the compiled program. With ``DistOpt`` it is
        what the ranks exchange.

        Raises:
            ReportError: no step has been compiled yet.

        Example:
            >>> from singa.models import MLP
            >>> mlp, mesh = MLP(), device.create_mesh({"data": 1})
            >>> mlp.compile([Tensor((32, 1, 8, 8), mesh)], is_train=False, use_graph=True)
            >>> _ = mlp(Tensor((32, 1, 8, 8), mesh))
            >>> mlp.collectives().rows  # this mesh has one device
            []
        """
        return collectives(self._steps.last)

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
        backward beside it and upwards, the update on the right. On a mesh, operations say what the
        devices exchange for them. The file is written completely or not at all; an existing file is
        replaced.

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
        exchanged = None if program.compiled is None else collectives(program)
        draw(fpath, recording, f"{what} of {type(self).__name__}", profile, exchanged)

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

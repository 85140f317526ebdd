"""Metrics in a training: by name, of each batch, and of an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
import numpy.typing as npt

from singa import metric, tape
from singa.core.tensor import Tensor
from singa.device import CTensor, Device
from singa.errors import ArgumentError, CheckpointError, DTypeError
from singa.graph import Steps
from singa.metric import Metric
from singa.metric.naming import KINDS, name_of
from singa.train.together import ALONE, Ranks

Metrics: TypeAlias = "str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric]"
"""Metrics by name or as objects; or a mapping from names to metrics."""


_SHARES = (
    metric.Accuracy, metric.TopKAccuracy, metric.Precision, metric.Recall, metric.F1,
)  # fmt: skip


def is_share(each: Metric) -> bool:
    """Whether its values are fractions, of which 1 is best."""
    return isinstance(each, _SHARES)


def as_metrics(owner: str, given: Metrics) -> dict[str, Metric]:
    """Metrics by the names of their columns.

    Raises:
        ArgumentError: an unknown name, two of one name, or one that is not a number.
        DTypeError: neither names nor metrics.
    """
    if isinstance(given, (str, Metric)):
        given = [given]
    pairs: Iterable[tuple[str | None, Any]] = (
        given.items() if isinstance(given, Mapping) else ((None, each) for each in given)
    )
    found: dict[str, Metric] = {}
    for called, each in pairs:
        if isinstance(each, str):
            if each not in KINDS:
                known = ", ".join(sorted(KINDS))
                raise ArgumentError(f"{owner}: no metric is named {each!r}; there are {known}")
            each = KINDS[each]()
        if not isinstance(each, Metric):
            raise DTypeError(f"{owner}: a metric is a name or a Metric, not {each!r}")
        if isinstance(each, metric.ConfusionMatrix) or getattr(each, "average", "") == "none":
            raise ArgumentError(f"{owner}: {each!r} is several numbers, and a metric here is one")
        name = called if called is not None else name_of(type(each))
        if name in found:
            raise ArgumentError(
                f"{owner}: two metrics are named {name!r}; a dict gives them names: "
                f"metrics={{'top5': metric.TopKAccuracy(5)}}"
            )
        if name in _TAKEN or name.startswith("val_"):
            raise ArgumentError(f"{owner}: a metric cannot be named {name!r}, which is taken")
        found[name] = each
    return found


_TAKEN = frozenset(("epoch", "step", "seconds", "samples_per_second", "lr", "loss", "out"))


class Meters:
    """Metrics of each batch, and of all batches since :meth:`reset`.

    Args:
        metrics: by name. Copies of them are used.
        use_graph: whether all of them are one compiled program.
    """

    def __init__(self, metrics: Mapping[str, Metric], use_graph: bool) -> None:
        self.metrics = {name: type(each)(*each.options) for name, each in metrics.items()}
        self._steps = Steps() if use_graph else None

    def update(self, out: Any, target: Tensor) -> dict[str, Tensor]:
        """Add a batch, and return its metrics. Nothing waits for the device.

        Raises:
            ArgumentError: the model has not returned its predictions.
            ShapeError: predictions and targets do not fit each other.
        """
        if not self.metrics:
            return {}
        check_outputs(out)
        with tape.training(False):
            if self._steps is None:
                return self._measure(out, target)
            values = self._steps(self._measure, (out, target), {}, False)
            return {name: values[name] for name in self.metrics}

    def count(self, out: Any, target: Tensor) -> None:
        """Add a batch, inside of a larger step."""
        if self.metrics:
            check_outputs(out)
        for each in self.metrics.values():
            each.update(out, target)

    def _measure(self, out: Tensor, target: Tensor) -> dict[str, Tensor]:
        self.count(out, target)
        return {name: each(out, target) for name, each in self.metrics.items()}

    def values(self, ranks: Ranks = ALONE) -> dict[str, float]:
        """The metrics of all batches so far. This waits for the device.

        Args:
            ranks: those whose counts the first one has, after :meth:`merge`.
        """
        own = [float(each.value) for each in self.metrics.values()]
        found = ranks.of_first(own) if ranks.has_parts else own
        return dict(zip(self.metrics, found, strict=True))

    def merge(self, ranks: Ranks) -> None:
        """Where ranks count parts of the data: give the first one the counts of all."""
        states = self.states()
        if ranks.has_parts and states:
            found = ranks.totals({name: state.to_numpy() for name, state in states.items()})
            for name, state in states.items():
                state.copy_from_numpy(found[name] * ranks.is_first)

    def reset(self) -> None:
        """Start again without batches."""
        for each in self.metrics.values():
            each.reset()

    def states(self) -> dict[str, Tensor]:
        """The counts by name, for a checkpoint in the middle of an epoch."""
        return {
            f"{name}/{i}": state
            for name, each in self.metrics.items()
            for i, state in enumerate(each.states)
        }

    def set_states(self, counts: Mapping[str, npt.NDArray[Any]], device: Device) -> None:
        """Restore the counts that :meth:`states` has returned.

        Raises:
            CheckpointError: they belong to other metrics.
        """
        if not counts:
            self.reset()
            return
        for each in self.metrics.values():
            each.states_on(device)
        states = self.states()
        kinds = {name: (t.shape, t.dtype) for name, t in states.items()}
        found = {name: (array.shape, array.dtype) for name, array in counts.items()}
        if found != kinds:
            raise CheckpointError(
                f"it was trained with other metrics: {', '.join(found)}, not {', '.join(kinds)}"
            )
        for name, state in states.items():
            state.copy_from_numpy(counts[name])


def numbers(rows: Sequence[Mapping[str, CTensor | int]]) -> list[dict[str, float]]:
    """Scalars on devices as Python numbers, read all at once, which waits; integers stay."""
    read = jax.device_get(
        [[each for each in row.values() if not isinstance(each, int)] for row in rows]
    )
    found = []
    for row, values in zip(rows, map(iter, read), strict=True):
        found.append(
            {
                name: each if isinstance(each, int) else np.asarray(next(values)).reshape(()).item()
                for name, each in row.items()
            }
        )
    return found


def check_outputs(out: Any) -> None:
    """Raise ArgumentError if there are no predictions to measure."""
    if not isinstance(out, Tensor):
        what = "nothing" if out is None else type(out).__name__
        raise ArgumentError(
            f"metrics are of the predictions, and train_one_batch has returned {what} for them; "
            "it returns (out, loss), out being one Tensor, where there are metrics"
        )

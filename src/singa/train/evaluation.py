"""Loss and metrics of a model on data that it is not trained on, and its predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from singa import tape
from singa.core.journal import Journal
from singa.core.tensor import Tensor, wrap
from singa.core.watching import still, within
from singa.device import CTensor, Device, float32, get_default_device
from singa.errors import ArgumentError, CaptureError, DTypeError
from singa.graph import Capture, Steps
from singa.metric import Metric
from singa.model import Model
from singa.train import feeding
from singa.train.feeding import Batch, Source
from singa.train.measuring import Meters, Metrics, as_metrics, numbers
from singa.train.together import ALONE, Ranks


def results(returned: Any) -> tuple[Any, dict[str, Tensor]]:
    """The results of a step: the predictions, if any, and the loss and other scalars by name.

    Raises:
        DTypeError: there is no loss of one element in them.
    """
    out, values = None, {}
    if isinstance(returned, Tensor):
        values["loss"] = returned
    elif isinstance(returned, (tuple, list)) and returned:
        out = returned[0] if len(returned) > 1 else None
        values["loss"] = returned[min(1, len(returned) - 1)]
    elif isinstance(returned, dict):
        values = {"loss": returned.get("loss")} | {
            name: value
            for name, value in returned.items()
            if name != "out" and isinstance(value, Tensor) and value.size() == 1
        }
        out = returned.get("out")
    loss = values.get("loss")
    if not isinstance(loss, Tensor) or loss.size() != 1:
        raise DTypeError(
            "train_one_batch: the loss, a Tensor of one element, (out, loss), or a dict with "
            f"'loss' in it is expected to be returned, got {_describe(returned)}"
        )
    return out, values


def _describe(returned: Any) -> str:
    if isinstance(returned, (tuple, list)):
        return f"({', '.join(map(_describe, returned))})"
    if isinstance(returned, dict):
        return f"{{{', '.join(f'{name!r}: {_describe(v)}' for name, v in returned.items())}}}"
    if isinstance(returned, Tensor):
        return f"a Tensor of shape {returned.shape}"
    return repr(returned)


class Evaluator:
    """Computes the loss and the metrics of a model without changing it.

    It calls the model's ``evaluate_one_batch``, which has the same arguments and results as
    ``train_one_batch``. If there is none it calls ``train_one_batch`` itself, in evaluation mode
    and with optimizers that update nothing.

    Args:
        owner: the caller's name, for messages.
        model: a compiled model.
        metrics: by name.
    """

    def __init__(self, owner: str, model: Model, metrics: Mapping[str, Metric]) -> None:
        self._owner = owner
        self._model = model
        self._meters = Meters(metrics, use_graph=False)  # not compiled alone: a part of the step
        self._steps = Steps()

    def check(self, batch: Batch) -> None:
        """Raise the errors that the evaluation of such a batch would raise, without computing."""
        with self._mode():
            try:
                Capture(lambda *fields: [*self._evaluate(*fields)[0].values()], batch)
            except CaptureError:
                if self._model.graph_mode:
                    raise
                # An operation runs on the host: its errors are raised when it runs.

    def run(self, loader: Any, device: Device, ranks: Ranks = ALONE) -> dict[str, float]:
        """The mean loss, the metrics and other scalars, of all the loader's batches.

        A batch counts by what its loss is the mean of, or else by its samples. If ranks have parts
        of the data, the results are those of all parts together.
        """
        self._meters.reset()
        values, counts = [], []
        with self._mode():
            for batch in feeding.batches(self._owner, loader, 0, 0, device):
                found, weighed = self._step(batch)
                values.append({name: t.data for name, t in found.items()})
                counts.append(arrays(weighed))
        if not values:
            raise ArgumentError(f"{self._owner}: there is nothing to evaluate on")
        rows, weights = numbers(values), numbers(counts)
        means = weighted_means(rows, weights)
        if ranks.has_parts:
            own = [sum(row[name] for row in weights) for name in means]
            merged = ranks.means([*means.values()], own)[0].tolist()
            means = dict(zip(means, merged, strict=True))
            self._meters.merge(ranks)
        return {"loss": means.pop("loss"), **self._meters.values(ranks), **means}

    @contextmanager
    def _mode(self) -> Iterator[None]:
        # No other thread may save the model meanwhile.
        with self._model.between_steps():
            # Operations are recorded: train_one_batch may have a backward pass. Its results are
            # not used, so that a compiled step does not compute them.
            precision = tape.mixed_precision(self._model.precision or float32)
            with tape.training(False), tape.enable_grad(), within("follows", True), precision:
                yield

    def _step(self, batch: Batch) -> Evaluated:
        if self._model.graph_mode:
            found: Evaluated = self._steps(self._evaluate, batch, {}, False)
            return found
        with Journal():
            return self._evaluate(*batch)

    def _evaluate(self, *batch: Tensor) -> Evaluated:
        """The scalars that the step returns, by name, and how much each of them counts."""
        own: Callable[..., Any] | None = getattr(self._model, "evaluate_one_batch", None)
        # All changes of the step, by an optimizer or by assignments, are undone when it has ended.
        with still(), Journal() as before:
            out, values = results((own or self._model.train_one_batch)(*batch))
            counts = _counts(values, batch)
            before.restore()
        with tape.no_grad():
            self._meters.count(out, batch[-1])
        return values, counts


Counts: TypeAlias = "dict[str, Tensor | int]"
Evaluated: TypeAlias = tuple[dict[str, Tensor], Counts]


def counts_of(returned: Any, *batch: Tensor) -> Counts:
    """How much each of a step's results counts: a measure for ``Model.call_and_measure``."""
    return _counts(results(returned)[1], batch)


def _counts(values: Mapping[str, Tensor], batch: Batch) -> Counts:
    return {name: _count(value, len_of(batch)) for name, value in values.items()}


def arrays(counts: Counts) -> dict[str, CTensor | int]:
    """The same with arrays in place of Tensors."""
    return {
        name: count.data if isinstance(count, Tensor) else count for name, count in counts.items()
    }


def _count(value: Tensor, samples: int) -> Tensor | int:
    """How many things a value is the mean of; the number of samples if no operation says so.

    A loss may be several means, scaled and added up; then all that they count is added up.
    """
    total: CTensor | int = 0
    records, is_known = [value.creator], False
    seen = set()
    while records:
        record = records.pop()
        if record is None or id(record) in seen:
            continue
        seen.add(id(record))
        counted = None
        if type(record.operation).mean_over is not tape.Operation.mean_over:
            counted = record.mean_over()
        if counted is not None:
            total, is_known = total + counted, True
        else:
            records += [edge[0] for edge in record.src if edge is not None]
    if not is_known:
        return samples
    return total if isinstance(total, int) else wrap(total.astype(float32), value.device)


def weighted_means(
    rows: Sequence[Mapping[str, float]], counts: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """Means over batches. A batch in which nothing counts, such as only padding, has no mean."""
    means = {}
    for name in rows[0]:
        pairs = [(row[name], count[name]) for row, count in zip(rows, counts, strict=True)]
        kept = [(value, count) for value, count in pairs if count] or [(math.nan, 1)]
        values, weights = zip(*kept, strict=True)
        means[name] = float(np.average(values, weights=weights))
    return means


def len_of(batch: Batch) -> int:
    """The number of samples in a batch."""
    shape = batch[0].shape
    return shape[0] if shape else 1


# -- for users ------------------------------------------------------------------------------------


def evaluate(
    model: Model,
    data: Source,
    *,
    metrics: Metrics = (),
    batch_size: int | None = None,
    device: Device | None = None,
) -> dict[str, float]:
    """The loss and the metrics of a model on data. The model is not changed.

    >>> from singa import data, models, opt, train
    >>> digits = data.load_digits()
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05, momentum=0.9))
    >>> history = train.fit(mlp, digits.train, 2, progress=False)
    >>> found = train.evaluate(mlp, digits.test, metrics="accuracy")
    >>> found["accuracy"] > 0.8
    True

    Args:
        model: a compiled model, for example by :func:`singa.train.fit`. The loss is that of
            ``evaluate_one_batch``, or of ``train_one_batch`` with optimizers that update nothing.
        data: as for :func:`singa.train.fit`; the test images of a :class:`singa.data.Dataset`.
            Each rank evaluates all that it is given; of a ``DataLoader(..., shard=True)`` all ranks
            evaluate a part each, and return the results of the whole.
        metrics: as for :func:`singa.train.fit`.
        batch_size: samples at a time; 64 if not given.
        device: the device of the batches; that of the model's parameters if not given.

    Returns:
        The mean loss as ``loss``, and the metrics by their names. They do not depend on the
        batches: each counts by what its loss is the mean of, such as the targets that are not
        ignored (:meth:`singa.autograd.Operation.mean_over`), or else by its samples.

    Raises:
        ArgumentError: a metric is unknown; there are no samples; the model was not compiled.
        ShapeError, DTypeError: the data do not fit the model.
    """
    found = as_metrics("evaluate", metrics)
    place = _place("evaluate", model, device)
    loader = feeding.evaluation_loader("evaluate", data, batch_size, place)
    ranks = Ranks.sharing(loader.shard and not place.spans_processes)
    return Evaluator("evaluate", model, found).run(loader, place, ranks)


def predict(
    model: Model,
    inputs: npt.ArrayLike | tuple[npt.ArrayLike, ...],
    *,
    batch_size: int | None = None,
    device: Device | None = None,
) -> npt.NDArray[Any]:
    """What ``forward`` returns for all inputs, batch by batch. The model is not changed.

    >>> import numpy as np
    >>> from singa import layer, model, tensor, train
    >>> class Line(model.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.linear = layer.Linear(1)
    ...     def forward(self, x):
    ...         return self.linear(x)
    >>> line = Line()
    >>> line.compile([tensor.Tensor((1, 3))], is_train=False)
    >>> train.predict(line, np.zeros((100, 3), np.float32)).shape
    (100, 1)

    Args:
        model: a compiled model, for example by :func:`singa.train.fit`.
        inputs: an array (N, ...); or a tuple of them, if ``forward`` takes several.
        batch_size: samples at a time; 64 if not given.
        device: the device of the batches; that of the model's parameters if not given.

    Raises:
        ArgumentError: there are no inputs, or the model was not compiled.
        ShapeError, DTypeError: the inputs do not fit the model.
    """
    place = _place("predict", model, device)
    loader = feeding.evaluation_loader("predict", inputs, batch_size, place)
    before = model.training
    model.eval()
    try:
        outs = [model(*batch) for batch in feeding.batches("predict", loader, 0, 0, place)]
    finally:
        if before is not None:
            model.train(before)
    if not all(isinstance(out, Tensor) for out in outs):
        raise DTypeError(f"predict: {type(model).__name__}.forward returns more than one Tensor")
    return np.concatenate([out.to_numpy() for out in outs])


def _place(owner: str, model: Model, device: Device | None) -> Device:
    if model.training is None:
        raise ArgumentError(
            f"{owner}: {type(model).__name__} was not compiled yet: fit does so, or "
            "model.compile([tx])"
        )
    first = next(iter(model.get_states().values()), None)
    return device or (first.device if first is not None else get_default_device())

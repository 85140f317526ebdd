"""Loss and metrics of a model on data that it is not trained on, and its predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from singa import tape
from singa.core.journal import Journal
from singa.core.tensor import Tensor
from singa.core.watching import still
from singa.device import Device, float32, get_default_device
from singa.errors import ArgumentError, CaptureError, DTypeError
from singa.graph import Capture, Steps
from singa.metric import Metric
from singa.model import Model
from singa.train import feeding
from singa.train.feeding import Batch, Source
from singa.train.measuring import Meters, Metrics, as_metrics, numbers


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
                Capture(lambda *fields: list(self._evaluate(*fields).values()), batch)
            except CaptureError:
                if self._model.graph_mode:
                    raise
                # An operation runs on the host: its errors are raised when it runs.

    def run(self, loader: Any, device: Device) -> dict[str, float]:
        """The mean loss, the metrics and other scalars, of all the loader's batches."""
        self._meters.reset()
        found: list[tuple[int, dict[str, Any]]] = []
        with self._mode():
            for batch in feeding.batches(self._owner, loader, 0, 0, device):
                values = self._step(batch)
                found.append((len_of(batch), {name: t.data for name, t in values.items()}))
        if not found:
            raise ArgumentError(f"{self._owner}: there is nothing to evaluate on")
        sizes = [size for size, _ in found]
        rows = numbers([values for _, values in found])
        means = {
            name: float(np.average([r[name] for r in rows], weights=sizes)) for name in rows[0]
        }
        return {"loss": means.pop("loss"), **self._meters.values(), **means}

    @contextmanager
    def _mode(self) -> Iterator[None]:
        # No other thread may save the model meanwhile.
        with self._model.between_steps():
            # Operations are recorded: train_one_batch may have a backward pass. Its results are
            # not used, so that a compiled step does not compute them.
            precision = tape.mixed_precision(self._model.precision or float32)
            with tape.training(False), tape.enable_grad(), precision:
                yield

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        if self._model.graph_mode:
            values: dict[str, Tensor] = self._steps(self._evaluate, batch, {}, False)
            return values
        with Journal():
            return self._evaluate(*batch)

    def _evaluate(self, *batch: Tensor) -> dict[str, Tensor]:
        own: Callable[..., Any] | None = getattr(self._model, "evaluate_one_batch", None)
        # All changes of the step, by an optimizer or by assignments, are undone when it has ended.
        with still(), Journal() as before:
            out, values = results((own or self._model.train_one_batch)(*batch))
            before.restore()
        with tape.no_grad():
            self._meters.count(out, batch[-1])
        return values


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
        metrics: as for :func:`singa.train.fit`.
        batch_size: samples at a time; 64 if not given.
        device: the device of the batches; that of the model's parameters if not given.

    Returns:
        The mean loss as ``loss``, and the metrics by their names.

    Raises:
        ArgumentError: a metric is unknown; there are no samples; the model was not compiled.
        ShapeError, DTypeError: the data do not fit the model.
    """
    found = as_metrics("evaluate", metrics)
    place = _place("evaluate", model, device)
    loader = feeding.evaluation_loader("evaluate", data, batch_size, place)
    return Evaluator("evaluate", model, found).run(loader, place)


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

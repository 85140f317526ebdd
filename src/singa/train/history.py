"""History: the numbers of a training, step by step and epoch by epoch."""

from __future__ import annotations

from typing import Any

from singa.formats.table import Table

WHOLE = frozenset(("epoch", "step"))
"""The columns that hold integers."""


class History:
    """The result of :func:`singa.train.fit`.

    ``history["val_loss"]`` is the list of a quantity, with one number for each epoch.

    >>> history = History()
    >>> history.epochs.append({"epoch": 1, "loss": 0.5})
    >>> history["loss"]
    [0.5]
    >>> history
    <History of 1 epoch, running: epoch 1, loss 0.5>

    Attributes:
        epochs: a row for each epoch: ``epoch``, ``step``, ``seconds``, ``samples_per_second``,
            ``lr``, ``loss``, the metrics, and the same of the validation with the prefix ``val_``.
        steps: a row for each step: ``step``, ``epoch``, ``loss``, ``lr``, and the metrics of its
            batch.
        best: for each quantity that measures how good an epoch was, the number of the best epoch.
        status: ``running``, ``completed``, ``interrupted`` by Ctrl-C or SIGTERM, ``diverged`` if
            the loss was NaN or infinite at the end of an epoch, or ``failed``.
        stopped: why it ended before all epochs were complete; empty if it did not.
    """

    def __init__(self) -> None:
        self.epochs = Table()
        self.steps = Table()
        self.best: dict[str, int] = {}
        self.status = "running"
        self.stopped = ""

    def __getitem__(self, name: str) -> list[Any]:
        return self.epochs[name]

    def __repr__(self) -> str:
        count = self.epochs.rows
        text = f"<History of {count} epoch{'s' * (count != 1)}, {self.status}"
        if count:
            numbers = (f"{name} {value:.4g}" for name, value in self.epochs.row(-1).items())
            text += f": {', '.join(numbers)}"
        return f"{text}>"

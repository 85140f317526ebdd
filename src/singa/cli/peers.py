"""The models of ``singa bench`` in PyTorch, if it is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

CLASSES = 10


def torch_version() -> str | None:
    """The version of PyTorch; None if it is not installed."""
    if find_spec("torch") is None:
        return None
    return str(import_module("torch").__version__)


def torch_step(
    model: str, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], device: str
) -> Callable[[], Any]:
    """A usual training step in PyTorch: SGD with momentum, eagerly.

    Args:
        model: a name in :data:`singa.models.MODELS`.
        images: the batch (N, C, H, W).
        labels: its classes (N,).
        device: ``cpu`` or ``cuda``.

    Returns:
        A function that runs one step, and returns the loss without waiting for it.
    """
    torch: Any = import_module("torch")
    net = _BUILD[model](torch, images.shape[1:]).to(device)
    x, y = torch.from_numpy(images).to(device), torch.from_numpy(labels).long().to(device)
    sgd = torch.optim.SGD(net.parameters(), 0.02, momentum=0.9)

    def step() -> Any:
        sgd.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        sgd.step()
        return loss.detach()

    return step


def _mlp(torch: Any, shape: tuple[int, ...]) -> Any:
    """:class:`singa.models.MLP`."""
    nn = torch.nn
    features = int(np.prod(shape))
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 100), nn.ReLU(), nn.Linear(100, CLASSES))


def _cnn(torch: Any, shape: tuple[int, ...]) -> Any:
    """:class:`singa.models.CNN`."""
    nn = torch.nn
    channels, height, width = shape

    class Branches(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Conv2d(32, 16, 3, padding=1)
            self.other = nn.Conv2d(32, 16, 3, padding=1)

        def forward(self, x: Any) -> Any:
            return torch.cat((self.one(x), self.other(x)), 1)

    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1, bias=False), nn.ReLU(), nn.BatchNorm2d(32),
        nn.MaxPool2d(3, 1, padding=1), Branches(), nn.ReLU(), nn.BatchNorm2d(32),
        nn.AvgPool2d(3, 1, padding=1), nn.Flatten(), nn.Linear(32 * height * width, CLASSES),
    )  # fmt: skip


_BUILD: dict[str, Callable[[Any, tuple[int, ...]], Any]] = {"mlp": _mlp, "cnn": _cnn}

"""The goals of the library: how many times as long the other libraries should take."""

from __future__ import annotations

from dataclasses import dataclass

COMPILED, EAGER = "singa compiled", "singa eager"
TORCH, LAST, COMPILE, JAX = (
    "PyTorch eager", "PyTorch eager, channels last", "torch.compile", "jax.jit of jax.grad",
)  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """The least value of the other library's number divided by ours.

    Attributes:
        what: a workload's name, or one of ``import``, ``compile`` and ``memory``.
        least: the ratio, with native kernels.
        without: the ratio without them; None if there is no goal then.
    """

    what: str
    ours: str
    peer: str
    least: float
    without: float | None


GOALS = (
    Goal("mlp", EAGER, TORCH, 1.2, 1.2),
    Goal("mlp", COMPILED, TORCH, 4, 4),
    Goal("mlp", COMPILED, JAX, 0.95, 0.95),
    Goal("cnn", EAGER, TORCH, 1.0, 1.0),
    Goal("cnn", COMPILED, TORCH, 2.5, 1.4),
    Goal("cnn", COMPILED, LAST, 1.6, None),
    Goal("cnn", COMPILED, COMPILE, 2.3, None),
    Goal("cnn", COMPILED, JAX, 4, 2.5),
    Goal("resnet", COMPILED, TORCH, 1.3, 1.3),
    Goal("resnet", COMPILED, LAST, 1.1, 1.1),
    Goal("resnet", COMPILED, JAX, 1.5, 1.5),
    Goal("lstm", COMPILED, TORCH, 1.5, 1.5),
    Goal("transformer", COMPILED, TORCH, 1.5, 1.5),
    Goal("compile", COMPILED, COMPILE, 8, 8),
    Goal("import", "import singa", "import torch", 2, 2),
    Goal("memory", COMPILED, TORCH, 1.2, 1.2),
)


def for_here(device: str, natively: bool) -> dict[Goal, float]:
    """The goals, and their ratios; they are for two threads of an x86-64 CPU."""
    if device != "cpu":
        return {}
    ratios = {goal: goal.least if natively else goal.without for goal in GOALS}
    return {goal: ratio for goal, ratio in ratios.items() if ratio is not None}

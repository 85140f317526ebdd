"""Gradients of single samples beside PyTorch's: ``python -m benchmarks.per_sample``.

Norms of images' gradients, as differentially private training needs them. They are compared, then
timed in turns on two threads. Printed are medians, and that of ``vmap(grad)`` divided by each.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks import contenders, machine
from benchmarks.timing import medians, run_of, take_turns


def measure(batch: int, rounds: int) -> dict[str, float]:
    """Seconds for a batch of 28x28 images."""
    import torch
    from torch import nn
    from torch.func import functional_call, grad, vmap

    from singa import autograd, layer, model
    from singa.tensor import Tensor

    class Net(model.Model):
        def __init__(self) -> None:
            super().__init__()
            self.network = layer.Sequential(
                layer.Conv2d(16, 4, stride=2, padding=1), layer.Tanh(),
                layer.Conv2d(32, 4, stride=2, padding=1), layer.Tanh(),
                layer.Flatten(), layer.Linear(10),
            )  # fmt: skip

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return autograd.softmax_cross_entropy(self.network(x), t)

        def train_one_batch(self, x: Tensor, t: Tensor) -> Tensor:
            found = our_gradients(x, t)[1].values()
            return sum((g * g).reshape((batch, -1)).sum(1) for g in found).sqrt()

    def their_loss(p: dict[str, torch.Tensor], x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(functional_call(theirs, p, x[None]), t[None])

    def their_norms() -> np.ndarray:
        found = their_gradients(own, *map(torch.from_numpy, xs)).values()
        return sum((g * g).flatten(1).sum(1) for g in found).sqrt().numpy()

    rng = np.random.default_rng(0)
    xs = [rng.standard_normal((batch, 1, 28, 28), np.float32), rng.integers(0, 10, batch)]
    ours, our_xs = Net(), [Tensor(data=x) for x in xs]
    ours.compile(our_xs, use_graph=True)
    params = [*ours.get_params().values()]
    our_gradients = autograd.per_sample_gradients(ours.forward, params)
    theirs = nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.Tanh(), nn.Conv2d(16, 32, 4, 2, 1), nn.Tanh(), nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )  # fmt: skip
    values = [torch.tensor(p.to_numpy().T if p.ndim() == 2 else p.to_numpy()) for p in params]
    names = [name.split(".")[1:] for name in ours.get_params()]
    own = {
        f"{place}.{'weight' if name == 'W' else 'bias'}": value
        for (place, name), value in zip(names, values, strict=True)
    }
    their_gradients = vmap(grad(their_loss), in_dims=(None, 0, 0))
    steps = {
        "singa eager": lambda: ours.train_one_batch(*our_xs).to_numpy(),
        "singa compiled": lambda: ours(*our_xs).to_numpy(),
        "PyTorch": their_norms,
    }
    for who, step in steps.items():
        np.testing.assert_allclose(step(), their_norms(), rtol=1e-4, err_msg=who)
    return medians(take_turns({who: run_of(step) for who, step in steps.items()}, rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="(%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    chosen = parser.parse_args()
    machine.confine("cpu", contenders.THREADS)
    found = {batch: measure(batch, chosen.rounds) for batch in (16, 64, 256)}
    for batch, times in found.items():
        cells = [f"{who} {1e3 * s:.1f} ms ({times['PyTorch'] / s:.2f})" for who, s in times.items()]
        print(f"{batch} images:", ", ".join(cells))
    if chosen.json:
        about = machine.describe("cpu", contenders.THREADS) | {"rounds": chosen.rounds}
        chosen.json.write_text(json.dumps({"about": about, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Attention beside PyTorch's, measured: ``python -m benchmarks.attention``.

Causal self-attention of shape (2, 8, S, 64), forward and backward: the time of a step, in turns,
and the memory that it needs above what its process had with the inputs; compiling it is included.
The same of PyTorch's ``scaled_dot_product_attention``. The first losses must agree.

``--precision bfloat16`` measures tensors of that type, and our own float32 beside them.
``--errors`` shows no times, but the errors of bfloat16's results and gradients against float64:
ours, with products of bfloat16 on any processor, those of the formula with all weights, PyTorch's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import contenders, machine
from benchmarks.timing import medians, take_turns
from benchmarks.worker import Worker

RESULTS = Path("benchmarks/results/attention.json")
BATCH, HEADS, SIZE = 2, 8, 64
LENGTHS = (1024, 4096)
TORCH = "PyTorch eager"
OURS, EAGER, WIDE = "singa compiled", "singa eager", "singa compiled, float32"
FLOAT32, BFLOAT16 = "float32", "bfloat16"
WHO = {FLOAT32: (OURS, EAGER, TORCH), BFLOAT16: (OURS, EAGER, WIDE, TORCH)}
AGREE = {FLOAT32: 1e-5, BFLOAT16: 1e-2}  # how far losses may be apart, relatively
GOALS = {"seconds": 1.3, "bytes": 1.0}  # PyTorch's, divided by ours

Step = Callable[[], float]


def step(who: str, length: str, precision: str) -> Step:
    """A step for a worker: the mean square of the results, and its gradients."""
    rng = np.random.default_rng(0)
    shape = (3, BATCH, HEADS, int(length), SIZE)
    qkv = rng.standard_normal(shape, np.float32)
    if who == TORCH:
        return _torch(qkv, precision)
    return _singa(qkv, FLOAT32 if who == WIDE else precision, who != EAGER)


def _singa(qkv: np.ndarray, precision: str, compiled: bool) -> Step:
    from singa import Tensor, autograd, model

    class Net(model.Model):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = [Tensor(data=x, dtype=precision, stores_grad=True) for x in qkv]

        def forward(self) -> Tensor:
            y = autograd.scaled_dot_product_attention(*self.qkv, causal=True).as_type(FLOAT32)
            return autograd.reduce_mean(y * y, keepdims=False)

        def train_one_batch(self) -> tuple[Tensor, ...]:
            loss = self.forward()
            found = autograd.gradients(loss)
            return loss, *[found[x] for x in self.qkv]

    net = Net()
    net.compile([], is_train=True, use_graph=compiled)

    def run() -> float:
        loss, *gradients = net()
        gradients[-1].data.block_until_ready()
        return float(loss)

    return run


def _torch(qkv: np.ndarray, precision: str) -> Step:
    import torch

    dtype = getattr(torch, precision)
    q, k, v = (torch.from_numpy(x).to(dtype, copy=True).requires_grad_() for x in qkv)

    def run() -> float:
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).float()
        loss = (y * y).mean()
        torch.autograd.grad(loss, (q, k, v))
        return float(loss.detach())

    return run


def measure(
    length: int, precision: str, rounds: int, done: Callable[[], object]
) -> dict[str, dict[str, float]]:
    """Seconds and bytes of each."""
    with ExitStack() as stack:
        workers = {
            who: stack.enter_context(Worker("benchmarks.attention:step", who, length, precision))
            for who in WHO[precision]
        }
        before = {who: worker.peak_memory() for who, worker in workers.items()}
        losses = {who: worker.run(2)[1][0] for who, worker in workers.items()}
        for who, loss in losses.items():
            np.testing.assert_allclose(loss, losses[TORCH], rtol=AGREE[precision], err_msg=who)
        turns = {who: lambda count, w=worker: w.run(count)[0] for who, worker in workers.items()}
        times = medians(take_turns(turns, rounds, warm_up=1, done=done))
        return {
            who: {"seconds": times[who], "bytes": worker.peak_memory() - before[who]}
            for who, worker in workers.items()
        }


def table(found: dict[int, dict[str, dict[str, float]]], precision: str) -> Table:
    """A row for each library and length; ratios are PyTorch's value divided by the row's."""
    title = f"({BATCH}, {HEADS}, S, {SIZE}), causal, {precision}"
    shown = Table("S", "", "ms", "", "MiB", "", title=title)
    for length, runs in found.items():
        for who, run in runs.items():
            cells = [str(length), who]
            for unit, scale in (("seconds", 1e3), ("bytes", 2**-20)):
                ratio = runs[TORCH][unit] / run[unit]
                mark = "✓" if ratio >= GOALS[unit] else "✗"
                cells.append(f"{run[unit] * scale:.0f}")
                cells.append("" if who == TORCH else f"{ratio:.2f} {mark}")
            shown.add_row(*cells)
    return shown


def errors() -> Table:
    """Root mean squares of the errors, relative to those of the numbers themselves."""
    import jax
    import jax.numpy as jnp
    import torch

    from singa.engine import native
    from singa.operation import ScaledDotProductAttention

    rng = np.random.default_rng(0)
    given = [jnp.asarray(rng.standard_normal((1, 4, 1024, SIZE)), jnp.bfloat16) for _ in range(4)]

    def ours(with_kernel: bool) -> tuple[jax.Array, ...]:
        native.available, native.multiplies_bfloat16 = with_kernel, with_kernel

        def step(q: jax.Array, k: jax.Array, v: jax.Array, dy: jax.Array) -> tuple[jax.Array, ...]:
            operation = ScaledDotProductAttention(causal=True)
            y = operation.forward(q, k, v)
            found = y, *(x for x in operation.backward(dy) if x is not None)
            return tuple(x.astype(jnp.bfloat16) for x in found)  # as the tape does

        return jax.jit(step)(*given)

    def theirs(dtype: torch.dtype) -> list[np.ndarray]:
        q, k, v, dy = (torch.from_numpy(np.float64(x)).to(dtype) for x in given)
        q, k, v = (x.requires_grad_() for x in (q, k, v))
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        found = y, *torch.autograd.grad(y, (q, k, v), dy)
        return [x.detach().double().numpy() for x in found]

    exact = theirs(torch.float64)
    found = {
        "the kernel": ours(True), "the formula": ours(False), "PyTorch": theirs(torch.bfloat16),
    }  # fmt: skip
    shown = Table(
        "", "y", "dq", "dk", "dv", title=f"errors of bfloat16, (1, 4, 1024, {SIZE}), causal"
    )
    for who, results in found.items():
        pairs = zip(results, exact, strict=True)
        errors = (np.sqrt(((np.float64(x) - y) ** 2).mean() / (y**2).mean()) for x, y in pairs)
        shown.add_row(who, *(f"{each:.1e}" for each in errors))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="(%(default)s)")
    parser.add_argument("--precision", choices=WHO, default=FLOAT32, help="(%(default)s)")
    parser.add_argument("--errors", action="store_true", help="of bfloat16, in place of times")
    parser.add_argument("--json", type=Path, nargs="?", const=RESULTS, help=f"({RESULTS})")
    chosen = parser.parse_args()
    machine.confine("cpu", contenders.THREADS)
    console = Console()
    if chosen.errors:
        return console.print(errors())
    found, precision = {}, chosen.precision
    total = len(LENGTHS) * len(WHO[precision]) * (chosen.rounds + 1)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Steps", total=total)
        for length in LENGTHS:
            found[length] = measure(
                length, precision, chosen.rounds, lambda: progress.advance(task)
            )
    console.print(table(found, precision))
    if chosen.json:
        about = machine.describe("cpu", contenders.THREADS)
        about |= {"rounds": chosen.rounds, "precision": precision}
        chosen.json.write_text(json.dumps({"about": about, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

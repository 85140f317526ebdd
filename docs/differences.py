"""Compares our numbers with PyTorch's and writes the table in from_pytorch.md: ``make docs``.

The cases are those of differences.toml. PyTorch's numbers are in peers.json, measured by
docs/peers.py.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from docs import peers
from docs.kinks import array
from singa import autograd, layer, opt, tensor
from singa.tensor import Tensor

PAGE = Path("docs/from_pytorch.md")

_MARKS = "<!-- differences: written by make docs -->", "<!-- end of differences -->"


# -- what the expressions use ---------------------------------------------------------------------


def after(optimizer: opt.Optimizer, *gradients: float) -> Tensor:
    """The parameter 1 after an update with each of the gradients."""
    param = Tensor(data=1.0, stores_grad=True)
    for gradient in gradients:
        optimizer.update(param, Tensor(data=gradient))
    return param


def rates(schedule: opt.DecayScheduler, steps: int) -> list[float]:
    """The value in each of the first steps."""
    return [schedule(Tensor(data=step)).item() for step in range(steps)]


def in_training(compute: Callable[[], Any]) -> Any:
    """What is computed while ``autograd.training`` is on."""
    before = autograd.training
    autograd.training = True
    try:
        return compute()
    finally:
        autograd.training = before


def made(net: layer.Layer, shape: tuple[int, ...]) -> layer.Layer:
    """A layer after its first input, of this shape: its parameters are there."""
    net(Tensor(shape))
    return net


def trained(net: layer.Layer, x: Tensor) -> layer.Layer:
    """A layer after one batch in training."""
    in_training(lambda: net(x))
    return net


def attention(x: Tensor, **masks: Tensor) -> Tensor:
    """Attention of one head and one feature, with projections that change nothing."""
    net = made(layer.MultiHeadAttention(1, 1), (1, 1, 1))
    for param in (net.in_proj_weight, net.out_proj.W):
        param.set_value(1.0)
    return net(x, **masks)


# -- the table ------------------------------------------------------------------------------------


def compared(cases: dict[str, Any], theirs: dict[str, str]) -> tuple[str, list[str]]:
    """The tables, and what in differences.toml is wrong."""
    sections = {key: section for key, section in cases.items() if key != "inputs"}
    names = {
        "autograd": autograd, "layer": layer, "opt": opt, "tensor": tensor, "Tensor": Tensor,
        "np": np, "array": array, "after": after, "rates": rates, "in_training": in_training,
        "made": made, "trained": trained, "attention": attention, "about": peers.about,
    } | {name: array(value) for name, value in cases["inputs"].items()}  # fmt: skip
    blocks, errors = [], []
    for section, part in sections.items():
        rows = [["", "here", "PyTorch", "PyTorch's number here"], ["---"] * 4]
        for name, case in part.items():
            ours, measured = _outcome(case["ours"], names), theirs.get(name, "not measured")
            same = _outcome(case["same"], names) if "same" in case else None
            if same is not None and same != measured:
                errors.append(f"{name}: {case['same']} gives {same}, PyTorch {measured}")
            if ours == measured:
                errors.append(f"{name}: {case['ours']} gives PyTorch's {ours}")
            first = f"**{name}**: {case['what']}.<br>`{case['ours']}`"
            rows.append([first, _shown(ours), _shown(measured), _way(case)])
        blocks.append(f"### {section}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join(blocks), errors


def _outcome(expression: str, names: dict[str, Any]) -> str:
    return peers.outcome(lambda: eval(expression, dict(names)))


def _shown(text: str) -> str:
    return f"`{text}`" if text.endswith("Error") else text


def _way(case: dict[str, str]) -> str:
    return f"`{case['same']}`" if "same" in case else case["else"]


def with_table(page: str) -> tuple[str, list[str]]:
    """The page with the tables as they are now, and what is wrong in them."""
    measured = json.loads(peers.MEASURED.read_text(encoding="utf-8"))["torch"]
    cases = tomllib.loads(peers.DIFFERENCES.read_text(encoding="utf-8"))
    tables, errors = compared(cases, measured["numbers"])
    begin, end = _MARKS
    before, _, rest = page.partition(begin)
    _, _, rest = rest.partition(end)
    inputs = "\n".join(f"{name} = Tensor(data={value})" for name, value in cases["inputs"].items())
    inputs = inputs.replace("nan", 'float("nan")')
    version = measured["version"].partition("+")[0]
    top = _TOP.format(version=version, inputs=inputs)
    return f"{before}{begin}\n{top}\n\n{tables}\n{end}{rest}", errors


_TOP = """Measured with PyTorch {version} on a CPU; a test runs our sides. The expressions use these
inputs (in PyTorch `torch.tensor` of the same numbers):

```python
from singa.tensor import Tensor

{inputs}
```

and a few helpers: `array` makes a Tensor, `after(optimizer, *gradients)` is the parameter 1 after
an update with each gradient, `rates(schedule, n)` are its first n values, `made(net, shape)` is a
layer after its first input, `trained(net, x)` one after a batch in training, `in_training(f)` is
`f()` with `autograd.training` on, `about` rounds a random number to one digit, and `attention` is
a `MultiHeadAttention` of one head and one feature, with projections that change nothing."""


if __name__ == "__main__":
    text, wrong = with_table(PAGE.read_text(encoding="utf-8"))
    if wrong:
        sys.exit("\n".join(wrong))
    PAGE.write_text(text, encoding="utf-8")

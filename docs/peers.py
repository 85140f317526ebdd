"""Measures what other libraries compute for kinks.toml and differences.toml; writes peers.json.

``python -m docs.peers torch``, in an environment with that library: pip install torch==2.13.0;
jax==0.10.2 and optax==0.2.8; autograd==1.9.1; mlx[cpu]==0.32.4; tinygrad==0.14.0, which runs in
Python itself with DEV=PYTHON. Neither the package, nor its tests, nor the site's build need them.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

KINKS, DIFFERENCES = Path("docs/kinks.toml"), Path("docs/differences.toml")
MEASURED = Path("docs/peers.json")

Slopes = Callable[[str, dict[str, Any]], Any]
"""The slopes of an expression at the inputs, side by side."""


def numbers(value: Any) -> list[str]:
    """The numbers of nested lists, with four digits, in one row."""
    if isinstance(value, list | tuple):
        return [text for part in value for text in numbers(part)]
    if isinstance(value, bool | str):
        return [str(value)]
    if hasattr(value, "tolist"):
        return numbers(value.tolist())
    return [f"{value:.4g}" if value != 0 else "0"]


def about(value: Any) -> str:
    """A random number with the one digit that does not depend on the seed."""
    return f"{value.item():.1g}"


def outcome(compute: Callable[[], Any]) -> str:
    """The numbers as text; or the name of the exception."""
    try:
        return ", ".join(numbers(compute()))
    except Exception as error:
        return type(error).__name__


def points(kinks: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Of each point its name, the inputs, and all that the table says about it."""
    for section in kinks.values():
        for name, point in section.items():
            inputs = {key: point[key] for key in ("x", "y") if key in point}
            yield name, inputs, point


# -- one function per library --------------------------------------------------------------------


def of_jax(expression: str, inputs: dict[str, Any]) -> Any:
    """With jax.numpy, jax.nn and optax."""
    jax, jnp = import_module("jax"), import_module("jax.numpy")
    names = {"jax": jax, "jnp": jnp, "optax": import_module("optax"), "array": jnp.asarray}

    def value(xs: dict[str, Any]) -> Any:
        return eval(expression, names | xs).sum()

    found = jax.grad(value)({name: jnp.asarray(x) for name, x in inputs.items()})
    return [found[name].tolist() for name in inputs]


def of_torch(expression: str, inputs: dict[str, Any]) -> Any:
    """With torch.nn.functional."""
    torch = import_module("torch")
    xs = {name: torch.tensor(x, requires_grad=True) for name, x in inputs.items()}
    names = {"torch": torch, "F": torch.nn.functional, "array": torch.tensor}
    found = torch.autograd.grad(eval(expression, names | xs).sum(), list(xs.values()))
    return [slope.tolist() for slope in found]


def of_autograd(expression: str, inputs: dict[str, Any]) -> Any:
    """With autograd.numpy and autograd.scipy, in float64."""
    anp = import_module("autograd.numpy")
    logsumexp = import_module("autograd.scipy.special").logsumexp
    names = {"anp": anp, "logsumexp": logsumexp, "array": anp.array}

    def value(*xs: Any) -> Any:
        return anp.sum(eval(expression, names | dict(zip(inputs, xs, strict=True))))

    grad = import_module("autograd").grad(value, tuple(range(len(inputs))))
    return [slope.tolist() for slope in grad(*map(anp.array, inputs.values()))]


def of_mlx(expression: str, inputs: dict[str, Any]) -> Any:
    """With mlx.nn, on the CPU."""
    mx = import_module("mlx.core")
    names = {"mx": mx, "nn": import_module("mlx.nn"), "array": mx.array}

    def value(*xs: Any) -> Any:
        return eval(expression, names | dict(zip(inputs, xs, strict=True))).sum()

    found = mx.grad(value, list(range(len(inputs))))(*map(mx.array, inputs.values()))
    return [slope.tolist() for slope in found]


def of_tinygrad(expression: str, inputs: dict[str, Any]) -> Any:
    """With the methods of its Tensor."""
    tensor = import_module("tinygrad").Tensor
    xs = {name: tensor(x) for name, x in inputs.items()}
    found = eval(expression, {"array": tensor} | xs).sum().gradient(*xs.values())
    # A slope that is a constant is on no device; this one's is DEV.
    return [(slope * tensor([1.0])).tolist() for slope in found]


# -- PyTorch's numbers ----------------------------------------------------------------------------


def torchs_numbers() -> dict[str, str]:
    """For each name of differences.toml what PyTorch computes."""
    torch = import_module("torch")
    table = tomllib.loads(DIFFERENCES.read_text(encoding="utf-8"))
    inputs = {name: torch.tensor(value) for name, value in table.pop("inputs").items()}
    nn = torch.nn
    names = {
        "torch": torch, "nn": nn, "F": nn.functional, "optim": torch.optim, "array": torch.tensor,
        "lr_scheduler": torch.optim.lr_scheduler, "after": _after, "rates": _rates,
        "trained": _trained, "attention": _attention, "about": about,
    }  # fmt: skip
    return {
        name: outcome(partial(_value, case["torch"], names | inputs))
        for section in table.values()
        for name, case in section.items()
    }


def _value(expression: str, names: dict[str, Any]) -> Any:
    return eval(expression, names)


def _after(optimizer: Callable[[list[Any]], Any], *gradients: float) -> Any:
    """The parameter 1 after an update with each of the gradients."""
    torch = import_module("torch")
    param = torch.nn.Parameter(torch.ones(()))
    updates = optimizer([param])
    for gradient in gradients:
        param.grad = torch.tensor(gradient)
        updates.step()
    return param


def _rates(schedule: Callable[[Any], Any], steps: int) -> list[float]:
    """The learning rate in each of the first steps; at first it is 1."""
    torch = import_module("torch")
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], 1.0)
    scheduler = schedule(sgd)
    found = []
    for _ in range(steps):
        found.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return found


def _trained(module: Any, x: Any) -> Any:
    """The module after one batch."""
    module(x)
    return module


def _attention(x: Any, batch_first: bool = False, **masks: Any) -> Any:
    """Of one head and one feature, with projections that change nothing."""
    torch = import_module("torch")
    module = torch.nn.MultiheadAttention(1, 1, batch_first=batch_first)
    for param in (module.in_proj_weight, module.out_proj.weight):
        torch.nn.init.ones_(param)
    return module(x, x, x, **masks)[0]


LIBRARIES: dict[str, Slopes] = {
    "jax": of_jax, "torch": of_torch, "autograd": of_autograd, "mlx": of_mlx,
    "tinygrad": of_tinygrad,
}  # fmt: skip


def measured(library: str) -> dict[str, Any]:
    """What a library gives at each point."""
    kinks = tomllib.loads(KINKS.read_text(encoding="utf-8"))
    slopes = {
        name: outcome(partial(LIBRARIES[library], point[library], inputs))
        for name, inputs, point in points(kinks)
        if library in point
    }
    found: dict[str, Any] = {"version": version(library), "slopes": slopes}
    return found | ({"numbers": torchs_numbers()} if library == "torch" else {})


if __name__ == "__main__":
    stored = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    for library in sys.argv[1:]:
        stored[library] = measured(library)
    text = json.dumps(stored, indent=1, sort_keys=True, ensure_ascii=False)
    MEASURED.write_text(text + "\n", encoding="utf-8")

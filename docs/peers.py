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
    if isinstance(value, bool):
        return [str(value)]
    return [f"{value:.4g}" if value != 0 else "0"]


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
    return {"version": version(library), "slopes": slopes}


if __name__ == "__main__":
    stored = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    for library in sys.argv[1:]:
        stored[library] = measured(library)
    text = json.dumps(stored, indent=1, sort_keys=True, ensure_ascii=False)
    MEASURED.write_text(text + "\n", encoding="utf-8")

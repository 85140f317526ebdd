"""Counts the multiplications of a recorded program."""

from __future__ import annotations

import math
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr


def multiply_adds(equation: Any) -> int:
    """The multiply-adds of an equation's matrix products and convolutions, without other work.

    The body of a loop is counted as often as it runs; the body of a ``while``, whose end is not
    known beforehand, once. Of several branches, the one with the most is counted.

    Example:
        >>> product = jax.make_jaxpr(jax.lax.dot)(jnp.ones((2, 3)), jnp.ones((3, 4)))
        >>> report.multiply_adds(product.eqns[0])
        24
    """
    name, params = equation.primitive.name, equation.params
    shapes = [var.aval.shape for var in equation.invars]
    [*_, out] = [var.aval.shape for var in equation.outvars] or [()]
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return math.prod(out) * math.prod(shapes[0][axis] for axis in contracted)
    if name == "conv_general_dilated":
        filters = params["dimension_numbers"].rhs_spec  # its axes: outputs, inputs, window
        return math.prod(out) * math.prod(shapes[1][axis] for axis in filters[1:])
    if name == "ffi_call" and params["target_name"] == "singa_convolution":
        return math.prod(out) * math.prod(shapes[1][1:])
    if name == "ffi_call" and params["target_name"] == "singa_product":
        inner = shapes[0][-2 if dict(params["attributes"])["transpose_a"] else -1]
        return math.prod(out) * inner
    if name == "cond":
        return max(_of(branch) for branch in params["branches"])
    times = params["length"] if name == "scan" else 1
    # An equation that has a program among its parameters runs it: jit, custom_vjp, scan, while, ...
    return times * sum(_of(value) for value in params.values())


def _of(program: Any) -> int:
    jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    return sum(map(multiply_adds, jaxpr.eqns)) if isinstance(jaxpr, Jaxpr) else 0

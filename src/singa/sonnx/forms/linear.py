"""Products of matrices."""

from __future__ import annotations

from typing import Any

from singa import operation as op
from singa.sonnx.forms.form import form
from singa.sonnx.forms.writer import Unfit, Value, Writer


def _one_type(*xs: Value) -> None:
    if len({x.dtype for x in xs}) != 1:
        raise Unfit("the inputs are of several types")


@form(op.Matmul)
def _matmul(w: Writer, operation: Any, a: Value, b: Value) -> str:
    _one_type(a, b)
    return w.add("MatMul", a, b)


@form(op.Affine)
def _affine(w: Writer, operation: Any, x: Value, weight: Value, b: Value) -> str:
    _one_type(x, weight, b)
    if x.ndim == 2:
        return w.add("Gemm", x, weight, b)
    return w.add("Add", w.add("MatMul", x, weight), b)


@form(op.AddBias, of=("axis",))
def _add_bias(w: Writer, operation: Any, x: Value, b: Value) -> str:
    _one_type(x, b)
    if operation.axis == 1:
        b = w.reshape(b, (-1, 1)) if b.ndim == 1 else b
    return w.add("Add", x, b)


@form(op.Gemm, of=("alpha", "beta", "transA", "transB"))
def _gemm(w: Writer, operation: Any, *xs: Value) -> str:
    _one_type(*xs)
    return w.add(
        "Gemm", *xs, alpha=float(operation.alpha), beta=float(operation.beta),
        transA=int(operation.transA), transB=int(operation.transB),
    )  # fmt: skip


@form(op.Einsum, of=("equation",))
def _einsum(w: Writer, operation: Any, *xs: Value) -> str:
    _one_type(*xs)
    if "->" not in operation.equation or operation.equation.count("...") > 1:
        raise Unfit("its result is not named")
    return w.add("Einsum", *xs, equation=operation.equation)

"""Products of matrices."""

from __future__ import annotations

from singa import operation as op
from singa.core.tensor import Tensor
from singa.sonnx.rules.rule import Call, rule


@rule("MatMul")
def _matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return op.matmul(a, b)


@rule("Gemm")
def _gemm(call: Call, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    return op.gemm(
        a, b, c, call("alpha", 1.0), call("beta", 1.0), bool(call("transA", 0)),
        bool(call("transB", 0)),
    )  # fmt: skip


@rule("Einsum")
def _einsum(call: Call, *xs: Tensor) -> Tensor:
    return op.einsum(call("equation"), *xs)


@rule("Det")
def _det(call: Call, x: Tensor) -> Tensor:
    return op.det(x)

"""Support vector machines (the domain ai.onnx.ml)."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import FormatError
from singa.sonnx.rules.classical import ML, constant, labelled, of_two, post_transform, wide
from singa.sonnx.rules.rule import Call, formula, rule


@rule("SVMRegressor", domain=ML)
def _svm_regressor(call: Call, x: Tensor) -> Tensor:
    x = wide(x)
    weights = op.reshape(constant(call("coefficients"), x), (-1, 1))
    count = call("n_supports", 0)
    if count:
        x = _kernel(call, x, count)
    y = op.add(op.matmul(x, weights), constant(call("rho")[:1], x))
    if call("one_class", 0):
        return op.where(constant(1, y), constant(-1, y), y > constant(0, y))
    return post_transform(y, call("post_transform", "NONE"))


def _similarities(
    x: CTensor, vectors: CTensor, kind: str, gamma: float, shift: float, degree: float
) -> CTensor:
    """How similar each sample is to each support vector."""
    if kind == "RBF":
        return jnp.exp(-gamma * ((x[:, None] - vectors) ** 2).sum(-1))
    products = jnp.matmul(x, vectors.T, precision=jax.lax.Precision.HIGHEST)
    if kind == "POLY":
        return (gamma * products + shift) ** degree
    return jnp.tanh(gamma * products + shift) if kind == "SIGMOID" else products


def _kernel(call: Call, x: Tensor, count: int) -> Tensor:
    """How similar each sample is to each of so many support vectors."""
    given = call("support_vectors") or []
    if count * x.shape[1] != len(given):
        raise FormatError(f"{call.node}: {count} support vectors have {len(given)} numbers")
    vectors = op.reshape(constant(given, x), (count, -1))
    gamma, shift, degree = call("kernel_params") or (0.0, 0.0, 0.0)
    return formula(
        _similarities, x, vectors, kind=call("kernel_type", "LINEAR"), gamma=gamma, shift=shift,
        degree=degree,
    )  # fmt: skip


@rule("SVMClassifier", domain=ML)
def _svm_classifier(call: Call, x: Tensor) -> Any:
    x = wide(x)
    labels = call("classlabels_ints") or call("classlabels_strings") or [0]
    kind, count = call("post_transform", "NONE"), len(labels)
    parts = call("vectors_per_class") or []
    has_probabilities = bool(parts and call("prob_a"))
    if not sum(parts):  # one vector of weights for each class
        weights = op.reshape(constant(call("coefficients"), x), (count, -1))
        scores = op.matmul(x, op.transpose(weights, (1, 0))) + constant(call("rho")[:1], x)
        chosen = op.argmax(scores, 1)
    else:
        if len(parts) != count or count < 2:
            raise FormatError(f"{call.node}: {len(parts)} groups of vectors for {count} classes")
        margins = _margins(call, x, parts)
        votes = formula(_votes, margins, count=count)
        chosen = op.argmax(votes, 1)
        scores = margins
        if has_probabilities:
            a, b = constant(call("prob_a"), x), constant(call("prob_b"), x)
            scores = formula(_probabilities, margins, a, b, count=count)
    label = labelled(chosen, labels, "SVMClassifier")
    if count == 2 and scores.shape[1] == 1:
        return label, of_two(scores, kind, positive=kind not in ("NONE", "LOGISTIC"))
    return label, post_transform(scores, kind)


def _margins(call: Call, x: Tensor, parts: list[int]) -> Tensor:
    """On which side of the border between each two classes a sample is: (samples, pairs)."""
    total, ends = sum(parts), np.cumsum([0, *parts])
    given = np.reshape(call("coefficients"), (len(parts) - 1, total))
    pairs = [*combinations(range(len(parts)), 2)]
    weights = np.zeros((total, len(pairs)))
    for number, (i, j) in enumerate(pairs):
        first, second = slice(ends[i], ends[i + 1]), slice(ends[j], ends[j + 1])
        weights[first, number] = given[j - 1, first]
        weights[second, number] = given[i, second]
    return op.matmul(_kernel(call, x, total), constant(weights, x)) + constant(call("rho"), x)


def _votes(margins: CTensor, count: int) -> CTensor:
    """How many of its pairs each class wins."""
    first, second = np.array([*combinations(range(count), 2)]).T
    ahead = (margins > 0).astype(margins.dtype)
    votes = jnp.zeros((margins.shape[0], count), margins.dtype)
    return votes.at[:, first].add(ahead).at[:, second].add(1 - ahead)


def _probabilities(margins: CTensor, a: CTensor, b: CTensor, count: int) -> CTensor:
    """The probabilities of classes that fit those of pairs best.

    Source: Wu, Lin and Weng, Probability Estimates for Multi-class Classification by Pairwise
        Coupling, JMLR 5 (2004), as LIBSVM iterates it.
    """
    first, second = np.array([*combinations(range(count), 2)]).T
    won = jnp.clip(jax.nn.sigmoid(-(margins * a + b)), 1e-7, 1 - 1e-7)
    table = jnp.zeros((margins.shape[0], count, count), margins.dtype)
    table = table.at[:, first, second].set(won).at[:, second, first].set(1 - won)
    return jax.vmap(_coupled)(table)


def _coupled(table: CTensor) -> CTensor:
    """The probabilities of the classes of one sample, from (classes, classes)."""
    count = len(table)
    q = -table.T * table
    q = q.at[np.diag_indices(count)].set((table**2).sum(0))

    def improved(t: Any, state: tuple[CTensor, CTensor, CTensor]) -> tuple[CTensor, ...]:
        p, qp, pqp = state
        step = (pqp - qp[t]) / q[t, t]
        pqp = (pqp + step * (step * q[t, t] + 2 * qp[t])) / (1 + step) ** 2
        return p.at[t].add(step) / (1 + step), (qp + step * q[t]) / (1 + step), pqp

    def passed(_: Any, p: CTensor) -> CTensor:
        qp = q @ p
        pqp = p @ qp
        done = jnp.abs(qp - pqp).max() < 0.005 / count
        return jnp.where(done, p, jax.lax.fori_loop(0, count, improved, (p, qp, pqp))[0])

    start = jnp.full(count, 1 / count, table.dtype)
    return jax.lax.fori_loop(0, max(100, count), passed, start)

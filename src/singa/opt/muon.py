"""Muon: momentum whose steps are orthogonal matrices."""

from __future__ import annotations

from collections.abc import Collection

import jax.numpy as jnp

from singa.device import CTensor
from singa.operation.numerics import length
from singa.opt.adam import AdamW, moments
from singa.opt.hyperparameter import Hyperparameter, Values
from singa.opt.sgd import decayed
from singa.opt.step import State

_TERMS = 3.4445, -4.775, 2.0315


class Muon(AdamW):
    """Momentum made orthogonal, for matrices; AdamW for all else (Jordan, 2024).

    With gradient g of a matrix p, and buffer m (initially 0)::

        m = momentum * m + (1 - momentum) * g
        u = (1 - momentum) * g + momentum * m if nesterov else m
        p = p - lr * (sqrt(max(1, columns / rows)) * orthogonal(u) + weight_decay * p)

    ``orthogonal(u)`` is nearly the matrix of u's singular vectors, with singular values of about 1,
    by ``iterations`` of Newton and Schulz. A weight of more axes, as convolutions have, is the
    matrix of its first axis and all others, and the factor is sqrt(max(1, rows / columns)): in
    both cases the size of the outputs is divided by that of the inputs.

    Parameters of fewer axes are updated by :class:`AdamW` with lr * ``adam_scale``, ``beta_1``,
    ``beta_2``, ``epsilon`` and ``weight_decay``. For embeddings and the last layer of a network
    AdamW is usual too: use a second optimizer for them.

    Example:
        >>> p = Tensor(data=[[2.0, 0.0], [0.0, -3.0]], stores_grad=True)
        >>> opt.Muon(0.5, weight_decay=0).update(p, Tensor(data=[[0.3, 0.0], [0.0, -0.4]]))
        >>> bool((abs(abs(p.to_numpy()).diagonal() - [1.5, 2.5]) < 0.2).all())
        True
    """

    lr: Hyperparameter = Hyperparameter(0.02)
    momentum: Hyperparameter = Hyperparameter(0.95, below=1)
    adam_scale: Hyperparameter = Hyperparameter(0.05)
    nesterov: bool = True
    iterations: int = 5

    def init(self, p: CTensor, on: Collection[str]) -> State:
        return super().init(p, on) if p.ndim < 2 else {"momentum": jnp.zeros_like(p)}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        if p.ndim < 2:
            direction, state = moments(g, state, hyper, step)
            lr = hyper["lr"] * hyper["adam_scale"]
            return p - lr * decayed(p, direction, hyper), state
        if not p.size:
            return p, state
        momentum = hyper["momentum"]
        m = momentum * state["momentum"] + (1 - momentum) * g
        u = (1 - momentum) * g + momentum * m if self.nesterov else m
        matrix = u.reshape(p.shape[0], -1)
        rows, columns = matrix.shape
        ratio = columns / rows if p.ndim == 2 else rows / columns
        u = max(1.0, ratio) ** 0.5 * self._orthogonal(matrix).reshape(p.shape)
        return p - hyper["lr"] * decayed(p, u, hyper), {"momentum": m}

    def _orthogonal(self, x: CTensor) -> CTensor:
        """A matrix with the same singular vectors, and singular values near 1."""
        is_tall = x.shape[0] > x.shape[1]
        x = x.T if is_tall else x  # the products are of the shorter axis' size
        norm = length(x)
        x = x / jnp.where(norm == 0, 1, norm)
        a, b, c = _TERMS
        for _ in range(self.iterations):
            square = x @ x.T
            x = a * x + (b * square + c * (square @ square)) @ x
        return x.T if is_tall else x

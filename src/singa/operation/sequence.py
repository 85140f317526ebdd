"""The base of the recurrences, which are one compiled loop each.

The loop computes only what depends on the previous step. The inputs' product with their weights is
computed before the loop, for all steps at once. In the backward pass, the factors from a state's
gradient to its gates' gradients are computed before the loop, and the weights' gradients after it.
This is so in native kernels, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from singa.device import CTensor
from singa.engine import native
from singa.engine.native import recurrence as kernels
from singa.errors import ShapeError
from singa.operation import checks
from singa.operation.products import as_rows, product
from singa.tape import Operation


class Recurrence(Operation):
    """Base of the recurrences.

    The inputs are x (steps, batch, features), w_ih (features, gates * hidden), w_hh (hidden,
    gates * hidden), two biases (gates * hidden,), the initial states (batch, hidden), and the
    sequences' lengths (batch,) if they differ. A bias or a state may be a number.

    The outputs are h of all steps, (steps, batch, hidden), and the last states. Steps beyond a
    sequence's length do not change the states, and their outputs are 0. With ``reverse`` the
    last step comes first; each output has the index of its input.

    ``there`` and ``back`` are the forward and the backward loop. Native kernels may replace them.
    """

    arithmetic = "low"

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    cell: str
    """The name of this recurrence in the native kernels."""

    def __init__(self, reverse: bool = False) -> None:
        super().__init__()
        self.reverse = bool(reverse)

    def there(self, projected: CTensor, w_hh: CTensor, *rest: CTensor) -> tuple[CTensor, ...]:
        """The states of all steps, and further values that ``back`` needs.

        Its arguments are the inputs' part of the gates' sums, the recurrent weight, the biases, the
        initial states, and the lengths.
        """
        raise NotImplementedError

    def back(self, w_hh: CTensor, dy: CTensor, *rest: CTensor) -> tuple[Any, tuple[CTensor, ...]]:
        """The gradients of the gates' sums, and of the initial states.

        Its arguments are the weight, the gradients of all h and of the last states, the initial
        states, the results of ``there``, and the lengths. The gradients of the sums' two parts, the
        input's and the state's, are two arrays if they differ.
        """
        raise NotImplementedError

    def forward(self, *xs: CTensor) -> tuple[CTensor, ...]:
        biases, self.first = self.take(*xs)
        projected = product(self.x, self.w_ih)
        self.all = self._either(
            projected, kernels.forward, self.there,
            projected, self.w_hh, *biases, *self.first, self.lengths,
        )  # fmt: skip
        last = [states[0 if self.reverse else -1] for states in self.all[: self.states]]
        return self.valid(self.all[0], self.lengths), *last

    def backward(self, dy: CTensor, *dlast: CTensor) -> tuple[Any, ...]:
        sums, dstates = self._either(
            dy, kernels.backward, self.back,
            self.w_hh, dy, *dlast, *self.first, *self.all, self.lengths,
        )  # fmt: skip
        rows, rows_hidden, x, h = (
            as_rows(a) for a in (sums[0], sums[-1], self.x, self.before(self.first[0], self.all[0]))
        )
        return (
            product(rows, self.w_ih, transpose_b=True).reshape(self.x.shape),
            product(x, rows, transpose_a=True),
            product(h, rows_hidden, transpose_a=True),
            rows.sum(0),
            rows_hidden.sum(0),
            *dstates,
            *[None] * self.padded,
        )

    def take(
        self,
        x: CTensor,
        w_ih: CTensor,
        w_hh: CTensor,
        *rest: CTensor,
        sizes: tuple[int, ...] | None = None,
    ) -> tuple[list[CTensor], list[CTensor]]:
        """Check the inputs, store what backward needs, and return biases and states in shape.

        ``sizes`` are those of the states, if they are not all as the recurrent weight's rows.
        """
        checks.float_input(self, "the input", x)
        checks.rank(self, "the input", x, 3, "(steps, batch, features)")
        checks.rank(self, "the recurrent weight", w_hh, 2, "(hidden, gates * hidden)")
        steps, batch, features = x.shape
        sizes = sizes or (len(w_hh),) * self.states
        wide = self.gates * sizes[-1]
        states, lengths = rest[2 : 2 + self.states], rest[2 + self.states :]
        self.expect("the input's weight", [w_ih], (features, wide))
        self.expect("the recurrent weight", [w_hh], (sizes[0], wide))
        self.expect("a bias", rest[:2], (wide,), ())
        for each, size in zip(states, sizes, strict=True):
            self.expect("an initial state", [each], (batch, size), ())
        self.expect("the lengths", lengths, (batch,))
        if not steps:
            raise ShapeError(f"{self.name}: at least one step is needed, got an input of {x.shape}")
        dtype = jnp.result_type(x, w_ih, w_hh)
        self.padded = bool(lengths)
        self.lengths = jnp.full(batch, steps, jnp.int32)
        for each in lengths:
            each = checks.integer_input(self, "the lengths", each)
            self.lengths = jnp.clip(each, 0, steps).astype(jnp.int32)
        # Values in the padding, even infinite ones, must not affect the weights' gradients.
        self.x = self.valid(x.astype(dtype), self.lengths)
        self.w_ih, self.w_hh = w_ih.astype(dtype), w_hh.astype(dtype)
        biases = [jnp.broadcast_to(b.astype(dtype), wide) for b in rest[:2]]
        return biases, [
            jnp.broadcast_to(each.astype(dtype), (batch, size))
            for each, size in zip(states, sizes, strict=True)
        ]

    def expect(self, what: str, found: Sequence[CTensor], *shapes: tuple[int, ...]) -> None:
        for each in found:
            if each.shape not in shapes:
                raise ShapeError(
                    f"{self.name}: {what} must be of shape {shapes[0]}, as the input's features "
                    f"and batch and the recurrent weight's rows go; got {each.shape}"
                )

    def _either(
        self, like: CTensor, kernel: Callable[..., Any], formula: Callable[..., Any], *xs: CTensor
    ) -> Any:
        if kernels.supports(like, self.w_hh):
            return native.run(partial(kernel, self.cell, self.reverse), formula, *xs)
        return formula(*xs)

    def mask(self, steps: int, lengths: CTensor) -> CTensor | None:
        """Whether a step is within its sequence, (steps, batch, 1); None if all are."""
        if not self.padded:
            return None
        return (jnp.arange(steps, dtype=jnp.int32)[:, None] < lengths)[..., None]

    def loop(
        self, step: Callable[[Any, Any], Any], states: Any, xs: Any, reverse: bool, lengths: CTensor
    ) -> tuple[Any, Any, Any]:
        """The last states, and the states and results of all steps."""

        def masked(states: Any, mask_and_x: Any) -> Any:
            mask, x = mask_and_x
            new, y = step(states, x)
            if mask is not None:
                new = jax.tree.map(lambda new, old: jnp.where(mask, new, old), new, states)
            return new, (new, y)

        mask = self.mask(len(jax.tree.leaves(xs)[0]), lengths)
        last, (all_states, ys) = jax.lax.scan(masked, states, (mask, xs), reverse=reverse)
        return last, all_states, ys

    def valid(self, values: CTensor, lengths: CTensor) -> CTensor:
        """``values`` (steps, batch, ...), with 0 in place of the padding."""
        mask = self.mask(len(values), lengths)
        return values if mask is None else jnp.where(mask, values, 0)

    def before(self, first: CTensor, states: CTensor) -> CTensor:
        """The state before each step."""
        if self.reverse:
            return jnp.concatenate((states[1:], first[None]))
        return jnp.concatenate((first[None], states[:-1]))

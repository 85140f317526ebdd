"""Attention, positions as rotations, and recurrences that take its place."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor, bool_
from singa.sonnx.rules.rule import Call, formula, held, rule
from singa.sonnx.rules.types import dtype_of


@rule("Attention", fixed=(3, 4, 5))
def _attention(
    call: Call, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None,
    past_k: Tensor | None = None, past_v: Tensor | None = None, lengths: Tensor | None = None,
) -> Any:  # fmt: skip
    is_packed = q.ndim == 3
    if is_packed:
        q = _heads(q, call("q_num_heads"))
        k, v = (_heads(x, call("kv_num_heads")) for x in (k, v))
    past = 0
    if past_k is not None and past_v is not None:
        past = past_k.shape[2]
        k, v = op.cat((past_k, k), 2), op.cat((past_v, v), 2)
    batch, heads, steps, size = q.shape
    groups, total = k.shape[1], k.shape[2]
    # A plain causal mask needs no array.
    causal = _is_plainly_causal(call, past, lengths) and mask is None
    mask = None if causal else _mask(call, mask, lengths, past, steps, total)
    if groups != heads:  # queries of a group share keys and values
        q = op.reshape(q, (batch, groups, heads // groups, steps, size))
        k, v = op.unsqueeze(k, 2), op.unsqueeze(v, 2)
        mask = None if mask is None else _in_groups(mask, groups)
    y, scores = _attended(call, q, k, v, mask, causal)
    if groups != heads:
        y = op.reshape(y, (batch, heads, steps, v.shape[-1]))
        k, v = op.squeeze(k, 2), op.squeeze(v, 2)
        scores = None if scores is None else op.reshape(scores, (batch, heads, steps, total))
    if is_packed:
        y = op.reshape(op.swapaxes(y, 1, 2), (batch, steps, heads * v.shape[-1]))
    return y, k, v, scores


def _heads(x: Tensor, heads: int) -> Tensor:
    """(batch, steps, heads * size) as (batch, heads, steps, size)."""
    batch, steps, wide = x.shape
    return op.swapaxes(op.reshape(x, (batch, steps, heads, wide // heads)), 1, 2)


def _is_plainly_causal(call: Call, past: int, lengths: Tensor | None) -> bool:
    windows = call("left_window_size", -1), call("right_window_size", -1)
    return bool(call("is_causal", 0)) and windows == (-1, -1) and not past and lengths is None


def _mask(
    call: Call, mask: Tensor | None, lengths: Tensor | None, past: int, steps: int, total: int
) -> Tensor | None:
    """Everything that masks: the input, causality, windows, and the padding; None if nothing."""
    if mask is not None and mask.shape[-1] < total:
        mask = formula(_padded, mask, total=total)
    left, right = call("left_window_size", -1), call("right_window_size", -1)
    if call("is_causal", 0):
        right = 0
    limits = {"steps": steps, "total": total, "left": left, "right": right}
    if lengths is not None:
        allowed = formula(_allowed_of_lengths, lengths, **limits)
    elif left >= 0 or right >= 0:
        first = np.asarray(_allowed(np, past, **limits))
        allowed = held(first, call.device)
    else:
        return mask
    return allowed if mask is None else formula(_both, mask, allowed)


def _padded(mask: CTensor, total: int) -> CTensor:
    widths = [(0, 0)] * (mask.ndim - 1) + [(0, total - mask.shape[-1])]
    return jnp.pad(mask, widths, constant_values=False if mask.dtype == bool_ else -jnp.inf)


def _both(mask: CTensor, allowed: CTensor) -> CTensor:
    return mask & allowed if mask.dtype == bool_ else jnp.where(allowed, mask, -jnp.inf)


def _allowed(array: Any, offset: Any, steps: int, total: int, left: int, right: int) -> Any:
    """Whether a query (steps, 1), after ``offset`` keys, may attend to a key (total,)."""
    place = array.arange(steps)[:, None] + offset
    key = array.arange(total)
    allowed = array.ones((steps, total), bool_)
    if left >= 0:
        allowed = allowed & (place - left <= key)
    if right >= 0:
        allowed = allowed & (key <= place + right)
    return allowed


def _allowed_of_lengths(lengths: CTensor, steps: int, total: int, left: int, right: int) -> CTensor:
    """For each sequence whether its queries, the last ones, may attend to a key."""
    lengths = lengths.reshape(-1, 1, 1, 1)
    inside = jnp.arange(total) < lengths
    return inside & _allowed(jnp, lengths - steps, steps, total, left, right)


def _in_groups(mask: Tensor, groups: int) -> Tensor:
    """A mask (batch, heads, ...) as (batch, groups, heads / groups, ...)."""
    if mask.ndim < 3:
        return mask
    *lead, heads, steps, total = mask.shape
    if heads == 1:
        return op.unsqueeze(mask, -3)
    return op.reshape(mask, (*lead, groups, heads // groups, steps, total))


def _attended(
    call: Call, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool
) -> tuple[Tensor, Tensor | None]:
    """The result, and the scores if they are wanted."""
    softcap, scale, kind = call("softcap", 0.0), call("scale"), call("softmax_precision")
    wants_scores = len(call.node.outputs) > 3 and bool(call.node.outputs[3])
    precision = None if not kind else dtype_of(kind)
    if not softcap and not wants_scores and precision != np.float64:
        return op.scaled_dot_product_attention(q, k, v, mask, causal, scale=scale), None
    inputs = (q, k, v) if mask is None else (q, k, v, mask)
    y, scores = formula(
        _attended_with_scores, *inputs, causal=causal, softcap=float(softcap),
        scale=None if scale is None else float(scale), mode=call("qk_matmul_output_mode", 0),
        precision=None if precision is None else precision.name,
    )  # fmt: skip
    return y, scores


def _attended_with_scores(
    q: CTensor, k: CTensor, v: CTensor, *mask: CTensor, causal: bool, softcap: float,
    scale: float | None, mode: int, precision: str | None,
) -> tuple[CTensor, CTensor]:  # fmt: skip
    """As scaled_dot_product_attention, and the scores after one of its parts."""
    wide = jnp.promote_types(q.dtype, precision or jnp.float32)
    wide = jnp.promote_types(wide, jnp.float32)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    raw = jnp.einsum("...le,...se->...ls", q.astype(wide), k.astype(wide)) * scale
    capped = softcap * jnp.tanh(raw / softcap) if softcap else raw
    masked = capped
    for each in mask:
        masked = (
            jnp.where(each, masked, -jnp.inf) if each.dtype == bool_ else masked + each.astype(wide)
        )
    if causal:
        steps, total = raw.shape[-2:]
        masked = jnp.where(_allowed(jnp, 0, steps, total, -1, 0), masked, -jnp.inf)
    # The weights of a query that attends to no key are 0.
    is_empty = (masked == -jnp.inf).all(-1, keepdims=True)
    weights = jnp.where(is_empty, 0, jax.nn.softmax(jnp.where(is_empty, 0, masked), -1))
    y = jnp.einsum("...ls,...sv->...lv", weights.astype(q.dtype), v)
    return y, (raw, capped, masked, weights)[mode].astype(q.dtype)


@rule("RotaryEmbedding", fixed=(1, 2))
def _rotary(
    call: Call, x: Tensor, cos: Tensor, sin: Tensor, places: Tensor | None = None
) -> Tensor:
    size, interleaved = call("rotary_embedding_dim", 0), bool(call("interleaved", 0))
    return rotary(x, cos, sin, places, call("num_heads", 0), size, interleaved)


def rotary(
    x: Tensor, cos: Tensor, sin: Tensor, places: Tensor | None, heads: int, size: int,
    interleaved: bool,
) -> Tensor:  # fmt: skip
    """Rotary embeddings of x, (batch, steps, heads x size) or (batch, heads, steps, size)."""
    is_packed = x.ndim == 3
    shape = x.shape
    if is_packed:
        x = op.reshape(x, (*shape[:2], heads, -1))
    inputs = (x, cos, sin) if places is None else (x, cos, sin, places)
    y = formula(
        _rotated, *inputs, heads_axis=2 if is_packed else 1, size=size or x.shape[-1],
        interleaved=interleaved,
    )  # fmt: skip
    return op.reshape(y, shape)


def _rotated(
    x: CTensor, cos: CTensor, sin: CTensor, *places: CTensor, heads_axis: int, size: int,
    interleaved: bool,
) -> CTensor:  # fmt: skip
    """Pairs of the first ``size`` values of each head, rotated by the angle of their place."""
    for each in places:
        cos, sin = cos[each], sin[each]
    cos, sin = jnp.expand_dims(cos, heads_axis), jnp.expand_dims(sin, heads_axis)
    turned, rest = x[..., :size], x[..., size:]
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = jnp.split(turned, 2, -1)
    pair = cos * a - sin * b, sin * a + cos * b
    joined = jnp.stack(pair, -1).reshape(turned.shape) if interleaved else jnp.concatenate(pair, -1)
    return jnp.concatenate((joined, rest), -1).astype(x.dtype)


@rule("LinearAttention", fixed=(3,))
def _linear_attention(
    call: Call, q: Tensor, k: Tensor, v: Tensor, past: Tensor | None = None,
    decay: Tensor | None = None, beta: Tensor | None = None,
) -> Any:  # fmt: skip
    heads, groups = call("q_num_heads"), call("kv_num_heads")
    batch = q.shape[0]
    q_size, v_size = q.shape[2] // heads, v.shape[2] // groups
    if past is None:
        zeros = np.zeros((batch, groups, q_size, v_size), q.dtype)
        past = held(zeros, q.device)
    rule_name = call("update_rule", "gated_delta")
    further = [each for each in (decay, beta) if each is not None]
    return formula(
        _linearly_attended, q, k, v, past, *further, heads=heads, groups=groups,
        decays="gated" in rule_name, corrects="delta" in rule_name,
        scale=float(call("scale", 0.0)) or q_size**-0.5,
    )  # fmt: skip


def _linearly_attended(
    q: CTensor, k: CTensor, v: CTensor, past: CTensor, *further: CTensor, heads: int, groups: int,
    decays: bool, corrects: bool, scale: float,
) -> tuple[CTensor, CTensor]:  # fmt: skip
    """Computes o = scale S^T q, with the state S' = exp(g) S + k (b (v - exp(g) S^T k))^T."""
    wide = jnp.promote_types(q.dtype, jnp.float32)

    def steps_first(x: CTensor, parts: int) -> CTensor:
        batch, steps, size = x.shape
        return x.reshape(batch, steps, parts, size // parts).swapaxes(0, 1).astype(wide)

    rest = list(further)
    g = steps_first(rest.pop(0), groups) if decays else None
    b = steps_first(rest[0], rest[0].shape[-1]) if corrects else None

    def step(state: CTensor, xs: Any) -> tuple[CTensor, CTensor]:
        q, k, v, g, b = xs
        if g is not None:
            state = state * jnp.exp(g)[..., None]
        if b is not None:
            v = b * (v - jnp.einsum("bhkv,bhk->bhv", state, k))
        state = state + k[..., None] * v[..., None, :]
        # Queries of a group read one state.
        q = q.reshape(len(q), groups, heads // groups, -1)
        return state, jnp.einsum("bhgk,bhkv->bhgv", q, state) * scale

    xs = steps_first(q, heads), steps_first(k, groups), steps_first(v, groups), g, b
    state, y = jax.lax.scan(step, past.astype(wide), xs)
    y = y.swapaxes(0, 1).reshape(*q.shape[:2], -1)
    return y.astype(q.dtype), state.astype(past.dtype)


@rule("CausalConvWithState", fixed=(3,))
def _causal_convolution(
    call: Call, x: Tensor, w: Tensor, bias: Tensor | None = None, past: Tensor | None = None
) -> Any:
    if past is None:
        zeros = np.zeros((*x.shape[:2], w.shape[2] - 1), x.dtype)
        past = held(zeros, x.device)
    inputs = (x, w, past) if bias is None else (x, w, past, bias)
    return formula(
        _causally_convolved, *inputs, is_silu=call("activation", "none") in ("silu", "swish")
    )


def _causally_convolved(
    x: CTensor, w: CTensor, past: CTensor, *bias: CTensor, is_silu: bool
) -> tuple[CTensor, CTensor]:
    """Each channel (batch, channels, length) convolved with its own kernel (channels, 1, k)."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    length, size = x.shape[2], w.shape[2]
    padded = jnp.concatenate((past, x), 2)
    kernel = w.astype(wide)
    y = jnp.zeros(x.shape, wide)
    for i in range(size):
        y = y + padded[:, :, i : i + length] * kernel[:, 0, i : i + 1]
    for each in bias:
        y = y + each.astype(wide)[:, None]
    y = jax.nn.silu(y) if is_silu else y
    return y.astype(x.dtype), padded[:, :, length:]

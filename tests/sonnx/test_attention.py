"""Attention of ONNX files, beside onnxruntime, and the slopes of all that takes its place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singa import autograd
from singa.sonnx.network import SONNXModel
from singa.tensor import Tensor
from tests.sonnx import beside

BATCH, STEPS, KEYS, SIZE = 2, 3, 4, 2


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


@st.composite
def attentions(draw):
    """The attributes, and the inputs in order."""
    groups, each = draw(st.sampled_from([(1, 1), (2, 1), (2, 2), (1, 2)]))
    heads = groups * each
    options = {"is_causal": draw(st.integers(0, 1))}
    options["softcap"] = draw(st.sampled_from([0.0, 0.5]))
    # In mode 2 onnxruntime has the least number in place of -inf.
    options["qk_matmul_output_mode"] = draw(st.sampled_from([0, 1, 3]))
    if draw(st.booleans()):
        options["scale"] = 0.3
    past = draw(st.sampled_from([0, 2]))
    inputs = [
        normal(BATCH, heads, STEPS, SIZE),
        normal(BATCH, groups, KEYS, SIZE, seed=1),
        normal(BATCH, groups, KEYS, SIZE, seed=2),
    ]
    if draw(st.booleans()):  # the heads are in the last axis
        options |= {"q_num_heads": heads, "kv_num_heads": groups}
        inputs = [x.swapaxes(1, 2).reshape(*x.shape[::2], -1) for x in inputs]
    shape = draw(st.sampled_from([(), (1, 1), (BATCH, 1), (BATCH, heads)]))
    mask = normal(*shape, STEPS, past + KEYS, seed=3)
    inputs.append(draw(st.sampled_from([None, mask, mask < 1])))
    if past:
        inputs += [normal(BATCH, groups, past, SIZE, seed=4 + i) for i in range(2)]
    return options, inputs


@settings(max_examples=12)
@given(attentions(), st.sampled_from([1, 3, 4]))
def test_attention_is_that_of_onnxruntime(drawn, outputs):
    options, inputs = drawn
    outputs = max(outputs, 3 if len(inputs) > 4 else 1)
    beside.check("Attention", inputs, options, version=23, outputs=outputs)


HEADS = {"q_num_heads": 2, "kv_num_heads": 1}
MASK = np.array([[False] * 4, [True, True, False, False], [True] * 4])  # no key for the first
Q, K = normal(1, STEPS, 4), normal(1, KEYS, SIZE, seed=1)


@pytest.mark.parametrize(
    ("kind", "inputs", "options", "outputs"),
    [
        ("Attention", [Q, K, K * 2, MASK], HEADS | {"softcap": 0.5}, 1),
        ("Attention", [Q, K, K * 2, MASK], HEADS | {"qk_matmul_output_mode": 3}, 4),
        ("Attention", [Q, K, K * 2, None, None, None, np.array([2])], HEADS | {"is_causal": 1}, 1),
        (
            "RotaryEmbedding",
            [normal(1, 2, STEPS, 4), normal(5, 1), normal(5, 1, seed=1), np.array([[4, 0, 2]])],
            {"rotary_embedding_dim": 2},
            1,
        ),
        (
            "LinearAttention",
            [Q, K[:, :STEPS], K[:, 1:], None, normal(1, STEPS, 1), normal(1, STEPS, 1)],
            HEADS,
            2,
        ),
        ("CausalConvWithState", [normal(1, 2, 4), normal(2, 1, 3)], {"activation": "silu"}, 2),
    ],
    ids=["softcap", "weights", "lengths", "rotary", "linear", "convolution"],
)
def test_gradients(kind, inputs, options, outputs):
    model = beside.model_of(kind, inputs, options, version=27, outputs=outputs)
    forward = SONNXModel(model).forward
    autograd.check_gradients(
        lambda *xs: [y for y in forward(*xs) if y is not None],
        [x for x in inputs if x is not None],
    )


def test_windows_and_lengths_are_masks():
    q, k, v = normal(2, 1, STEPS, SIZE), normal(2, 1, 5, SIZE), normal(2, 1, 5, SIZE, seed=1)
    lengths = np.array([5, 2])
    place = np.arange(STEPS) + lengths[:, None] - STEPS  # of the queries: the last ones
    apart = np.arange(5) - place[..., None]
    allowed = (apart >= -1) & (apart <= 0)
    inputs = [q, k, v, None, None, None, lengths]
    windows = {"left_window_size": 1, "right_window_size": 0}
    found = _ours("Attention", inputs, windows)
    expected = _ours("Attention", [q, k, v, allowed[:, None]], {})
    np.testing.assert_array_equal(found, expected)
    assert not found[1, 0, 0].any()  # before the first key


def test_caches_of_angles_are_not_learned():
    inputs = [normal(1, 2, STEPS, 4), normal(1, STEPS, 2), normal(1, STEPS, 2, seed=1)]
    model = beside.model_of("RotaryEmbedding", inputs, {}, version=23, fixed=(1, 2))
    assert not SONNXModel(model).get_params()
    beside.check("RotaryEmbedding", inputs, {"interleaved": 1}, version=23)


def _ours(kind, inputs, options):
    model = SONNXModel(beside.model_of(kind, inputs, options, version=25))
    (y,) = model.forward(*[Tensor(data=x) for x in inputs if x is not None])
    return y.to_numpy()

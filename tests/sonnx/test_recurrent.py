"""Recurrent layers, beside onnxruntime: ONNX's reference ignores lengths, clips, activations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singa import autograd
from singa.errors import FormatError
from singa.sonnx.network import SONNXModel
from singa.tensor import Tensor
from tests.sonnx import beside

STEPS, BATCH, FEATURES, HIDDEN = 4, 3, 2, 3
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS = {"RNN": 1, "GRU": 2, "LSTM": 3}
WITH_ALPHA = ("Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu")
WITH_BETA = ("Affine", "ScaledTanh", "HardSigmoid")
# Bounded, so that the states stay small.
BOUNDED = ("Tanh", "Sigmoid", "ScaledTanh", "HardSigmoid", "Softsign")


@st.composite
def layers(draw, kind):
    """A layer's attributes, and its inputs by name."""
    options = {"hidden_size": HIDDEN}
    options["direction"] = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    directions = 1 + (options["direction"] == "bidirectional")
    if draw(st.booleans()):
        options["clip"] = 0.5
    if kind == "GRU":
        options["linear_before_reset"] = draw(st.integers(0, 1))
    if kind == "LSTM":
        options["input_forget"] = draw(st.integers(0, 1))
    if draw(st.booleans()):
        unbounded = st.sampled_from(("Relu", "Elu", "LeakyRelu", "Softplus"))
        every = [draw(st.sampled_from(BOUNDED)) for _ in range(ACTIVATIONS[kind] * directions)]
        if kind == "RNN":
            every[0] = draw(unbounded)
        options["activations"] = every
        for name, some in (("alpha", WITH_ALPHA), ("beta", WITH_BETA)):
            count = sum(each in some for each in every)
            if count:
                options[f"activation_{name}"] = [0.3 + 0.1 * i for i in range(count)]
    optional = draw(st.sets(st.sampled_from(["b", "lengths", "h", "c", "p"])))
    return options, inputs_of(kind, directions, optional, draw(st.integers(0, 99)))


def inputs_of(kind, directions, optional, seed=0):
    draw = np.random.default_rng(seed)

    def normal(*shape):
        return draw.normal(size=shape).astype(np.float32)

    wide = GATES[kind] * HIDDEN
    inputs = {
        "x": normal(STEPS, BATCH, FEATURES),
        "w": normal(directions, wide, FEATURES),
        "r": normal(directions, wide, HIDDEN),
        "b": normal(directions, 2 * wide),
        "lengths": draw.integers(1, STEPS + 1, BATCH).astype(np.int32),
        "h": normal(directions, BATCH, HIDDEN),
    }
    if kind == "LSTM":
        inputs |= {"c": normal(directions, BATCH, HIDDEN), "p": normal(directions, 3 * HIDDEN)}
    return {k: x if k in ("x", "w", "r") or k in optional else None for k, x in inputs.items()}


def model_of(kind, inputs, **options):
    outputs = 2 + (kind == "LSTM")
    return SONNXModel(beside.model_of(kind, [*inputs.values()], options, outputs=outputs))


def ours(kind, inputs, **options):
    given = [Tensor(data=x) for x in inputs.values() if x is not None]
    return [y.to_numpy() for y in model_of(kind, inputs, **options).forward(*given)]


@pytest.mark.parametrize("kind", GATES)
def test_layers_are_those_of_onnxruntime(kind):
    @settings(max_examples=6)
    @given(layers(kind))
    def check(layer):
        options, inputs = layer
        outputs = 2 + (kind == "LSTM")
        found, expected = beside.both(kind, [*inputs.values()], options, outputs=outputs)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

    check()


@pytest.mark.parametrize("kind", GATES)
def test_batches_may_be_the_first_axis(kind):
    inputs = inputs_of(kind, 2, {"lengths", "h", "c"})
    y, *last = ours(kind, inputs, direction="bidirectional")
    turned = inputs | {
        name: np.swapaxes(inputs[name], 0, 1) for name in ("x", "h", "c") if name in inputs
    }
    found, *found_last = ours(kind, turned, direction="bidirectional", layout=1)
    np.testing.assert_allclose(found, y.transpose(2, 0, 1, 3), rtol=1e-6)
    for a, b in zip(found_last, last, strict=True):
        np.testing.assert_allclose(a, b.swapaxes(0, 1), rtol=1e-6)


@pytest.mark.parametrize("kind", GATES)
def test_gradients_of_loops(kind):
    inputs = inputs_of(kind, 1, {"b", "lengths", "h", "c", "p"})
    model = model_of(kind, inputs, activations=["Softsign"] * ACTIVATIONS[kind])
    autograd.check_gradients(model.forward, list(inputs.values()))


def test_gradients_of_usual_layers():
    inputs = inputs_of("GRU", 1, {"b"})
    model = model_of("GRU", inputs, linear_before_reset=1)
    autograd.check_gradients(model.forward, [x for x in inputs.values() if x is not None])


def test_padding_does_not_matter():
    inputs = inputs_of("LSTM", 1, {"p", "lengths"})
    expected, *_ = ours("LSTM", inputs)
    is_padding = np.arange(STEPS)[:, None] >= inputs["lengths"]
    inputs["x"] = np.where(is_padding[..., None], np.nan, inputs["x"]).astype(np.float32)
    found, *_ = ours("LSTM", inputs)
    np.testing.assert_array_equal(found, expected)


def test_unknown_options_are_named():
    inputs = inputs_of("RNN", 1, set())
    with pytest.raises(FormatError, match="Sine"):
        ours("RNN", inputs, activations=["Sine"])

"""Operators that onnxruntime's quantizer and optimizer write, beside onnxruntime."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime import quantization

from singa.sonnx import SONNXModel
from singa.tensor import Tensor
from tests.sonnx.beside import check, model_of

MS = "com.microsoft"


def normal(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


def drawn(random, dtype, *shape):
    """Of int8 half the range: ONNX Runtime adds two products of uint8 and int8 in 16 bits, which
    are too few for larger ones, on processors with AVX2 only."""
    ends = np.iinfo(dtype)
    low, high = (-64, 64) if dtype == np.int8 else (ends.min, ends.max + 1)
    return random.integers(low, high, shape).astype(dtype)


def number(value, dtype=np.float32):
    return np.array(value, dtype)


def check_fixed(kind, inputs, attributes=None, given=(0,), off=1, **more):
    """All inputs but those that are given are in the file."""
    fixed = [i for i, x in enumerate(inputs) if x is not None and i not in given]
    check(kind, inputs, attributes, domain=MS, version=1, fixed=fixed, off=off, **more)


def test_elements():
    random = np.random.default_rng(0)
    a, b = drawn(random, np.uint8, 3, 4), drawn(random, np.uint8, 4)
    of_a, of_b = (number(0.05), number(120, np.uint8)), (number(0.02), number(7, np.uint8))
    of_y = number(0.06), number(101, np.uint8)
    check_fixed("QLinearAdd", [a, *of_a, b, *of_b, *of_y])
    check_fixed("QLinearMul", [a, *of_a, b, *of_b, *of_y])
    check_fixed("QLinearConcat", [*of_y, a, *of_a, a[:2], *of_b], {"axis": 0}, given=(2,))
    condition = a > 99
    check_fixed("QLinearWhere", [condition, a, *of_a, b, *of_b, *of_y], given=(0, 1))
    check_fixed("QLinearSigmoid", [a, *of_a, number(1 / 256), number(0, np.uint8)])
    check_fixed("QLinearLeakyRelu", [a, *of_a, *of_y], {"alpha": 0.1})
    of_y = number(1 / 256), number(0, np.uint8)
    x = drawn(random, np.uint8, 2, 3, 4)
    for opset in (12, 13):
        check_fixed("QLinearSoftmax", [x, *of_a, *of_y], {"axis": 1, "opset": opset})


def test_images():
    random = np.random.default_rng(0)
    x = drawn(random, np.uint8, 2, 3, 5, 6)
    of_x, of_y = (number(0.05), number(120, np.uint8)), (number(0.06), number(101, np.uint8))
    windows = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
    w = drawn(random, np.int8, 4, 3, 3, 2)
    of_w = number(0.02), number(0, np.int8)
    for last in (0, 1):
        image = np.moveaxis(x, 1, -1).copy() if last else x
        form = {"channels_last": last}
        check_fixed("QLinearAveragePool", [image, *of_x, *of_y], windows | form)
        check_fixed("QLinearGlobalAveragePool", [image, *of_x, *of_y], form)
        of_all = *of_x, w, *of_w, number(3), of_y[1]
        check_fixed("QLinearConv", [image, *of_all], windows | form)
    check_fixed("NhwcMaxPool", [np.moveaxis(x, 1, -1).copy()], windows)


def test_products():
    random = np.random.default_rng(0)
    a, b, x = drawn(random, np.uint8, 3, 5), drawn(random, np.int8, 5, 4), normal(random, 3, 5)
    zero, zeros, bias = number(131, np.uint8), drawn(random, np.int8, 4), normal(random, 4)
    scale, scales = number(0.03), random.uniform(0.01, 0.1, 4).astype(np.float32)
    check_fixed("MatMulIntegerToFloat", [a, b, scale, scales, zero, zeros, bias])
    check_fixed("DynamicQuantizeMatMul", [x, b, scales, zeros, bias])
    added = drawn(random, np.int8, 4).astype(np.int32)
    product = [a, scale, zero, b.T.copy(), number(0.02), number(3, np.int8)]
    check_fixed("QGemm", [*product, added], {"transB": 1, "alpha": 0.5})
    check_fixed("QGemm", [*product, added, scale, zero], {"transB": 1})


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_of_few_bits(bits):
    random = np.random.default_rng(0)
    attributes = {"K": 40, "N": 3, "bits": bits, "block_size": 16}
    b = drawn(random, np.uint8, 3, 3, 16 * bits // 8)
    scales = random.uniform(0.0005, 0.001, 9).astype(np.float32)
    zeros = drawn(random, np.uint8, 3 * -(-3 * bits // 8))
    bias = normal(random, 3)
    inputs = [normal(random, 2, 40), b, scales.reshape(3, 3), zeros.reshape(3, -1), None, bias]
    check_fixed("MatMulNBits", inputs, attributes)
    check_fixed("MatMulNBits", inputs[:3], attributes)
    if bits == 4:
        places = np.array([[0, 2], [1, 1]])
        blocks = {"block_size": 16, "bits": 4, "quantize_axis": 1}
        table, scales = drawn(random, np.uint8, 3, 16), scales[:6].reshape(3, 2)
        zeros = drawn(random, np.uint8, 3, 1)
        for given in ([table, places, scales], [table, places, scales, zeros]):
            check_fixed("GatherBlockQuantized", given, blocks, given=(1,))


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_a_quantized_lstm(direction):
    random = np.random.default_rng(0)
    ways = 2 if direction == "bidirectional" else 1
    w, r = drawn(random, np.int8, ways, 3, 16), drawn(random, np.int8, ways, 4, 16)
    scale = np.full(ways, 0.01, np.float32)
    scales = random.uniform(0.005, 0.02, (ways, 16)).astype(np.float32)
    zeros = np.zeros(ways, np.int8), np.zeros((ways, 16), np.int8)
    x, lengths = normal(random, 5, 2, 3), np.array([5, 4], np.int32)
    h, c, bias = (normal(random, ways, *shape) for shape in ((2, 4), (2, 4), (32,)))
    attributes = {"hidden_size": 4, "direction": direction}
    plain = [x, w, r, bias, None, None, None, None, scale, zeros[0], scale, zeros[0]]
    check_fixed("DynamicQuantizeLSTM", plain, attributes, outputs=3)
    each = [x, w, r, bias, lengths, h, c, None, scales, zeros[1], scales, zeros[1]]
    check_fixed("DynamicQuantizeLSTM", each, attributes, outputs=3)


def test_attention():
    random = np.random.default_rng(0)
    q, k, v = normal(random, 2, 3, 8), normal(random, 2, 5, 8), normal(random, 2, 5, 4)
    more, bias = normal(random, 2, 2, 3, 5), normal(random, 20)
    mask = random.integers(0, 2, (2, 5)).astype(np.int32)
    mask[:, 0] = 1
    heads = {"num_heads": 2}
    check_fixed("MultiHeadAttention", [q, k, v, bias, mask, more], heads, given=range(6))
    k, v, bias = normal(random, 2, 3, 8), normal(random, 2, 3, 8), None
    past = normal(random, 2, 2, 4, 4), normal(random, 2, 2, 4, 4)
    inputs = [q, k, v, None, None, None, *past]
    check_fixed(
        "MultiHeadAttention", inputs, heads | {"unidirectional": 1}, given=range(8), outputs=3
    )
    x, cos, sin = normal(random, 2, 3, 8), normal(random, 6, 2), normal(random, 6, 2)
    for places in (np.array([2]), np.array([[0, 1, 2], [3, 4, 5]])):
        for interleaved in (0, 1):
            check_fixed("RotaryEmbedding", [x, places, cos, sin], {"interleaved": interleaved})
    check_fixed("Trilu", [x, number(1, np.int64)], {"upper": 0})


def test_quantized_attention():
    random = np.random.default_rng(0)
    x, w = drawn(random, np.uint8, 2, 3, 8), drawn(random, np.int8, 8, 24)
    inputs = [
        x, w, normal(random, 24), number(0.01), number(0.01), np.array([3, 2], np.int32),
        number(120, np.uint8), number(3, np.int8),
    ]  # fmt: skip
    check_fixed("QAttention", inputs, {"num_heads": 2})
    ids = np.array([[1, 0, 3], [2, 2, 1]], np.int32)
    tables = [drawn(random, np.uint8, n, 4) for n in (5, 6, 2)]
    ends = [drawn(random, np.uint8, 4), drawn(random, np.uint8, 4)]
    scales = [number(0.01 * (i + 1)) for i in range(5)]
    zeros = [number(100 + i, np.uint8) for i in range(5)]
    inputs = [ids, ids % 2, *tables, *ends, np.ones((2, 3), np.int32), *scales, *zeros]
    check_fixed("QEmbedLayerNormalization", inputs, given=(0, 1), outputs=2)


def test_a_file_of_the_quantizer(tmp_path):
    """Weights are quantized by onnxruntime itself, and the model runs eagerly and compiled."""
    random = np.random.default_rng(0)
    inputs = [normal(random, 4, 1, 6), normal(random, 1, 32, 6), normal(random, 1, 32, 8)]
    proto = model_of("LSTM", inputs, {"hidden_size": 8}, version=14, fixed=[1, 2], outputs=3)
    last = helper.make_node("MatMul", ["y1", "m"], ["z"])
    proto.graph.node.append(last)
    proto.graph.output.append(onnx.ValueInfoProto(name="z"))
    proto.graph.initializer.append(numpy_helper.from_array(normal(random, 8, 3), "m"))
    onnx.save(onnx.shape_inference.infer_shapes(proto), tmp_path / "m.onnx")
    quantization.quantize_dynamic(tmp_path / "m.onnx", tmp_path / "q.onnx")
    read = SONNXModel(tmp_path / "q.onnx")
    kinds = [node.kind for node in read.onnx_graph.nodes]
    assert "DynamicQuantizeLSTM" in kinds
    assert "MatMulInteger" in kinds
    x = Tensor(data=inputs[0], requires_grad=False)
    expected = [y.to_numpy() for y in SONNXModel(proto).forward(x)]
    read.compile([x], is_train=False, use_graph=True)
    for y, z, e in zip(read.forward(x), read(x), expected, strict=True):
        np.testing.assert_allclose(y.to_numpy(), e, atol=0.05)
        np.testing.assert_allclose(z.to_numpy(), y.to_numpy(), 1e-3, 1e-3)

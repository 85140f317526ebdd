"""Damaged files: each gives a result or an error of this package, soon and in little memory."""

import resource
import time
import warnings

import numpy as np
import onnx
import onnx.parser
import pytest
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from singa import autograd
from singa.errors import FormatError, SingaError
from singa.sonnx import SONNXModel
from singa.tensor import Tensor

HEAD = '<ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 3]>'
TEXTS = {
    "convolution": """net (float[2, 2, 4, 4] x) => (float[2, 3] y) {
        c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (x, w, b)
        n = BatchNormalization (c, b, b, b, ones)
        r = Relu(n)
        p = MaxPool <kernel_shape = [2, 2]> (r)
        f = Flatten(p)
        y = Gemm <transB = 1> (f, v, b)
    }""",
    "shapes": """net (float[2, 2, 4, 4] x) => (float[N] y) {
        s = Shape(x)
        zero = Constant <value = int64[1] {0}> ()
        batch = Gather <axis = 0> (s, zero)
        rest = Constant <value = int64[1] {-1}> ()
        shape = Concat <axis = 0> (batch, rest)
        f = Reshape(x, shape)
        k = Constant <value = int64[1] {3}> ()
        top, places = TopK <axis = 1> (f, k)
        wide = Expand(top, shape3)
        m = ReduceMean <keepdims = 0> (wide, zero)
        y = Softmax(m)
    }""",
    "control": """net (float[2, 2, 4, 4] x) => (float[2, 2, 4, 4] y) {
        most = Constant <value = int64 {3}> ()
        yes = Constant <value = bool {1}> ()
        n, z = Loop (most, yes, most, x) <
            body = step (int64 i, bool c, int64 k, float[2, 2, 4, 4] a)
                => (bool more, int64 l, float[2, 2, 4, 4] d) {
                more = Identity(c)
                l = Sub(k, i)
                d = Mul(a, ones1)
            }
        >
        y = If (yes) <
            then_branch = t () => (float[2, 2, 4, 4] u) { u = Add(z, ones1) },
            else_branch = e () => (float[2, 2, 4, 4] u) { u = Identity(z) }
        >
    }""",
    "sequence": """net (float[2, 2, 4, 4] x) => (float[2, 4] y) {
        shape = Constant <value = int64[3] {2, 8, 4}> ()
        s = Reshape(x, shape)
        t = Transpose <perm = [1, 0, 2]> (s)
        out, last, cell = LSTM <hidden_size = 2> (t, lw, lr)
        axis = Constant <value = int64[1] {0}> ()
        h = Squeeze(last, axis)
        l = LayerNormalization <axis = -1> (h, ones2, ones2)
        pads = Constant <value = int64[4] {0, 1, 0, 1}> ()
        y = Pad(l, pads)
    }""",
    "trees": """net (float[2, 2, 4, 4] x) => (int64[16] y, float[16, 2] p) {
        shape = Constant <value = int64[2] {16, 4}> ()
        f = Reshape(x, shape)
        s = ai.onnx.ml.Scaler <offset = [0.5], scale = [2.0]> (f)
        y, p = ai.onnx.ml.TreeEnsembleClassifier <
            nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2], nodes_featureids = [1, 0, 0],
            nodes_values = [0.1, 0.0, 0.0], nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"],
            nodes_truenodeids = [1, 0, 0], nodes_falsenodeids = [2, 0, 0],
            class_treeids = [0, 0], class_nodeids = [1, 2], class_ids = [0, 1],
            class_weights = [1.0, 1.0], classlabels_int64s = [3, 5]
        > (s)
    }""",
}
"""Small models of one input of the same shape."""

SHAPES = {"w": (3, 2, 3, 3), "b": (3,), "ones": (3,), "v": (3, 3), "ones1": (1,), "ones2": (2,),
          "lw": (1, 8, 4), "lr": (1, 8, 2)}  # fmt: skip
NUMBERS = (-1, 0, 1, 3, 7, 255, 2**31, 2**40, 2**62, -(2**63))
MOST_MEMORY, MOST_TIME = 256 * 2**20, 10.0
"""Further bytes; and seconds of processors, about four times what the longest one takes."""


def small(kind):
    proto = onnx.parser.parse_model(f"{HEAD} {TEXTS[kind]}")
    draw = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        if f"{name}," in TEXTS[kind] or f"{name})" in TEXTS[kind]:
            array = draw.random(shape).astype(np.float32)
            proto.graph.initializer.append(numpy_helper.from_array(array, name))
    if kind == "shapes":
        shape = np.array([2, 2, 3])
        proto.graph.initializer.append(numpy_helper.from_array(shape, "shape3"))
    return proto


def messages(proto):
    """All messages in a message, itself included."""
    yield proto
    for field, value in proto.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                yield from messages(each)


def with_other_fields(content, draw):
    """One or two numbers, names, or elements of lists are others, or are gone."""
    proto = onnx.ModelProto.FromString(content)
    for _ in range(draw.integers(1, 3)):
        found = [(m, f) for m in messages(proto) for f, _ in m.ListFields()]
        message, field = found[draw.integers(len(found))]
        values = getattr(message, field.name)
        if field.is_repeated and (field.message_type is not None or draw.random() < 0.3):
            place = int(draw.integers(len(values)))
            if draw.random() < 0.5:
                del values[place]
            else:
                values.append(values[place])
            continue
        if field.message_type is not None:
            message.ClearField(field.name)
            continue
        old = values[int(draw.integers(len(values)))] if field.is_repeated else values
        new = other(old, content, draw)
        try:
            if field.is_repeated:
                values[int(draw.integers(len(values)))] = new
            else:
                setattr(message, field.name, new)
        except (ValueError, TypeError):  # a number that the field cannot have
            message.ClearField(field.name)
    return proto.SerializeToString()


def other(old, content, draw):
    if isinstance(old, int):
        return int(draw.choice(NUMBERS))
    if isinstance(old, float):
        return float(draw.choice([np.nan, np.inf, -1, 0, 1e30]))
    names = ["", "x", "y", "Conv", "MatMul", "Loop", "Reshape", "Tile", "w", "Range", "Identity"]
    new = names[draw.integers(len(names))]
    if isinstance(old, str):
        return new
    return new.encode() if len(old) < 30 else old[: draw.integers(len(old))]


def damaged(content, draw):
    """The bytes of a file after something has happened to them."""
    kind = draw.integers(4)
    if kind == 0:
        return content[: draw.integers(len(content))]
    if kind == 1:
        changed = bytearray(content)
        for _ in range(draw.integers(1, 4)):
            changed[draw.integers(len(changed))] = draw.integers(256)
        return bytes(changed)
    return with_other_fields(content, draw)


def run(content, x):
    """What happens to a file: "result", or the error."""
    try:
        with autograd.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy: numbers that are none
            SONNXModel(content).forward(x)
    except SingaError as error:
        return error
    return "result"


@pytest.mark.parametrize("kind", TEXTS)
def test_damaged_files(kind):
    x = Tensor(data=np.ones((2, 2, 4, 4), np.float32))
    content = small(kind).SerializeToString()
    assert run(content, x) == "result"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = []
    for seed in range(100):
        made = damaged(content, np.random.default_rng(seed))
        start = time.process_time()
        try:
            found.append(run(made, x))
        except Exception as error:
            error.add_note(f"of the file that the seed {seed} makes")
            raise
        assert time.process_time() - start < MOST_TIME, seed
        now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert 1024 * (now - peak) < MOST_MEMORY, seed
        peak = max(peak, now)
    errors = [each for each in found if each != "result"]
    assert 10 < len(errors) < 90
    assert sum("in the node" in str(getattr(e, "__notes__", "")) for e in errors) > 5


def test_bytes_that_are_no_model():
    for content in (b"", b"\0", b"PK\x03\x04", b"\x08" * 100):
        with pytest.raises(FormatError, match="no ONNX model"):
            SONNXModel(content)
    with pytest.raises(DecodeError):
        onnx.ModelProto.FromString(b"PK\x03\x04")

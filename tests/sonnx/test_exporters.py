"""What the exporters of PyTorch and Keras write: the structure of their files, in a few nodes.

The gradients are PyTorch's: sums, sums of absolute values, and an element. exported/make.py has
made them, and writes such files with the exporters themselves.
"""

import numpy as np
import onnx
import onnx.parser
import pytest
from onnxruntime import InferenceSession

from singa import autograd, opt, sonnx
from singa.sonnx import SONNXModel
from singa.tensor import Tensor

GRADIENTS = {
    "attention": {
        "w": (0.0, 29.4755, 0.15764), "b": (0.13079, 3.52928, 0.75923),
        "g": (-1.36625, 6.25638, -2.41465), "h": (2.50759, 3.99098, 0.75884),
        "g2": (-0.40456, 2.15392, -0.50504), "h2": (-0.54091, 1.53118, -0.00261),
    },
    "depthwise": {
        "w": (0.05636, 0.8399, 0.00409), "b": (-1.17849, 1.42333, -0.66298),
        "fc": (0.35718, 1.66883, 0.5468), "fb": (0.13416, 1.03354, -0.44969),
    },
    "keras": {"k": (-2.00437, 35.5173, -1.02268), "b": (3.0897, 3.0897, 1.48674)},
    "cell": {
        "wi": (-2.37081, 4.4512, -0.08391), "wh": (1.34149, 6.2318, -0.06003),
        "bi": (1.36623, 2.74825, 0.54367),
    },
}  # fmt: skip
TURNED = {"val_0": (1, 0), "const_0": (2, 3, 1, 0)}
"""Axes of parameters that are not in the layout of the network's source."""
ONES, ZEROS = np.ones(4, np.float32), np.zeros(4, np.float32)


def wave(*shape, at=0.0):
    return np.sin(np.arange(np.prod(shape)) + at).reshape(shape).astype(np.float32)


def number(x, dtype=np.float32):
    return np.asarray(x, dtype)


def read(text, initial, kind=SONNXModel):
    """The model of a graph's text, with these initial values; "__" is a dot in their names."""
    text = f'<ir_version: 10, opset_import: ["" : 20]> {text}'
    proto = onnx.parser.parse_model(text)
    for node in proto.graph.node:
        for names in (node.input, node.output):
            names[:] = [name.replace("__", ".") for name in names]
    made = [onnx.numpy_helper.from_array(array, name) for name, array in initial.items()]
    proto.graph.initializer.extend(made)
    onnx.checker.check_model(proto)
    return kind(proto)


def check_gradients(case, model, x, names):
    """The gradients of a file's parameters are PyTorch's; names: of ours and theirs."""
    assert {*model.get_params()} == {*names}
    model.eval()
    with autograd.enable_grad():
        (y,) = model.forward(Tensor(data=x))
        loss = (
            y * Tensor(data=np.cos(np.arange(y.size(), dtype=np.float32)).reshape(y.shape))
        ).sum()
        found = {id(p): g.to_numpy() for p, g in autograd.backward(loss)}
    for name, p in model.get_params().items():
        theirs = GRADIENTS[case][names[name]]
        ours = found[id(p)].transpose(TURNED.get(name, [*range(p.ndim)]))
        ours = (ours.sum(), np.abs(ours).sum(), ours.reshape(-1)[1])
        np.testing.assert_allclose(ours, theirs, 1e-4, 2e-5, err_msg=name)


def test_a_transposed_weight_and_numbers_of_the_source():
    """torch.export: merged scales, a weight val_0, a factor val_1 and a mask val_2."""
    mask = np.triu(np.full((3, 3), -np.inf, np.float32), 1)
    initial = {
        "n.weight": ONES, "n.bias": ZEROS, "val_0": wave(12, 4, at=1.0).T.copy(),
        "l.bias": wave(12, at=2.0), "val_1": number([0.5]), "val_2": mask,
    }  # fmt: skip
    model = read(
        """block (float[batch, 3, 4] x) => (float[batch, 3, 4] y) {
        [first] n1 = LayerNormalization(x, n__weight, n__bias)
        m = MatMul(n1, val_0)
        l = Add(m, l__bias)
        q, k, v = Split <axis = -1, num_outputs = 3> (l)
        kt = Transpose <perm = [0, 2, 1]> (k)
        qk = MatMul(q, kt)
        scaled = Mul(qk, val_1)
        masked = Add(scaled, val_2)
        s = Softmax(masked)
        sv = MatMul(s, v)
        z = Add(x, sv)
        [second] y = LayerNormalization(z, n__weight, n__bias)
        }""",
        initial,
    )
    names = {
        "n.weight": "g", "n.bias": "h", "n.weight.second": "g2", "n.bias.second": "h2",
        "val_0": "w", "l.bias": "b",
    }  # fmt: skip
    check_gradients("attention", model, wave(2, 3, 4), names)


def test_a_depthwise_network():
    initial = {
        "c.weight": wave(3, 1, 3, 3, at=1.0), "c.weight_bias": wave(3, at=0.5),
        "fc.weight": wave(2, 3, at=3.0), "fc.bias": wave(2), "axes": number([2, 3], np.int64),
        "val_3": number([-1, 3], np.int64),
    }  # fmt: skip
    model = read(
        """net (float[batch, 3, 5, 5] x) => (float[batch, 2] y) {
        c = Conv <group = 3, strides = [2, 2], pads = [1, 1, 1, 1]> (x, c__weight, c__weight_bias)
        a = HardSwish(c)
        p = ReduceMean(a, axes)
        f = Reshape <allowzero = 1> (p, val_3)
        y = Gemm <transB = 1> (f, fc__weight, fc__bias)
        }""",
        initial,
    )
    names = {"c.weight": "w", "c.weight_bias": "b", "fc.weight": "fc", "fc.bias": "fb"}
    check_gradients("depthwise", model, wave(2, 3, 5, 5), names)


def test_kernels_of_keras_behind_a_transpose():
    initial = {
        "const_0": wave(3, 3, 3, 2, at=1.0), "const_1": wave(2, at=0.3), "const_2": number(0),
        "const_3": number(np.nan), "shape": number([1, 1, 1, 2], np.int64),
    }  # fmt: skip
    model = read(
        """net (float[batch, 4, 4, 3] x) => (float[batch, 4, 4, 2] y) {
        xt = Transpose <perm = [0, 3, 1, 2]> (x)
        kt = Transpose <perm = [3, 2, 0, 1]> (const_0)
        c = Conv <pads = [1, 1, 1, 1]> (xt, kt)
        ct = Transpose <perm = [0, 2, 3, 1]> (c)
        b = Reshape(const_1, shape)
        a = Add(ct, b)
        m = Max(a, const_2)
        is = Greater(a, const_2)
        w = Where(is, m, const_2)
        never = IsNaN(w)
        y = Where(never, const_3, w)
        }""",
        initial,
    )
    check_gradients("keras", model, wave(2, 4, 4, 3), {"const_0": "k", "const_1": "b"})
    assert model.get_params()["const_0"].shape == (2, 3, 3, 3)
    assert [node.kind for node in model.onnx_graph.nodes[:3]] == ["Transpose", "Conv", "Transpose"]


def test_kernels_of_keras_are_turned_once_and_exported_as_they_are():
    """A depthwise kernel is reshaped too; a kernel that has another use stays."""
    initial = {
        "deep": wave(2, 3, 2, 1), "shape": number([0, 3, 1, -1], np.int64),
        "more": wave(2, 1, 2, 2, at=1.0), "pads": number([0, 0, 0, 0, 0, 0, 1, 1], np.int64),
    }  # fmt: skip
    text = """net (float[2, 2, 4, 5] x) => (float[2, 2, 3, 3] y, float[2, 2, 2, 1] z) {
        reshaped = Reshape(deep, shape)
        d = Transpose <perm = [3, 2, 0, 1]> (reshaped)
        c = Conv <group = 2> (x, d)
        wide = Pad(c, pads)
        m = Transpose <perm = [0, 1, 3, 2]> (more)
        e = Conv <group = 2> (wide, m)
        y = Relu(e)
        z = Transpose <perm = [0, 3, 2, 1]> (more)
    }"""
    model = read(text, initial, Trained)
    kinds = [node.kind for node in model.onnx_graph.nodes]
    assert kinds == ["Conv", "Pad", "Transpose", "Conv", "Relu", "Transpose"]
    assert model.get_params()["deep"].shape == (2, 1, 2, 3)
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {text}')
    proto.graph.initializer.extend(
        [onnx.numpy_helper.from_array(array, name) for name, array in initial.items()]
    )
    x = Tensor(data=wave(2, 2, 4, 5))
    expected = onnx_results(proto, x)
    model.set_optimizer(opt.SGD(0.1))
    for _ in range(2):
        made = sonnx.to_onnx([x], model)
        assert [i.dims for i in made.graph.initializer if i.name == "deep"] == [[2, 1, 2, 3]]
        for ours, theirs, e in zip(model.forward(x), onnx_results(made, x), expected, strict=True):
            np.testing.assert_allclose(ours.to_numpy(), theirs, 1e-5, 1e-6)
            np.testing.assert_allclose(theirs, e, 1e-5, 1e-6)
        model.compile([x], is_train=True, use_graph=True)
        model(x, Tensor(data=wave(2, 2, 3, 3, at=2.0)))
        expected = [y.to_numpy() for y in model.forward(x)]


def onnx_results(proto, x):
    """The outputs of onnxruntime."""
    session = InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.to_numpy()})


def test_steps_of_a_sequence_share_a_bias():
    """Keras on PyTorch unrolls recurrences; its new biases of zeros are one parameter."""
    steps = "".join(
        f"""x{t} = Gather <axis = 1> (x, t{t})
        i{t} = MatMul(x{t}, wi)
        r{t} = MatMul(h{t}, wh)
        s{t} = Add(r{t}, bi)
        n{t} = Add(i{t}, s{t})
        h{t + 1} = Tanh(n{t})
        """
        for t in range(3)
    )
    initial = {"wi": wave(2, 4, at=1.0), "wh": wave(4, 4, at=2.0), "bi": ZEROS}
    initial |= {f"t{t}": number(t, np.int64) for t in range(3)}
    text = f"""cell (float[2, 3, 2] x) => (float[2, 4] h3) {{
        size = Shape <start = 0, end = 1> (x)
        wide = Constant <value = int64[1] {{4}}> ()
        shape = Concat <axis = 0> (size, wide)
        h0 = ConstantOfShape(shape)
        {steps} }}"""
    model = read(text, initial)
    check_gradients("cell", model, wave(2, 3, 2), {"wi": "wi", "wh": "wh", "bi": "bi"})


class Trained(SONNXModel):
    def train_one_batch(self, x, y):
        loss = autograd.mse_loss(self.forward(x)[0], y)
        self.optimizer(loss)
        return loss


def test_a_new_normalization_has_one_tensor_for_scale_and_variance():
    """torch.onnx.export without folding: merged tensors, and Identity under the others' names."""
    text = """net (float[batch, 4] x) => (float[batch, 4] y) {
        two__weight = Identity(one__weight)
        n = BatchNormalization(x, one__weight, one__bias, one__bias, one__weight)
        on = Constant <value = bool {1}> ()
        half = Constant <value = float {0.5}> ()
        d = Dropout(n, half, on)
        y = BatchNormalization(d, two__weight, one__bias, one__bias, one__weight)
    }"""
    model = read(text, {"one.weight": ONES, "one.bias": ZEROS}, Trained)
    assert [*model.get_params()][:2] == ["one.weight", "one.bias"]
    assert "two.weight" in model.get_params()
    assert len(model.get_params()) == 4
    assert len(model.get_states()) == 8
    x = Tensor(data=wave(6, 4))
    before = {name: each.to_numpy() for name, each in model.get_states().items()}
    model.set_optimizer(opt.SGD(0.1))
    model.compile([x], is_train=True, use_graph=True)
    first = model(x, Tensor(data=wave(6, 4, at=1.0))).item()
    after = {name: each.to_numpy() for name, each in model.get_states().items()}
    assert all((before[name] != after[name]).any() for name in before)
    assert len({each.tobytes() for each in after.values()}) == 8  # nothing is tied
    assert np.isfinite(first)


def test_batch_normalization_may_keep_its_statistics():
    x = Tensor(data=wave(6, 4))
    text = (
        "net (float[batch, 4] x) => (float[batch, 4] y) { y = BatchNormalization(x, w, b, m, v) }"
    )
    initial = {"w": ONES, "b": ZEROS, "m": wave(4), "v": 2 * ONES}

    def fixed(proto):
        return Trained(proto, fixed_statistics=True)

    model = read(text, initial, fixed)
    model.set_optimizer(opt.SGD(0.1))
    model.compile([x], is_train=True, use_graph=True)
    expected = (wave(6, 4) - wave(4)) / np.sqrt(2 + 1e-5)
    assert model(x, Tensor(data=expected)).item() < 1e-10
    model(x, Tensor(data=0 * expected))
    state = {name: each.to_numpy() for name, each in model.get_states().items()}
    np.testing.assert_array_equal(state["m"], wave(4))
    assert (state["w"] != 1).all()


def test_weights_in_branches_and_in_constants():
    """Paddle's exporter writes all weights as Constant, silero's has them in branches."""
    ends = ", ".join(map(str, wave(6).tolist()))
    text = f"""net (float[2, 2] x, int64 rate) => (float[2, 3] y) {{
        wide = Constant <value = int64 {{16000}}> ()
        is = Equal(rate, wide)
        y = If (is) <
            then_branch = a () => (float[2, 3] z) {{
                w = Constant <value = float[2, 3] {{{ends}}}> ()
                z = MatMul(x, w)
            }},
            else_branch = b () => (float[2, 3] z) {{
                w = Constant <value = float[5, 3] {{{", ".join(["0.5"] * 15)}}}> ()
                z = MatMul(x, w)
            }}
        >
    }}"""
    model = read(text, {})
    assert [p.shape for p in model.get_params().values()] == [(2, 3), (5, 3)]
    x = Tensor(data=wave(2, 2))
    expected = wave(2, 2) @ wave(6).reshape(2, 3)
    for is_compiled in (False, True):  # a Python number is known, and so is the branch
        model.eval()
        model.graph(is_compiled)
        np.testing.assert_allclose(model(x, 16000)[0].to_numpy(), expected, 1e-5)
    with autograd.enable_grad():
        (y,) = model.forward(x, 16000)
        (gradient,) = [g for _, g in autograd.backward(y.sum())]
    np.testing.assert_allclose(gradient.to_numpy(), np.outer(wave(2, 2).sum(0), [1, 1, 1]), 1e-5)


def test_what_decides_about_shapes_stays_known():
    """Counters and conditions of tf2onnx, and sizes that are not folded."""
    initial = {
        "const_fold_opt_1": number(0), "one": number([1, 1]), "two": number([2.0, 2.0]),
        "step": number(1, np.int64), "w": wave(1, 1, 2, 2, at=1.0),
    }  # fmt: skip
    model = read(
        """net (float[1, 1, 2, 2] x) => (float[1, 1, 4, 4] y) {
        scales = Concat <axis = 0> (one, two)
        size = Shape <start = 3, end = 4> (x)
        axis = Constant <value = int64[1] {0}> ()
        last = Squeeze(size, axis)
        wide = Cast <to = 1> (last)
        going = Less(const_fold_opt_1, wide)
        zero = Constant <value = int64 {0}> ()
        number, z = Loop (, going, zero, x) <
            body = once (int64 i, bool c, int64 n, float[1, 1, 2, 2] a)
                => (bool more, int64 m, float[1, 1, 2, 2] b) {
                b = Mul(a, w)
                m = Add(n, step)
                more = Less(m, last)
            }
        >
        y = Resize <mode = "nearest"> (z, , scales)
        }""",
        initial,
    )
    assert [*model.get_params()] == ["w"]
    x = Tensor(data=wave(1, 1, 2, 2))
    model.compile([x], is_train=False, use_graph=True)
    expected = (wave(1, 1, 2, 2) * wave(1, 1, 2, 2, at=1.0) ** 2).repeat(2, 2).repeat(2, 3)
    np.testing.assert_allclose(model(x)[0].to_numpy(), expected, 1e-5)


@pytest.mark.parametrize("name", ["conv2d_0.b_0", "/norm/Constant_output_0"])
def test_an_array_that_a_node_gives_is_learned_if_it_is_a_weight(name):
    proto = onnx.parser.parse_graph(
        """net (float[2] x) => (float[2] y) {
        c = Constant <value = float[2] {0.5, 0.25}> ()
        y = Mul(x, c)
    }"""
    )
    proto.node[0].output[0] = proto.node[1].input[1] = name
    model = SONNXModel(onnx.helper.make_model(proto))
    assert [*model.get_params()] == ([] if "Constant" in name else [name])


@pytest.mark.parametrize("name", ["scale", "0.gamma", "val_7", "onnx::Mul_3"])
def test_a_single_number_is_learned_if_its_name_is_from_the_source(name):
    proto = onnx.parser.parse_graph("net (float[2] x) => (float[2] y) { y = Mul(x, s) }")
    proto.node[0].input[1] = name
    proto.initializer.append(onnx.numpy_helper.from_array(number(2), name))
    model = SONNXModel(onnx.helper.make_model(proto))
    assert [*model.get_params()] == ([name] if name in ("scale", "0.gamma") else [])

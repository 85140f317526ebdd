"""Models that were written and read again learn as those that never left."""

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession

from singa import autograd, device, layer, model, opt, sonnx, tensor
from singa.tensor import Tensor

STEPS = 20


@pytest.fixture(autouse=True)
def _not_in_training_afterwards(monkeypatch):
    monkeypatch.setattr(autograd, "training", False)


class Doubled(autograd.Operation):
    def forward(self, x):
        return 2 * x

    def to_onnx(self, writer, x):
        return writer.add("Add", x, x)


class Flipped(autograd.Operation):
    def forward(self, x):
        return x[:, ::-1] * 3


class Net(model.Model):
    """Layers and a function of them and the inputs."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, each in layers.items():
            setattr(self, name, each)

    def forward(self, *xs):
        return self.function(self, *xs)

    def train_one_batch(self, *args):
        return learned(self, self.forward(*args[:-1]), args[-1])


class Back(sonnx.SONNXModel):
    def train_one_batch(self, *args):
        return learned(self, self.forward(*args[:-1]), args[-1])


def learned(net, ys, target):
    y = ys[0] if isinstance(ys, (list, tuple)) else ys
    loss = autograd.mse_loss(y, target)
    net.optimizer(loss)
    return loss


def floats(*shape):
    return Tensor(data=np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32))


def ids(count, *shape):
    return Tensor(data=(np.arange(np.prod(shape), dtype=np.int32) % count).reshape(shape))


def images(s, x):
    y = autograd.relu(s.norm(s.conv(x)))
    y = s.norm(s.again(y)) + y  # the same normalization twice
    return s.linear(autograd.dropout(autograd.flatten(s.pool(y)), 0.3))


def language(s, x):
    y = s.word(x) + s.place(tensor.arange(x.shape[1]))
    y = s.block(y, causal=True)
    return autograd.matmul(y, autograd.transpose(s.word.W, (1, 0)))


def with_cache(s, x, keys, values):
    q, k, v = (autograd.reshape(f(x), (x.shape[0], 2, 1, 4)) for f in (s.q, s.k, s.v))
    keys, values = autograd.cat((keys, k), 2), autograd.cat((values, v), 2)
    y = autograd.scaled_dot_product_attention(q, keys, values)
    return autograd.reshape(y, (x.shape[0], 8)), keys, values


def masked(s, x, mask, scores):
    return s.attention(s.attention(x, key_mask=mask), mask=scores, causal=True)


IS_KEY = Tensor(data=np.arange(3)[None] < np.array([[1], [0], [3]]))
SCORES = Tensor(data=np.where(np.arange(9).reshape(3, 3) < 3, -np.inf, 0.5).astype(np.float32))

NETS = {
    "images": (
        lambda: Net(images, conv=layer.Conv2d(2, 3, padding=1), norm=layer.BatchNorm2d(),
                    again=layer.Conv2d(2, 1), pool=layer.MaxPool2d(2), linear=layer.Linear(2)),
        [floats(3, 2, 4, 4)],
    ),
    "language": (
        lambda: Net(language, word=layer.Embedding(5, 8), place=layer.Embedding(4, 8),
                    block=layer.TransformerEncoderLayer(8, 2, 8, 0.1, norm_first=True)),
        [ids(5, 3, 4)],
    ),
    "cache": (
        lambda: Net(with_cache, q=layer.Linear(8), k=layer.Linear(8), v=layer.Linear(8)),
        [floats(3, 8), floats(3, 2, 2, 4), floats(3, 2, 2, 4)],
    ),
    "masks": (
        lambda: Net(masked, attention=layer.MultiHeadAttention(4, 2, 0.1, num_kv_heads=1)),
        [floats(3, 3, 4), IS_KEY, SCORES],
    ),
    "lstm": (
        lambda: Net(lambda s, x: s.lstm(x), lstm=layer.LSTM(2, 3, bidirectional=True)),
        [floats(4, 3, 2)],
    ),
    "own": (
        lambda: Net(lambda s, x: Flipped()(Doubled()(s.linear(x))[0])[0], linear=layer.Linear(3)),
        [floats(3, 2)],
    ),
}  # fmt: skip


def trained(net, optimizer, inputs, target, use_graph, states=None):
    net.set_optimizer(optimizer)
    net.compile(inputs, is_train=True, use_graph=use_graph)
    if states is not None:
        net.set_states(states)
    device.get_default_device().set_rand_seed(1)  # for dropout
    return [net(*inputs, target).item() for _ in range(STEPS)]


@pytest.mark.parametrize("name", NETS)
def test_losses_are_the_same_after_a_round_trip(name, tmp_path):
    make, inputs = NETS[name]
    first, path = make(), tmp_path / "m.onnx"
    first.compile(inputs, is_train=False)
    first.export(path, inputs, training=True)
    states = {key: state.clone() for key, state in first.get_states().items()}
    assert sonnx.SONNXModel(path).get_states().keys() == states.keys()
    assert sonnx.SONNXModel(path).get_params().keys() == first.get_params().keys()
    ys = first(*inputs)
    y = ys[0] if isinstance(ys, tuple) else ys
    target = floats(*y.shape)
    optimizers = (lambda: opt.SGD(0.01, momentum=0.5), lambda: opt.Adam(0.003))
    for optimizer, use_graph in zip(optimizers, (True, False), strict=True):
        losses = trained(make(), optimizer(), inputs, target, use_graph, states)
        again = trained(Back(path), optimizer(), inputs, target, use_graph)
        np.testing.assert_allclose(again, losses, rtol=2e-5)
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["language", "cache", "masks", "own"])
def test_the_file_gives_the_same_numbers_in_another_tool(name):
    make, inputs = NETS[name]
    net = make()
    made = sonnx.to_onnx(inputs, net, dynamic=() if name == "masks" else "rows")
    onnx.checker.check_model(made, full_check=True)
    session = InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    found = session.run(None, {n: x.to_numpy() for n, x in zip(names, inputs, strict=True)})
    net.eval()
    expected = net(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for y, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(y, e.to_numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_round_trip(dtype):
    net, x = NETS["images"][0](), floats(3, 2, 4, 4).as_type(dtype)
    y = sonnx.SONNXModel(sonnx.to_onnx([x], net)).forward(x)[0]
    net.eval()
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y.to_numpy(), net(x).to_numpy())


def test_reports_have_the_names_of_nodes(tmp_path):
    (make, inputs), target = NETS["images"], floats(3, 2)
    net = make()
    net.export(tmp_path / "m.onnx", inputs)
    body = Back(tmp_path / "m.onnx")
    rows = {row.path: row for row in body.summary(inputs).rows}
    assert [(rows[name].kind, rows[name].parameters) for name in ("Conv_0", "Relu_2")] == [
        ("Conv", 38), ("Relu", 0),
    ]  # fmt: skip
    assert rows["BatchNormalization_4"].parameters == 0  # they are those of the first
    assert body.summary(inputs).total("parameters") == net.summary(inputs).total("parameters")
    body.set_optimizer(opt.SGD(0.1))
    body.compile(inputs, use_graph=True)
    with body.profile() as profile:
        for _ in range(3):
            body(*inputs, target)
    assert {"Conv_0", "BatchNormalization_1", "Gemm_8"} <= {row.layer for row in profile.rows}
    body.draw_graph(tmp_path / "g.svg")
    assert "BatchNormalization_4" in (tmp_path / "g.svg").read_text()

"""Networks as ONNX files: with any size of batch, and back again."""

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession

from singa import autograd, layer, model, opt, sonnx
from singa.errors import ArgumentError, FormatError
from singa.tensor import Tensor

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def outputs(made, *arrays):
    session = InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {each.name: x for each, x in zip(made.graph.input, arrays, strict=True)}
    return session.run(None, feeds)


def values(found):
    found = found if isinstance(found, (tuple, list)) else [found]
    return [y for each in found for y in (values(each) if not isinstance(each, Tensor) else [each])]


class Convolutional(model.Model):
    def __init__(self):
        super().__init__()
        self.conv = layer.Conv2d(4, 3, padding=1)
        self.norm = layer.BatchNorm2d(momentum=0.75)
        self.pool = layer.MaxPool2d(2, 2)
        self.linear = layer.Linear(3)
        self.loss, self.ratio = layer.SoftMaxCrossEntropy(), 0.5

    def forward(self, x):
        y = self.pool(autograd.relu(self.norm(self.conv(x))))
        return self.linear(autograd.dropout(autograd.flatten(y), self.ratio))

    def train_one_batch(self, x, t):
        y = self.forward(x)
        loss = self.loss(y, t)
        self.optimizer(loss)
        return y, loss


class Perceptron(Convolutional):
    def __init__(self):
        super().__init__()
        self.first, self.layer_norm = layer.Linear(8), layer.LayerNorm(8)

    def forward(self, x):
        return self.linear(autograd.tanh(self.layer_norm(self.first(x))))


NETWORKS = {
    "convolutional": (Convolutional, (3, 6, 6)),
    "perceptron": (Perceptron, (5,)),
    "transformer": (lambda: layer.TransformerEncoderLayer(8, 2, 16), (4, 8)),
    "lstm": (lambda: layer.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True), (5, 3)),
    "gru": (lambda: layer.GRU(3, 4, batch_first=True), (5, 3)),
    "rnn": (lambda: layer.RNN(3, 4, batch_first=True), (5, 3)),
    "group norm": (lambda: layer.GroupNorm(2), (4, 3, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_the_same_numbers_for_any_size_of_batch(name):
    make, shape = NETWORKS[name]
    network = make()
    made = sonnx.to_onnx([Tensor(data=floats(2, *shape))], network, dynamic="batch")
    onnx.checker.check_model(made, full_check=True)
    assert made.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    x = floats(5, *shape)
    with autograd.no_grad():
        expected = values(network.forward(Tensor(data=x)))
    for found, wanted in zip(outputs(made, x), expected, strict=True):
        np.testing.assert_allclose(found, wanted.to_numpy(), rtol=1e-4, atol=1e-5)


FUNCTIONS = {
    "means over the batch": lambda x: [x.mean(), autograd.mse_loss(x, x * 2)],
    "sizes of the batch": lambda x: autograd.reshape(x, (x.shape[0] * 2, 2)),
    "zeros for the batch": lambda x: autograd.cat((x, Tensor(shape=(x.shape[0], 1))), 1),
    "numbers of the rows": lambda x: autograd.softmax_cross_entropy(x, autograd.argmax(x, 1)),
    "parts": lambda x: x[1:, [2, 0]] + x[:-1, None, 1],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_depends_on_the_size_of_the_batch_is_computed(name):
    function = FUNCTIONS[name]
    made = sonnx.to_onnx([Tensor(data=floats(3, 4))], function, dynamic=("n",))
    for size in (2, 5):
        x = floats(size, 4)
        expected = values(function(Tensor(data=x)))
        for found, wanted in zip(outputs(made, x), expected, strict=True):
            np.testing.assert_allclose(found, wanted.to_numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["convolutional", "perceptron"])
def test_a_model_trains_on_after_a_round_trip(name, tmp_path):
    make, shape = NETWORKS[name]
    ours, x, t = (
        make(),
        Tensor(data=floats(6, *shape)),
        Tensor(data=np.arange(6, dtype=np.int32) % 3),
    )
    ours.ratio = 0.0  # dropout is not in the file: it is for prediction
    ours.optimizer = opt.SGD(0.1, momentum=0.9)
    ours.compile([x], is_train=True, use_graph=False)
    sonnx.export(ours, tmp_path / "m.onnx", [x])
    back = sonnx.SONNXModel(tmp_path / "m.onnx")
    back.optimizer = opt.SGD(0.1, momentum=0.9)
    autograd.training = True
    try:
        for _ in range(5):
            losses = []
            for each in (ours, back):
                y = each.forward(x)
                y = y[0] if isinstance(y, list) else y
                losses.append(autograd.softmax_cross_entropy(y, t))
                each.optimizer(losses[-1])
            np.testing.assert_allclose(*[loss.to_numpy() for loss in losses], rtol=1e-4)
    finally:
        autograd.training = False
    if name == "convolutional":
        assert sonnx.load(tmp_path / "m.onnx").graph.node[1].attribute
        states = back.get_states()
        np.testing.assert_allclose(
            states["norm.running_mean"].to_numpy(), ours.norm.running_mean.to_numpy(), rtol=1e-4
        )


def test_a_model_exports_itself_and_stays_as_it_is(tmp_path):
    net, x = Convolutional(), Tensor(data=floats(2, 3, 6, 6))
    net.compile([x])
    before = {name: state.to_numpy() for name, state in net.get_states().items()}
    for is_training in (False, True):
        net.export(tmp_path / "m.onnx", [x], opset=17, dynamic={"n"}, training=is_training)
        made = sonnx.load(tmp_path / "m.onnx")
        assert made.opset_import[0].version == 17
        kinds = [node.op_type for node in made.graph.node]
        assert ("Dropout" in kinds, kinds[:2]) == (is_training, ["Conv", "BatchNormalization"])
        assert {each.name for each in made.graph.initializer} >= before.keys()
        onnx.checker.check_model(made, full_check=True)
    for name, state in net.get_states().items():
        np.testing.assert_array_equal(state.to_numpy(), before[name])


class Odd(layer.Layer):
    """Names that are also those of values, a state, one layer twice, arrays that are shared."""

    def __init__(self):
        super().__init__()
        self.twice = layer.Linear(3)
        self.others = {"x/y": layer.Linear(3), "z.w": layer.Linear(3)}
        self.register_states(constant_0=Tensor(data=np.float32([2, 3, 4]), requires_grad=False))
        self.output = Tensor(data=np.float32(2), stores_grad=True)

    def forward(self, add_0, output=None):
        y = self.twice(autograd.relu(self.twice(add_0))) * self.constant_0 + self.output
        return [self.others["x/y"](y) + self.others["z.w"](y) * 2.0, add_0]


def test_odd_models_and_inputs():
    odd, x = Odd(), floats(2, 3)
    odd(Tensor(data=x))
    odd.others["z.w"].W.data = odd.others["x/y"].W.data
    made = sonnx.to_onnx([Tensor(data=x)], odd, dynamic={"n"})
    assert len(onnx_parameters(made)) == 7
    assert {each.name for each in made.graph.initializer} >= odd.get_states().keys()
    rows = floats(5, 3)
    for found, wanted in zip(outputs(made, rows), odd(Tensor(data=rows)), strict=True):
        np.testing.assert_allclose(found, wanted.to_numpy(), rtol=1e-4, atol=1e-5)
    for array in (np.float32(3), np.zeros((0, 3), np.float32), np.arange(3), np.zeros(2, np.int8)):
        made = sonnx.to_onnx([Tensor(data=array)], lambda x: [x * 2, x])
        found = outputs(made, np.asarray(array))
        np.testing.assert_array_equal(found[0], array * 2)
        np.testing.assert_array_equal(found[1], array)
    with pytest.raises(ArgumentError, match="13 to"):
        sonnx.to_onnx([Tensor(data=x)], odd, opset="13")


def onnx_parameters(made):
    return sonnx.SONNXModel(made).get_params()


def test_what_no_operation_has_computed_is_refused():
    x = Tensor(data=floats(2, 3))
    with pytest.raises(FormatError, match="for Add"):
        sonnx.to_onnx([x], lambda x: x + Tensor(data=2 * x.to_numpy()))
    with pytest.raises(FormatError, match=r"for Mul.* random"):
        sonnx.to_onnx([x], lambda x: x * Tensor(x.shape).gaussian(0.0, 1.0))
    with pytest.raises(FormatError, match="something else"):
        sonnx.to_onnx([x], lambda x: x + 1 if float(x.sum()) > 0 else x - 1)


def test_all_operations_without_operators_are_named_before_a_file_is_written(tmp_path):
    def function(x):
        return autograd.inv(x) + autograd.cholesky(x @ x)

    with pytest.raises(FormatError, match=r"Inverse .*Cholesky"):
        sonnx.export(function, tmp_path / "m.onnx", [Tensor(data=np.eye(3, dtype=np.float32))])
    assert not list(tmp_path.iterdir())


class Doubled(autograd.Operation):
    def forward(self, x):
        return 2 * x

    def to_onnx(self, writer, x):
        return writer.add("Add", x, x)


def test_an_operation_of_the_user_is_written_by_its_own_method_or_by_its_primitives():
    class Tripled(autograd.Operation):
        def forward(self, x):
            return 3 * x

    made = sonnx.to_onnx([Tensor(data=floats(2))], lambda x: Tripled()(Doubled()(x)[0])[0])
    assert [node.op_type for node in made.graph.node] == ["Add", "Mul"]


def test_the_opset_is_the_lowest_with_the_operators_or_the_one_asked_for():
    norm = layer.LayerNorm(3)
    x = Tensor(data=floats(2, 3))
    assert sonnx.to_onnx([x], autograd.relu).opset_import[0].version == 13
    made = sonnx.to_onnx([x], norm)
    assert made.opset_import[0].version == 17
    assert [node.op_type for node in made.graph.node] == ["LayerNormalization"]
    older = sonnx.to_onnx([x], norm, opset=15)
    assert older.opset_import[0].version == 15
    np.testing.assert_allclose(outputs(older, x.to_numpy())[0], outputs(made, x.to_numpy())[0],
                               atol=1e-6)  # fmt: skip
    with pytest.raises(ArgumentError, match="13 to"):
        sonnx.to_onnx([x], norm, opset=7)


def test_weights_in_a_file_of_their_own(tmp_path):
    x, linear = Tensor(data=floats(1, 20)), layer.Linear(30)
    made = sonnx.to_onnx([x], linear)
    for _ in range(2):
        sonnx.save(made, tmp_path / "m.onnx", external=True)
        linear.W.copy_data(Tensor(data=floats(20, 30)))
        made = sonnx.to_onnx([x], linear)
    sonnx.save(made, tmp_path / "m.onnx", external=True)
    assert len(list(tmp_path.iterdir())) == 2
    session = InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {"x": x.to_numpy()})[0]
    np.testing.assert_allclose(found, linear(x).to_numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        sonnx.SONNXModel(tmp_path / "m.onnx").forward(x)[0].to_numpy(), found, rtol=1e-5, atol=1e-6
    )


def test_inputs_and_models_are_what_they_should_be():
    x = Tensor(data=floats(2, 3))
    with pytest.raises(ArgumentError, match="list of Tensors"):
        sonnx.to_onnx(x, autograd.relu)
    with pytest.raises(ArgumentError, match="the model"):
        sonnx.to_onnx([x], ["x"])
    with pytest.raises(ArgumentError, match="first axis"):
        sonnx.to_onnx([x, Tensor(data=floats(3, 3))], autograd.add, dynamic="batch")
    with pytest.raises(ArgumentError, match="must be Tensors"):
        sonnx.to_onnx([x], lambda x: 1)

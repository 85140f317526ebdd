"""Every layer of the library: compiled as eagerly, gradients, types, batches, states, copies."""

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest

from oracles import assert_gradients
from singa import autograd, device, layer, model, opt
from singa.tensor import Tensor

pytestmark = pytest.mark.row_by_row("row")
CPU = device.get_default_device()


@dataclass
class Row:
    """How to make a layer, and what to call it with: shapes of floats, and arrays as they are."""

    make: Callable[[], Any]
    inputs: list[Any]
    batch: int | None = 0  # the axis of independent examples, in the inputs and in the outputs
    low: float = -1.0
    high: float = 1.0

    def arrays(self, dtype="float32"):
        rng = np.random.default_rng(7)
        return [
            rng.uniform(self.low, self.high, x).astype(dtype) if isinstance(x, tuple) else x
            for x in self.inputs
        ]


IDS = np.array([2, 0, 3], np.int32)
SIGNS = np.array([1, -1, 1], np.float32)

# Elementwise ones, most of them as often as they can be configured.
ROWS = {
    **{
        name: Row(getattr(layer, name), [(3, 4)])
        for name in (
            "ELU", "GELU", "GLU", "HardSigmoid", "HardSwish", "LeakyReLU", "LogSigmoid",
            "LogSoftMax", "Mish", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "SoftMax",
            "Softplus", "Softsign", "Tanh", "Identity", "Dropout", "CELU", "HardTanh", "SoftMin",
        )
    },
    "PReLU": Row(lambda: layer.PReLU(4), [(3, 4, 2)]),
    "Flatten": Row(layer.Flatten, [(3, 2, 2)]),
    "Reshape": Row(lambda: Given(layer.Reshape(), (-1, 6)), [(3, 2, 3)]),
    "Add": Row(layer.Add, [(3, 4), (3, 4)]),
    "Cat": Row(lambda: Listed(layer.Cat(1)), [(3, 2), (3, 4)]),
    "Function": Row(lambda: Swiglu(), [(3, 4)]),
    "Layer": Row(lambda: Scale(), [(3, 4)]),
    "Sequential": Row(
        lambda: layer.Sequential(layer.Linear(5), layer.Tanh(), layer.Linear(2)), [(3, 4)]
    ),
    "Bilinear": Row(lambda: layer.Bilinear(4, 2, 5), [(3, 4), (3, 2)]),
    "EmbeddingBag": Row(lambda: layer.EmbeddingBag(4, 3), [IDS[:, None]]),
    "Dropout1d": Row(layer.Dropout1d, [(3, 4, 2)]),
    "Dropout2d": Row(layer.Dropout2d, [(3, 4, 2, 2)]),
    "Dropout3d": Row(layer.Dropout3d, [(3, 4, 2, 2, 1)]),
    "LocalResponseNorm": Row(lambda: layer.LocalResponseNorm(2), [(3, 4, 2)]),
    "PixelShuffle": Row(lambda: layer.PixelShuffle(2), [(3, 4, 2, 3)]),
    "PixelUnshuffle": Row(lambda: layer.PixelUnshuffle(2), [(3, 1, 4, 6)]),
    "Unfold": Row(lambda: layer.Unfold(2), [(3, 2, 3, 4)]),
    "Fold": Row(lambda: layer.Fold((3, 4), 2), [(3, 8, 6)]),
    "Linear": Row(lambda: layer.Linear(5), [(3, 4)]),
    "Gemm": Row(lambda: layer.Gemm(5, 0.5, 2.0), [(3, 4)]),
    "Embedding": Row(lambda: layer.Embedding(4, 3), [IDS]),
    "Conv1d": Row(lambda: layer.Conv1d(4, 3, padding=1), [(3, 2, 6)]),
    "Conv1d, circular": Row(
        lambda: layer.Conv1d(4, 3, padding="same", padding_mode="circular"), [(3, 2, 6)]
    ),
    "Conv2d": Row(lambda: layer.Conv2d(4, 3, stride=2, padding=1, group=2), [(3, 2, 6, 5)]),
    "Conv3d": Row(lambda: layer.Conv3d(2, 2, dilation=2), [(3, 2, 4, 4, 3)]),
    "ConvTranspose1d": Row(lambda: layer.ConvTranspose1d(4, 3, stride=2), [(3, 2, 4)]),
    "ConvTranspose2d": Row(
        lambda: layer.ConvTranspose2d(4, 3, stride=2, padding=1, output_padding=1), [(3, 2, 4, 3)]
    ),
    "ConvTranspose3d": Row(lambda: layer.ConvTranspose3d(2, 2), [(3, 2, 3, 2, 2)]),
    "SeparableConv2d": Row(lambda: layer.SeparableConv2d(4, 3, padding=1), [(3, 2, 5, 4)]),
    "BatchNorm1d": Row(layer.BatchNorm1d, [(3, 2, 4)]),
    "BatchNorm2d": Row(layer.BatchNorm2d, [(3, 2, 4, 4)]),
    "BatchNorm3d": Row(layer.BatchNorm3d, [(3, 2, 2, 3, 2)]),
    "BatchNorm": Row(lambda: layer.BatchNorm(unbiased=True), [(3, 2, 4)]),
    "BatchNorm, bare": Row(
        lambda: layer.BatchNorm(affine=False, track_running_stats=False), [(3, 2, 4)], None
    ),
    "GroupNorm, bare": Row(lambda: layer.GroupNorm(2, affine=False), [(3, 4, 5)]),
    "LayerNorm": Row(layer.LayerNorm, [(3, 2, 6)]),
    "RMSNorm": Row(layer.RMSNorm, [(3, 2, 6)]),
    "GroupNorm": Row(lambda: layer.GroupNorm(2), [(3, 4, 5)]),
    "InstanceNorm": Row(layer.InstanceNorm, [(3, 2, 4, 3)]),
    "MaxPool1d": Row(lambda: layer.MaxPool1d(2), [(3, 2, 6)]),
    "MaxPool2d": Row(lambda: layer.MaxPool2d(3, 2, 1), [(3, 2, 6, 5)]),
    "MaxPool3d": Row(lambda: layer.MaxPool3d(2), [(3, 2, 4, 4, 2)]),
    "AvgPool1d": Row(lambda: layer.AvgPool1d(2), [(3, 2, 6)]),
    "AvgPool2d": Row(lambda: layer.AvgPool2d(3, 2, 1), [(3, 2, 6, 5)]),
    "AvgPool3d": Row(lambda: layer.AvgPool3d(2), [(3, 2, 4, 4, 2)]),
    "Pooling2d": Row(lambda: layer.Pooling2d((2, 3), 2, is_max=False), [(3, 2, 6, 5)]),
    "GlobalAvgPool": Row(layer.GlobalAvgPool, [(3, 2, 4, 5)]),
    "GlobalAvgPool, channels last": Row(
        lambda: layer.GlobalAvgPool(data_format="channel_last"), [(3, 4, 5, 2)]
    ),
    "AdaptiveAvgPool": Row(lambda: layer.AdaptiveAvgPool((3, 2)), [(3, 2, 7, 5)]),
    "AdaptiveMaxPool": Row(lambda: layer.AdaptiveMaxPool(2), [(3, 2, 5, 4)]),
    "RNN": Row(lambda: First(layer.RNN(3, 4)), [(5, 3, 3)], batch=1),
    "GRU": Row(lambda: First(layer.GRU(3, 4, bidirectional=True)), [(5, 3, 3)], batch=1),
    "LSTM": Row(
        lambda: First(layer.LSTM(3, 4, num_layers=2, batch_first=True, dropout=0.2)), [(3, 5, 3)]
    ),
    "CudnnRNN": Row(lambda: First(layer.CudnnRNN(4)), [(3, 5, 3)]),
    "MultiHeadAttention": Row(lambda: layer.MultiHeadAttention(4, 2, 0.2), [(3, 5, 4)]),
    "TransformerEncoderLayer": Row(
        lambda: layer.TransformerEncoderLayer(4, 2, 6), [(3, 5, 4)]
    ),
    "TransformerDecoderLayer": Row(
        lambda: layer.TransformerDecoderLayer(4, 2, 6, norm_first=True), [(3, 5, 4), (3, 2, 4)]
    ),
    "TransformerEncoder": Row(
        lambda: layer.TransformerEncoder(
            [layer.TransformerEncoderLayer(4, 2, 6) for _ in range(2)], layer.LayerNorm()
        ),
        [(3, 5, 4)],
    ),
    "TransformerDecoder": Row(
        lambda: layer.TransformerDecoder([layer.TransformerDecoderLayer(4, 2, 6)]),
        [(3, 5, 4), (3, 2, 4)],
    ),
    "SoftMaxCrossEntropy": Row(layer.SoftMaxCrossEntropy, [(3, 4), IDS], None),
    "NegativeLogLikelihood": Row(layer.NegativeLogLikelihood, [(3, 4), IDS], None),
    "CrossEntropy": Row(layer.CrossEntropy, [(3, 4), (3, 4)], None, 0.1, 0.9),
    "BinaryCrossEntropy": Row(layer.BinaryCrossEntropy, [(3, 4), (3, 4)], None, 0.1, 0.9),
    "KLDivergence": Row(layer.KLDivergence, [(3, 4), (3, 4)], None, 0.1, 0.9),
    **{
        name: Row(getattr(layer, name), [(3, 4), (3, 4)], None)
        for name in (
            "BinaryCrossEntropyWithLogits", "HingeLoss", "HuberLoss", "MeanAbsoluteError",
            "MeanSquareError", "PoissonNegativeLogLikelihood", "RankingLoss", "SigmoidFocalLoss",
            "SmoothL1Loss", "SoftMarginLoss",
        )
    },
    "GaussianNegativeLogLikelihood": Row(
        layer.GaussianNegativeLogLikelihood, [(3, 4)] * 3, None, 0.1, 0.9
    ),
    "HingeEmbeddingLoss": Row(layer.HingeEmbeddingLoss, [(3,), SIGNS], None),
    "MarginRankingLoss": Row(layer.MarginRankingLoss, [(3,), (3,), SIGNS], None),
    "MultiMarginLoss": Row(layer.MultiMarginLoss, [(3, 4), IDS], None),
    "CosineEmbeddingLoss": Row(layer.CosineEmbeddingLoss, [(3, 4), (3, 4), SIGNS], None),
    "TripletLoss": Row(layer.TripletLoss, [(3, 4), (3, 4), (3, 4)], None),
    "ContrastiveLoss": Row(layer.ContrastiveLoss, [(3, 4), (3, 4), SIGNS > 0], None),
    "CTCLoss": Row(
        layer.CTCLoss,
        [(6, 3, 4), np.array([[1, 2], [3, 3], [2, 1]], np.int32),
         np.array([6, 6, 5], np.int32), np.array([2, 2, 1], np.int32)],
        None,
    ),
}  # fmt: skip

ABSTRACT = {"RNN_Base", "LayerMeta"}  # says of itself that it is one


class Given(layer.Layer):
    """A layer that is called with something more than Tensors."""

    def __init__(self, inner, *more):
        self.inner, self.more = inner, more

    def forward(self, *xs):
        return self.inner(*xs, *self.more)


class Listed(layer.Layer):
    def __init__(self, inner):
        self.inner = inner

    def forward(self, *xs):
        return self.inner(list(xs))


class First(layer.Layer):
    """The first output."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, *xs):
        found = self.inner(*xs)
        return found[0] if isinstance(found, tuple) else found


class Gate(autograd.Operation):
    def forward(self, x):
        return x * jax.nn.sigmoid(x)


class Swiglu(layer.Function, operation=Gate):
    pass


class Scale(layer.Layer):
    def initialize(self, x):
        self.scale = Tensor(data=np.linspace(0.5, 2, x.shape[-1]).astype(x.dtype), stores_grad=True)

    def forward(self, x):
        return x * self.scale


class Weighted(autograd.Operation):
    """The sum of all elements with weights: one kernel, where a product and a sum would be two."""

    def forward(self, y):
        weights = jax.numpy.linspace(-1, 1, y.size, dtype=y.dtype)
        return jax.numpy.vdot(weights, y.reshape(-1))


class Net(model.Model):
    """The layer, behind a parameter that its inputs are multiplied with."""

    def __init__(self, inner):
        self.inner = inner
        self.gain = Tensor(data=np.float32(1.5), stores_grad=True)
        self.optimizer = opt.SGD(0.1, momentum=0.9)

    def forward(self, *xs):
        return self.inner(*[x * self.gain if x.dtype == self.gain.dtype else x for x in xs])

    def train_one_batch(self, *xs):
        y = self.forward(*xs)
        loss = Weighted()(y)[0]
        self.optimizer(loss)
        return y, loss


@pytest.fixture(params=ROWS)
def row(request):
    CPU.set_rand_seed(3)
    return ROWS[request.param]


@pytest.fixture(autouse=True)
def evaluation():
    before, autograd.training = autograd.training, False
    yield
    autograd.training = before


@pytest.fixture
def training(evaluation):
    autograd.training = True


def tensors(arrays):
    return [Tensor(data=a) for a in arrays]


def test_no_layer_is_missing():
    public = {name for name in layer.__all__ if inspect.isclass(getattr(layer, name))}
    assert {name.partition(",")[0] for name in ROWS} == public - ABSTRACT


def test_compiled_steps_are_eager_steps(row):
    found = []
    for use_graph in (False, True):
        CPU.set_rand_seed(3)
        net, xs = Net(row.make()), tensors(row.arrays())
        net.compile(xs, use_graph=use_graph)
        losses = [net(*xs)[1].item() for _ in range(3)]
        found.append((losses, {name: t.to_numpy() for name, t in net.get_states().items()}))
    (eager, states), (compiled, others) = found
    np.testing.assert_allclose(compiled, eager, 1e-4, 1e-5)
    for name in states:
        np.testing.assert_allclose(others[name], states[name], 1e-4, 1e-5, err_msg=name)


def is_no_function(row):
    """Not an operation as a layer: its gradients and types are tested in the operations' table."""
    return not (isinstance(row.make, type) and issubclass(row.make, layer.Function))


def takes_floats(row):
    return isinstance(row.inputs[0], tuple)


def rows_that(are):
    return pytest.mark.parametrize("row", [n for n, row in ROWS.items() if are(row)], indirect=True)


@rows_that(is_no_function)
def test_gradients_are_slopes(row, training):
    inner, xs = row.make(), tensors(row.arrays("float64"))
    assert_of_type(inner, inner(*xs), row, "float64")
    for param in inner.get_params().values():
        param.to_type("float64")
    inputs = {f"input {i}": x for i, x in enumerate(xs) if x.dtype == np.float64}
    for x in inputs.values():
        x.stores_grad = True
    values = {**inner.get_params(), **inputs}

    def run():
        CPU.set_rand_seed(4)  # the same dropout in each call
        autograd.training = True
        return inner(*xs)

    def plain(arrays):
        before = {name: t.to_numpy() for name, t in values.items()}
        for name, array in arrays.items():
            values[name].copy_from_numpy(array)
        try:
            return run().to_numpy()  # recorded, by the kernels that are compiled already
        finally:
            for name, array in before.items():
                values[name].copy_from_numpy(array)

    assert_gradients(run, plain, values)


@rows_that(lambda row: takes_floats(row) and is_no_function(row))
def test_outputs_and_parameters_are_of_the_inputs_float_type(row, training):
    """As float64 they are in the test above."""
    inner, dtype = row.make(), "bfloat16"
    assert_of_type(inner, inner(*tensors(row.arrays(device.as_dtype(dtype)))), row, dtype)


def assert_of_type(inner, y, row, dtype):
    if not takes_floats(row):
        return
    assert y.dtype == dtype
    assert np.isfinite(y.to_numpy().astype(np.float64)).all()
    if not isinstance(inner, Scale):
        assert {t.dtype for t in inner.get_params().values()} <= {device.as_dtype(dtype)}


@rows_that(lambda row: row.batch is not None)  # do not add up their batch
def test_examples_of_a_batch_do_not_see_each_other(row):
    inner, arrays = row.make(), row.arrays()
    y = inner(*tensors(arrays)).to_numpy()
    for i in range(3):
        one = inner(*tensors([np.take(a, [i], row.batch) for a in arrays])).to_numpy()
        np.testing.assert_allclose(one, np.take(y, [i], row.batch), 1e-5, 1e-6)


def test_copies_are_alike_and_share_nothing(row):
    inner, xs = row.make(), tensors(row.arrays())
    y = inner(*xs).to_numpy()
    own, twins = inner.get_states(), [copy.deepcopy(inner), pickle.loads(pickle.dumps(inner))]
    for twin in twins:
        others = twin.get_states()
        assert list(own) == list(others)
        assert all(own[name] is not others[name] for name in own)
        assert [t.stores_grad for t in own.values()] == [t.stores_grad for t in others.values()]
    for t in own.values():
        t.set_value(0)
    for twin in twins:
        np.testing.assert_array_equal(twin(*xs).to_numpy(), y)


def test_states_by_name_are_all_there_is(row, training):
    inner, xs = row.make(), tensors(row.arrays())
    inner(*xs)
    CPU.set_rand_seed(5)
    fresh = row.make()
    fresh(*xs)
    fresh.set_states(inner.get_states())
    autograd.training = False
    np.testing.assert_array_equal(fresh(*xs).to_numpy(), inner(*xs).to_numpy())

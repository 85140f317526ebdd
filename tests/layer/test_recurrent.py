"""RNN, LSTM, GRU and CudnnRNN with all their options, against NumPy step by step."""

import numpy as np
import pytest

import oracles
from singa import autograd, device, layer, model, opt
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.tensor import Tensor

STEPS, BATCH, FEATURES, HIDDEN = 5, 3, 4, 2
LENGTHS = np.array([5, 1, 3], np.int32)
MODES = ["tanh", "relu", "lstm", "gru"]


OPTIONS = {
    "plain": {},
    "two-nobias": {"num_layers": 2, "bias": False},
    "both-batch-first": {"bidirectional": True, "batch_first": True},
    "two-both": {"num_layers": 2, "bidirectional": True},
}
# Each mode takes half of the options with sequences that end early, and the next mode the others.
CASES = [
    pytest.param(mode, options, [None, LENGTHS][(i + j) % 2], id=f"{mode}-{name}")
    for i, mode in enumerate(MODES)
    for j, (name, options) in enumerate(OPTIONS.items())
]
PROJECTED = {**OPTIONS["two-both"], "proj_size": 1}
CASES.append(pytest.param("lstm", PROJECTED, LENGTHS, id="lstm-projected"))


def make(mode, **options):
    if mode == "lstm":
        return layer.LSTM(FEATURES, HIDDEN, **options)
    if mode == "gru":
        return layer.GRU(FEATURES, HIDDEN, **options)
    return layer.RNN(FEATURES, HIDDEN, nonlinearity=mode, **options)


def doubles(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return Tensor(data=values, stores_grad=True)


def everything(y, states):
    """All outputs in one vector."""
    states = states if isinstance(states, tuple) else (states,)
    return autograd.cat([autograd.reshape(each, (-1,)) for each in (y, *states)])


@pytest.mark.parametrize(("mode", "options", "lengths"), CASES)
def test_outputs_states_and_gradients_are_those_of_numpy(mode, options, lengths):
    batch_first = options.get("batch_first", False)
    layers, directions = options.get("num_layers", 1), 1 + options.get("bidirectional", False)
    net = make(mode, **options)
    x = doubles(*((BATCH, STEPS) if batch_first else (STEPS, BATCH)), FEATURES)
    sizes = options.get("proj_size", HIDDEN), HIDDEN
    h0, c0 = (doubles(layers * directions, BATCH, size, seed=i) for i, size in enumerate(sizes, 1))
    has_c = mode == "lstm"
    initial = (h0, c0) if has_c else h0
    net(x, initial, seq_lengths=lengths)
    oracles.fill(net)
    values = {**net.get_params(), "x": x, "h0": h0, **({"c0": c0} if has_c else {})}
    count = (4 if net.bias else 2) + bool(net.proj_size)
    assert len(net.get_params()) == layers * directions * count

    def ours():
        return everything(*net(x, initial, lengths))

    def plain(v):
        turned = v["x"].swapaxes(0, 1) if batch_first else v["x"]
        y, h, c = oracles.recurrent(
            mode, v, turned, v["h0"], v.get("c0", c0.to_numpy()), lengths, layers, directions
        )
        y = y.swapaxes(0, 1) if batch_first else y
        return np.concatenate([each.ravel() for each in ((y, h, c) if has_c else (y, h))])

    oracles.assert_gradients(ours, plain, values)


@pytest.mark.parametrize("mode", MODES)
def test_a_list_of_steps_gives_a_list_as_in_singa(mode):
    net = make(mode)
    x = doubles(STEPS, BATCH, FEATURES)
    h0, c0 = doubles(BATCH, HIDDEN, seed=1), doubles(BATCH, HIDDEN, seed=2)
    initial = (h0, c0) if mode == "lstm" else h0
    ys, *last = net(list(x), initial)
    assert [y.shape for y in ys] == [(BATCH, HIDDEN)] * STEPS
    params = {name: p.to_numpy() for name, p in net.get_params().items()}
    y, h, c = oracles.recurrent(
        mode, params, x.to_numpy(), h0.to_numpy()[None], c0.to_numpy()[None]
    )
    np.testing.assert_allclose(np.stack(ys), y, rtol=1e-9)
    expected = [h[0], c[0]] if mode == "lstm" else [h[0]]
    for found, wanted in zip(last, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("batch_first", [False, True])
def test_one_sequence_needs_no_axis_of_batches(batch_first):
    options = {"batch_first": batch_first, "bidirectional": True}
    x, h0, c0 = doubles(STEPS, FEATURES), doubles(2, 1), doubles(2, HIDDEN, seed=1)
    axis = 0 if batch_first else 1
    batch = x.unsqueeze(axis)
    net = make("lstm", proj_size=1, **options)
    y, (h, c) = net(x, (h0, c0), [3])
    assert (y.shape, h.shape, c.shape) == ((STEPS, 2), (2, 1), (2, HIDDEN))
    expected, states = net(batch, (h0.unsqueeze(1), c0.unsqueeze(1)), [3])
    np.testing.assert_array_equal(y, expected.squeeze(axis))
    np.testing.assert_array_equal(h, states[0].squeeze(1))
    np.testing.assert_array_equal(c, states[1].squeeze(1))
    other = make("gru", num_layers=2)
    y, h = other(x)
    assert (y.shape, h.shape) == ((STEPS, HIDDEN), (2, HIDDEN))
    np.testing.assert_array_equal(h[1], y[-1])
    last = layer.CudnnRNN(HIDDEN, batch_first=batch_first, return_sequences=False)
    np.testing.assert_array_equal(last(x), last(batch)[0])
    last.use_mask = True
    np.testing.assert_array_equal(last(x, seq_lengths=2), last(batch, seq_lengths=[2])[0])


def test_states_of_several_layers_come_together_from_a_list_too():
    ys, h, c = layer.LSTM(FEATURES, HIDDEN, num_layers=2)(list(doubles(STEPS, BATCH, FEATURES)))
    assert len(ys) == STEPS
    assert h.shape == c.shape == (2, BATCH, HIDDEN)


@pytest.mark.parametrize("mode", MODES)
def test_padding_changes_nothing_whatever_it_holds(mode):
    net = make(mode, bidirectional=True)
    x = doubles(STEPS, BATCH, FEATURES)
    beyond = np.arange(STEPS)[:, None] >= LENGTHS
    spoiled = x.to_numpy()
    spoiled[beyond] = np.inf
    other = Tensor(data=spoiled, stores_grad=True)
    net(x)
    autograd.training = True
    results = []
    for each in (x, other):
        y, states = net(each, None, LENGTHS)
        assert not y.to_numpy()[beyond].any()
        found = autograd.gradients(autograd.reduce_sum(everything(y, states) ** 2.0))
        results.append([y, *(found[p] for p in net.get_params().values()), found[each]])
        assert not found[each].to_numpy()[beyond].any()
    autograd.training = False
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_dropout_is_between_the_layers_and_in_training_only():
    x = doubles(STEPS, BATCH, FEATURES)
    one, two = make("gru", dropout=0.5), make("gru", num_layers=2, dropout=1.0)
    one(x)
    two(x)
    np.testing.assert_array_equal(two(x)[0], two(x)[0])
    autograd.training = True
    np.testing.assert_array_equal(one(x)[0], one(x)[0])  # there is nothing between
    dropped = two(x)[0].to_numpy()
    autograd.training = False
    np.testing.assert_array_equal(dropped[:, 0], dropped[:, 1])  # nothing of x came through
    assert not np.array_equal(two(x)[0], dropped)


@pytest.mark.parametrize("mode", MODES)
def test_compiled_and_eager_steps_train_alike(mode):
    class Net(model.Model):
        def __init__(self):
            super().__init__()
            self.recurrent = make(mode, num_layers=2, bidirectional=True, batch_first=True)
            self.linear = layer.Linear(2)
            self.optimizer = opt.SGD(0.1, momentum=0.9)

        def forward(self, x, lengths):
            y, _ = self.recurrent(x, None, lengths)
            return self.linear(y[:, -1] + y[:, 0])

        def train_one_batch(self, x, lengths, t):
            loss = autograd.softmax_cross_entropy(self.forward(x, lengths), t)
            self.optimizer(loss)
            return loss

    x = Tensor(data=doubles(BATCH, STEPS, FEATURES).to_numpy().astype(np.float32))
    lengths, t = Tensor(data=LENGTHS), Tensor(data=np.array([0, 1, 1], np.int32))
    losses = []
    for use_graph in (False, True):
        device.get_default_device().set_rand_seed(3)
        net = Net()
        net.compile([x, lengths], use_graph=use_graph)
        losses.append([net(x, lengths, t).item() for _ in range(4)])
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_float_type(dtype):
    y, (h, c) = make("lstm")(Tensor((STEPS, BATCH, FEATURES), dtype=dtype))
    assert {str(each.dtype) for each in (y, h, c)} == {dtype}


def test_initial_weights_are_within_the_usual_bound():
    net = layer.LSTM(4, 25)
    net(Tensor((1, 1, 4)))
    for p in net.get_params().values():
        assert 0.15 < np.abs(p.to_numpy()).max() <= 0.2


@pytest.mark.parametrize(
    ("mode", "same"), [("lstm", "lstm"), ("gru", "gru"), ("vanilla", "relu"), ("tanh", "tanh")]
)
def test_cudnn_rnn_is_the_same_machinery(mode, same):
    x = doubles(BATCH, STEPS, FEATURES)
    named = layer.CudnnRNN(
        HIDDEN, "relu", rnn_mode=mode, num_layers=2, bidirectional=True, use_mask=True
    )
    own = make(same, num_layers=2, bidirectional=True, batch_first=True)
    h0, c0 = doubles(4, BATCH, HIDDEN, seed=1), doubles(4, BATCH, HIDDEN, seed=2)
    cx = c0 if mode == "lstm" else None
    own(x)
    y = named(x, h0, cx, LENGTHS)
    own.set_params(named.get_params())
    np.testing.assert_array_equal(y, own(x, (h0, c0) if mode == "lstm" else h0, LENGTHS)[0])
    named.return_sequences = False
    last = y.to_numpy()[np.arange(BATCH), LENGTHS - 1]
    np.testing.assert_array_equal(named(x, h0, cx, LENGTHS), last)
    named.use_mask = False
    np.testing.assert_array_equal(
        named(x, h0, cx), own(x, (h0, c0) if mode == "lstm" else h0)[0].to_numpy()[:, -1]
    )


@pytest.mark.parametrize(
    ("do", "error", "words"),
    [
        (lambda x: layer.RNN(4, 2, nonlinearity="lstm"), ArgumentError, "must be 'tanh' or 'relu'"),
        (lambda x: layer.LSTM(4, 2, 2), ArgumentError, "got 2; num_layers comes after it"),
        (lambda x: layer.GRU(4, 0), ArgumentError, "GRU: hidden_size must be at least 1"),
        (lambda x: layer.GRU(4, 2, dropout=2.0), ArgumentError, "ratio is a probability"),
        (lambda x: layer.CudnnRNN(2, rnn_mode="elman"), ArgumentError, "'elman' is not one of '"),
        (lambda x: layer.CudnnRNN(2, "elu"), ArgumentError, "activation must be 'tanh' or"),
        (lambda x: layer.CudnnRNN(2)(x, None, None, [1]), ArgumentError, "were given, and use_mas"),
        (lambda x: layer.CudnnRNN(2, use_mask=True)(x), ArgumentError, "seq_lengths are missing"),
        (
            lambda x: layer.CudnnRNN(2, rnn_mode="gru")(x, None, x),
            ArgumentError, "cx is for 'lstm', not for 'gru'",
        ),
        (lambda x: layer.LSTM(4, 2)(x, x[0]), ArgumentError, r"2 initial state\(s\) expected"),
        (lambda x: layer.GRU(4, 2)(x, (x, x)), ArgumentError, r"1 initial state\(s\) expected"),
        (lambda x: layer.LSTM(4, 2, proj_size=2), ArgumentError, "less than hidden_size=2"),
        (lambda x: layer.GRU(4, 2, proj_size=1), ArgumentError, "GRU: proj_size is for LSTMs"),
        (lambda x: layer.RNN(4, 2)(x[0], x[1]), ShapeError, r"directions, size\) = \(1, 2\)"),
        (lambda x: layer.RNN(4, 2)(x[0, 0]), ShapeError, r"RNN: the input must be \(steps, batc"),
        (lambda x: layer.RNN(4, 2)([x, x]), ShapeError, r"got shape \(5, 3, 4\) and \(5, 3, 4\)"),
        (lambda x: layer.RNN(4, 2)([]), ShapeError, r"got shape \[\]"),
        (lambda x: layer.RNN(5, 2)(x), ShapeError, "5 features expected, got 4"),
        (lambda x: layer.RNN(4, 2)(x[:0]), ShapeError, "at least one step is needed"),
        (lambda x: layer.RNN(4, 2)(x, x), ShapeError, r"an initial state must be .* = \(1, 3, 2\)"),
        (lambda x: layer.RNN(4, 2)(x, None, [1, 2]), ShapeError, r"the lengths must be of shape"),
        (lambda x: layer.RNN(4, 2)(x, None, [1.0, 2, 3]), DTypeError, "must be of an integer"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_with_words(do, error, words):
    with pytest.raises(error, match=words):
        do(doubles(STEPS, BATCH, FEATURES))


def test_a_recurrent_layer_learns_to_copy():
    """Three symbols are shown, then blanks, during which they have to be said again."""
    symbols, shown, blanks = 4, 3, 4
    device.get_default_device().set_rand_seed(0)

    class Copier(model.Model):
        def __init__(self):
            super().__init__()
            self.recurrent = layer.LSTM(symbols + 1, 48, batch_first=True)
            self.linear = layer.Linear(symbols)
            self.optimizer = opt.SGD(0.5, momentum=0.9)

        def forward(self, x):
            y, _ = self.recurrent(x)
            return self.linear(autograd.reshape(y[:, -shown:], (-1, 48)))

        def train_one_batch(self, x, t):
            loss = autograd.softmax_cross_entropy(self.forward(x), t)
            self.optimizer(loss)
            return loss

    rng = np.random.default_rng(0)

    def batch(size=64):
        said = rng.integers(0, symbols, (size, shown))
        seen = np.concatenate((said, np.full((size, blanks), symbols)), 1)
        one_hot = np.eye(symbols + 1, dtype=np.float32)[seen]
        return Tensor(data=one_hot), Tensor(data=said.astype(np.int32).ravel())

    net = Copier()
    net.compile([batch()[0]], use_graph=True)
    for _ in range(500):
        net(*batch())
    net.eval()
    x, t = batch(256)
    assert (net(x).to_numpy().argmax(1) == t.to_numpy()).mean() > 0.97


def test_a_failed_first_call_decides_nothing():
    net = layer.CudnnRNN(2)
    with pytest.raises(ShapeError):
        net(Tensor((3,)))
    assert net.get_params() == {}
    assert net(Tensor((2, 3, 4))).shape == (2, 3, 2)


def test_defect_27_parameters_of_cudnn_rnn_can_be_set():
    one, other = (layer.CudnnRNN(HIDDEN, rnn_mode="gru") for _ in range(2))
    x = doubles(BATCH, STEPS, FEATURES)
    y = one(x).to_numpy()
    assert (other(x).to_numpy() != y).any()
    other.set_params(one.get_params())
    np.testing.assert_array_equal(other(x), y)

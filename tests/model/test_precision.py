"""Mixed precision: the type in which each operation computes, and loss scaling for float16."""

import warnings

import numpy as np
import pytest

from singa import autograd, device, layer, model, opt, tensor
from singa.engine import native
from singa.errors import ArgumentError, DTypeError, SlowPrecisionWarning
from singa.tape.precision import _warn, as_precision, warn_where_slow
from singa.tensor import Tensor

CPU = device.get_default_device()
HALVES = ("bfloat16", "float16")


class Net(model.Model):
    """A convolutional net that remembers the types of what goes through it."""

    def __init__(self, optimizer=None, loss_factor=1.0):
        super().__init__()
        self.conv, self.bn = layer.Conv2d(4, 3, padding=1), layer.BatchNorm2d()
        self.linear = layer.Linear(4)
        self.optimizer = optimizer or opt.SGD(0.05, momentum=0.9)
        self.loss_factor = loss_factor
        self.seen = {}

    def forward(self, x):
        conv = self.conv(x)
        norm = self.bn(conv)
        out = self.linear(autograd.flatten(autograd.relu(norm)))
        self.seen = {"conv": conv.dtype, "norm": norm.dtype, "out": out.dtype}
        return out

    def train_one_batch(self, x, y):
        out = self.forward(x)
        loss = autograd.softmax_cross_entropy(out, y) * self.loss_factor
        self.optimizer(loss)
        return out, loss


def batch():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, 1, 8, 8)).astype(np.float32)
    return Tensor(data=x), Tensor(data=rng.integers(0, 4, 8))


def compiled(precision, graph=True, **options):
    CPU.set_rand_seed(0)
    net = Net(**options)
    net.compile([batch()[0]], use_graph=graph, precision=precision)
    return net


def train(precision, graph=True, steps=12):
    net = compiled(precision, graph)
    return net, [net(*batch())[1].item() for _ in range(steps)]


@pytest.mark.parametrize("precision", HALVES)
def test_products_compute_in_the_short_type_and_parameters_stay_float32(precision):
    net, losses = train(precision)
    assert net.seen == dict.fromkeys(("conv", "norm", "out"), np.dtype(getattr(tensor, precision)))
    assert net(*batch())[1].dtype == tensor.float32  # the loss
    assert {t.dtype for t in net.get_states().values()} == {np.dtype(np.float32)}
    states = net.optimizer.get_states()
    kept = [t for name, t in states.items() if name.endswith(":momentum")]
    assert {t.dtype for t in kept} == {np.dtype(np.float32)}
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("precision", HALVES)
def test_losses_are_those_of_float32_within_the_short_types_precision(precision):
    _, expected = train("float32")
    _, losses = train(precision)
    assert losses != expected
    # Twelve steps on one batch go down to a loss of a few hundredths.
    np.testing.assert_allclose(losses, expected, atol=0.05 if precision == "bfloat16" else 0.01)


@pytest.mark.parametrize("precision", HALVES)
def test_eagerly_it_is_the_same(precision):
    _, expected = train(precision)
    _, losses = train(precision, graph=False)
    # XLA keeps more digits between operations that it has fused.
    np.testing.assert_allclose(losses, expected, atol=0.05 if precision == "bfloat16" else 0.01)


def test_evaluation_is_in_the_same_precision():
    net, _ = train("bfloat16", steps=1)
    net.eval()
    net.seen = {}
    assert net(batch()[0]).dtype == tensor.bfloat16


def test_compiling_again_changes_it():
    net, _ = train("bfloat16", steps=1)
    net.compile([batch()[0]], use_graph=True)
    assert net.precision is None
    assert net(*batch())[0].dtype == tensor.float32


def test_one_capture_serves_all_steps():
    net, _ = train("float16", steps=5)
    assert net.captures == 1


@pytest.mark.parametrize("wrong", ["float64", "int8", None])
def test_another_precision_is_refused(wrong):
    with pytest.raises((ArgumentError, DTypeError), match=r"float32, bfloat16 or float16|None"):
        Net().compile([batch()[0]], precision=wrong)


# -- the block ------------------------------------------------------------------------------------


def test_a_block_without_a_model():
    a, b = (Tensor(shape=(2, 2), requires_grad=True, stores_grad=True) for _ in range(2))
    a.gaussian(0, 1)
    b.gaussian(0, 1)
    autograd.training = True
    try:
        with autograd.mixed_precision("bfloat16"):
            with autograd.mixed_precision("float32"):
                assert autograd.matmul(a, b).dtype == tensor.float32
            product = autograd.matmul(a, b)
            assert product.dtype == tensor.bfloat16
            assert autograd.exp(product).dtype == tensor.float32
            assert autograd.relu(product).dtype == tensor.bfloat16
            assert autograd.add(product, a).dtype == tensor.float32
            loss = autograd.reduce_sum(product, None)
            assert loss.dtype == tensor.float32
        gradients = dict(autograd.backward(loss))
    finally:
        autograd.training = False
    assert autograd.matmul(a, b).dtype == tensor.float32
    assert {g.dtype for g in gradients.values()} == {np.dtype(np.float32)}
    half = b.as_type(tensor.bfloat16).as_type(tensor.float32).to_numpy()
    # The gradient's own products are in the short type, too.
    np.testing.assert_allclose(gradients[a].to_numpy(), np.tile(half.sum(1), (2, 1)), rtol=0.02)


def test_float64_and_integers_are_left_alone():
    with autograd.mixed_precision("float16"):
        x = Tensor(data=np.eye(2), dtype=tensor.float64)
        assert autograd.matmul(x, x).dtype == tensor.float64
        i = Tensor(data=np.eye(2, dtype=np.int32))
        assert autograd.matmul(i, i).dtype == tensor.int32


def test_another_threads_block_is_its_own():
    from threading import Thread

    seen = []
    x = Tensor(data=np.eye(2, dtype=np.float32))
    with autograd.mixed_precision("bfloat16"):
        thread = Thread(target=lambda: seen.append(autograd.matmul(x, x).dtype))
        thread.start()
        thread.join()
    assert seen == [np.dtype(np.float32)]


def test_a_checkpointed_segment_computes_in_it():
    w = Tensor(data=np.eye(3, dtype=np.float32), requires_grad=True, stores_grad=True)
    x = Tensor(data=np.arange(1, 7, dtype=np.float32).reshape(2, 3))
    with autograd.enable_grad(), autograd.mixed_precision("bfloat16"):
        y = autograd.checkpoint(lambda t: autograd.relu(autograd.matmul(t, w)), x)
        loss = autograd.reduce_sum(y, None)
    [(param, grad)] = autograd.backward(loss)
    assert param is w
    assert grad.dtype == tensor.float32
    np.testing.assert_array_equal(grad.to_numpy(), [[5, 5, 5], [7, 7, 7], [9, 9, 9]])


# -- the loss scale -------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [True, False])
def test_a_gradient_too_small_for_float16_is_not_lost(graph):
    """A loss of 1e-7 times the usual one has gradients below float16's least number."""
    net = compiled("float16", graph, optimizer=opt.SGD(1e7), loss_factor=1e-7)
    before = {name: p.to_numpy() for name, p in net.get_params().items()}
    net(*batch())
    moved = [np.abs(p.to_numpy() - before[name]).max() for name, p in net.get_params().items()]
    reference = compiled("float32", graph, optimizer=opt.SGD(1e7), loss_factor=1e-7)
    reference(*batch())
    expected = [np.abs(p.to_numpy() - before[n]).max() for n, p in reference.get_params().items()]
    # The bias before a batch normalization has no gradient but rounding errors.
    np.testing.assert_allclose(moved, expected, rtol=0.03, atol=2e-3)


@pytest.mark.parametrize("graph", [True, False])
def test_a_step_that_overflows_is_left_out_and_halves_the_scale(graph):
    net = compiled("float16", graph, optimizer=opt.Adam(0.01), loss_factor=20.0)
    before = {name: p.to_numpy() for name, p in net.get_params().items()}
    net(*batch())
    optimizer = net.optimizer
    assert optimizer.loss_scale.item() == 2.0**14
    assert optimizer.step_counter.item() == optimizer.good_steps.item() == 0
    for name, p in net.get_params().items():
        np.testing.assert_array_equal(p.to_numpy(), before[name])
    for name, state in optimizer.get_states().items():
        assert ":" not in name or not state.to_numpy().any()
    for _ in range(10):
        net(*batch())
    assert optimizer.loss_scale.item() < 2.0**14
    assert 0 < optimizer.step_counter.item() == optimizer.good_steps.item() < 10
    assert any((p.to_numpy() != before[name]).any() for name, p in net.get_params().items())
    assert all(np.isfinite(p.to_numpy()).all() for p in net.get_params().values())


def test_two_thousand_good_steps_double_the_scale():
    net = compiled("float16")
    net.optimizer.good_steps.set_value(1998)
    scales = []
    for _ in range(3):
        net(*batch())
        scales.append((net.optimizer.loss_scale.item(), net.optimizer.good_steps.item()))
    assert scales == [(2.0**15, 1999), (2.0**16, 0), (2.0**16, 1)]


def test_micro_batches_that_overflow_are_repeated():
    net = compiled("float16", optimizer=opt.SGD(0.01, accumulate=2), loss_factor=20.0)
    states = []
    while net.optimizer.step_counter.item() == 0 and len(states) < 20:
        net(*batch())
        states.append((net.optimizer.loss_scale.item(), net.optimizer.micro_step.item()))
    scales = [scale for scale, _ in states]
    assert scales[-1] == scales[-2] == scales[-3] < 2.0**14  # the last overflow, and two good ones
    assert [micro for _, micro in states[-3:]] == [0, 1, 0]


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_only_float16_scales_the_loss(precision):
    net, _ = train(precision, steps=2)
    assert net.optimizer.good_steps.item() == 0
    assert net.optimizer.loss_scale.item() == 2.0**15


def test_the_scale_belongs_to_the_checkpoint(tmp_path):
    net = compiled("float16", optimizer=opt.SGD(0.05, momentum=0.9), loss_factor=20.0)
    for _ in range(8):
        net(*batch())
    net.save_states(tmp_path / "net.zip")
    scale, good = net.optimizer.loss_scale.item(), net.optimizer.good_steps.item()
    assert scale < 2.0**15
    assert good > 0
    expected = [net(*batch())[1].item() for _ in range(3)]

    again = compiled("float16", optimizer=opt.SGD(0.05, momentum=0.9), loss_factor=20.0)
    again.load_states(tmp_path / "net.zip")
    assert again.optimizer.loss_scale.item() == scale
    assert again.optimizer.good_steps.item() == good
    assert [again(*batch())[1].item() for _ in range(3)] == expected


def test_a_checkpoint_of_float32_begins_the_scale_anew(tmp_path):
    net, _ = train("float32", steps=2)
    net.save_states(tmp_path / "net.zip")
    again, _ = train("float16", steps=2)
    again.optimizer.loss_scale.set_value(8)
    again.load_states(tmp_path / "net.zip")
    assert again.optimizer.loss_scale.item() == 2.0**15
    assert again.optimizer.good_steps.item() == 0


# -- SINGA's way ----------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("dtype", [tensor.float16, tensor.bfloat16])
def test_inputs_of_a_short_type_make_a_model_of_that_type(dtype, graph):
    CPU.set_rand_seed(0)
    x, y = batch()
    x = x.as_type(dtype)
    net = Net(opt.SGD(0.05, momentum=0.9, dtype=dtype))
    net.compile([x], use_graph=graph)
    losses = [net(x, y)[1].item() for _ in range(12)]
    assert {p.dtype for p in net.get_params().values()} == {np.dtype(dtype)}
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize(
    ("precision", "instructions", "kernels", "words"),
    [
        ("float32", False, False, None),
        ("bfloat16", True, True, None),
        ("bfloat16", False, True, "1.0 to 1.2 times"),
        ("float16", True, True, "1.0 to 1.2 times"),
        ("bfloat16", False, False, "up to 6 times"),
    ],
)
def test_that_it_saves_no_time_is_said_once(
    precision, instructions, kernels, words, monkeypatch, recwarn
):
    monkeypatch.setattr(native, "multiplies_bfloat16", instructions)
    monkeypatch.setattr(native, "available", kernels)
    _warn.cache_clear()
    warnings.simplefilter("always")
    for _ in range(2):
        warn_where_slow(as_precision(precision), CPU)
    assert [w.category for w in recwarn] == [SlowPrecisionWarning] * (words is not None)
    assert words is None or words in str(recwarn[0].message)
    _warn.cache_clear()

"""Every hazard of compiled steps: which are handled, which raise an error, and its message.

A step's Python runs once, and then only the recorded program runs. This file has a test for
everything that could go wrong with this.
"""

import gc
import threading
import weakref

import numpy as np
import pytest

from singa import autograd, device, layer, model, opt, tensor
from singa.errors import CaptureError, GradientError, RecompilationWarning, ShapeError
from singa.graph import step
from singa.tensor import Tensor

# Steps here compute without learning, and their models have optimizers.
pytestmark = pytest.mark.filterwarnings("ignore::singa.errors.TrainingWarning")

CPU = device.get_default_device()
X = np.linspace(-1, 1, 20, dtype=np.float32).reshape(4, 5)
Y = np.zeros((4, 3), np.float32)


class Net(model.Model):
    def __init__(self, lr=0.1, momentum=0.9):
        super().__init__()
        self.linear = layer.Linear(3)
        self.optimizer = opt.SGD(lr, momentum=momentum)

    def forward(self, x):
        return self.linear(x)

    def train_one_batch(self, x, y):
        loss = autograd.mse_loss(self.forward(x), y)
        self.optimizer(loss)
        return loss


def compiled(net, graph=True, sequential=False):
    CPU.set_rand_seed(3)
    net.compile([Tensor(data=X)], is_train=True, use_graph=graph, sequential=sequential)
    return net


def batch(rows=4, dtype=np.float32):
    return Tensor(data=X[:rows].astype(dtype)), Tensor(data=Y[:rows].astype(dtype))


def everything(net):
    """All numbers that a step may change."""
    states = {**net.get_states(), **net.optimizer.get_states(), "key": tensor.random_key(CPU)}
    return {name: t.to_numpy() for name, t in states.items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# -- what changes the program is honoured --------------------------------------------------------


def test_the_same_kind_of_call_is_captured_once():
    net = compiled(Net())
    for _ in range(5):
        net(*batch())
    assert (net.captures, net.compilations) == (1, 1)


def test_another_batch_size_and_another_type_are_other_programs():
    net, eager = compiled(Net()), compiled(Net(), graph=False)
    for args in (batch(), batch(2), batch(), batch(2), batch(4, np.float64)):
        np.testing.assert_allclose(net(*args).item(), eager(*args).item(), rtol=1e-6)
    assert (net.captures, net.compilations) == (3, 3)


def test_new_tensors_are_read_and_not_only_the_first_ones():
    net, eager = compiled(Net()), compiled(Net(), graph=False)
    for scale in (1.0, 2.0, -3.0):
        args = Tensor(data=X * scale), Tensor(data=Y)
        np.testing.assert_allclose(net(*args).item(), eager(*args).item(), rtol=1e-6)


class Scaled(Net):
    def train_one_batch(self, x, y, scale=1.0, kind=None):
        loss = autograd.mse_loss(self.forward(x), y) * scale
        if kind == "double":
            loss = loss * 2.0
        return loss


def test_plain_arguments_are_part_of_the_program():
    net = compiled(Scaled())
    x, y = batch()
    one = net(x, y).item()
    np.testing.assert_allclose(net(x, y, 3.0).item(), 3 * one, rtol=1e-6)
    np.testing.assert_allclose(net(x, y, scale=3.0).item(), 3 * one, rtol=1e-6)
    np.testing.assert_allclose(net(x, y, kind="double").item(), 2 * one, rtol=1e-6)
    assert net(x, y).item() == one
    assert net.captures == 4


def test_the_programs_that_were_used_last_are_kept_and_others_dropped(monkeypatch):
    monkeypatch.setattr(step, "MOST_PROGRAMS", 2)
    net = compiled(Net())

    for rows in (1, 2, 1, 3):  # 3 takes the place of 2
        net(*batch(rows))
    assert net.captures == 3
    net(*batch(1))
    assert net.captures == 3
    net(*batch(2))
    assert net.captures == 4


def test_steps_that_keep_recompiling_are_warned_of_with_the_reason():
    net = compiled(Scaled())
    x, y = batch()
    for i in range(9):
        net(x, y, scale=float(i))
    with pytest.warns(
        RecompilationWarning, match=r"captured 10 times.*argument 2 is 9\.0, and was"
    ):
        net(x, y, scale=9.0)

    net = compiled(Net())
    rows = np.zeros((12, 5), np.float32), np.zeros((12, 3), np.float32)
    for i in range(1, 10):
        net(*(Tensor(data=a[:i]) for a in rows))
    words = r"argument 0 is a Tensor float32\[10,5\] on cpu, and was a Tensor float32\[9,5\] on cpu"
    with pytest.warns(RecompilationWarning, match=words) as caught:
        net(*(Tensor(data=a[:10]) for a in rows))
    assert caught[0].filename == __file__

    class Counted(Net):
        counter = 0

        def forward(self, x):
            return self.linear(x) * (1.0 + self.counter * 0.0)

    net = compiled(Counted())
    for i in range(9):
        net.counter = i
        net(x, y)
    net.counter = 9
    with pytest.warns(RecompilationWarning, match=r"Counted\.counter is 9, and was 8 before"):
        net(x, y)


def test_what_the_step_does_not_read_captures_nothing():
    net = compiled(Net())
    for i in range(5):
        net.counter = i
        net.linear.note = [i]
        Tensor(data=1.0, stores_grad=True).register_hook(lambda g: None)
        net(*batch())
    assert net.captures == 1


def test_training_and_evaluation_are_two_programs_and_switching_captures_nothing():
    class Dropping(Net):
        def forward(self, x):
            return autograd.dropout(self.linear(x), 0.5)

    net = compiled(Dropping())
    for _ in range(3):
        net.train()
        net(*batch())
        net.eval()
        out = net(batch()[0])
        undropped = X @ net.linear.W.to_numpy() + net.linear.b.to_numpy()
        np.testing.assert_allclose(out, undropped, atol=1e-6)
    assert net.captures == 2


def test_results_that_are_told_to_store_gradients_are_no_change_to_other_programs():
    class Penalized(Net):
        def train_one_batch(self, x, y, penalty=False):
            loss = autograd.mse_loss(self.forward(x), y)
            if penalty:
                between = x * 0.5
                between.stores_grad = True
                (slope,) = autograd.grad(self.forward(between).sum(), [between], create_graph=True)
                loss = loss + (slope * slope).mean()
            params = [*self.get_params().values()]
            self.optimizer.update_all(zip(params, autograd.grad(loss, params), strict=True))
            return loss

    losses = []
    for graph in (False, True):
        net = compiled(Penalized(), graph)
        losses.append([net(*batch(), penalty).item() for penalty in (False, True, False, True)])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert net.captures == 2


def test_freezing_a_parameter_after_the_first_call_is_honoured():
    net = compiled(Net())
    net(*batch())
    net.linear.W.requires_grad = False
    before = everything(net)
    net(*batch())
    np.testing.assert_array_equal(net.linear.W, before["linear.W"])
    assert not np.array_equal(net.linear.b, before["linear.b"])
    net.linear.W.requires_grad = True
    net(*batch())
    assert not np.array_equal(net.linear.W, before["linear.W"])


def test_another_learning_rate_takes_effect_and_compiles_nothing():
    net = compiled(Net(momentum=0.0))
    net(*batch())
    before = net.linear.b.to_numpy()
    net(*batch())
    step = net.linear.b.to_numpy() - before
    net.optimizer.lr = 0.0001
    before = net.linear.b.to_numpy()
    net(*batch())
    assert np.abs(net.linear.b.to_numpy() - before).max() < 0.01 * np.abs(step).max()
    assert net.compilations == 1


def test_momentum_and_the_optimizer_itself_can_be_exchanged():
    net, eager = compiled(Net(momentum=0.0)), compiled(Net(momentum=0.0), graph=False)
    for n in (net, eager):
        n(*batch())
        n.optimizer.momentum = 0.9
        n(*batch())
        n(*batch())
        n.optimizer = opt.SGD(0.05, momentum=0.5)
        n(*batch())
    np.testing.assert_allclose(net.linear.W, eager.linear.W, rtol=1e-5)


def test_a_layer_and_a_plain_attribute_can_be_exchanged():
    class Flagged(Net):
        flag = False

        def forward(self, x):
            y = self.linear(x)
            return y * 2.0 if self.flag else y

    net = compiled(Flagged())
    net.eval()
    x, _ = batch()
    one = net(x).to_numpy()
    net.flag = True
    np.testing.assert_allclose(net(x), 2 * one, rtol=1e-6)
    net.linear = layer.Linear(7)
    assert net(x).shape == (4, 7)


def test_making_other_models_in_between_compiles_nothing():
    net = compiled(Net())
    net(*batch())
    compiled(Net())
    net(*batch())
    assert net.compilations == 1


# -- state ---------------------------------------------------------------------------------------


def test_buffers_that_the_first_step_makes_live_on():
    net, eager = compiled(Net()), compiled(Net(), graph=False)
    for _ in range(4):
        net(*batch())
        eager(*batch())
    assert net.optimizer.step_counter.item() == 4
    for name, value in everything(eager).items():
        np.testing.assert_allclose(everything(net)[name], value, rtol=1e-5, err_msg=name)


def test_layers_that_are_first_called_inside_a_captured_step_are_made_for_real():
    net = Net()
    net.train()
    net.graph(True)
    CPU.set_rand_seed(3)
    first = net(*batch()).item()
    assert np.isfinite(net.linear.W.to_numpy()).all()
    assert net(*batch()).item() < first


def test_values_that_are_assigned_between_calls_are_seen():
    net = compiled(Net())
    net(*batch())
    net.linear.W.set_value(0.0)
    net.linear.b.set_value(2.0)
    assert net(*batch()).item() == pytest.approx(4.0)


def test_state_of_another_type_is_captured_anew():
    net = compiled(Net())
    net(*batch())
    for t in net.get_states().values():
        t.to_type("float64")
    net.optimizer = opt.SGD(0.1)
    net(*batch())
    assert str(net.linear.W.dtype) == "float64"
    assert net.captures == 2


def test_arrays_that_the_user_kept_survive():
    net = compiled(Net())
    net(*batch())
    kept, view = net.linear.W.data, np.asarray(net.linear.b)
    other = Tensor(data=net.linear.W.data)
    values, bias = np.array(kept), view.copy()
    net(*batch())
    np.testing.assert_array_equal(kept, values)
    np.testing.assert_array_equal(other, values)
    np.testing.assert_array_equal(view, bias)


def test_arrays_that_nobody_kept_are_written_in_place_beside_one_that_is_copied():
    net = compiled(Net())
    net(*batch())
    kept, place = net.linear.W.data, net.linear.b.data.unsafe_buffer_pointer()
    net(*batch())
    assert not kept.is_deleted()
    assert net.linear.b.data.unsafe_buffer_pointer() == place


def test_one_tensor_may_be_several_arguments_and_part_of_the_state():
    class Own(Net):
        def train_one_batch(self, x, y):
            loss = autograd.mse_loss(x * 2.0 + y + self.linear.b, y)
            self.optimizer(loss)
            return loss

    net, eager = compiled(Own()), compiled(Own(), graph=False)
    for n in (net, eager):
        n.linear.b.set_value(1.0)
    for _ in range(3):
        args = Tensor(data=Y), Tensor(data=Y + 1)
        np.testing.assert_allclose(net(*args).item(), eager(*args).item(), rtol=1e-5)
        ours, theirs = ([n.linear.b] * 2 for n in (net, eager))
        np.testing.assert_allclose(net(*ours).item(), eager(*theirs).item(), rtol=1e-5)


def test_an_argument_that_the_step_assigns_is_assigned():
    class Counts(Net):
        def train_one_batch(self, x):
            x += 1.0
            return x * 1.0

    net = compiled(Counts())
    for _ in range(2):
        x = Tensor(data=[1.0, 2.0])
        for n in range(3):
            np.testing.assert_array_equal(net(x), [2.0 + n, 3.0 + n])
            np.testing.assert_array_equal(x, [2.0 + n, 3.0 + n])


def test_dropping_the_model_frees_its_parameters():
    net = compiled(Net())
    net(*batch())
    ref = weakref.ref(net.linear.W)
    del net
    gc.collect()
    assert ref() is None


# -- what the step leaves behind -----------------------------------------------------------------


class Leaves(Net):
    def __init__(self):
        super().__init__()
        self.history = []

    def train_one_batch(self, x, y):
        out = self.forward(x)
        self.loss = autograd.mse_loss(out, y)
        self.outs = {"last": [out]}
        self.seen = x
        self.optimizer(self.loss)
        return {"out": [out, None, 3], "loss": self.loss, "raw": self.loss.data, "p": self.linear.b}


def test_what_a_step_leaves_on_attributes_is_left_by_each_call():
    net = compiled(Leaves())
    before = None
    for scale in (1.0, 2.0):
        x = Tensor(data=X * scale)
        result = net(x, Tensor(data=Y))
        assert net.loss is result["loss"]
        assert net.outs["last"][0] is result["out"][0]
        assert net.seen is x
        assert result["p"] is net.linear.b
        if before is not None:  # what somebody has kept stays what it was
            assert before[0] is not net.loss
            assert before[0].item() == before[1] != net.loss.item()
        before = net.loss, net.loss.item()
    assert net.captures == 1


def test_a_list_that_the_step_appends_to_grows_as_eagerly_and_captures_each_time():
    class Remembers(Net):
        def __init__(self):
            super().__init__()
            self.history = []

        def train_one_batch(self, x, y):
            loss = super().train_one_batch(x, y)
            self.history.append(loss)
            return loss

    net, eager = compiled(Remembers()), compiled(Remembers(), graph=False)
    for n in (net, eager):
        for _ in range(3):
            n(*batch())
    np.testing.assert_allclose(
        [t.item() for t in net.history], [t.item() for t in eager.history], rtol=1e-5
    )
    assert (net.captures, net.compilations) == (3, 1)


def test_a_state_that_is_another_tensor_in_each_step_is_carried_on():
    class Carries(Net):
        def __init__(self):
            super().__init__()
            self.h = Tensor((3,))

        def train_one_batch(self, x, y):
            out = self.forward(x) + self.h
            self.h = out.mean(axis=0) * 0.5
            loss = autograd.mse_loss(out, y)
            self.optimizer(loss)
            return loss

    net, eager = compiled(Carries()), compiled(Carries(), graph=False)
    for _ in range(5):
        kept, value = net.h, net.h.to_numpy()
        np.testing.assert_allclose(net(*batch()).item(), eager(*batch()).item(), rtol=1e-5)
        np.testing.assert_allclose(net.h, eager.h, rtol=1e-5)
        np.testing.assert_array_equal(kept, value)
        assert net.h.creator is eager.h.creator is None
    assert net.captures == 1


def test_a_state_that_is_an_argument_too_is_one_tensor():
    class Adds(Net):
        def __init__(self):
            super().__init__()
            self.h = Tensor(data=X)

        def forward(self, x):
            x += 1.0
            self.h += 1.0
            return x + self.h * 10.0

    nets = [compiled(Adds(), graph) for graph in (False, True)]
    for net in nets:
        net.eval()
    for _ in range(3):
        np.testing.assert_allclose(*[net(net.h).to_numpy() for net in nets], rtol=1e-6)
        others = [Tensor(data=X + 5) for _ in nets]
        outs = [net(x).to_numpy() for net, x in zip(nets, others, strict=True)]
        np.testing.assert_allclose(*outs, rtol=1e-6)
    np.testing.assert_allclose(nets[0].h, nets[1].h, rtol=1e-6)


def test_results_keep_their_structure():
    net = compiled(Leaves())
    first, second = net(*batch()), net(*batch())
    assert second["out"][1:] == [None, 3]
    assert first["loss"] is not second["loss"]
    assert first["loss"].item() != second["loss"].item()
    assert float(second["raw"]) == second["loss"].item()
    np.testing.assert_array_equal(second["p"], net.linear.b)
    assert second["loss"].creator is None


def test_results_are_not_part_of_a_record():
    loss = compiled(Net())(*batch())
    with pytest.raises(GradientError, match="nothing was recorded"):
        autograd.backward(loss)


def test_a_number_that_the_step_counts_is_counted_and_captured_each_time():
    class Counting(Net):
        count = 0

        def train_one_batch(self, x, y):
            self.count += 1
            return super().train_one_batch(x, y) * float(self.count)

    net, eager = compiled(Counting()), compiled(Counting(), graph=False)
    for _ in range(5):
        np.testing.assert_allclose(net(*batch()).item(), eager(*batch()).item(), rtol=1e-5)
    assert net.count == eager.count == net.captures == 5


def test_numbers_from_python_s_and_numpy_s_streams_are_drawn_in_each_call():
    class Draws(Net):
        def __init__(self):
            super().__init__()
            self.own = np.random.default_rng(0)

        def train_one_batch(self, x, y):
            return self.forward(x).sum() * float(self.own.random())

    net, eager = compiled(Draws()), compiled(Draws(), graph=False)
    for _ in range(3):
        np.testing.assert_allclose(net(*batch()).item(), eager(*batch()).item(), rtol=1e-5)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (iter([1.0, 2.0]), r"Reads\.what: a compiled step cannot see how far a list_iterator is"),
        (
            np.zeros(2**18),
            r"Reads\.what: .* this one has 2\.0 MiB\. Make it a Tensor, or read-only",
        ),
    ],
)
def test_what_can_be_neither_watched_nor_compared_is_refused(value, words):
    class Reads(Net):
        def __init__(self):
            super().__init__()
            self.what = value

        def train_one_batch(self, x, y):
            assert self.what is not None
            return super().train_one_batch(x, y)

    with pytest.raises(CaptureError, match=words):
        compiled(Reads())(*batch())


# -- randomness ----------------------------------------------------------------------------------


class Noisy(Net):
    def train_one_batch(self, x, y):
        noise = Tensor((4, 5))
        noise.gaussian(0.0, 1.0)
        out = autograd.dropout(self.forward(x + noise), 0.5)
        loss = autograd.mse_loss(out, y)
        self.optimizer(loss)
        return noise, out, loss


def test_noise_and_masks_are_new_on_each_call_and_the_same_as_eagerly():
    net = compiled(Noisy())
    ours = [net(*batch()) for _ in range(4)]
    eager = compiled(Noisy(), graph=False)
    theirs = [eager(*batch()) for _ in range(4)]
    for (noise, out, _), (their_noise, their_out, _) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(noise, their_noise)
        np.testing.assert_array_equal(out.to_numpy() == 0, their_out.to_numpy() == 0)
        np.testing.assert_allclose(out, their_out, rtol=1e-4, atol=1e-6)
    assert not np.array_equal(ours[0][0], ours[1][0])


# -- what cannot be done raises, and changes nothing ---------------------------------------------


def reading(read):
    class Reads(Net):
        def train_one_batch(self, x, y):
            loss = super().train_one_batch(x, y)
            read(loss)
            return loss

    return Reads()


@pytest.mark.parametrize(
    "read",
    [
        lambda loss: loss.to_numpy(),
        lambda loss: loss.item(),
        lambda loss: float(loss),
        lambda loss: np.asarray(loss),
        lambda loss: 1 if loss > 0 else 2,
        lambda loss: loss.reshape((1,))[loss.reshape((1,)) > 0],
    ],
    ids=["to_numpy", "item", "float", "asarray", "if", "mask"],
)
def test_reading_a_value_raises_names_the_way_out_and_changes_nothing(read):
    net = compiled(reading(read))
    before = everything(net)
    with pytest.raises(CaptureError, match=r"no value yet.*Return it.*model\.graph\(False\)"):
        net(*batch())
    after = everything(net)
    assert_same(before, {name: after[name] for name in before})
    net.graph(False)
    assert net(*batch()).item() > 0


def test_a_tensor_can_be_printed_without_its_value():
    said = []
    net = compiled(reading(lambda loss: said.append(repr(loss))))
    net(*batch())
    assert said == [
        "Tensor(<computed in the step being compiled>, shape=(), dtype=float32, device=cpu)"
    ]


@pytest.mark.parametrize("graph", [True, False], ids=["compiled", "eager"])
def test_an_exception_inside_the_step_leaves_everything_as_it_was(graph):
    class Fails(Net):
        fail = False

        def forward(self, x):
            y = autograd.dropout(self.bn(self.linear(x)), 0.5)
            return y

        def __init__(self):
            super().__init__()
            self.bn = layer.BatchNorm2d()

        def train_one_batch(self, x, y):
            loss = super().train_one_batch(x, y)
            if self.fail:
                autograd.add(loss, Tensor((2,))) @ Tensor((3, 3))
            return loss

    net = compiled(Fails(), graph)
    net(*batch())
    before = everything(net)
    net.fail = True
    with pytest.raises(ShapeError, match=r"Matmul: \(2,\) times \(3, 3\)"):
        net(*batch())
    assert_same(everything(net), before)
    net.fail = False
    net(*batch())
    assert not np.array_equal(everything(net)["linear.W"], before["linear.W"])


def test_arguments_that_cannot_be_part_of_a_program_are_refused_with_words():
    net = compiled(Net())
    with pytest.raises(CaptureError, match=r"takes Tensors.*not ndarray; tensor\.from_numpy"):
        net(X, Y)


class OnHost(autograd.Operation):
    traceable = False

    def forward(self, x):
        return np.asarray(x) * 2

    def backward(self, dy):
        return np.asarray(dy) * 2


class Hosted(Net):
    def forward(self, x):
        return OnHost()(self.linear(x))[0]


def test_host_operations_raise_inside_a_compiled_step_and_work_eagerly():
    with pytest.raises(CaptureError, match=r"OnHost runs as Python on the host.*graph\(False\)"):
        compiled(Hosted())
    net = compiled(Hosted(), graph=False)
    first = net(*batch()).item()
    assert net(*batch()).item() < first


# -- several models, several threads -------------------------------------------------------------


def test_inside_a_step_another_model_is_a_layer():
    class Outer(Net):
        def __init__(self):
            super().__init__()
            self.inner = Net()

        def forward(self, x):
            return self.linear(self.inner(x))

    outs = []
    for graph in (True, False):
        net = compiled(Outer(), graph)
        net.inner.train()
        outs.append([net(*batch()).item() for _ in range(3)])
        assert "inner.linear.W" in net.get_params()
    np.testing.assert_allclose(outs[0], outs[1], rtol=1e-5)
    assert outs[0][2] < outs[0][0]


def test_two_models_take_turns_each_in_its_own_mode():
    a, b = compiled(Net()), compiled(Net())
    b.eval()
    first = a(*batch()).item()
    np.testing.assert_allclose(b(batch()[0]), X @ b.linear.W.to_numpy(), atol=1e-6)
    assert a(*batch()).item() < first
    assert (a.captures, b.captures) == (1, 1)


def test_threads_may_train_different_models():
    def losses(net):
        return [net(*batch()).item() for _ in range(20)]

    alone = losses(compiled(Net()))
    nets = [compiled(Net()) for _ in range(4)]
    found = [None] * 4

    def work(i):
        found[i] = losses(nets[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4


# -- sequential ----------------------------------------------------------------------------------


def test_sequential_runs_the_recorded_operations_with_the_eager_numbers():
    eager, one, whole = (
        [net(*batch()).item() for _ in range(5)]
        for net in (
            compiled(Net(), graph=False), compiled(Net(), sequential=True), compiled(Net()),
        )
    )  # fmt: skip
    assert one == eager
    np.testing.assert_allclose(whole, eager, rtol=1e-5)


def test_a_step_of_many_operations_compiles():
    class Deep(Net):
        def forward(self, x):
            for _ in range(200):
                x = autograd.tanh(x)
            return self.linear(x)

    net, eager = compiled(Deep()), compiled(Deep(), graph=False)
    np.testing.assert_allclose(net(*batch()).item(), eager(*batch()).item(), rtol=1e-5)


@pytest.mark.parametrize("sequential", [False, True])
def test_defect_47_a_convolution_without_a_bias_trains_in_a_compiled_step(sequential):
    """The recorded call held the address of a bias that had been freed: a crash."""

    class Images(Net):
        def __init__(self):
            super().__init__()
            self.conv = layer.Conv2d(2, 3, bias=False)

        def forward(self, x):
            return self.linear(autograd.flatten(self.conv(x)))

    x = np.linspace(-1, 1, 4 * 25, dtype=np.float32).reshape(4, 1, 5, 5)
    losses = []
    for use_graph in (False, True):
        CPU.set_rand_seed(3)
        net = Images()
        net.compile([Tensor(data=x)], use_graph=use_graph, sequential=sequential)
        losses.append([net(Tensor(data=x), Tensor(data=Y)).item() for _ in range(5)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    assert losses[0][-1] < losses[0][0]


def test_defect_49_a_model_that_fails_to_compile_does_not_disturb_the_next():
    """The device stayed in graph mode, and the next model aborted the process."""

    class Broken(Net):
        def forward(self, x):
            raise KeyError("no such thing")

    expected = compiled(Net())(*batch()).item()
    with pytest.raises(KeyError, match="no such thing"):
        compiled(Broken())
    assert compiled(Net())(*batch()).item() == expected

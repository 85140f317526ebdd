"""What programs that were written for SINGA do, beyond the names that docs/compatibility.md has."""

import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd, device, layer, model, opt, singa_wrap, tensor, weights
from singa.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from singa.tensor import Tensor

CPU = device.get_default_device()


@pytest.fixture
def training():
    autograd.training = True


def test_a_loss_is_read_as_an_array_with_an_axis_and_gradients_by_id(training):
    w = Tensor(data=[1.0, 3.0], stores_grad=True)
    loss = autograd.mse_loss(w, Tensor(data=[0.0, 0.0]))
    assert tensor.to_numpy(loss)[0] == 5.0
    assert loss.to_numpy().shape == ()
    assert tensor.to_numpy(w).shape == (2,)
    found = autograd.gradients(loss)
    assert found[id(w)] is found[w]
    assert list(found) == [w]
    for missing in (Tensor((2,)), id(loss)):
        with pytest.raises(KeyError):
            found[missing]


def test_the_creator_returns_the_gradients_of_the_inputs_that_need_one(training):
    w, b = Tensor((3, 2), stores_grad=True), Tensor((1, 2), stores_grad=True)
    y = autograd.add(w, b)
    dw, db = y.creator.backward(jnp.ones((3, 2)))
    assert dw.shape == w.shape
    np.testing.assert_array_equal(db, [[3, 3]])  # of b's shape, not the broadcast one
    loss = autograd.mse_loss(b, Tensor((1, 2)).set_value(-1.0))
    np.testing.assert_array_equal(loss.creator.backward(), [[1, 1]])


@pytest.mark.parametrize(
    ("shape", "given", "fits"),
    [
        ((4, 6), (4, 1, 2, 3), True),
        ((4, 1, 2, 3), (4, 6), True),
        ((3, 1), (3,), True),
        ((1,), (), True),
        ((2, 3), (3, 2), False),
        ((4, 6), (2, 12), False),
        ((4, 6), (4, 7), False),
        ((0, 2), (2, 0), False),
    ],
)
def test_an_array_is_copied_if_only_neighbouring_axes_are_merged(shape, given, fits):
    t, array = Tensor(shape), np.arange(np.prod(given), dtype=np.float32).reshape(given)
    if fits:
        np.testing.assert_array_equal(t.copy_from_numpy(array).to_numpy(), array.reshape(shape))
    else:
        with pytest.raises(ShapeError, match="copy_from_numpy"):
            t.copy_from_numpy(array)


def test_whole_floats_become_integers_and_others_are_refused():
    t = Tensor((2,), dtype=tensor.int32)
    assert t.copy_from_numpy(np.array([1.0, -2.0])).to_numpy().tolist() == [1, -2]
    for wrong in ([0.5, 1.0], [1e12, 0.0], [np.nan, 0.0]):
        with pytest.raises(DTypeError, match="do not fit"):
            t.copy_from_numpy(np.array(wrong))


def test_several_elements_are_neither_true_nor_false():
    assert Tensor(data=[1.0])
    with pytest.raises(ShapeError, match="is not None"):
        bool(Tensor((2,)))


def test_the_device_has_the_methods_of_a_buffer_that_is_not_there():
    CPU.EnableGraph(False)
    CPU.ResetGraph()
    device.enable_lazy_alloc(True)
    CPU.EnableLazyAlloc(False)
    assert CPU.graph_enabled() is False
    for call, words in ((lambda: CPU.EnableGraph(True), "use_graph=True"), (CPU.RunGraph, "model")):
        with pytest.raises(DeviceError, match=words):
            call()
    CPU.SetVerbosity(2)
    CPU.Reset()
    assert (CPU.verbosity, CPU.skip_iteration) == (0, 5)


class Scale(layer.Layer, metaclass=layer.LayerMeta):
    def initialize(self, x):
        self.W = Tensor(x.shape[1:], stores_grad=True).set_value(2.0)

    def forward(self, x):
        self.device_check(x, self.W)
        self.dtype_check(x, self.W)
        return autograd.mul(x, self.W)


def test_a_layer_calls_the_checks_in_a_compiled_step():
    class Net(model.Model, metaclass=model.ModelMeta):
        def __init__(self):
            super().__init__()
            self.scale = Scale()

        def forward(self, x):
            return self.scale(x)

    net, x = Net(), Tensor(data=[[1.0, 3.0]])
    net.compile([x], is_train=False, use_graph=True)
    assert net(x).to_numpy().tolist() == [[2, 6]]


class Recurrent(layer.Layer):
    """SINGA's way of keeping states: its own get_states, by the Tensors' names."""

    def initialize(self, x):
        self.hx, self.cx = Tensor(x.shape), Tensor(x.shape)
        self.W = Tensor(x.shape[1:], stores_grad=True).set_value(2.0)

    def forward(self, x):
        self.hx.copy_data(self.hx + x)
        self.cx.copy_data(self.cx - x * self.W)
        return self.hx + self.cx

    def get_states(self):
        found = super().get_states()
        found[self.hx.name] = self.hx
        found[self.cx.name] = self.cx
        return found

    def set_states(self, states):
        self.hx.copy_from(states[self.hx.name])
        super().set_states(states)


class Keeping(Recurrent, model.Model):
    pass


class Containing(model.Model):
    def __init__(self):
        super().__init__()
        self.inner = Recurrent()

    def forward(self, x):
        return self.inner(x)


@pytest.mark.parametrize(("kind", "prefix"), [(Keeping, ""), (Containing, "inner.")])
def test_states_that_a_layer_names_itself_are_all_saved(kind, prefix, tmp_path):
    old, new, x = kind(), kind(), Tensor(data=[[1.0, 3.0]])
    for net in (old, new):
        net.compile([x], is_train=False, use_graph=False)
        assert list(net.get_states()) == [f"{prefix}{name}" for name in ("W", "hx", "cx")]
    old(x)
    old.save_states(tmp_path / "file.zip")
    new.load_states(tmp_path / "file.zip")
    for name, state in new.get_states().items():
        np.testing.assert_array_equal(state.to_numpy(), old.get_states()[name].to_numpy())
    assert new(x).tolist() == old(x).tolist() == [[-2.0, -6.0]]


def test_a_state_without_a_name_is_refused(tmp_path):
    for net in (Keeping(), Containing()):
        net(Tensor((1, 2)))  # without compile, which gives names
        for use in (net.save_states, net.load_states, partial(weights.save, net)):
            with pytest.raises(ArgumentError, match=r"(Recurrent|Keeping).*name.*Model.compile"):
                use(tmp_path / "file")


def test_the_step_counter_is_set_to_a_number():
    sgd = opt.SGD(0.1)
    sgd.set_states({"step_counter": 5})
    assert sgd.step_counter.item() == 5


def test_initial_states_broadcast_as_do_inputs_of_one_sequence():
    lstm = layer.LSTM(3, 2)
    xs, h = [Tensor((4, 3)).gaussian() for _ in range(2)], Tensor((4, 2)).gaussian()
    c = Tensor((4, 1)).gaussian()
    wide = Tensor(data=np.repeat(c.to_numpy(), 2, 1))
    for ours, expected in zip(lstm(xs, (h, c))[1:], lstm(xs, (h, wide))[1:], strict=True):
        np.testing.assert_array_equal(ours, expected)
    first = Tensor(data=xs[0].to_numpy()[:1])
    same = Tensor(data=np.repeat(first.to_numpy(), 4, 0))
    np.testing.assert_array_equal(lstm([first], (h, wide))[1], lstm([same], (h, wide))[1])
    with pytest.raises(ShapeError, match="an initial state must be"):
        lstm(xs, (h, Tensor((3, 2))))


# -- singa_wrap -----------------------------------------------------------------------------------

X, Y = np.float32([[0.5, 2.0], [0.25, 1.5]]), np.float32([[0.5, 1.0], [2.0, 3.0]])


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("Acosh", (Y + 1,), np.arccosh(Y + 1)),
        ("Round", (np.float32([2.5, -2.5, 0.4]),), [3, -3, 0]),
        ("RoundE", (np.float32([2.5, -2.5, 0.4]),), [2, -2, 0]),
        ("__div__", (X, Y), X / Y),
        ("Mult", (X, Y), X @ Y),
        ("EQFloat", (X, 0.5), [[1, 0], [0, 0]]),
        ("SumAll", (X,), 4.25),
        ("Sum", (X, 0), X.sum(0)),
        ("SumColumns", (X,), X.sum(1)),
        ("RowMax", (X,), X.max(1)),
        ("Reshape", (X, [4]), X.ravel()),
        ("Repeat", (X, 2, 1), X.repeat(2, 1)),
        ("SliceOn", (X, 1, 2, 1), X[:, 1:2]),
        ("CopyRows", (X, 0, 1), X[:1]),
        ("SoftMax", (np.zeros((2, 3, 4)), 1), np.full((2, 3, 4), 1 / 12)),
        ("SoftMax", (np.zeros((2, 3, 4)), -1), np.full((2, 3, 4), 1 / 4)),
    ],
)
def test_functions_of_arrays(name, args, expected):
    function = getattr(singa_wrap, name)
    found = function(*[jax.device_put(a) if isinstance(a, np.ndarray) else a for a in args])
    assert isinstance(found, jax.Array)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_functions_take_tensors_and_lists_of_them():
    xs = singa_wrap.VecTensor()
    xs.append(Tensor(data=X))
    xs.append(Tensor(data=Y))
    joined = singa_wrap.ConcatOn(xs, 1)
    assert isinstance(joined, Tensor)
    np.testing.assert_array_equal(joined, np.concatenate([X, Y], 1))


def test_an_operation_is_written_with_them(training):
    class SquaredSum(autograd.Operator):
        def forward(self, x):
            self.x = x
            return singa_wrap.SumAll(singa_wrap.Square(x))

        def backward(self, dy=1.0):
            return singa_wrap.__mul__(singa_wrap.MultFloat(self.x, 2.0), dy)

    x = Tensor(data=X, stores_grad=True)
    [(_, dx)] = autograd.backward(SquaredSum()(x)[0])
    np.testing.assert_array_equal(dx, 2 * X)


def test_functions_that_change_their_argument_take_a_tensor():
    t = singa_wrap.Tensor((2, 3), CPU, singa_wrap.kFloat32)
    singa_wrap.Uniform(1.0, 2.0, t)
    assert ((t >= 1) & (t < 2)).all()
    singa_wrap.Bernoulli(1.0, t)
    singa_wrap.Axpy(2.0, Tensor((2, 3)).set_value(3.0), t)
    assert (t == 7).all()
    singa_wrap.CopyDataToFrom(t, Tensor(data=[1, 2]), 2, 1)
    assert t.to_numpy().tolist() == [[7, 1, 2], [7, 7, 7]]


def test_an_array_stands_for_the_tensor_that_has_it():
    t = Tensor((2, 3))
    singa_wrap.Uniform(1.0, 2.0, t.data)
    assert ((t >= 1) & (t < 2)).all()
    before = t.to_numpy()
    sgd = opt.DistOpt(opt.SGD(0.1))
    assert sgd.all_reduce(t.data) is t  # there is only one rank
    np.testing.assert_array_equal(t, before)
    other = t.deepcopy()
    with pytest.raises(DTypeError, match=r"2 Tensors have this one: leave out the `\.data`"):
        sgd.all_reduce(t.data)
    del other
    assert sgd.fused_all_reduce([t.data]) == [t]
    with pytest.raises(DTypeError, match="no Tensor has this one"):
        sgd.all_reduce(jnp.ones(2))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ConvHandle", r"layer\.Conv2d"),
        ("CpuBatchNormForwardTraining", r"autograd\.batchnorm_2d"),
        ("PoolingHandle", r"autograd\.max_pool_2d"),
        ("CudnnRNNHandle", r"layer\.CudnnRNN"),
        ("MultColumn", "broadcast"),
        ("Communicator", r"opt\.DistOpt"),
        ("Nothing", r"jax\.numpy"),
    ],
)
def test_a_name_that_is_missing_is_told_what_to_use(name, words):
    with pytest.raises(AttributeError, match=words):
        getattr(singa_wrap, name)


def test_what_there_is_is_what_the_device_module_says():
    assert singa_wrap.USE_CUDA == singa_wrap.USE_DIST == (device.get_num_gpus() > 0)
    assert singa_wrap.Platform.GetDefaultDevice() is CPU
    assert singa_wrap.Platform.GetGPUIDs() == device.get_gpu_ids()


PROCESSES = """
import multiprocessing
from singa import opt, singa_wrap, tensor

def run(rank, size, nccl_id):
    sgd = opt.SGD(opt.ExponentialDecay(0.5, 2, 0.5), momentum=0.9)  # before they connect
    sgd = opt.DistOpt(sgd, nccl_id=nccl_id, local_rank=rank, world_size=size)
    t = tensor.Tensor((1,)).set_value(rank + 1)
    sgd.all_reduce(t)
    sgd.wait()
    assert tensor.to_numpy(t)[0] == 3 and (sgd.global_rank, sgd.world_size) == (rank, size)

if __name__ == "__main__":
    nccl_id = singa_wrap.NcclIdHolder()
    ranks = [multiprocessing.Process(target=run, args=(i, 2, nccl_id)) for i in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    assert [rank.exitcode for rank in ranks] == [0, 0]
    opt.DistOpt(opt.SGD(0.1), nccl_id, 0, 1)  # alone there is nothing to connect
"""


@pytest.mark.slow
def test_processes_connect_by_an_id_that_their_parent_has_made(tmp_path):
    (tmp_path / "ranks.py").write_text(PROCESSES)
    subprocess.run([sys.executable, tmp_path / "ranks.py"], check=True, timeout=240)

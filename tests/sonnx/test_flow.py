"""Branches and loops of compiled steps, beside the eager ones: values and gradients."""

import jax
import numpy as np
import onnx.parser
import pytest

from singa import autograd, opt
from singa.errors import FormatError, GradientError
from singa.sonnx import SONNXModel
from singa.tensor import Tensor

HEAD = '<ir_version: 8, opset_import: ["" : 18]>\nnet '


def wave(*shape, at=0.0):
    return (np.sin(np.arange(np.prod(shape)) + at) / 2).astype(np.float32).reshape(shape)


class Trained(SONNXModel):
    """Its step gives the sum of the squares, and moves the parameters against the gradient."""

    def train_one_batch(self, *xs):
        ys = self.forward(*xs)
        loss = sum(((y * y).sum() for y in ys[1:]), start=(ys[0] * ys[0]).sum())
        self.optimizer(loss)
        return loss


def read(text, initial):
    proto = onnx.parser.parse_model(HEAD + text)
    for name, array in initial.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return proto


def given(x):
    return Tensor(data=x, requires_grad=False)


def run(proto, calls, is_compiled, learns, kind=Trained):
    """The predictions, the losses of a step for each, and the parameters after them."""
    model = kind(proto)
    model.set_optimizer(opt.SGD(0.001))
    model.graph(is_compiled)
    model.eval()
    found = [y.to_numpy() for xs in calls for y in model(*map(given, xs))]
    if learns:
        model.train()
        found += [model(*map(given, xs)).to_numpy() for xs in calls]
        assert model.get_params()
        found += [p.to_numpy() for p in model.get_params().values()]
    return found


def check(proto, *calls, learns=True, uses=()):
    """A compiled model predicts and learns as the eager one, and uses these primitives of jax."""
    eager, compiled = (run(proto, calls, is_compiled, learns) for is_compiled in (False, True))
    for a, b in zip(compiled, eager, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, 1e-5, 1e-6)
    if uses is None:
        return
    program = str(jax.make_jaxpr(autograd.to_jax(Trained(proto).forward))(*calls[0]))
    assert [name for name in ("cond[", "scan[", "while[") if name in program] == [*uses]


BRANCHES = """(float[2, 3] x) => (float[2, 3] z) {
    h = Mul(x, w)
    total = ReduceSum <keepdims = 0> (x)
    zero = Constant <value = float {0}> ()
    positive = Greater(total, zero)
    y = If (positive) <
        then_branch = one () => (float[2, 3] a) { r = Relu(h) s = Sqrt(r) a = Mul(s, u) },
        else_branch = two () => (float[2, 3] b) { b = Sub(h, v) }
    >
    z = Add(y, v)
}"""


def test_a_branch_is_chosen_and_only_it_has_a_gradient():
    """In the other one a root of 0 has an infinite derivative."""
    initial = {name: wave(2, 3, at=at) + 1 for at, name in enumerate("wuv")}
    proto = read(BRANCHES, initial)
    check(proto, [wave(2, 3) + 1], [-wave(2, 3) - 1], uses=["cond["])


SCAN = """(float[STEPS, 2] x, float[3, STEPS] p) => (float[2] last, float[2, STEPS] outs) {
    zeros = Constant <value = float[2] {0, 0}> ()
    last, outs = Scan <
        num_scan_inputs = 2, scan_input_axes = [0, 1], scan_input_directions = [0, 1],
        scan_output_axes = [-1], scan_output_directions = [1],
        body = step (float[2] s, float[2] a, float[3] b) => (float[2] next, float[2] out) {
            m = MatMul(b, w)
            t = Mul(s, u)
            r = Relu(s)
            q = Sum(t, a, m, r)
            next = Tanh(q)
            out = Mul(next, a)
        }
    > (zeros, x, p)
}"""


@pytest.mark.parametrize("steps", [3, 11])
def test_a_scan(steps):
    """Its first state is 0, where the gradient of Relu is a matter of definition."""
    proto = read(SCAN.replace("STEPS", str(steps)), {"w": wave(3, 2), "u": wave(2, at=1)})
    check(proto, [wave(steps, 2), wave(3, steps, at=2)], uses=["scan["] if steps > 8 else [])


class Steepness(Trained):
    """Its loss is a function of its gradients."""

    def train_one_batch(self, *xs):
        last, outs = self.forward(*xs)
        gradients = autograd.grad(
            (last * last).sum() + (outs * outs).sum(), self.get_params().values(), create_graph=True
        )
        loss = sum(((g * g).sum() for g in gradients[1:]), start=(gradients[0] ** 2).sum())
        self.optimizer(loss)
        return loss


def test_second_derivatives_of_a_scan():
    proto = read(SCAN.replace("STEPS", "11"), {"w": wave(3, 2), "u": wave(2, at=1)})
    calls = [[wave(11, 2), wave(3, 11, at=2)]]
    eager, compiled = (run(proto, calls, each, True, Steepness) for each in (False, True))
    for a, b in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(a, b, 1e-5, 1e-6)


LOOP = """(float[2] x) => (float[2] y, float[11, 2] all, float n) {
    eleven = Constant <value = int64 {11}> ()
    yes = Constant <value = bool {1}> ()
    zero = Constant <value = float {0}> ()
    y, n, all = Loop (eleven, yes, x, zero) <
        body = step (int64 i, bool c, float[2] a, float m) => (bool d, float[2] b, float k,
        float[2] e) {
            d = Identity(c)
            f = Cast <to = 1> (i)
            big = Greater(m, x0)
            g = If (big) <
                then_branch = one () => (float[2] o) { o = Mul(a, w) },
                else_branch = two () => (float[2] p) { p = Add(x, u) }
            >
            b = Sin(g)
            s = ReduceSum <keepdims = 0> (b)
            k = Add(s, m)
            e = Mul(b, f)
        }
    >
}"""


def test_a_loop_of_a_known_number_of_steps_with_branches_inside():
    initial = {"w": wave(2) + 1, "u": wave(2, at=3), "x0": np.array(0.4, np.float32)}
    check(read(LOOP, initial), [wave(2, at=1)], [-wave(2, at=1)], uses=["cond[", "scan["])


UNTIL = """(float[2] x, int64 most) => (float[2] y, int64 n) {
    zero = Constant <value = int64 {0}> ()
    yes = Constant <value = bool {1}> ()
    y, n = Loop (MOST, yes, x, zero) <
        body = step (int64 i, bool c, float[2] a, int64 m) => (bool d, float[2] b, int64 k) {
            b = Mul(a, w)
            s = ReduceSum <keepdims = 0> (b)
            d = Less(s, limit)
            k = Identity(i)
        }
    >
}"""


@pytest.mark.parametrize("most", ["", "seven"])
def test_a_loop_whose_end_depends_on_values(most):
    initial = {"w": wave(2) + 1, "limit": np.array(9, np.float32), "seven": np.array(7)}
    proto = read(UNTIL.replace("MOST", most).replace(", int64 most", ""), initial)
    calls = [[wave(2) + 0.5], [wave(2) + 5]]
    check(proto, *calls, learns=False, uses=["while["] if most else None)
    model = Trained(proto)
    model.set_optimizer(opt.SGD(0.001))
    model.graph(True)
    model.train()
    with pytest.raises(GradientError, match="there is no gradient of a loop whose end depends"):
        model(given(calls[0][0]))


def test_a_loop_without_an_end_is_an_error():
    initial = {"w": wave(2), "limit": np.array(9, np.float32)}
    model = Trained(read(UNTIL.replace("MOST", "").replace(", int64 most", ""), initial))
    model.graph(True)
    model.eval()
    with pytest.raises(FormatError, match="it goes on after 10000 steps"):
        model(given(wave(2)))


DROPS = """(float[2] x) => (float[2] y) {
    yes = Constant <value = bool {1}> ()
    ten = Constant <value = int64 {10}> ()
    half = Constant <value = float {0.5}> ()
    y = Loop (ten, yes, x) <
        body = step (int64 i, bool c, float[2] a) => (bool d, float[2] b) {
            d = Identity(c)
            e = Dropout(a, half, yes)
            b = Add(e, w)
        }
    >
}"""


def test_what_draws_random_numbers_is_unrolled():
    """The numbers are those of an eager run with the same seed."""
    found = []
    for is_compiled in (False, True):
        model = Trained(read(DROPS, {"w": wave(2) + 1}))
        model.set_optimizer(opt.SGD(0.001))
        model.graph(is_compiled)
        model.train()
        model.device.set_rand_seed(3)
        found.append(model(given(wave(2))).item())
    np.testing.assert_allclose(found[1], found[0], 1e-5)


STATES = """(float[2, 2] x) => (float[2, 2] y) {
    yes = Constant <value = bool {1}> ()
    ten = Constant <value = int64 {10}> ()
    y = Loop (ten, yes, x) <
        body = step (int64 i, bool c, float[2, 2] a) => (bool d, float[2, 2] b) {
            d = Identity(c)
            b = BatchNormalization(a, w, bias, mean, variance)
        }
    >
}"""


def test_states_that_a_body_changes_are_changed():
    initial = {"w": wave(2) + 1, "bias": wave(2), "mean": wave(2), "variance": wave(2) + 1}
    found = []
    for is_compiled in (False, True):
        model = Trained(read(STATES, initial))
        model.set_optimizer(opt.SGD(0.001))
        model.graph(is_compiled)
        model.train()
        model(given(wave(2, 2)))
        found.append([x.to_numpy() for x in model.get_states().values()])
        assert not np.allclose(found[-1][2], initial["mean"])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-6)


KNOWN = """(float[2] x) => (float[M] y) {
    yes = Constant <value = bool {1}> ()
    ten = Constant <value = int64 {10}> ()
    one = Constant <value = int64[1] {1}> ()
    size, z = Loop (ten, yes, one, x) <
        body = step (int64 i, bool c, int64[1] n, float[2] a) => (bool d, int64[1] m, float[2] b) {
            d = Identity(c)
            m = Add(n, one)
            b = Mul(a, w)
        }
    >
    y = Tile(z, size)
}"""


def test_what_decides_about_shapes_stays_known():
    check(read(KNOWN, {"w": wave(2) + 1}), [wave(2)])

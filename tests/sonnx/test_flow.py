"""Branches and loops of compiled steps, beside the eager ones: values and gradients."""

import jax
import numpy as np
import onnx.parser
import pytest

from singa import autograd, opt
from singa.errors import CaptureError, FormatError, GradientError
from singa.sonnx import SONNXModel, rules
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


def primitives(model, xs):
    """The names of jax's primitives in the compiled prediction."""
    found = set()

    def look(jaxpr):
        for equation in jaxpr.eqns:
            found.add(equation.primitive.name)
            for value in equation.params.values():
                for each in value if isinstance(value, (list, tuple)) else [value]:
                    if hasattr(each, "jaxpr"):
                        look(each.jaxpr)
                    elif hasattr(each, "eqns"):
                        look(each)

    def function(*arrays):
        return [y.data for y in model.forward(*map(Tensor, arrays))]

    pure = autograd.to_jax(lambda *tensors: model.forward(*tensors))
    look(jax.make_jaxpr(pure)(*xs).jaxpr)
    return found


def check(proto, *calls, learns=True, uses=None):
    """Predictions and two steps of training are the same eagerly and compiled."""
    losses, weights = [], []
    for is_compiled in (False, True):
        model = Trained(proto)
        model.set_optimizer(opt.SGD(0.1))
        model.graph(is_compiled)
        model.eval()
        ys = [[y.to_numpy() for y in model(*map(given, xs))] for xs in calls]
        if is_compiled:
            for a, b in zip(ys, expected, strict=True):
                for y, z in zip(a, b, strict=True):
                    assert (y.shape, y.dtype) == (z.shape, z.dtype)
                    np.testing.assert_allclose(y, z, 1e-5, 1e-6)
            if uses:
                assert uses in primitives(model, calls[0])
        expected = ys
        if learns:
            model.train()
            losses.append([model(*map(given, xs)).item() for xs in calls])
            weights.append({n: p.to_numpy() for n, p in model.get_params().items()})
    if learns:
        np.testing.assert_allclose(losses[1], losses[0], 1e-5)
        assert weights[0]
        for name, w in weights[0].items():
            np.testing.assert_allclose(weights[1][name], w, 1e-5, 1e-6, err_msg=name)


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
    check(proto, [wave(2, 3) + 1], [-wave(2, 3) - 1], uses="cond")



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
    check(proto, [wave(steps, 2), wave(3, steps, at=2)], uses="scan" if steps > 8 else None)


LOOP = """(float[2] x) => (float[2] y, float[11, 2] all, float n) {
    eleven = Constant <value = int64 {11}> ()
    yes = Constant <value = bool {1}> ()
    zero = Constant <value = float {0}> ()
    y, n, all = Loop (eleven, yes, x, zero) <
        body = step (int64 i, bool c, float[2] a, float m) => (bool d, float[2] b, float k, float[2] e)
        {
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
    initial = {"w": wave(2) + 1, "u": wave(2, at=1), "x0": np.array(0.4, np.float32)}
    check(read(LOOP, initial), [wave(2, at=1)], [-wave(2, at=1)], uses="scan")


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
    check(proto, *calls, learns=False, uses=None)
    model = Trained(proto)
    model.set_optimizer(opt.SGD(0.1))
    model.graph(True)
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
        model.set_optimizer(opt.SGD(0.1))
        model.graph(is_compiled)
        model.train()
        model.device.set_rand_seed(3)
        found.append(model(given(wave(2))).item())
    np.testing.assert_allclose(found[1], found[0], 1e-5)

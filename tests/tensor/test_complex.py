"""Tensors of complex numbers: how they are made and converted, and what is refused in words."""

import copy
import pickle

import numpy as np
import pytest

from singa import autograd, device, opt, tensor
from singa.errors import ArgumentError, DTypeError, GradientError
from singa.graph import Steps
from singa.operation import unique
from singa.tensor import Tensor

Z = np.array([1 + 2j, -0.5j], np.complex64)


def test_they_are_made_and_read():
    t = Tensor(data=Z)
    assert t.dtype == tensor.complex64
    assert repr(t) == "Tensor([ 1.+2.j , -0.-0.5j], shape=(2,), dtype=complex64, device=cpu)"
    assert t.tolist() == [1 + 2j, -0.5j]
    assert complex(t[0]) == t[0].item() == 1 + 2j
    np.testing.assert_array_equal(tensor.from_numpy(Z.astype(complex)).to_numpy(), Z)
    for same in (t.copy(), copy.deepcopy(t), pickle.loads(pickle.dumps(t)), Tensor(data=[*Z])):
        assert same.dtype == tensor.complex64
        np.testing.assert_array_equal(same.to_numpy(), Z)
    assert Tensor(data=[1.0, 2j]).dtype == tensor.complex64  # Python's numbers have 32 bits
    assert tensor.zeros(2, dtype=complex).dtype == tensor.complex64
    assert tensor.ones(2, dtype="complex128").tolist() == [1, 1]
    assert tensor.full((2,), 1j).tolist() == [1j, 1j]
    assert t.set_value(2j).tolist() == [2j, 2j]
    assert Tensor(data=Z, dtype=tensor.complex128).dtype == tensor.complex128
    assert (t.l1(), t.l2()) == (4, pytest.approx(8**0.5))
    assert device.as_dtype(complex) == tensor.complex64


def test_the_signs_of_zeros_in_constants_are_kept():
    x = Tensor(data=np.zeros(1))
    for number in (complex(0.0, -0.0), complex(0.0, 0.0)):
        y = tensor.as_tensor(number, x).to_numpy()
        assert np.signbit(y.imag) == np.signbit(number.imag)


@pytest.mark.parametrize(
    ("ours", "other", "result"),
    [
        ("float16", 1j, "complex64"),
        ("float32", 1j, "complex64"),
        ("float64", 1j, "complex128"),
        ("int32", 1j, "complex64"),
        ("complex64", 2.0, "complex64"),
        ("complex64", np.float32(2), "complex64"),
        ("complex64", np.float64(2), "complex64"),
        ("float64", np.complex64(2), "complex128"),
        ("float32", np.complex128(2), "complex64"),  # one of Python, as np.float64 is
        ("bfloat16", np.complex64(2), "complex64"),
    ],
)
def test_types_are_promoted(ours, other, result):
    x = tensor.ones(2, dtype=ours)
    for y in (x * other, other * x):
        assert y.dtype == result
        np.testing.assert_array_equal(y.to_numpy(), np.full(2, other))


def test_imaginary_parts_are_not_dropped_without_a_word():
    z, x = Tensor(data=Z), tensor.ones(2)
    for mistake in (
        lambda: z.astype("float32"),
        lambda: z.to(tensor.int32),
        lambda: z.to_type("bool"),
        lambda: Tensor(data=Z, dtype="float32"),
        lambda: Tensor(data=z, dtype="float32"),
        lambda: x.copy_data(z),
        lambda: x.copy_from_numpy(Z),
        lambda: x.set_value(1j),
        lambda: x.__iadd__(z),
        lambda: x.__setitem__(0, 1j),
        lambda: autograd.scatter_elements(x, [0], Tensor(data=Z[:1])),
        lambda: autograd.index_add(x, 0, [0], Tensor(data=Z[:1])),
    ):
        with pytest.raises(DTypeError, match=r"imaginary|do not fit"):
            mistake()
    assert x.tolist() == [1, 1]
    x, z = tensor.ones(2), z.copy()
    z += x
    z[0] = 3
    assert z.tolist() == [3, 1 - 0.5j]


def test_without_a_meaning_for_them_they_are_refused():
    z = Tensor(data=Z)
    for mistake in (
        lambda: z < 1,
        lambda: z.max(),
        lambda: z.clip(0, 1),
        lambda: z.relu(),
        lambda: z // 2,
        lambda: tensor.ones(2) > z,
        lambda: z.gaussian(),
        lambda: unique(z),
    ):
        with pytest.raises(DTypeError, match=r"real|float"):
            mistake()


def test_an_operation_of_the_user_says_who_differentiates_it(recording):
    class Product(autograd.Operation):
        def forward(self, a, b):
            self.a, self.b = a, b
            return a * b

        def backward(self, dy):
            return dy * self.b.conj(), dy * self.a.conj()

    class Derived(Product):
        complex_numbers = "derived"

        def backward(self, dy):
            return dy * self.b, dy * self.a  # of real numbers

    class Own(Product):
        complex_numbers = "own"

    class Misspelt(Product):
        complex_numbers = "jax"

    a, b = (Tensor(data=values, stores_grad=True) for values in (Z, Z[::-1].copy()))
    with pytest.raises(DTypeError, match="Product: real numbers are needed, got complex64"):
        Product()(a, b)
    with pytest.raises(ArgumentError, match="Misspelt: complex_numbers"):
        Misspelt()(a, b)
    for operation in (Derived(), Own()):
        (y,) = operation(a, b)
        da, db = autograd.grad(y, [a, b], np.ones(2))
        np.testing.assert_allclose(da.to_numpy(), Z[::-1].conj())
        np.testing.assert_allclose(db.to_numpy(), Z.conj())
        np.testing.assert_allclose(y.creator.backward(np.ones(2, np.complex64))[0], da.to_numpy())
    x = Tensor(data=np.array([2.0, 3.0]), stores_grad=True)
    (y,) = Derived()(x, x)
    assert autograd.grad(y.sum(), x).tolist() == [4, 6]


def test_a_loss_is_real_and_so_is_the_gradient_of_what_is_real(recording):
    x, z = (Tensor(data=d, stores_grad=True) for d in (np.ones(2, np.float32), Z))
    y = (x * z).sum()
    with pytest.raises(GradientError, match="backward: y is complex"):
        autograd.backward(y)
    with pytest.raises(DTypeError, match="dy: complex"):
        autograd.grad(y.abs(), x, np.array(1j))
    dx, dz = autograd.grad(y, [x, z], np.array(1j))  # of the imaginary part
    np.testing.assert_array_equal(dx.to_numpy(), Z.imag)
    assert dx.dtype == tensor.float32
    np.testing.assert_array_equal(dz.to_numpy(), [1j, 1j])


def test_derivatives_of_functions_of_complex_numbers():
    values = np.array([0.5 + 1j, -1 + 0.3j])
    x, v = Tensor(data=values), Tensor(data=np.array([0.2 - 1j, 1 + 0.5j]))

    def f(x):
        return x * x * x.conj()

    _, dy = autograd.jvp(f, [x], [v])
    z, d = values, v.to_numpy()
    np.testing.assert_allclose(dy.to_numpy(), 2 * z * d * z.conj() + z * z * d.conj(), rtol=1e-12)
    # Of |z|^4, which is (x^2 + y^2)^2, the gradient is 4 |z|^2 z.
    product = autograd.hvp(lambda x: (f(x) * x.conj()).real.sum(), x, v).to_numpy()
    expected = 8 * (z * d.conj()).real * z + 4 * abs(z) ** 2 * d
    np.testing.assert_allclose(product, expected, rtol=1e-12)
    np.testing.assert_allclose(
        autograd.jacobian(autograd.abs, x[:1]).to_numpy(), [z[:1] / abs(z[0])]
    )
    with pytest.raises(DTypeError, match="jacobian: the function must be real"):
        autograd.jacobian(f, x)
    with pytest.raises(DTypeError, match="hessian"):
        autograd.hessian(lambda x: x.abs().sum(), x)
    autograd.check_gradients(lambda a, b: (a * b.exp()).angle() * b, [x, v], order=2)

    def wrong(x):
        return x * x.detach().conj()

    with pytest.raises(GradientError, match="input 0"):
        autograd.check_gradients(wrong, [x])


def test_gradients_where_there_is_no_slope(recording):
    x = Tensor(data=np.zeros(1, complex), stores_grad=True)
    for function in (autograd.abs, autograd.angle, lambda x: x**2):
        y = function(x)
        assert autograd.grad(y, x, np.ones(1)).tolist() == [0]


def test_numpy_and_jax_functions_take_them(recording):
    z = Tensor(data=Z, stores_grad=True)
    assert np.real(z).tolist() == z.real.tolist() == [1, 0]
    assert np.imag(z).tolist() == z.imag.tolist() == [2, -0.5]
    assert np.conj(z).tolist() == z.conj().tolist() == [1 - 2j, 0.5j]
    assert np.angle(z).dtype == z.angle().dtype == tensor.float32
    assert np.fft.fft(z).requires_grad
    square = autograd.from_jax(lambda x: x * x)
    np.testing.assert_allclose(autograd.grad(square(z).real.sum(), z).to_numpy(), 2 * Z.conj())


def test_sgd_takes_them_and_other_optimizers_do_not(recording):
    target = Tensor(data=Z)

    def run(optimizer, p, steps=3):
        for _ in range(steps):
            optimizer((p - target).abs().square().sum())
        return p.to_numpy()

    options = {"momentum": 0.5, "weight_decay": 0.1}
    whole, parts = (
        Tensor(data=data, stores_grad=True) for data in (0 * Z, np.zeros((2, 2), np.float32))
    )
    found = run(opt.SGD(0.1, clip_norm=1.0, **options), whole)
    sgd = opt.SGD(0.1, clip_norm=1.0, **options)
    for _ in range(3):
        sgd((autograd.view_as_complex(parts) - target).abs().square().sum())
    np.testing.assert_allclose(found.view(np.float32).reshape(2, 2), parts.to_numpy(), rtol=1e-5)
    for optimizer, words in ((opt.Adam(), "Adam"), (opt.SGD(clip_value=1.0), "clip_value")):
        with pytest.raises(DTypeError, match=f"{words} is for real parameters"):
            run(optimizer, Tensor(data=Z, stores_grad=True, name="p"))


def test_in_a_compiled_step_too():
    p = Tensor(data=Z, stores_grad=True)
    q = Tensor(data=Z, stores_grad=True)
    optimizers = [opt.SGD(0.1, momentum=0.9) for _ in range(2)]

    def step(p, optimizer):
        loss = (p * 1j + 2.0).exp().abs().sum() + p.square().real.mean()
        optimizer(loss)
        return loss

    autograd.training = True
    try:
        compiled, program = [], Steps()
        for _ in range(3):
            compiled.append(program(lambda: step(p, optimizers[0]), (), {}, False).item())
        eager = [step(q, optimizers[1]).item() for _ in range(3)]
    finally:
        autograd.training = False
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    np.testing.assert_allclose(p.to_numpy(), q.to_numpy(), rtol=1e-5)

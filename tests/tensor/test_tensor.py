"""Tensor: making it, changing it, and converting it to and from other types."""

import jax.numpy as jnp
import numpy as np
import pytest

from singa import device, tensor
from singa.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from singa.tensor import Tensor

CPU = device.get_default_device()


def test_the_constructor_takes_its_arguments_by_position():
    t = Tensor((2, 3), CPU, tensor.int32)
    assert (t.shape, t.device, t.dtype) == ((2, 3), CPU, tensor.int32)
    np.testing.assert_array_equal(t, np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (np.ones(2), "float64"),
        (np.ones(2, np.float16), "float16"),
        (np.ones(2, np.int64), "int64"),
        (np.ones(2, np.uint8), "uint8"),
        (np.ones(2, bool), "bool"),
        (np.float64(1), "float64"),
        ([1.0, 2.0], "float32"),
        ([1, 2], "int32"),
        (3, "int32"),
        (True, "bool"),
        (jnp.ones(2, jnp.bfloat16), "bfloat16"),
    ],
    ids=str,
)
def test_the_data_type_is_that_of_the_data(data, dtype):
    t = Tensor(data=data)
    assert str(t.dtype) == dtype
    np.testing.assert_array_equal(t.to_numpy().astype(float), np.asarray(data).astype(float))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("float32", "float32"), (float, "float32"), (int, "int32"), (np.int8, "int8")],
    ids=str,
)
def test_a_given_data_type_wins(name, expected):
    assert str(Tensor(data=np.array([1.5, 2.5]), dtype=name).dtype) == expected


def test_wrong_arguments_are_refused_with_words():
    with pytest.raises(DTypeError, match="unknown data type 'uint16'; one of float16"):
        Tensor((2,), dtype="uint16")
    with pytest.raises(DTypeError, match="unknown data type"):
        Tensor(data=np.array(["a"]))
    with pytest.raises(ShapeError, match=r"shape \(3,\) given with data of \(2,\)"):
        Tensor((3,), data=np.ones(2))
    with pytest.raises(ShapeError, match="sizes of 0 or more"):
        Tensor((2, -1))
    with pytest.raises(DeviceError, match="no device is named 'tpu'; cpu, cuda or cuda:N"):
        Tensor((2,), "tpu")
    with pytest.raises(ArgumentError, match="stores_grad=True needs requires_grad=True"):
        Tensor((2,), requires_grad=False, stores_grad=True)
    with pytest.raises(DTypeError, match=r"a CTensor .* is expected, got ndarray"):
        Tensor((2,)).data = np.ones(2)


def test_storing_a_gradient_implies_requiring_it():
    t = Tensor((2,), requires_grad=False)
    t.stores_grad = True
    assert t.requires_grad
    t.stores_grad = False
    assert t.requires_grad


def test_the_callers_array_and_the_tensor_do_not_share_memory():
    array = np.arange(4096, dtype=np.float32)
    made, copied = Tensor(data=array), Tensor((4096,))
    copied.copy_from_numpy(array)
    array += 1
    out = made.to_numpy()
    out += 5
    for t in (made, copied):
        np.testing.assert_array_equal(t, np.arange(4096))


def test_copy_from_numpy_converts_but_never_loses_more_than_precision():
    t = Tensor((2,), dtype="float32")
    t.copy_from_numpy(np.array([1.5, 2.5]))
    assert t.dtype == tensor.float32
    t.copy_from_numpy(np.array([1, 2]))
    ids = Tensor((2,), dtype="int32").copy_from_numpy(np.array([3, 4], np.int64))
    np.testing.assert_array_equal(ids, [3, 4])
    with pytest.raises(DTypeError, match="float64 values do not fit into a int32 Tensor"):
        ids.copy_from_numpy(np.array([1.5, 2.5]))
    with pytest.raises(ShapeError, match=r"of shape \(2,\), the array of \(3,\)"):
        ids.copy_from_numpy(np.zeros(3, np.int32))
    np.testing.assert_array_equal(ids, [3, 4])


def test_filling_in_place_returns_the_tensor():
    t = Tensor((3,))
    for filled in (t.set_value(2.0), t.gaussian(), t.uniform(), t.bernoulli(0.5)):
        assert filled is t
    with pytest.raises(DTypeError, match="normal: a float Tensor is needed, not int32"):
        Tensor((3,), dtype="int32").gaussian()


def test_one_seed_gives_the_same_numbers_and_the_stream_moves_on():
    def draw():
        return [Tensor((50,)).gaussian(1.0, 2.0).to_numpy(), Tensor((50,)).uniform().to_numpy(),
                Tensor((50,)).bernoulli(0.3).to_numpy()]  # fmt: skip

    CPU.SetRandSeed(7)
    first, second = draw(), draw()
    CPU.set_rand_seed(7)
    for a, b, c in zip(first, second, draw(), strict=True):
        assert not np.array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_the_random_fills_have_their_distributions():
    CPU.set_rand_seed(0)
    n = 200_000
    normal = Tensor((n,)).gaussian(3.0, 2.0).to_numpy()
    assert abs(normal.mean() - 3) < 0.03
    assert abs(normal.std() - 2) < 0.03
    uniform = Tensor((n,)).uniform(-1.0, 3.0).to_numpy()
    assert uniform.min() >= -1
    assert uniform.max() < 3
    assert abs(uniform.mean() - 1) < 0.02
    coin = Tensor((n,)).bernoulli(0.25).to_numpy()
    assert set(np.unique(coin)) == {0.0, 1.0}
    assert abs(coin.mean() - 0.25) < 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "bfloat16"])
def test_batch_after_batch_goes_in_and_stays_what_it_was(dtype):
    t = Tensor((3, 2), dtype=dtype)
    batch = np.zeros((3, 2), t.dtype)
    seen = []
    for i in range(20):  # the way in changes for shapes that come often
        batch[:] = np.arange(6).reshape(3, 2) * i % 2
        seen.append((t.copy_from_numpy(batch).data, batch.copy()))
        batch[:] = 77
    for array, values in seen:
        assert array.dtype == t.dtype
        assert array.committed
        np.testing.assert_array_equal(np.asarray(array, np.float64), values)


def test_values_come_out_as_python_numpy_and_dlpack():
    t = Tensor(data=np.array([[1.5, 2.5]], np.float32))
    assert Tensor(data=2.5).item() == float(Tensor(data=2.5)) == 2.5
    assert int(Tensor(data=3)) == 3
    assert bool(Tensor(data=True)) is True
    assert len(t) == 1
    assert (t.ndim(), t.size(), t.memsize()) == (2, 2, 8)
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    assert np.shares_memory(np.asarray(t), np.from_dlpack(t))
    np.testing.assert_array_equal(tensor.from_dlpack(np.ones((2, 3))), np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"item: one element is needed.*\(1, 2\)"):
        t.item()
    with pytest.raises(DTypeError, match="len: a Tensor without axes"):
        len(Tensor())


def test_a_view_that_numpy_got_is_read_only():
    view = np.asarray(Tensor((3,)))
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1


def test_repr_says_values_and_what_it_is():
    text = repr(Tensor(data=np.array([1.0, 2.5], np.float32), stores_grad=True, name="w"))
    assert text == (
        "Tensor([1. , 2.5], shape=(2,), dtype=float32, device=cpu, name='w', stores_grad=True)"
    )


def test_tensors_are_equal_by_value_and_found_by_identity():
    a, b = Tensor(data=[1, 2]), Tensor(data=[1, 3])
    np.testing.assert_array_equal(a == b, [True, False])
    np.testing.assert_array_equal(a != b, [False, True])
    np.testing.assert_array_equal(a < 2, [True, False])
    assert (a == None) is False  # noqa: E711 (the operator is what is tested)
    assert {a: "a", b: "b"}[b] == "b"


def test_clone_is_a_leaf_of_its_own():
    a = Tensor(data=[1.0, 2.0], stores_grad=True, name="a")
    b = a.clone()
    a.set_value(0.0)
    np.testing.assert_array_equal(b, [1, 2])
    assert (b.name, b.stores_grad, b.creator) == ("a", True, None)


def test_module_functions():
    np.testing.assert_array_equal(tensor.ones((2,)), [1, 1])
    np.testing.assert_array_equal(tensor.zeros_like(tensor.ones(2, dtype="int8")), [0, 0])
    assert tensor.ones_like(tensor.zeros(2, dtype="int8")).dtype == tensor.int8
    assert tensor.from_numpy(np.ones(2)).dtype == tensor.float64
    a, b = tensor.from_raw_tensors([jnp.ones(2), jnp.zeros(2)])
    np.testing.assert_array_equal(tensor.to_numpy(a) + tensor.to_host(b).to_numpy(), [1, 1])
    a.copy_data(b)
    np.testing.assert_array_equal(a, [0, 0])
    with pytest.raises(ShapeError, match=r"copy_data: \(3,\) into a Tensor of shape \(2,\)"):
        a.copy_from(tensor.ones(3))
    assert a.as_type("float16").dtype == tensor.float16
    assert a.to_type("int32") is a
    assert a.dtype == tensor.int32


def test_the_function_copy_from_numpy_takes_tensors_only():
    t = Tensor((2,))
    tensor.copy_from_numpy(t, np.array([1.0, 2.0], np.float32))
    assert t.to_numpy().tolist() == [1, 2]
    with pytest.raises(DTypeError, match="a CTensor cannot be modified"):
        tensor.copy_from_numpy(t.data, np.zeros(2, np.float32))

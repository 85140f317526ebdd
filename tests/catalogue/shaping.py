import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops
from singa.tensor import Tensor

SHAPE = Tensor(data=[2, 3])

ROWS = {
    "reshape": Row(
        ops.Reshape, lambda x: ops.reshape(x, (0, -1)), lambda x: x.reshape(2, 6), [(2, 3, 2)]
    ),
    "flatten": Row(ops.Flatten, ops.flatten, lambda x: x.reshape(2, 6), [(2, 3, 2)]),
    "transpose": Row(
        ops.Transpose,
        lambda x: ops.transpose(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1), [(2, 3, 4)],
    ),
    "cast": Row(ops.Cast, lambda x: ops.cast(x, x.dtype), lambda x: x, [(2, 3)]),
    "squeeze": Row(
        ops.Squeeze, lambda x: ops.squeeze(x, -1), lambda x: x[..., 0], [(1, 3, 1)]
    ),
    "unsqueeze": Row(
        ops.Unsqueeze, lambda x: ops.unsqueeze(x, [0, -1]), lambda x: x[None, ..., None], [(2, 3)]
    ),
    "expand": Row(
        ops.Expand, lambda x: ops.expand(x, (2, 1, 4)), lambda x: jnp.zeros((2, 3, 4), x.dtype) + x,
        [(3, 1)],
    ),
    "shape": Row(
        ops.Shape, lambda x: x * ops.cast(ops.shape(x), x.dtype),
        lambda x: x * jnp.array([2, 2], x.dtype), [(2, 2)],
    ),
    "constant_of_shape": Row(
        ops.ConstantOfShape, lambda x: x * ops.cast(ops.constant_of_shape(SHAPE, 3), x.dtype),
        lambda x: x * 3, [(2, 3)],
    ),
}  # fmt: skip

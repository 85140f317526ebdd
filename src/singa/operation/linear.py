"""Linear algebra: matrix products and biases."""

from __future__ import annotations

import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.elementwise import add, mul
from singa.operation.products import as_rows, of_integers, product
from singa.operation.shaping import reshape
from singa.tape import Operation

__all__ = [
    "AddBias", "Affine", "Cross", "Einsum", "Gemm", "Matmul", "add_bias", "affine", "bilinear",
    "cross", "einsum", "gemm", "kron", "matmul", "outer",
]  # fmt: skip


class Matmul(Operation):
    """y = a b, a matrix product by NumPy's rules: leading axes are batches and broadcast.

    Shorter integers give int32, here and in the other products.
    """

    complex_numbers = "derived"
    arithmetic = "low"

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        if not a.ndim or not b.ndim:
            raise ShapeError(f"{self.name}: got shapes {a.shape} and {b.shape}, one has no axes")
        inner = b.shape[-2 if b.ndim > 1 else 0]
        if a.shape[-1] != inner:
            raise ShapeError(
                f"{self.name}: {a.shape} times {b.shape}: the last axis of the first is of size "
                f"{a.shape[-1]}, the {'second last' if b.ndim > 1 else 'only'} one of the second "
                f"of size {inner}; they must be equal"
            )
        if a.ndim > 2 and b.ndim > 2:
            try:
                jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            except ValueError:
                raise ShapeError(
                    f"{self.name}: {a.shape} times {b.shape}: the leading axes do not broadcast"
                ) from None
        self.a, self.b = a, b
        return product(a, b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        a, b = self.a, self.b
        # A vector is a matrix with one row (on the left) or one column (on the right).
        if a.ndim == 1:
            dy = jnp.expand_dims(dy, -2 if b.ndim > 1 else -1)
        if b.ndim == 1:
            dy = jnp.expand_dims(dy, -1)
        rows = a[None] if a.ndim == 1 else a
        columns = b[:, None] if b.ndim == 1 else b
        da = product(dy, columns, transpose_b=True)
        if columns.ndim == 2:
            # One product for all batches, instead of one for each batch and a sum.
            rows, dy = as_rows(rows), as_rows(dy)
        db = product(rows, dy, transpose_a=True)
        if a.ndim == 1:
            da = da[..., 0, :]
        return da, db[..., 0] if b.ndim == 1 else db


class Affine(Operation):
    """y = x W + b: a matrix product and a bias in one (ONNX Gemm).

    All axes of x but the last are batches.
    """

    complex_numbers = "derived"
    arithmetic = "low"

    def forward(self, x: CTensor, w: CTensor, b: CTensor) -> CTensor:
        checks.rank(self, "the weight", w, 2, "(features, outputs)")
        if not x.ndim or x.shape[-1] != w.shape[0]:
            raise ShapeError(
                f"{self.name}: a weight of shape {w.shape} needs an input of shape "
                f"(..., {w.shape[0]}), got {x.shape}"
            )
        if b.shape != w.shape[1:]:
            raise ShapeError(f"{self.name}: the bias must be of shape {w.shape[1:]}, got {b.shape}")
        self.x, self.w = x, w
        return product(x, w) + b

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, CTensor]:
        rows, dys = as_rows(self.x), as_rows(dy)
        dw = product(rows, dys, transpose_a=True)
        return product(dy, self.w, transpose_b=True), dw, dys.sum(0)


class AddBias(Operation):
    """y = x + b, with b along the last axis of x (axis 0) or along its first (axis 1)."""

    complex_numbers = "own"
    arithmetic = "low"

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        if axis not in (0, 1):
            raise ArgumentError(f"{self.name}: axis must be 0 (rows) or 1 (columns), got {axis!r}")
        self.axis = int(axis)

    def forward(self, x: CTensor, b: CTensor) -> CTensor:
        if self.axis == 1:
            checks.rank(self, "the input", x, 2, "(M, N)")
        if not x.ndim:
            raise ShapeError(f"{self.name}: the input has no axes")
        size = x.shape[-1] if self.axis == 0 else x.shape[0]
        shape = (1, size) if self.axis == 0 else (size, 1)
        if b.shape not in ((size,), shape):
            raise ShapeError(
                f"{self.name}: with axis={self.axis} and an input of shape {x.shape} the bias must "
                f"be of shape {(size,)} or {shape}, got {b.shape}"
            )
        self.bias_shape = b.shape
        return x + (b.reshape(size) if self.axis == 0 else b.reshape(size, 1))

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        summed = range(dy.ndim - 1) if self.axis == 0 else (1,)
        return dy, dy.sum(tuple(summed)).reshape(self.bias_shape)


class Gemm(Operation):
    """y = alpha A B + beta C, of matrices, with A and B optionally transposed (ONNX Gemm)."""

    complex_numbers = "derived"
    arithmetic = "low"

    def __init__(
        self, alpha: float = 1.0, beta: float = 1.0, transA: bool = False, transB: bool = False
    ) -> None:
        super().__init__()
        self.alpha = checks.number(f"{self.name}: alpha", alpha)
        self.beta = checks.number(f"{self.name}: beta", beta)
        self.transA = bool(transA)
        self.transB = bool(transB)

    def forward(self, a: CTensor, b: CTensor, c: CTensor | None = None) -> CTensor:
        for what, x in (("A", a), ("B", b)):
            checks.rank(self, what, x, 2, "a matrix")
        self.a, self.b, self.has_c = a, b, c is not None
        rows = a.shape[::-1] if self.transA else a.shape
        columns = b.shape[::-1] if self.transB else b.shape
        shape = (rows[0], columns[1])
        if rows[1] != columns[0]:
            raise ShapeError(f"{self.name}: matrices of {rows} and {columns} do not fit together")
        y = product(a, b, self.transA, self.transB) * self.alpha
        if c is None:
            return y
        if c.ndim > 2 or any(
            size not in (1, wanted)
            for size, wanted in zip(c.shape[::-1], shape[::-1], strict=False)
        ):
            raise ShapeError(f"{self.name}: C of shape {c.shape} does not broadcast to {shape}")
        return y + c * self.beta

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        a, b, turn_a, turn_b = self.a, self.b, self.transA, self.transB
        # The gradient of a transposed input is transposed too.
        da = product(b, dy, turn_b, True) if turn_a else product(dy, b, False, not turn_b)
        db = product(dy, a, True, turn_a) if turn_b else product(a, dy, not turn_a)
        da, db = da * self.alpha, db * self.alpha
        return (da, db, dy * self.beta) if self.has_c else (da, db)


class Einsum(Operation):
    """y = a sum of products, with axes named by letters (Einstein's convention, as in NumPy)."""

    complex_numbers = "derived"
    arithmetic = "low"

    def __init__(self, equation: str) -> None:
        super().__init__()
        self.equation = equation

    def forward(self, *xs: CTensor) -> CTensor:
        try:
            return jnp.einsum(self.equation, *xs, preferred_element_type=of_integers(*xs))
        except (ValueError, TypeError) as error:
            shapes = ", ".join(str(x.shape) for x in xs)
            raise ShapeError(
                f"{self.name}: {self.equation!r} does not fit shapes {shapes}: {error}"
            ) from None


class Cross(Operation):
    """y = the cross product of vectors of size 3 along an axis, with broadcasting."""

    complex_numbers = "derived"

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        checks.no_bools(self, "as_type(tensor.int32) makes some", a, b)
        rank = max(a.ndim, b.ndim)
        axis = checks.axis(self, self.axis, rank)
        self.along = axis - rank  # counted from the end, where the shapes meet
        for x in (a, b):
            if x.ndim < -self.along or x.shape[self.along] != 3:
                raise ShapeError(f"{self.name}: axis {axis} must be of size 3, got shape {x.shape}")
        self.a, self.b = a, b
        return jnp.cross(a, b, axis=self.along)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        along = self.along
        return jnp.cross(self.b, dy, axis=along), jnp.cross(dy, self.a, axis=along)


def matmul(x: Tensor, w: TensorLike) -> Tensor:
    """The matrix product x w.

    (M, K) x (K, N) gives (M, N). Leading axes are batches and broadcast, as in NumPy:
    (B, M, K) x (K, N) gives (B, M, N). Shorter integers are added up as int32.

    Example:
        >>> autograd.matmul(Tensor(data=[[1.0, 2.0]]), Tensor(data=[[3.0], [4.0]]))
        Tensor([[11.]], shape=(1, 1), dtype=float32, device=cpu)
    """
    return Matmul()(x, as_tensor(w, x))[0]


def affine(x: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """Multiply each row with a matrix, and add a bias: x W + b.

    Args:
        x: (..., features).
        W: (features, outputs).
        b: (outputs,).

    Returns:
        (..., outputs).

    Example:
        >>> x, W = Tensor(data=[[1.0, 2.0]]), Tensor(data=[[3.0], [4.0]])
        >>> autograd.affine(x, W, Tensor(data=[0.5]))
        Tensor([[11.5]], shape=(1, 1), dtype=float32, device=cpu)
    """
    return Affine()(x, W, b)[0]


def add_bias(x: Tensor, b: Tensor, axis: int = 0) -> Tensor:
    """Add a bias to each row (axis 0) or each column (axis 1).

    Args:
        x: (..., N); with ``axis=1`` (M, N).
        b: (N,) or (1, N); with ``axis=1`` (M,) or (M, 1).

    Example:
        >>> x = Tensor(data=[[1.0, 2.0], [3.0, 4.0]])
        >>> autograd.add_bias(x, Tensor(data=[10.0, 20.0]), axis=1)
        Tensor([[11., 12.],
                [23., 24.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return AddBias(axis)(x, b)[0]


def gemm(
    A: Tensor,
    B: Tensor,
    C: Tensor | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: bool = False,
    transB: bool = False,
) -> Tensor:
    """``alpha * A B + beta * C``, of matrices (ONNX Gemm).

    Args:
        A: (M, K), or (K, M) with ``transA``.
        B: (K, N), or (N, K) with ``transB``.
        C: of a shape that broadcasts to (M, N), or None.

    Returns:
        (M, N).

    Example:
        >>> A, B = Tensor(data=[[1.0, 2.0]]), Tensor(data=[[3.0, 4.0]])
        >>> autograd.gemm(A, B, alpha=0.5, transB=True)
        Tensor([[5.5]], shape=(1, 1), dtype=float32, device=cpu)
    """
    return Gemm(alpha, beta, transA, transB)(*((A, B) if C is None else (A, B, C)))[0]


def einsum(equation: str, *xs: Tensor) -> Tensor:
    """A sum of products, with axes named by letters (NumPy's einsum).

    Any number of Tensors, with ``...`` and without ``->`` too. ``"bij,bjk->bik"`` is a product of
    batches of matrices: (B, I, J) and (B, J, K) give (B, I, K).

    Example:
        >>> autograd.einsum("i,j->ij", Tensor(data=[1.0, 2.0]), Tensor(data=[3.0, 4.0]))
        Tensor([[3., 4.],
                [6., 8.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return Einsum(equation)(*xs)[0]


def bilinear(x1: Tensor, x2: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """A bilinear function of two vectors: ``x1 W[k] x2 + b[k]`` for each output k.

    Args:
        x1: (..., features of the first).
        x2: (..., features of the second).
        W: (outputs, features of the first, features of the second).
        b: (outputs,), or None.

    Returns:
        (..., outputs).

    Example:
        >>> x1, x2 = Tensor(data=[[1.0, 2.0]]), Tensor(data=[[3.0]])
        >>> autograd.bilinear(x1, x2, Tensor(data=[[[1.0], [0.5]]]))
        Tensor([[6.]], shape=(1, 1), dtype=float32, device=cpu)
    """
    y = einsum("...i,oij,...j->...o", x1, W, x2)
    return y if b is None else add(y, b)


def outer(a: Tensor, b: TensorLike) -> Tensor:
    """The products of all pairs of elements of two vectors: (M,) and (N,) give (M, N).

    Other shapes are flattened first.

    Example:
        >>> autograd.outer(Tensor(data=[1, 2]), Tensor(data=[3, 4]))
        Tensor([[3, 4],
                [6, 8]], shape=(2, 2), dtype=int32, device=cpu)
    """
    return mul(reshape(a, (-1, 1)), reshape(as_tensor(b, a), (1, -1)))


def kron(a: Tensor, b: TensorLike) -> Tensor:
    """The Kronecker product: each element of ``a`` times the whole of ``b``, as blocks.

    The sizes of the axes, (M, N) and (P, Q), are multiplied: (M P, N Q). If one has fewer axes,
    axes of size 1 are added in front.

    Example:
        >>> autograd.kron(Tensor(data=[1, 10]), Tensor(data=[1, 2]))
        Tensor([ 1,  2, 10, 20], shape=(4,), dtype=int32, device=cpu)
    """
    b = as_tensor(b, a)
    rank = max(a.ndim(), b.ndim())
    rows, columns = ((1,) * (rank - x.ndim()) + x.shape for x in (a, b))
    blocks = reshape(a, [size for each in rows for size in (each, 1)])
    inside = reshape(b, [size for each in columns for size in (1, each)])
    return reshape(mul(blocks, inside), [m * n for m, n in zip(rows, columns, strict=True)])


def cross(a: Tensor, b: TensorLike, axis: int = -1) -> Tensor:
    """The cross product of vectors along ``axis``, which is of size 3; with broadcasting.

    Raises:
        ShapeError: the axis is of another size.

    Example:
        >>> autograd.cross(Tensor(data=[1.0, 0.0, 0.0]), Tensor(data=[0.0, 1.0, 0.0]))
        Tensor([0., 0., 1.], shape=(3,), dtype=float32, device=cpu)
    """
    return Cross(axis)(a, as_tensor(b, a))[0]

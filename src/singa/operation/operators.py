"""Tensor's operators and recorded methods.

They are operations, so they live on this floor; importing it hands them down to the Tensor class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from singa.errors import DTypeError
from singa.operation import elementwise, indexing, linear, logic, shaping
from singa.tensor import Tensor, TensorLike, as_tensor

_BINARY: dict[str, Callable[[Tensor, TensorLike], Tensor]] = {
    "add": elementwise.add,
    "sub": elementwise.sub,
    "mul": elementwise.mul,
    "truediv": elementwise.div,
    "pow": elementwise.pow,
    "matmul": linear.matmul,
}

_COMPARISONS: dict[str, Callable[[Tensor, TensorLike], Tensor]] = {
    "lt": logic.less,
    "le": logic.less_equal,
    "gt": logic.greater,
    "ge": logic.greater_equal,
    "eq": logic.equal,
    "ne": logic.not_equal,
}


def _reflected(function: Callable[[Tensor, TensorLike], Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, other: TensorLike) -> Tensor:
        return function(as_tensor(other, self), self)

    return method


def _in_place(function: Callable[[Tensor, TensorLike], Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, other: TensorLike) -> Tensor:
        result = function(self, other)
        if result.shape != self.shape:
            result = shaping.reshape(result, self.shape)  # raises: it would not be in place
        self.data = result.data.astype(self.dtype)
        if not self.stores_grad or self.creator is not None:
            # From here on this handle stands for the result. A parameter stays a leaf: assigning
            # it is an update, not a part of what is differentiated.
            self.creator, self.output_index = result.creator, result.output_index
            self._requires_grad = self._requires_grad or result._requires_grad
        return self

    return method


def _comparison(function: Callable[[Tensor, TensorLike], Tensor]) -> Callable[..., Any]:
    def method(self: Tensor, other: Any) -> Any:
        if other is None or isinstance(other, str):
            return NotImplemented
        return function(self, other)

    return method


def _iterate(self: Tensor) -> Iterator[Tensor]:
    if not self.shape:
        raise DTypeError("iter: a Tensor without axes cannot be walked over")
    return (indexing.getitem(self, i) for i in range(self.shape[0]))


def _hand_down() -> None:
    methods: dict[str, Callable[..., Any]] = {
        "__neg__": elementwise.negative,
        "__getitem__": indexing.getitem,
        "__iter__": _iterate,
        "reshape": shaping.reshape,
        "transpose": shaping.transpose,
        "T": shaping.transpose,
        "as_type": shaping.cast,
    }
    for name, function in _BINARY.items():
        methods[f"__{name}__"] = function
        methods[f"__r{name}__"] = _reflected(function)
        if name in ("add", "sub", "mul", "truediv"):
            methods[f"__i{name}__"] = _in_place(function)
    for name, function in _COMPARISONS.items():
        methods[f"__{name}__"] = _comparison(function)
    for name, method in methods.items():
        setattr(Tensor, name, method)


_hand_down()

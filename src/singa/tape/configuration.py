"""An operation's configuration: the key of its kernel, and the values that the kernel takes."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.exact import exact, known_by
from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.device import CTensor, DType
from singa.errors import ArgumentError
from singa.tape.likes import OperationLike

# For these types, equal values of one type are the same value.
_EXACT = frozenset({bool, int, str, bytes, type(None), type})


def configuration(operation: OperationLike, precision: DType | None) -> tuple[Any, dict[str, Any]]:
    """The key of an operation's kernel, and the values that are the kernel's arguments.

    The latter are arrays, and the numbers that the class says will change.

    Raises:
        ArgumentError: an attribute is a Tensor, or a value that cannot be compared.
    """
    cls = operation.__class__
    attributes = operation.__dict__
    if not attributes:
        return (cls, precision, cls.forward, cls.backward), {}
    key: list[Any] = [cls, precision, cls.forward, cls.backward]
    given: dict[str, Any] = {}
    for name, value in attributes.items():
        kind = value.__class__
        if name in cls.numbers and isinstance(value, (int, float, np.number)) and kind is not bool:
            # In a captured step a number is a constant, so that XLA can optimize for it.
            is_constant = local.capture is not None
            given[name] = value if is_constant else _scalar(value, None if value else repr(value))
            key += name, kind
        elif kind in _EXACT or (kind is float and value and value == value):
            key += name, kind, value
        elif isinstance(value, (np.ndarray, jax.Array)):
            given[name] = value
            key += name, kind
        else:
            key += name, known_by(value, partial(_exact, operation, name))
    return tuple(key), given


def in_words(operation: OperationLike) -> str:
    """The name and the configuration, as far as it is plain: the same text in each process."""
    plain = [f"{name}={value!r}" for name, value in operation.__dict__.items() if _is_plain(value)]
    return f"{operation.name}({', '.join(plain)})"


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, bytes))


@lru_cache(maxsize=1024, typed=True)
def _scalar(value: float, sign: str | None) -> CTensor:
    """A number as a weakly typed array, which jax takes faster; ``sign`` separates 0.0 and -0.0."""
    return jnp.asarray(value)


def _exact(operation: OperationLike, name: str, value: Any) -> Hashable:
    """A key that is equal only for values that compute the same."""
    if isinstance(value, Tensor):
        raise ArgumentError(
            f"{operation.name}: the Tensor in its attribute {name!r} would be frozen into "
            "the compiled kernel; pass it as an input of the operation instead"
        )
    try:
        return exact(value)
    except TypeError:
        raise ArgumentError(
            f"{operation.name}: in its attribute {name!r} is a {type(value).__name__}, and nothing "
            "says when two of those are the same; operations are configured with numbers, strings, "
            "arrays, functions, and tuples, lists, sets and dicts of them"
        ) from None

"""Keys that distinguish values that are equal in Python, but do not compute the same."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields
from types import BuiltinFunctionType, MethodType, NoneType
from typing import Any

import jax
import numpy as np

# Equal values of one of these types cannot be distinguished in any way.
_EQUAL_IS_SAME = (NoneType, bool, int, str, bytes, MethodType, BuiltinFunctionType)


def exact(value: Any) -> Hashable:
    """A key that is equal only for values of one type that compute the same.

    0.0 is not -0.0, 1 is neither 1.0 nor True, and nan is nan; inside of tuples, sets and slices
    too. Frozen dataclasses are compared by all of their fields. Other objects that define ``==``
    may ignore something that matters there; so they are equal to themselves only.

    Raises:
        TypeError: the value cannot be hashed.

    Example:
        >>> exact.exact((1, 0.0)) == exact.exact((1, -0.0)), exact.exact(1) == exact.exact(True)
        (False, False)
    """
    kind: Any = type(value)
    if kind in _EQUAL_IS_SAME or isinstance(value, np.dtype) or _is_bare_int(value):
        return kind, value
    if isinstance(value, (float, complex, np.generic)):
        return kind, repr(value)
    if isinstance(value, (tuple, frozenset)):  # equal sets may be iterated in another order
        return kind, tuple(map(exact, value))
    if isinstance(value, slice):
        return kind, exact((value.start, value.stop, value.step))
    hash(value)
    if kind.__eq__ is object.__eq__:
        return kind, value
    if _is_frozen_dataclass(kind):
        return kind, tuple([exact(getattr(value, field.name)) for field in fields(value)])
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
        return kind, value, repr(value)  # Decimal("1.0") is not Decimal("1.00")
    return kind, _Itself(value)


def _is_bare_int(value: Any) -> bool:
    """Whether this is of a subclass of int that has nothing more to compare."""
    return (
        isinstance(value, int)
        and type(value).__eq__ is int.__eq__
        and not hasattr(value, "__dict__")
    )


def _is_frozen_dataclass(kind: type) -> bool:
    parameters: Any = vars(kind).get("__dataclass_params__")  # its own, not a base class's
    return parameters is not None and bool(parameters.frozen)


class _Itself:
    """An object as a part of a key: equal to itself only."""

    __slots__ = ("_thing",)

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other._thing is self._thing

    def __hash__(self) -> int:
        return id(self._thing)


def exact_or_same(value: Any) -> Hashable:
    """The key of :func:`exact`; if the value cannot be hashed, its ``id``, while it is alive."""
    try:
        return exact(value)
    except TypeError:
        return type(value), id(value)


def known_by(value: Any, other: Callable[[Any], Hashable]) -> Hashable:
    """A key of the present contents of containers and arrays; of all else what ``other`` gives."""
    if isinstance(value, (list, tuple)):
        return type(value), tuple([known_by(item, other) for item in value])
    if isinstance(value, dict):
        return type(value), tuple([(exact(k), known_by(v, other)) for k, v in value.items()])
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(map(other, value))
    if isinstance(value, (np.ndarray, jax.Array)):
        array = np.asarray(value)
        return array.shape, array.dtype, array.tobytes()
    return other(value)


def others(value: Any) -> Iterator[Any]:
    """The elements in (nested) containers that are neither containers nor arrays."""
    if isinstance(value, dict):
        for item in value.values():
            yield from others(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from others(item)
    elif not isinstance(value, (np.ndarray, jax.Array)):
        yield value


def copied(value: Any) -> Any:
    """A copy, with copies of all containers and arrays in it, which nobody else can change."""
    if isinstance(value, (list, dict)):
        fresh = copy.copy(value)
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            fresh[key] = copied(item)
        return fresh
    if isinstance(value, tuple):
        return getattr(value, "_make", type(value))(map(copied, value))
    return copy.copy(value) if isinstance(value, (set, np.ndarray)) else value

"""How to look into containers and plain objects, and how to make them what they were."""

from __future__ import annotations

import array
import copy
import io
import pickle
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache, partial
from operator import attrgetter, itemgetter
from types import BuiltinFunctionType, CellType, SimpleNamespace
from typing import Any

import jax
import numpy as np

from singa.device import Device
from singa.errors import CaptureError
from singa.guard.code import is_users

MOST_BYTES = 2**20
"""Of a NumPy array that is compared before each call."""


class Absent:
    """Not there."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()
"""Stands for an attribute that is not there."""


def own(owner: Any) -> dict[str, Any]:
    """The attributes of an object itself, looked at without being noted."""
    attributes: dict[str, Any] = object.__getattribute__(owner, "__dict__")
    return attributes


Looks = list[tuple[Callable[[Any], Iterable[Any]], Any]]


class Kind:
    """How to look into objects of one kind.

    Args:
        contents: an object's elements, as a tuple.
        restore: make these its elements; None if a step cannot change them.
        looks: functions, best compiled ones, and what to call them with; what they give one after
            the other are the contents. None if these are new objects each time.
        empty: an object like another one, without its elements.
    """

    def __init__(
        self,
        contents: Callable[[Any], tuple[Any, ...]],
        restore: Callable[[Any, tuple[Any, ...]], None] | None = None,
        looks: Callable[[Any], Looks] | None = None,
        empty: Callable[[Any], Any] | None = None,
    ) -> None:
        self.contents, self.restore, self.looks = contents, restore, looks
        self.empty = empty or _empty


def _empty(container: Any) -> Any:
    container = copy.copy(container)
    container.clear()
    return container


def pairs(mapping: Mapping[Any, Any]) -> tuple[Any, ...]:
    """The keys of a mapping, and then its values."""
    return (*mapping, *mapping.values())


def _set_pairs(mapping: dict[Any, Any], pairs: tuple[Any, ...]) -> None:
    half = len(pairs) // 2
    mapping.clear()
    mapping.update(zip(pairs[:half], pairs[half:], strict=True))


def _set_elements(container: Any, elements: tuple[Any, ...]) -> None:
    container.clear()
    (container.update if isinstance(container, set) else container.extend)(elements)


def _set_array(array: np.ndarray[Any, Any], contents: tuple[Any, ...]) -> None:
    *_, values = contents
    array[...] = np.frombuffer(values, array.dtype).reshape(array.shape)


def _set_bytes(buffer: Any, contents: tuple[bytes]) -> None:
    del buffer[:]
    (buffer.frombytes if isinstance(buffer, array.array) else buffer.extend)(contents[0])


def _generator_state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return generator.bit_generator.state


def _set_generator_state(generator: Any, contents: tuple[bytes]) -> None:
    state = pickle.loads(contents[0])  # made in this process
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def _slots(thing: Any) -> tuple[Any, ...]:
    names = [
        name for kind in type(thing).__mro__ for name in _as_names(vars(kind).get("__slots__"))
    ]
    return tuple([getattr(thing, name, ABSENT) for name in names if name[:2] != "__"])


def _as_names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots or ())


def _sorted(elements: set[Any]) -> tuple[Any, ...]:
    return tuple(sorted(elements, key=id))


def _attributes(thing: Any) -> tuple[Any, ...]:
    return pairs(own(thing))


def _set_attributes(thing: Any, pairs: tuple[Any, ...]) -> None:
    _set_pairs(own(thing), pairs)


def _partial(function: partial[Any]) -> tuple[Any, ...]:
    return (function.func, *function.args, *pairs(function.keywords))


def _look_into_dict(mapping: dict[Any, Any]) -> Looks:
    return [(tuple, mapping), (dict.values, mapping)]


_cell_contents = attrgetter("cell_contents", "__class__")

LIST = Kind(tuple, _set_elements, lambda x: [(tuple, x)])
DICT = Kind(pairs, _set_pairs, _look_into_dict)
SET = Kind(_sorted, _set_elements, lambda x: [(_sorted, x)])
CELL = Kind(lambda x: _cell(x), None, lambda x: [(_cell_contents, x)])
ATTRIBUTES = Kind(
    _attributes,
    _set_attributes,
    lambda x: _look_into_dict(own(x)),
    lambda x: object.__new__(type(x)),
)
SLOTS = Kind(_slots, None, lambda x: [(_slots, x)])
PARTIAL = Kind(_partial, None, lambda x: [(_partial, x)])
ARRAY = Kind(lambda x: (x.shape, x.dtype.str, x.tobytes()), _set_array, empty=copy.copy)
BYTES = Kind(lambda x: (bytes(x),), _set_bytes, empty=copy.copy)  # bytearray, array.array
GENERATOR = Kind(
    lambda x: (pickle.dumps(_generator_state(x)),), _set_generator_state, empty=copy.copy
)

PLAIN = (
    type(None), bool, int, float, complex, str, bytes, type(...), Enum, np.generic, np.dtype, range,
    slice, Device, jax.Array, jax.core.Tracer, BuiltinFunctionType,
)  # fmt: skip
"""What has no inside that could change."""


def _cell(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents, CellType)
    except ValueError:  # nothing was assigned yet
        return (ABSENT, CellType)


@cache
def namespace(names: tuple[str, ...]) -> Kind:
    """Some of a module's globals."""
    names = (*names, names[0])  # at least two: one alone would not be in a tuple
    get = itemgetter(*names)
    return Kind(
        lambda space: tuple([space.get(name, ABSENT) for name in names]),
        None,
        lambda space: [(get, space)],
    )


@cache
def class_attributes(names: tuple[str, ...]) -> Kind:
    """Some of a class's attributes, be they its own or inherited."""
    names = (*names, names[0])
    get = attrgetter(*names)
    return Kind(
        lambda kind: tuple([getattr(kind, name, ABSENT) for name in names]),
        None,
        lambda kind: [(get, kind)],
    )


class Part:
    """An object whose elements are compared, and what they were."""

    __slots__ = ("expected", "kind", "path", "source")

    def __init__(self, source: Any, kind: Kind, path: str) -> None:
        self.source, self.kind, self.path = source, kind, path
        self.expected = kind.contents(source)

    def become(self, contents: tuple[Any, ...]) -> None:
        """Let these be the object's elements."""
        assert self.kind.restore is not None
        self.kind.restore(self.source, contents)


def identical(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two tuples have the very same elements; the bytes of an array are no objects."""
    return len(a) == len(b) and all(
        x is y or (type(x) is type(y) and isinstance(x, (bytes, str, tuple, int)) and x == y)
        for x, y in zip(a, b, strict=True)
    )


class Cache(dict[Any, Any]):
    """What is remembered to save time. It changes no result, and so is not looked into."""


def kind_of(value: Any) -> Kind | None:
    """How to look into a value; None if only who it is matters."""
    if isinstance(value, PLAIN):
        return None
    if isinstance(value, (list, deque)):
        return LIST
    if isinstance(value, Cache):
        return None
    if isinstance(value, dict):
        return DICT
    if isinstance(value, set):
        return SET
    if isinstance(value, np.ndarray):
        return ARRAY if value.flags.writeable else None
    if isinstance(value, (bytearray, array.array)):
        return BYTES
    if isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
        return GENERATOR
    if isinstance(value, partial):
        return PARTIAL
    kind: Any = type(value)
    if not _holds_data(kind):
        return None
    if hasattr(value, "__dict__"):
        return ATTRIBUTES
    return SLOTS if hasattr(type(value), "__slots__") else None


def check_comparable(value: Any, path: str) -> None:
    """Raise if a value cannot be compared before each call of a compiled step.

    Raises:
        CaptureError: it changes by being used, in a way that cannot be seen; or it is too large.
    """
    if hasattr(type(value), "__next__") and not isinstance(value, io.IOBase):
        raise CaptureError(
            f"{path}: a compiled step cannot see how far a {type(value).__name__} is. Take from it "
            "outside of the step, and hand over what it gave as an argument"
        )
    if isinstance(value, np.ndarray) and value.flags.writeable and value.nbytes > MOST_BYTES:
        raise CaptureError(
            f"{path}: a compiled step has to compare a NumPy array that it can reach before each "
            f"call, and this one has {value.nbytes / 2**20:.1f} MiB. Make it a Tensor, or "
            "read-only (array.flags.writeable = False), or keep it outside of the model"
        )


@cache
def _holds_data(kind: type) -> bool:
    if kind is SimpleNamespace or kind.__module__ in ("argparse", "collections"):
        return True
    return is_users(kind.__module__, installed=True) or hasattr(kind, "traceable")

"""How to inspect containers and plain objects, and how to restore their contents."""

from __future__ import annotations

import array
import copy
import io
import pickle
import random
from collections import deque
from collections.abc import Callable, ItemsView, Iterable, Mapping, MappingView
from enum import Enum
from functools import cache, partial
from itertools import chain
from operator import attrgetter, itemgetter
from types import BuiltinFunctionType, CellType, MappingProxyType, SimpleNamespace
from typing import Any

import jax
import numpy as np

from singa.core.guard.code import is_users
from singa.device import Device
from singa.errors import CaptureError

MOST_BYTES = 2**20
"""The largest size of a NumPy array that is compared before each call."""


class Absent:
    """The class of :data:`ABSENT`."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()
"""Stands for an attribute that does not exist."""


def own(owner: Any) -> dict[str, Any]:
    """The attributes of an object itself. No guard notes that they are read here."""
    attributes: dict[str, Any] = object.__getattribute__(owner, "__dict__")
    return attributes


Looks = list[tuple[Callable[[Any], Iterable[Any]], Any]]


class Kind:
    """How to inspect objects of one kind.

    Args:
        contents: gives an object's elements, as a tuple.
        restore: sets an object's elements; None if a step cannot change them.
        looks: gives functions (preferably compiled ones) and their arguments; their results, one
            after the other, are the contents. None if the contents are new objects each time.
        empty: gives an object of the same class, without elements.
        tells: whether such objects notify guards of assignments, so that they need no comparison.
        is_fixed: whether such an object always has the same number of elements.
    """

    def __init__(
        self,
        contents: Callable[[Any], tuple[Any, ...]],
        restore: Callable[[Any, tuple[Any, ...]], None] | None = None,
        looks: Callable[[Any], Looks] | None = None,
        empty: Callable[[Any], Any] | None = None,
        tells: bool = False,
        is_fixed: bool = False,
    ) -> None:
        self.contents, self.restore, self.looks, self.tells = contents, restore, looks, tells
        self.empty, self.is_fixed = empty or _empty, is_fixed


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


@cache
def _slot_names(kind: Any) -> tuple[str, ...]:
    """The slots of a class and its bases, by the names that code outside of the class uses."""
    return tuple(
        f"_{base.__name__.lstrip('_')}{name}" if name[:2] == "__" and name[-2:] != "__" else name
        for base in kind.__mro__
        for name in _as_names(vars(base).get("__slots__"))
        if name not in ("__dict__", "__weakref__")
    )


def _slots(thing: Any) -> tuple[Any, ...]:
    cls: Any = type(thing)
    return tuple([getattr(thing, name, ABSENT) for name in _slot_names(cls)])


def _set_slots(thing: Any, values: tuple[Any, ...]) -> None:
    cls: Any = type(thing)
    for name, value in zip(_slot_names(cls), values, strict=True):
        if value is not ABSENT:
            object.__setattr__(thing, name, value)
        elif hasattr(thing, name):
            object.__delattr__(thing, name)


def _as_names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots or ())


def _sorted(elements: set[Any]) -> tuple[Any, ...]:
    return tuple(sorted(elements, key=id))


def _attributes(thing: Any) -> tuple[Any, ...]:
    return pairs(own(thing))


def _set_attributes(thing: Any, pairs: tuple[Any, ...]) -> None:
    _set_pairs(own(thing), pairs)


def _read_attributes(owner: Any) -> Any:
    return type(owner).as_read(owner, "__dict__")


def _set_read_attributes(owner: Any, contents: tuple[Any, ...]) -> None:
    type(owner).be_as_read(owner, contents)


def _bare(thing: Any) -> Any:
    """An object of the same class, without attributes."""
    if isinstance(thing, SimpleNamespace):
        return type(thing)()
    return object.__new__(type(thing))


_ATTRIBUTES_FOLLOW = object()  # between an object's elements, or slots, and its attributes


def _with_attributes(kind: Kind) -> Kind:
    """The same kind, for objects that have attributes as well."""
    contents, restore, looks = kind.contents, kind.restore, kind.looks
    assert restore is not None
    assert looks is not None

    def become(thing: Any, contents: tuple[Any, ...]) -> None:
        end = next(i for i, element in enumerate(contents) if element is _ATTRIBUTES_FOLLOW)
        restore(thing, contents[:end])
        _set_attributes(thing, contents[end + 1 :])

    def empty(thing: Any) -> Any:
        thing = kind.empty(thing)
        own(thing).clear()
        return thing

    return Kind(
        lambda x: (*contents(x), _ATTRIBUTES_FOLLOW, *_attributes(x)),
        become,
        lambda x: [*looks(x), (tuple, (_ATTRIBUTES_FOLLOW,)), *_look_into_dict(own(x))],
        empty,
    )


def _partial(function: partial[Any]) -> tuple[Any, ...]:
    return (function.func, *function.args, *pairs(function.keywords))


def _look_into_dict(mapping: dict[Any, Any]) -> Looks:
    return [(tuple, mapping), (dict.values, mapping)]


def _elements(view: Any) -> tuple[Any, ...]:
    return tuple(chain.from_iterable(view) if isinstance(view, ItemsView) else view)


_cell_contents = attrgetter("cell_contents", "__class__")

LIST = Kind(tuple, _set_elements, lambda x: [(tuple, x)])
DICT = Kind(pairs, _set_pairs, _look_into_dict)
SET = Kind(_sorted, _set_elements, lambda x: [(_sorted, x)])
CELL = Kind(
    lambda x: _cell(x), lambda x, c: _set_cell(x, c), lambda x: [(_cell_contents, x)], is_fixed=True
)
ATTRIBUTES = Kind(_attributes, _set_attributes, lambda x: _look_into_dict(own(x)), _bare)
SLOTS = Kind(_slots, _set_slots, lambda x: [(_slots, x)], _bare, is_fixed=True)
_function = attrgetter("__code__", "__defaults__", "__kwdefaults__")
FUNCTION = Kind(_function, None, lambda x: [(_function, x)], is_fixed=True)
IN_DICT = Kind(_read_attributes, _set_read_attributes, tells=True)  # of something Watched
AND_ATTRIBUTES = {kind: _with_attributes(kind) for kind in (LIST, DICT, SET, SLOTS)}
VIEW = Kind(lambda x: _elements(x), None, lambda x: [(_elements, x)])  # of a dict
PROXY = Kind(pairs, None, lambda x: [(pairs, x)])
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
"""Types whose values have no contents that could change."""


def _cell(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents, CellType)
    except ValueError:  # nothing was assigned yet
        return (ABSENT, CellType)


def _set_cell(cell: CellType, contents: tuple[Any, ...]) -> None:
    if contents[0] is ABSENT:
        del cell.cell_contents
    else:
        cell.cell_contents = contents[0]


@cache
def namespace(names: tuple[str, ...], are_there: bool = True) -> Kind:
    """The kind of some of a module's globals; ``are_there`` says whether all of them exist."""
    names = (*names, names[0])  # at least two: itemgetter gives no tuple for a single name

    def contents(space: dict[str, Any]) -> tuple[Any, ...]:
        return tuple([space.get(name, ABSENT) for name in names])

    def become(space: dict[str, Any], values: tuple[Any, ...]) -> None:
        for name, value in zip(names, values, strict=True):
            if value is ABSENT:
                space.pop(name, None)
            else:
                space[name] = value

    get = itemgetter(*names) if are_there else contents
    return Kind(contents, become, lambda space: [(get, space)], is_fixed=True)


@cache
def class_attributes(names: tuple[str, ...]) -> Kind:
    """The kind of some of a class's attributes, its own and inherited ones."""
    names = (*names, names[0])
    get = attrgetter(*names)

    def become(kind: type, values: tuple[Any, ...]) -> None:
        for name, value in zip(names, values, strict=True):
            if getattr(kind, name, ABSENT) is value:
                continue  # it is inherited, and its base class was restored before
            if value is ABSENT or any(
                vars(base).get(name, ABSENT) is value for base in kind.__mro__[1:]
            ):
                delattr(kind, name)
            else:
                setattr(kind, name, value)

    return Kind(
        lambda kind: tuple([getattr(kind, name, ABSENT) for name in names]),
        become,
        lambda kind: [(get, kind)],
        is_fixed=True,
    )


class Part:
    """An object whose elements are compared, and the expected elements."""

    __slots__ = ("expected", "kind", "path", "source")

    def __init__(self, source: Any, kind: Kind, path: str) -> None:
        self.source, self.kind, self.path = source, kind, path
        self.expected = kind.contents(source)

    def become(self, contents: tuple[Any, ...]) -> None:
        """Set the object's elements."""
        assert self.kind.restore is not None
        self.kind.restore(self.source, contents)


def identical(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two tuples have identical elements; bytes, strings, tuples and ints may be equal."""
    return len(a) == len(b) and all(
        x is y or (type(x) is type(y) and isinstance(x, (bytes, str, tuple, int)) and x == y)
        for x, y in zip(a, b, strict=True)
    )


class Cache(dict[Any, Any]):
    """A cache. It changes no result, and so is not inspected."""


_CONTAINERS: tuple[tuple[Kind, Any], ...] = ((LIST, (list, deque)), (DICT, dict), (SET, set))


def kind_of(value: Any) -> Kind | None:
    """How to inspect a value; None if only its identity matters."""
    if isinstance(value, (*PLAIN, Cache)):
        return None
    for kind, types in _CONTAINERS:
        if isinstance(value, types):
            return AND_ATTRIBUTES[kind] if hasattr(value, "__dict__") else kind
    if isinstance(value, np.ndarray):
        return ARRAY if may_change(value) else None
    if isinstance(value, (bytearray, array.array)):
        return BYTES
    if isinstance(value, random.SystemRandom):
        return None  # it has no state, and gives other numbers in each run
    if isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
        return GENERATOR
    if isinstance(value, partial):
        return PARTIAL
    if isinstance(value, MappingView):
        return VIEW
    if isinstance(value, MappingProxyType):
        return PROXY
    cls: Any = type(value)
    if not _holds_data(cls):
        return None
    if hasattr(value, "__dict__"):
        return AND_ATTRIBUTES[SLOTS] if _slot_names(cls) else ATTRIBUTES
    return SLOTS if hasattr(cls, "__slots__") else None


def may_change(array: np.ndarray[Any, Any]) -> bool:
    """Whether an array can be written to, directly or through an array that it is a view of."""
    while not array.flags.writeable:
        base: Any = array.base
        if not isinstance(base, np.ndarray):
            return base is not None and not isinstance(base, (bytes, jax.Array))
        array = base
    return True


def is_iterator(value: Any) -> bool:
    """Whether a value changes when it is used, in a way that cannot be seen."""
    return hasattr(type(value), "__next__") and not isinstance(value, io.IOBase)


def check_comparable(value: Any, path: str) -> None:
    """Raise if a value cannot be compared before each call of a compiled step.

    Raises:
        CaptureError: it changes when it is used, in a way that cannot be seen; or it is too large.
    """
    if is_iterator(value):
        raise CaptureError(
            f"{path}: a compiled step cannot see how far a {type(value).__name__} is. Take from it "
            "outside of the step, and hand over what it gave as an argument"
        )
    if isinstance(value, np.ndarray) and value.nbytes > MOST_BYTES and may_change(value):
        raise CaptureError(
            f"{path}: a compiled step has to compare a NumPy array that it can reach before each "
            f"call, and this one has {value.nbytes / 2**20:.1f} MiB. Make it a Tensor, or "
            "read-only (array.flags.writeable = False), or keep it outside of the model"
        )


@cache
def _holds_data(kind: Any) -> bool:
    if kind is SimpleNamespace or kind.__module__ in ("argparse", "collections"):
        return True
    return is_users(kind.__module__, installed=True) or hasattr(kind, "traceable")

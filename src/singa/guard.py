"""Guard: what a run of Python code read of Python's objects, and whether that is still so.

A captured step ran the user's Python once. What it computed follows from what it read: attributes
of layers, models and optimizers, the containers and plain objects below them, flags of Tensors,
and the globals, closures and methods of the user's own code. A program is valid as long as these
are what they were, wherever they are assigned, and whatever else changes.

Layers, models and optimizers *tell* of assignments (:class:`Watched`), so that nothing is looked at
as long as nothing has changed. What cannot tell is *compared*: all at once, by identity, in one
expression without a loop of Python's. What can be neither is refused while the step is captured.
"""

from __future__ import annotations

import dis
import io
import pickle
import random
import sys
import sysconfig
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import cache, partial
from itertools import chain
from operator import attrgetter, call, is_not, itemgetter
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)  # fmt: skip
from typing import Any, ClassVar
from weakref import WeakSet, ref

import jax
import numpy as np

from singa.device import Device
from singa.errors import CaptureError
from singa.watching import Handle, local

MOST_BYTES = 2**20
"""Of a NumPy array that is compared before each call."""

MOST_ITEMS = 100_000
"""Elements of containers and attributes of plain objects that are compared before each call."""


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()
"""Stands for an attribute that is not there."""

_NOTHING: dict[Any, Any] = {}
_END = object()  # ends the elements of a container among those of all


# -- who tells ----------------------------------------------------------------------------------


class _Registry:
    """Who has read what, by the owner's ``id`` and the name of what was read.

    Who is gone is looked for now and then: to be told of it would be code of Python's that runs
    whenever a Tensor goes, and there an interrupt would be lost.
    """

    def __init__(self) -> None:
        self._of: dict[int, tuple[ref[Any], dict[Any, WeakSet[Guard]]]] = {}
        self._enough = 1000

    def add(self, owner: Any, name: Any, guard: Guard) -> None:
        found = self._of.get(id(owner))
        if found is None or found[0]() is not owner:
            if len(self._of) > self._enough:
                self._of = {key: entry for key, entry in self._of.items() if entry[0]() is not None}
                self._enough = 1000 + 2 * len(self._of)
            found = self._of[id(owner)] = ref(owner), {}
        found[1].setdefault(name, WeakSet()).add(guard)

    def tell(self, owner: Any, name: Any) -> None:
        found = self._of.get(id(owner))
        if found is not None and found[0]() is owner:
            for guard in (*found[1].get(name, ()), *found[1].get("__dict__", ())):
                guard.doubt(owner, name)


_readers = _Registry()
_register = _readers.add
changed = _readers.tell
"""Tell all who have read this of an object that it may have changed."""


class Watched:
    """Base of objects whose attributes a captured step depends on: layers, optimizers, schedules.

    Assignments tell the guards that have read the attribute, and the journal of a step that may
    be undone.

    Attributes:
        unread: names of attributes on which no step depends.
    """

    unread: ClassVar[frozenset[str]] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        if local.journal is not None:
            local.journal.attribute(self, name)
        object.__setattr__(self, name, value)
        changed(self, name)

    def as_read(self, name: Any) -> Any:
        """What a guard compares of this object: an attribute, or all by the name ``__dict__``."""
        if name != "__dict__":
            return own(self).get(name, ABSENT)
        return _pairs(
            {key: value for key, value in own(self).items() if key not in type(self).unread}
        )

    def __delattr__(self, name: str) -> None:
        if local.journal is not None:
            local.journal.attribute(self, name)
        object.__delattr__(self, name)
        changed(self, name)


def own(owner: Any) -> dict[str, Any]:
    """The attributes of an object itself, looked at without being noted."""
    attributes: dict[str, Any] = object.__getattribute__(owner, "__dict__")
    return attributes


def assign_attribute(owner: Any, name: str, value: Any) -> None:
    """``owner.name = value``, of any object; ``ABSENT`` takes the attribute away."""
    if local.journal is not None:
        local.journal.attribute(owner, name)
    if value is ABSENT:
        own(owner).pop(name, None)
    else:
        own(owner)[name] = value
    changed(owner, name)


class Cache(dict[Any, Any]):
    """What is remembered to save time. It changes no result, and so is not looked into."""


def _get_and_note(self: Watched, name: str) -> Any:
    guard = local.guard
    if guard is None or (name[:2] == "__" and name != "__dict__"):
        return object.__getattribute__(self, name)
    try:
        return object.__getattribute__(self, name)
    finally:
        guard.attribute(self, name)


_recording = threading.Lock()
_recorders = 0


@contextmanager
def _attributes_noted() -> Iterator[None]:
    """Reading an attribute of something Watched is noted as long as anybody wants to know."""
    global _recorders
    with _recording:
        if not _recorders:
            Watched.__getattribute__ = _get_and_note  # type: ignore[method-assign,assignment]
        _recorders += 1
    try:
        yield
    finally:
        with _recording:
            _recorders -= 1
            if not _recorders:
                del Watched.__getattribute__


# -- what is compared ---------------------------------------------------------------------------


Looks = list[tuple[Callable[[Any], Iterable[Any]], Any]]


class _Kind:
    """How to look into objects of one kind.

    Args:
        contents: an object's elements, as a tuple.
        restore: make these its elements; None if a step cannot change them.
        looks: functions, best compiled ones, and what to call them with; what they give one after
            the other are the contents. None if these are new objects each time.
    """

    def __init__(
        self,
        contents: Callable[[Any], tuple[Any, ...]],
        restore: Callable[[Any, tuple[Any, ...]], None] | None = None,
        looks: Callable[[Any], Looks] | None = None,
    ) -> None:
        self.contents, self.restore, self.looks = contents, restore, looks


def _pairs(mapping: Mapping[Any, Any]) -> tuple[Any, ...]:
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
    return _pairs(own(thing))


def _set_attributes(thing: Any, pairs: tuple[Any, ...]) -> None:
    _set_pairs(own(thing), pairs)


def _partial(function: partial[Any]) -> tuple[Any, ...]:
    return (function.func, *function.args, *_pairs(function.keywords))


def _look_into_dict(mapping: dict[Any, Any]) -> Looks:
    return [(tuple, mapping), (dict.values, mapping)]


_cell_contents = attrgetter("cell_contents", "__class__")

_LIST = _Kind(tuple, _set_elements, lambda x: [(tuple, x)])
_DICT = _Kind(_pairs, _set_pairs, _look_into_dict)
_SET = _Kind(_sorted, _set_elements, lambda x: [(_sorted, x)])
_CELL = _Kind(lambda x: _cell(x), None, lambda x: [(_cell_contents, x)])
_ATTRIBUTES = _Kind(_attributes, _set_attributes, lambda x: _look_into_dict(own(x)))
_SLOTS = _Kind(_slots, None, lambda x: [(_slots, x)])
_PARTIAL = _Kind(_partial, None, lambda x: [(_partial, x)])
_ARRAY = _Kind(lambda x: (x.shape, x.dtype.str, x.tobytes()), _set_array)
_GENERATOR = _Kind(lambda x: (pickle.dumps(_generator_state(x)),), _set_generator_state)

_PLAIN = (
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
def _namespace(names: tuple[str, ...]) -> _Kind:
    """Some of a module's globals."""
    names = (*names, names[0])  # at least two: one alone would not be in a tuple
    get = itemgetter(*names)
    return _Kind(
        lambda space: tuple([space.get(name, ABSENT) for name in names]),
        None,
        lambda space: [(get, space)],
    )


@cache
def _class_attributes(names: tuple[str, ...]) -> _Kind:
    """Some of a class's attributes, be they its own or inherited."""
    names = (*names, names[0])
    get = attrgetter(*names)
    return _Kind(
        lambda kind: tuple([getattr(kind, name, ABSENT) for name in names]),
        None,
        lambda kind: [(get, kind)],
    )


class Part:
    """An object whose elements are compared, and what they were."""

    __slots__ = ("expected", "kind", "path", "source")

    def __init__(self, source: Any, kind: _Kind, path: str) -> None:
        self.source, self.kind, self.path = source, kind, path
        self.expected = kind.contents(source)

    def become(self, contents: tuple[Any, ...]) -> None:
        """Let these be the object's elements."""
        assert self.kind.restore is not None
        self.kind.restore(self.source, contents)


def _as_read(owner: Any, name: Any) -> Any:
    return type(owner).as_read(owner, name)  # itself, not noted as read of the owner


class _Read:
    """Something that was read of an object that tells, and what it was."""

    __slots__ = ("expected", "name", "owner")

    def __init__(self, owner: Any, name: Any) -> None:
        self.owner, self.name = ref(owner), name
        self.expected = _as_read(owner, name)


class Guard:
    """What was read in a block of code, and whether it is still what it was.

    Example:
        >>> net = layer.Sequential(layer.Linear(2))
        >>> net.scale, net.unused = 0.5, 1
        >>> with guard.Guard() as read:
        ...     y = net.scale
        >>> net.unused = 2
        >>> read.holds()
        True
        >>> net.scale = 0.25
        >>> read.holds(), read.what_changed()
        (False, "Sequential.scale is 0.25, and was 0.5 before")
    """

    def __init__(self) -> None:
        self._reads: dict[tuple[int, Any], _Read] = {}
        self._named_attributes: set[tuple[int, str]] = set()  # of those, the plain attributes
        self._doubted: set[tuple[int, Any]] = set()
        self._parts: dict[int, Part] = {}
        self._seen: dict[tuple[int, Any], Any] = {}  # functions and classes, kept alive
        self._class_names: dict[type, set[str]] = {}
        self._items = 0
        self.journal: Any = None  # of the step that is noted, if it is one
        self.tensors: set[Any] = set()  # those that were found by looking into objects
        self._alive: list[Any] = []  # while notes are taken, no two objects have one id
        self.replaced: dict[Any, Any] = _NOTHING  # Tensors by those in whose places they are now
        self._broken = ""  # what did not hold when it was looked at last
        self._fast: tuple[list[Any], list[Any], list[Any]] = [], [], []
        self._slow: list[Part] = []

    def __enter__(self) -> Guard:
        self._outer, local.guard = local.guard, self
        self._noting = _attributes_noted()
        self._noting.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._noting.__exit__(None, None, None)
        local.guard = self._outer
        if self._outer is not None:
            self._outer.include(self)
        self.complete()

    # -- what is noted ------------------------------------------------------------------------

    def attribute(self, owner: Any, name: str) -> None:
        """Note an attribute of something Watched, of which ``name`` may be ``__dict__``."""
        if self.journal is not None and (id(owner), name) in self.journal.attributes:
            return  # what the block itself has assigned before
        read = self.note(owner, name)
        if read is None:
            return
        self._named_attributes.add((id(owner), name))
        path = f"{type(owner).__name__}.{name}"
        if name == "__dict__":
            for each, value in list(own(owner).items()):
                if each not in type(owner).unread:
                    self.value(value, f"{type(owner).__name__}.{each}")
        elif read.expected is ABSENT:
            self._class_attribute(type(owner), name)
        else:
            self.value(read.expected, path)
        self._class(type(owner))

    def note(self, owner: Any, name: Any) -> _Read | None:
        """Note what ``owner.as_read(name)`` is, of an object that tells when that changes.

        Returns:
            None if it was noted before.
        """
        key = id(owner), name
        if key in self._reads:
            return None
        read = self._reads[key] = _Read(owner, name)
        self._alive.append(owner)
        _register(owner, name, self)
        return read

    def value(self, value: Any, path: str) -> None:
        """Note what is inside of a value that was read."""
        if isinstance(value, Handle):
            self.tensors.add(value)
            return
        if isinstance(value, (*_PLAIN, Watched)):
            return
        if isinstance(value, (tuple, frozenset)):
            for i, element in enumerate(value):
                self.value(element, f"{path}[{i}]")
        elif isinstance(value, FunctionType):
            self.function(value)
        elif isinstance(value, MethodType):
            self.function(value.__func__)
            self.value(value.__self__, path)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, ModuleType):
            return  # its attributes are noted where a function names them
        elif hasattr(value, "__wrapped__"):
            self.value(value.__wrapped__, path)
        else:
            self._part(value, _kind_of(value, path), path)

    def _part(self, source: Any, kind: _Kind | None, path: str) -> None:
        if kind is None or id(source) in self._parts:
            return
        part = self._parts[id(source)] = Part(source, kind, path)
        self._items += len(part.expected)
        if self._items > MOST_ITEMS:
            raise CaptureError(
                f"{path}: a compiled step has to compare what it can reach before each call, and "
                f"there are more than {MOST_ITEMS} elements here. Put numbers into Tensors, and "
                "data outside of the model"
            )
        for i, element in enumerate(part.expected):
            self.value(element, f"{path}.{i}")
        if kind in (_ATTRIBUTES, _SLOTS):
            self._class(type(source))

    def function(self, function: Any) -> None:
        """Note the globals, the closure and the defaults that a function of the user's reads."""
        if isinstance(function, partial):
            self.value(function, repr(function.func))
            return
        function = getattr(function, "__func__", function)
        if not isinstance(function, FunctionType) or not _is_users(function.__module__):
            return
        if (id(function), None) in self._seen:
            return
        self._seen[id(function), None] = function
        path, names = function.__qualname__, _global_names(function.__code__)
        for cell, name in zip(
            function.__closure__ or (), function.__code__.co_freevars, strict=True
        ):
            if name != "__class__":
                self._part(cell, _CELL, f"{name}, which {path} uses")
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.value(value, f"a default of {path}")
        space = function.__globals__
        there = tuple(sorted(name for name in names if name in space))
        if there:
            self._namespace(space, there, path)
            for name in there:
                self._members(space[name], function.__code__, f"{name}, which {path} uses")

    def _namespace(self, space: dict[str, Any], names: tuple[str, ...], path: str) -> None:
        if (id(space), names) in self._seen:
            return
        self._seen[id(space), names] = space
        part = Part(space, _namespace(names), f"a global that {path} uses")
        self._parts[id(part)] = part
        for name in names:
            self.value(space[name], f"{name}, which {path} uses")

    def _members(self, space: Any, code: CodeType, path: str) -> None:
        """Note what a function may read of a module or of a class of the user's."""
        if isinstance(space, ModuleType):
            if _is_users(space.__name__):
                names = tuple(sorted(name for name in _all_names(code) if name in vars(space)))
                if names:
                    self._namespace(vars(space), names, space.__name__)
        elif isinstance(space, type) and _is_users(space.__module__):
            for name in _all_names(code):
                if hasattr(space, name):
                    self._class_attribute(space, name)

    def _class(self, kind: type) -> None:
        """Note the methods of a class, where it is the user's, and what they read."""
        if (id(kind), None) in self._seen:
            return
        self._seen[id(kind), None] = kind
        for base in kind.__mro__:
            if _is_users(base.__module__):
                for name, value in list(vars(base).items()):
                    for function in _functions(value) if name != "__init__" else ():
                        self._class_attribute(base, name)
                        self.function(function)

    def _class_attribute(self, kind: type, name: str) -> None:
        if name[:1] == "_" and _is_ours(kind.__module__):
            return
        value = getattr(kind, name, ABSENT)
        if value is ABSENT or value is not getattr(kind, name):  # not there, or made anew each time
            return
        names = self._class_names.setdefault(kind, set())
        if name not in names:
            names.add(name)
            for function in _functions(value):
                self.function(function)
            if not _functions(value):
                self.value(value, f"{kind.__name__}.{name}")

    def include(self, other: Guard) -> None:
        """Depend on all that another guard depends on."""
        for key, read in other._reads.items():
            owner = read.owner()
            if self.journal is not None and key in self.journal.attributes:
                continue
            if owner is not None and key not in self._reads:
                self._reads[key] = read
                _register(owner, read.name, self)
        self._doubted |= other._doubted
        self._seen |= other._seen
        for number, part in other._parts.items():
            self._parts.setdefault(number, part)
        for kind, names in other._class_names.items():
            self._class_names.setdefault(kind, set()).update(names)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A block in which things are made once: what they are then is what was read."""
        before = {part: part.kind.contents(part.source) for part in self._parts.values()}
        unchanged = {key for key in self._reads if self._is_as_read(key)}
        local.guard = None
        try:
            yield
        finally:
            local.guard = self
            for key in unchanged:
                read = self._reads[key]
                if (owner := read.owner()) is not None and not self._is_as_read(key):
                    read.expected = _as_read(owner, read.name)
                    if key in self._named_attributes:
                        self.value(read.expected, f"{type(owner).__name__}.{read.name}")
            for part, contents in before.items():
                if _identical(contents, part.expected):
                    part.expected = part.kind.contents(part.source)
                    for element in part.expected:
                        self.value(element, part.path)

    def _is_as_read(self, key: tuple[int, Any]) -> bool:
        read = self._reads[key]
        owner = read.owner()
        return owner is not None and _identical((_as_read(owner, read.name),), (read.expected,))

    def complete(self) -> None:
        """Nothing more will be noted: prepare to compare."""
        for kind, names in self._class_names.items():
            part = Part(kind, _class_attributes(tuple(sorted(names))), kind.__name__)
            self._parts[id(part)] = part
        self._class_names = {}
        self._alive.clear()
        self.journal = None
        self._prepare()

    def _prepare(self) -> None:
        looks: Looks = []
        expected: list[Any] = []
        self._slow = []
        for part in self._parts.values():
            if part.kind.looks is None:
                self._slow.append(part)
            else:
                looks += part.kind.looks(part.source)
                expected += part.expected
                if part.kind.restore is not None:  # there may be more or fewer elements
                    looks.append((tuple, (_END,)))
                    expected.append(_END)
        self._fast = [f for f, _ in looks], [x for _, x in looks], expected

    # -- whether it is so still ---------------------------------------------------------------

    def doubt(self, owner: Any, name: Any) -> None:
        """Be told that something may have changed."""
        for key in ((id(owner), name), (id(owner), "__dict__")):
            if key in self._reads:
                self._doubted.add(key)

    def holds(self, is_free: Callable[[Any], bool] | None = None) -> bool:
        """Whether all that was read is what it was.

        Args:
            is_free: whether a Tensor may be in the place of one that was read, of the same shape,
                type and device. Which are in whose is in ``replaced`` then. If None, another
                Tensor is a change.
        """
        return self.has_seen_no_change() or self._look(is_free)

    def has_seen_no_change(self) -> bool:
        """Whether nobody has told of a change, and nothing that is compared is another object."""
        if self._doubted or not self._nothing_moved():
            return False
        self.replaced = _NOTHING
        return True

    def _nothing_moved(self) -> bool:
        getters, sources, expected = self._fast
        try:
            if any(map(is_not, chain.from_iterable(map(call, getters, sources)), expected)):
                return False
        except (AttributeError, KeyError, ValueError):  # something is not there any more
            return False
        return all(part.kind.contents(part.source) == part.expected for part in self._slow)

    def _look(self, is_free: Callable[[Any], bool] | None) -> bool:
        comparison = _Comparison(self._parts, is_free)
        found = []
        for key in self._doubted:
            read = self._reads[key]
            owner = read.owner()
            if owner is None:
                continue  # and nobody can reach it
            now = _as_read(owner, read.name)
            if not comparison.same(read.expected, now):
                self._broken = _difference(type(owner).__name__, read.name, read.expected, now)
                return False
            found.append((read, now))
        parts = []
        for part in self._parts.values():
            source = comparison.sources.get(id(part.source), part.source)
            now = part.kind.contents(source)
            if not comparison.same_elements(part.expected, now):
                self._broken = f"{part.path} has changed"
                return False
            parts.append((part, source, now))
        if not comparison.is_one_to_one():
            self._broken = "Tensors were exchanged"
            return False
        for read, now in found:
            read.expected = now
        for part, source, now in parts:
            part.source, part.expected = source, now
        self._doubted.clear()
        self.replaced = comparison.replaced
        for old, new in comparison.replaced.items():
            self.tensors.discard(old)
            self.tensors.add(new)
            for name in ("flags", "device"):
                if (id(old), name) in self._reads:
                    self.note(new, name)
        self._prepare()
        return True

    def what_changed(self) -> str:
        """What was found to be different when it was looked at last, for people."""
        return self._broken

    # -- what the block itself has changed ----------------------------------------------------

    def changes(self) -> list[tuple[Part, tuple[Any, ...]]]:
        """The objects below what was read whose elements are others now, and those."""
        return [
            (part, now)
            for part in self._parts.values()
            if part.kind.restore is not None
            and not _identical(now := part.kind.contents(part.source), part.expected)
        ]


class _Comparison:
    """Compares what was read with what is there now."""

    def __init__(self, parts: dict[int, Part], is_free: Callable[[Any], bool] | None) -> None:
        self._parts, self._is_free = parts, is_free
        self.replaced: dict[Any, Any] = {}  # Tensors by those in whose places they are
        self.sources: dict[int, Any] = {}  # objects in other ones' places, by the id of those
        self._kept: set[Any] = set()  # Tensors that are in their own places

    def same(self, old: Any, new: Any) -> bool:
        """Whether a step that reads ``new`` does what it did when it read ``old``."""
        if old is new:
            if isinstance(old, Handle):
                self._kept.add(old)
            return True
        if type(old) is not type(new):
            return False
        if isinstance(old, Handle):
            return self._replaces(old, new)
        if isinstance(old, (float, complex, np.generic)):
            return repr(old) == repr(new)  # tells 0.0 and -0.0 apart, and nan is nan
        if isinstance(old, tuple):
            return self.same_elements(old, new)
        if isinstance(old, MethodType):
            return old.__func__ is new.__func__ and self.same(old.__self__, new.__self__)
        if isinstance(old, (bool, int, str, bytes, frozenset, range, slice, np.dtype)):
            return bool(old == new)
        part = self._parts.get(id(old))
        if part is None:
            return False
        if id(old) in self.sources:
            return self.sources[id(old)] is new
        if _kind_of(new, "") is not part.kind:
            return False
        self.sources[id(old)] = new
        return self.same_elements(part.expected, part.kind.contents(new))

    def same_elements(self, old: tuple[Any, ...], new: tuple[Any, ...]) -> bool:
        return len(old) == len(new) and all(map(self.same, old, new))

    def _replaces(self, old: Any, new: Any) -> bool:
        known = self.replaced.setdefault(old, new)
        may_be_another = self._is_free is not None and self._is_free(new)
        return may_be_another and known is new and bool(old.may_be_replaced_by(new))

    def is_one_to_one(self) -> bool:
        """Whether each Tensor has one place as before: none is in two, and in its own as well."""
        old, new = set(self.replaced), set(self.replaced.values())
        return len(new) == len(old) and not (old | new) & self._kept


def _identical(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two tuples have the very same elements; the bytes of an array are no objects."""
    return len(a) == len(b) and all(
        x is y or (type(x) is type(y) and isinstance(x, (bytes, str, tuple, int)) and x == y)
        for x, y in zip(a, b, strict=True)
    )


def _difference(owner: str, name: Any, old: Any, new: Any) -> str:
    if name == "__dict__":
        return f"an attribute of {owner} was assigned"
    if name == "flags":
        return f"requires_grad or stores_grad of a Tensor was set to {new}"
    return f"{owner}.{name} is {_short(new)}, and was {_short(old)} before"


def _short(value: Any) -> str:
    if isinstance(value, (bool, int, float, str, type(None), _Absent)):
        return repr(value)
    return f"another {type(value).__name__}"


# -- which objects are looked into ----------------------------------------------------------------


def _kind_of(value: Any, path: str) -> _Kind | None:
    """How to look into a value; None if only who it is matters.

    Raises:
        CaptureError: it changes by being used, in a way that cannot be seen.
    """
    if isinstance(value, (list, deque)):
        return _LIST
    if isinstance(value, Cache):
        return None
    if isinstance(value, dict):
        return _DICT
    if isinstance(value, set):
        return _SET
    if isinstance(value, np.ndarray):
        return _array_kind(value, path)
    if isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
        return _GENERATOR
    if isinstance(value, partial):
        return _PARTIAL
    if hasattr(type(value), "__next__") and not isinstance(value, io.IOBase):
        raise CaptureError(
            f"{path}: a compiled step cannot see how far a {type(value).__name__} is. Take from it "
            "outside of the step, and hand over what it gave as an argument"
        )
    kind: Any = type(value)
    if not _holds_data(kind):
        return None
    if hasattr(value, "__dict__"):
        return _ATTRIBUTES
    return _SLOTS if hasattr(type(value), "__slots__") else None


def _array_kind(array: np.ndarray[Any, Any], path: str) -> _Kind | None:
    if not array.flags.writeable:
        return None
    if array.nbytes > MOST_BYTES:
        raise CaptureError(
            f"{path}: a compiled step has to compare a NumPy array that it can reach before each "
            f"call, and this one has {array.nbytes / 2**20:.1f} MiB. Make it a Tensor, or "
            "read-only (array.flags.writeable = False), or keep it outside of the model"
        )
    return _ARRAY


@cache
def _holds_data(kind: type) -> bool:
    if kind is SimpleNamespace or kind.__module__ in ("argparse", "collections"):
        return True
    return _is_users(kind.__module__, installed=True) or hasattr(kind, "traceable")


def _functions(value: Any) -> list[Any]:
    """The functions that something in a class is made of."""
    if isinstance(value, property):
        return [f for f in (value.fget, value.fset, value.fdel) if f is not None]
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    return [value] if isinstance(value, FunctionType) else []


_OURS = Path(__file__).parent
_LIBRARY = tuple(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))
_FIXED = {"singa", "jax", "jaxlib", "numpy", "ml_dtypes", *sys.stdlib_module_names} - {"__main__"}


@cache
def _is_users(module: str | None, installed: bool = False) -> bool:
    """Whether a module is the user's own code, and not of an installed package.

    Args:
        module: its name.
        installed: whether packages that are none of ours or Python's count too.
    """
    if module is None:
        return False
    top = module.partition(".")[0]
    if top in _FIXED:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return installed or file is None or not any(map(Path(file).is_relative_to, _LIBRARY))


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "singa"


@cache
def _global_names(code: CodeType) -> frozenset[str]:
    """The globals that code reads, with that of the functions inside it."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return frozenset(own.union(*map(_global_names, _inner(code))))


@cache
def _all_names(code: CodeType) -> frozenset[str]:
    return frozenset({*code.co_names}.union(*map(_all_names, _inner(code))))


def _inner(code: CodeType) -> list[CodeType]:
    return [const for const in code.co_consts if isinstance(const, CodeType)]

"""Guard: notes what a block of code reads, and says whether that is unchanged."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from itertools import chain
from operator import call, is_not
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

import numpy as np

from singa.core.guard.code import (
    all_names,
    assigned_names,
    functions_of,
    global_names,
    imported_names,
    is_data,
    is_ours,
    is_users,
    users_function,
)
from singa.core.guard.comparison import Comparison, difference
from singa.core.guard.contents import (
    ABSENT,
    AND_ATTRIBUTES,
    ATTRIBUTES,
    CELL,
    DICT,
    FUNCTION,
    GENERATOR,
    IN_DICT,
    PLAIN,
    SLOTS,
    Kind,
    Looks,
    Part,
    check_comparable,
    class_attributes,
    identical,
    kind_of,
    namespace,
    own,
    pairs,
)
from singa.core.guard.watched import Watched, attributes_noted, register
from singa.core.watching import Handle, local
from singa.errors import CaptureError

MOST_ITEMS = 100_000
"""The most elements of containers and plain objects that are compared before each call."""

_OF_USERS_CLASSES = (ATTRIBUTES, SLOTS, *AND_ATTRIBUTES.values())

_NOTHING: dict[Any, Any] = {}
_STREAMS: dict[str, Any] = {
    "NumPy's random stream": np.random.get_state.__self__,  # type: ignore[attr-defined]
    "Python's random stream": random.getstate.__self__,  # type: ignore[attr-defined]
}
"""The global random generators. A guard depends on one only if its block has drawn from it."""

_END = object()  # in the list of all elements: the end of one container


def _as_read(owner: Any, name: Any) -> Any:
    return type(owner).as_read(owner, name)  # found on the class, so that no guard notes this


class _Read:
    """Something that was read of an object that notifies guards, and what it was."""

    __slots__ = ("expected", "name", "owner")

    def __init__(self, owner: Any, name: Any) -> None:
        self.owner, self.name = ref(owner), name
        self.expected = _as_read(owner, name)


class Guard:
    """Notes what a block of code reads, and says whether that is unchanged.

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
        self._named_attributes: set[tuple[int, str]] = set()  # the keys of plain attributes
        self._doubted: set[tuple[int, Any]] = set()
        self._parts: dict[int, Part] = {}
        self._seen: dict[tuple[int, Any], Any] = {}  # functions and classes, kept alive
        self._class_values: dict[type, dict[str, Any]] = {}  # the attributes read of classes
        self._items = 0
        self.journal: Any = None  # of the step that runs in the block, if it is a step
        self.tensors: set[Any] = set()  # those that were found in inspected objects
        self._alive: list[Any] = []  # kept alive in the block, so that no id is used twice
        self.replaced: dict[Any, Any] = _NOTHING  # from old Tensors to those in their places now
        self._broken = ""  # what had changed at the last comparison
        self._fast: tuple[list[Any], list[Any], list[Any]] = [], [], []
        self._slow: list[Part] = []
        self._streams: list[Part] = []

    def __enter__(self) -> Guard:
        self._outer, local.guard = local.guard, self
        self._streams = [Part(source, GENERATOR, path) for path, source in _STREAMS.items()]
        self._noting = attributes_noted()
        self._noting.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        local.guard = self._outer
        self._noting.__exit__(None, None, None)
        streams, self._streams = self._streams, []
        for stream in streams:
            if stream.kind.contents(stream.source) != stream.expected:  # the block has drawn
                self._parts[id(stream.source)] = stream
        if self._outer is not None:
            self._outer.include(self)
        self.complete()

    # -- what is noted ------------------------------------------------------------------------

    def attribute(self, owner: Any, name: str) -> None:
        """Note an attribute of something Watched, of which ``name`` may be ``__dict__``."""
        if self.journal is not None and (id(owner), name) in self.journal.attributes:
            return  # the block itself has assigned it before
        read = self.note(owner, name)
        if read is None:
            return
        self._named_attributes.add((id(owner), name))
        path = f"{type(owner).__name__}.{name}"
        if name == "__dict__":
            for each, value in list(own(owner).items()):
                if each not in type(owner)._unread:
                    self.value(value, f"{type(owner).__name__}.{each}")
            self._attributes_part(owner)
        elif read.expected is ABSENT:
            self._class_attribute(type(owner), name)
        else:
            self.value(read.expected, path)
        self._class(type(owner))

    def note(self, owner: Any, name: Any) -> _Read | None:
        """Note what ``owner.as_read(name)`` is, for an owner that notifies guards when it changes.

        Returns:
            None if it was noted before.
        """
        key = id(owner), name
        if key in self._reads and self._reads[key].owner() is owner:
            return None
        read = self._reads[key] = _Read(owner, name)
        self._alive.append(owner)
        register(owner, name, self)
        return read

    def value(self, value: Any, path: str) -> None:
        """Note the contents of a value that was read."""
        if isinstance(value, Handle):
            self.tensors.add(value)
            return
        if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType):
            value = value.__self__  # a method such as that of a dict
        if isinstance(value, ref):
            value = value()
        if isinstance(value, Watched):
            self._class(type(value))  # the attributes are noted when they are read
            return
        if isinstance(value, PLAIN):
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
        elif callable(value) and "__wrapped__" in getattr(value, "__dict__", ()):
            self.value(value.__wrapped__, path)
        else:
            check_comparable(value, path)
            self._part(value, kind_of(value), path)

    def _attributes_part(self, owner: Any) -> None:
        """Note the whole attribute dict: its reader may write into it without notifying guards."""
        if id(owner) not in self._parts:
            part = self._parts[id(owner)] = Part(owner, IN_DICT, type(owner).__name__)
            before = own(owner).copy()
            for (number, name), (_, value) in getattr(self.journal, "attributes", {}).items():
                if number == id(owner):
                    before[name] = value
            known = {k: v for k, v in before.items() if k not in type(owner)._unread}
            part.expected = pairs({k: v for k, v in known.items() if v is not ABSENT})

    def _part(self, source: Any, kind: Kind | None, path: str) -> None:
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
        if kind in _OF_USERS_CLASSES:
            self._class(type(source))

    def function(self, function: Any) -> None:
        """Note the globals, the closure and the defaults that a user's function reads."""
        if isinstance(function, partial):
            self.value(function, repr(function.func))
            return
        function = getattr(function, "__func__", function)
        if isinstance(function, FunctionType):
            function = users_function(function)
        if not isinstance(function, FunctionType) or not is_users(function.__module__):
            return
        if (id(function), None) in self._seen:
            return
        self._seen[id(function), None] = function
        path, code = function.__qualname__, function.__code__
        self._part(function, FUNCTION, path)
        if own(function):
            self._part(own(function), DICT, f"attributes of {path}")
        for cell, name in zip(
            function.__closure__ or (), function.__code__.co_freevars, strict=True
        ):
            if name != "__class__":
                self._part(cell, CELL, f"{name}, which {path} uses")
                self._members(CELL.contents(cell)[0], code)
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.value(value, f"a default of {path}")
        space = function.__globals__
        names = {name for name in global_names(code) if name in space} | assigned_names(code)
        if names:
            self._namespace(space, tuple(sorted(names)), path)
            for name in names:
                self._members(space.get(name), code)
        for name in imported_names(code):
            self._members(sys.modules.get(name), code)

    def _namespace(self, space: dict[str, Any], names: tuple[str, ...], path: str) -> None:
        if (id(space), names) in self._seen:
            return
        self._seen[id(space), names] = space
        are_there = all(name in space for name in names)
        part = Part(space, namespace(names, are_there), f"a global that {path} uses")
        self._parts[id(part)] = part
        for name in names:
            self.value(space.get(name), f"{name}, which {path} uses")

    def _members(self, space: Any, code: CodeType) -> None:
        """Note what a function may read of a user's module or class."""
        if isinstance(space, ModuleType):
            if is_users(space.__name__) and (id(space), code) not in self._seen:
                self._seen[id(space), code] = space
                names = tuple(sorted(name for name in all_names(code) if name in vars(space)))
                if names:
                    self._namespace(vars(space), names, space.__name__)
                for name in names:
                    self._members(vars(space)[name], code)
        elif isinstance(space, type) and is_users(space.__module__):
            for name in all_names(code):
                if hasattr(space, name):
                    self._class_attribute(space, name)

    def _class(self, kind: type) -> None:
        """Note what is in a user's class: its methods, what these read, and its data.

        The data of an operation that runs on the host may change: its Python runs in each call.
        """
        if (id(kind), None) in self._seen:
            return
        self._seen[id(kind), None] = kind
        for base in kind.__mro__:
            if is_users(base.__module__):
                for name, value in list(vars(base).items()):
                    for function in functions_of(value) if name != "__init__" else ():
                        self._class_attribute(base, name)
                        self.function(function)
                    if is_data(name, value) and getattr(base, "traceable", True):
                        self._class_data(base, name)

    def _class_data(self, kind: type, name: str) -> None:
        try:
            self._class_attribute(kind, name)
        except CaptureError:  # raised when the attribute is read; perhaps no code reads it
            self._class_values[kind].pop(name, None)

    def _class_attribute(self, kind: type, name: str) -> None:
        if name[:1] == "_" and is_ours(kind.__module__):
            return
        value = getattr(kind, name, ABSENT)
        if value is ABSENT or value is not getattr(kind, name):  # absent, or a new object each time
            return
        values = self._class_values.setdefault(kind, {})
        if name not in values:
            values[name] = value
            for function in functions_of(value):
                self.function(function)
            if not functions_of(value):
                self.value(value, f"{kind.__name__}.{name}")

    def with_outer(self) -> list[Guard]:
        """This guard, and those of the blocks around its block."""
        return [self, *(self._outer.with_outer() if self._outer is not None else ())]

    def include(self, other: Guard) -> None:
        """Depend on all that another guard depends on."""
        for key, read in other._reads.items():
            owner = read.owner()
            if self.journal is not None and key in self.journal.attributes:
                continue
            if owner is not None and key not in self._reads:
                self._reads[key] = copy(read)
                register(owner, read.name, self)
        self._doubted |= other._doubted
        self._seen |= other._seen
        self.tensors |= other.tensors
        for number, part in other._parts.items():
            self._parts.setdefault(number, copy(part))
        for kind, values in other._class_values.items():
            self._class_values.setdefault(kind, {}).update(values)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A block in which objects are made once; their state at its end is taken as read."""
        local.guard = None  # inspecting an object here is not a read
        looked_into = [*self._parts.values(), *self._streams]
        before = {part: part.kind.contents(part.source) for part in looked_into}
        unchanged = {key for key in self._reads if self._is_as_read(key)}
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
                if identical(contents, part.expected):
                    part.expected = part.kind.contents(part.source)
                    for element in part.expected:
                        self.value(element, part.path)

    def _is_as_read(self, key: tuple[int, Any]) -> bool:
        read = self._reads[key]
        owner = read.owner()
        return owner is not None and identical((_as_read(owner, read.name),), (read.expected,))

    def complete(self) -> None:
        """End the notes, and prepare to compare."""
        # Bases first: what is restored on a base class must not be set on its subclasses.
        for kind, values in sorted(
            self._class_values.items(), key=lambda item: len(item[0].__mro__)
        ):
            names = tuple(sorted(values))
            part = Part(kind, class_attributes(names), kind.__name__)
            part.expected = tuple([values[name] for name in (*names, names[0])])
            self._parts[id(part)] = part
        self._class_values = {}
        self._alive.clear()
        self.journal = None
        self._prepare()

    def _prepare(self) -> None:
        looks: Looks = []
        expected: list[Any] = []
        self._slow = []
        for part in self._parts.values():
            if part.kind.tells:
                continue
            if part.kind.looks is None:
                self._slow.append(part)
            else:
                looks += part.kind.looks(part.source)
                expected += part.expected
                if part.kind.restore is not None:  # its number of elements may change
                    looks.append((tuple, (_END,)))
                    expected.append(_END)
        self._fast = [f for f, _ in looks], [x for _, x in looks], expected

    # -- whether it is unchanged --------------------------------------------------------------

    def doubt(self, owner: Any, name: Any) -> None:
        """Something may have changed: compare it at the next check."""
        for key in ((id(owner), name), (id(owner), "__dict__")):
            if key in self._reads:
                self._doubted.add(key)

    def holds(self, is_free: Callable[[Any], bool] | None = None) -> bool:
        """Whether all that was read is unchanged.

        Args:
            is_free: whether a Tensor may replace one that was read, of the same shape, type and
                device. ``replaced`` then says which has replaced which. If None, another Tensor
                is a change.
        """
        return self.has_seen_no_change() or self._look(is_free)

    def has_seen_no_change(self) -> bool:
        """Whether no object has notified this guard, and all compared objects are identical."""
        if self._doubted or not self._nothing_moved():
            return False
        self.replaced = _NOTHING
        return True

    def _nothing_moved(self) -> bool:
        getters, sources, expected = self._fast
        try:
            if any(map(is_not, chain.from_iterable(map(call, getters, sources)), expected)):
                return False
        except (AttributeError, KeyError, ValueError):  # something does not exist any more
            return False
        return all(part.kind.contents(part.source) == part.expected for part in self._slow)

    def _look(self, is_free: Callable[[Any], bool] | None) -> bool:
        comparison = Comparison(self._parts, is_free)
        found = []
        for key in self._doubted:
            read = self._reads[key]
            owner = read.owner()
            if owner is None:
                continue  # it was freed, so no code can read it
            now = _as_read(owner, read.name)
            if not comparison.same(read.expected, now):
                self._broken = difference(type(owner).__name__, read.name, read.expected, now)
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
        for number, source in comparison.sources.items():
            self._parts[id(source)] = self._parts.pop(number)
        self._doubted.clear()
        self.replaced = comparison.replaced
        for old, new in comparison.replaced.items():
            self.tensors.discard(old)
            self.tensors.add(new)
            for name in ("flags", "device"):
                if self._reads.pop((id(old), name), None) is not None:
                    self.note(new, name)
        self._prepare()
        return True

    def what_changed(self) -> str:
        """A message that says what had changed at the last comparison."""
        return self._broken

    # -- what the block itself has changed ----------------------------------------------------

    def was_there(self, thing: Any) -> bool:
        """Whether this object was reached from what was read."""
        return id(thing) in self._parts

    def changes(self) -> list[tuple[Part, tuple[Any, ...]]]:
        """The objects below what was read whose elements have changed, with the new elements."""
        return [
            (part, now)
            for part in self._parts.values()
            if part.kind.restore is not None
            and not identical(now := part.kind.contents(part.source), part.expected)
        ]

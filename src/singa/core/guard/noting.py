"""Notes: which of the user's objects, functions and classes a block of code reads."""

from __future__ import annotations

import sys
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

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
from singa.core.guard.contents import (
    ABSENT,
    AND_ATTRIBUTES,
    ATTRIBUTES,
    CELL,
    DICT,
    FUNCTION,
    IN_DICT,
    PLAIN,
    SLOTS,
    Kind,
    Part,
    check_comparable,
    kind_of,
    namespace,
    own,
    pairs,
)
from singa.core.guard.watched import Watched, register
from singa.core.watching import Handle
from singa.errors import CaptureError

MOST_ITEMS = 100_000
"""The most elements of containers and attributes of plain objects that a call may compare."""

_OF_USERS_CLASSES = (ATTRIBUTES, SLOTS, *AND_ATTRIBUTES.values())


def as_read(owner: Any, name: Any) -> Any:
    """The result of ``owner.as_read(name)``."""
    return type(owner).as_read(owner, name)  # so the attribute as_read is not noted as read


class Read:
    """Something that was read of an object that notifies of its changes, and its value."""

    __slots__ = ("expected", "name", "owner")

    def __init__(self, owner: Any, name: Any) -> None:
        self.owner, self.name = ref(owner), name
        self.expected = as_read(owner, name)


class Notes:
    """The part of a :class:`Guard` that takes notes.

    Attributes:
        journal: the journal of the noted step; None if the block is not a step.
        tensors: the Tensors that were found inside of objects.
    """

    def __init__(self) -> None:
        self._reads: dict[tuple[int, Any], Read] = {}
        self._named_attributes: set[tuple[int, str]] = set()  # keys of reads of plain attributes
        self._doubted: set[tuple[int, Any]] = set()  # keys of reads that may have changed since
        self._parts: dict[int, Part] = {}
        self._seen: dict[tuple[int, Any], Any] = {}  # functions and classes, kept alive
        self._class_values: dict[type, dict[str, Any]] = {}  # attributes of classes that were read
        self._items = 0
        self._alive: list[Any] = []  # keeps objects alive, so that no id is used twice
        self.journal: Any = None
        self.tensors: set[Any] = set()

    def attribute(self, owner: Any, name: str) -> None:
        """Note an attribute of a Watched object; ``name`` may be ``__dict__``."""
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

    def note(self, owner: Any, name: Any) -> Read | None:
        """Note the result of ``owner.as_read(name)``; the owner notifies when it changes.

        Returns:
            None if it was noted before.
        """
        key = id(owner), name
        if key in self._reads and self._reads[key].owner() is owner:
            return None
        read = self._reads[key] = Read(owner, name)
        self._alive.append(owner)
        register(owner, name, self)
        return read

    def doubt(self, owner: Any, name: Any) -> None:
        """Called when something may have changed: note that it has to be compared."""
        for key in ((id(owner), name), (id(owner), "__dict__")):
            if key in self._reads:
                self._doubted.add(key)

    def value(self, value: Any, path: str) -> None:
        """Note everything inside of a value that was read."""
        if isinstance(value, Handle):
            self.tensors.add(value)
            return
        if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType):
            value = value.__self__  # a built-in method, such as a dict's
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
            return  # its attributes are noted with the functions that name them
        elif callable(value) and "__wrapped__" in getattr(value, "__dict__", ()):
            self.value(value.__wrapped__, path)
        else:
            check_comparable(value, path)
            self._part(value, kind_of(value), path)

    def _attributes_part(self, owner: Any) -> None:
        """Compare all attributes: code that has their dict can change it without a notification."""
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
        """Note the globals, the closure and the defaults that one of the user's functions reads."""
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
        """Note what a function may read of one of the user's modules or classes."""
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
        """Note one of the user's classes: its methods, what these read, and its data.

        The data of an operation that is not traceable may change, because it runs as Python in
        each call.
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
        except CaptureError:  # the error is raised when code reads it; perhaps no code does
            self._class_values[kind].pop(name, None)

    def _class_attribute(self, kind: type, name: str) -> None:
        if name[:1] == "_" and is_ours(kind.__module__):
            return
        value = getattr(kind, name, ABSENT)
        if value is ABSENT or value is not getattr(kind, name):  # missing, or new at each access
            return
        values = self._class_values.setdefault(kind, {})
        if name not in values:
            values[name] = value
            for function in functions_of(value):
                self.function(function)
            if not functions_of(value):
                self.value(value, f"{kind.__name__}.{name}")

"""Notes: what a block of code reads, of the user's objects, functions and classes."""

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
"""Elements of containers and attributes of plain objects that are compared before each call."""

_OF_USERS_CLASSES = (ATTRIBUTES, SLOTS, *AND_ATTRIBUTES.values())


def as_read(owner: Any, name: Any) -> Any:
    """What ``owner.as_read(name)`` is."""
    return type(owner).as_read(owner, name)  # itself, not noted as read of the owner


class Read:
    """Something that was read of an object that tells, and what it was."""

    __slots__ = ("expected", "name", "owner")

    def __init__(self, owner: Any, name: Any) -> None:
        self.owner, self.name = ref(owner), name
        self.expected = as_read(owner, name)


class Notes:
    """The part of a :class:`Guard` that takes notes.

    Attributes:
        journal: of the step that is noted, if it is one.
        tensors: those that were found by looking into objects.
    """

    def __init__(self) -> None:
        self._reads: dict[tuple[int, Any], Read] = {}
        self._named_attributes: set[tuple[int, str]] = set()  # of those, the plain attributes
        self._doubted: set[tuple[int, Any]] = set()  # what may have changed since
        self._parts: dict[int, Part] = {}
        self._seen: dict[tuple[int, Any], Any] = {}  # functions and classes, kept alive
        self._class_values: dict[type, dict[str, Any]] = {}  # of classes, what was read
        self._items = 0
        self._alive: list[Any] = []  # while notes are taken, no two objects have one id
        self.journal: Any = None
        self.tensors: set[Any] = set()

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
                if each not in type(owner)._unread:
                    self.value(value, f"{type(owner).__name__}.{each}")
            self._attributes_part(owner)
        elif read.expected is ABSENT:
            self._class_attribute(type(owner), name)
        else:
            self.value(read.expected, path)
        self._class(type(owner))

    def note(self, owner: Any, name: Any) -> Read | None:
        """Note what ``owner.as_read(name)`` is, of an object that tells when that changes.

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
        """Be told that something may have changed."""
        for key in ((id(owner), name), (id(owner), "__dict__")):
            if key in self._reads:
                self._doubted.add(key)

    def value(self, value: Any, path: str) -> None:
        """Note what is inside of a value that was read."""
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
        """Somebody has the dict of the attributes, and may write into it without being noticed."""
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
        """Note the globals, the closure and the defaults that a function of the user's reads."""
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
        """Note what a function may read of a module or of a class of the user's."""
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
        """Note what is in a class of the user's: its methods, what these read, and its data.

        The data of an operation of the host may change: it runs as Python in each call.
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
        except CaptureError:  # that is for whoever reads it: perhaps nobody does
            self._class_values[kind].pop(name, None)

    def _class_attribute(self, kind: type, name: str) -> None:
        if name[:1] == "_" and is_ours(kind.__module__):
            return
        value = getattr(kind, name, ABSENT)
        if value is ABSENT or value is not getattr(kind, name):  # not there, or made anew each time
            return
        values = self._class_values.setdefault(kind, {})
        if name not in values:
            values[name] = value
            for function in functions_of(value):
                self.function(function)
            if not functions_of(value):
                self.value(value, f"{kind.__name__}.{name}")

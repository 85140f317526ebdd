"""What the compiled methods of an object may read, found from their code.

A method that is compiled once and reused does not run again, so nothing can see what it reads. But
the names in its code say what it can read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from threading import RLock
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakSet

from singa.core.exact import others
from singa.core.guard.code import all_names, functions_of, global_names, is_users
from singa.core.guard.contents import identical
from singa.core.guard.guard import Guard
from singa.core.guard.watched import Watched
from singa.core.watching import local
from singa.errors import CaptureError

_ANY = frozenset({"__dict__", "getattr", "vars"})
"""Where code names one of these, it may read any attribute."""

_looking = RLock()  # reentrant: garbage collection may run code that makes a guard
_all: WeakSet[EagerGuard] = WeakSet()


class EagerGuard(Guard):
    """A guard of code that runs eagerly too, where nothing is refused.

    A value that cannot be compared (an iterator, a large array) is assumed not to change. In a
    compiled step it is an error, as always.
    """

    def __init__(self) -> None:
        super().__init__()
        with _looking:
            _all.add(self)

    def value(self, value: Any, path: str) -> None:
        try:
            super().value(value, path)
        except CaptureError:
            if local.capture is not None:
                raise

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that could change."""
        return not self._parts and not self._reads

    def holds_here(self) -> bool:
        """Whether nothing has changed; the active guard, if any, then depends on it too."""
        if not self.has_seen_no_change():
            with _looking:  # several threads may use the guarded code
                if not self.holds():
                    return False
        if local.guard is not None:
            local.guard.include(self)
        return True


@contextmanager
def running(guard: EagerGuard | None) -> Iterator[None]:
    """A block in which guarded code runs; its own changes, such as a counter's, are ignored.

    No guard sees them as a change, because other guards may have read the same counter.
    """
    if guard is None:
        yield
        return
    with _looking:
        guards: list[Guard] = [*_all]
    if local.guard is not None:
        guards += local.guard.with_outer()
    own = {id(part.source) for part in guard._parts.values()}
    before = [
        (each, part, part.kind.contents(part.source))
        for each in guards
        for part in list(each._parts.values())
        if id(part.source) in own
    ]
    try:
        yield
    finally:
        for each, part, contents in before:
            now = part.kind.contents(part.source)
            if identical(contents, part.expected) and not identical(now, contents):
                part.expected = now
                for element in now:
                    each.value(element, part.path)
                each._prepare()


def names_read(
    kind: type, attributes: Mapping[str, Any], methods: Iterable[str]
) -> tuple[set[str], list[FunctionType]]:
    """The names that an object's methods may read, and the functions that they may call.

    Args:
        kind: its class.
        attributes: its own.
        methods: their names.

    Returns:
        The names of all attributes that these methods, and the user's functions that they name,
        may read (rather too many than too few), and these functions.
    """
    roots, bases = {*methods}, kind.__mro__
    names: set[str] = set()
    functions: dict[FunctionType, None] = {}
    waiting = [*roots]

    def follow(value: Any) -> None:
        for function in _functions(value):
            if function in functions:
                continue
            functions[function] = None
            waiting.extend(all_names(function.__code__))
            if is_users(function.__module__):
                for name in global_names(function.__code__):
                    follow(function.__globals__.get(name))
                for cell in function.__closure__ or ():
                    follow(_contents(cell))

    while waiting:
        name = waiting.pop()
        if name in names:
            continue
        names.add(name)
        if name in _ANY:
            waiting += attributes
            waiting += [each for base in bases if is_users(base.__module__) for each in vars(base)]
        follow(attributes.get(name))
        for base in bases:
            if name in roots or is_users(base.__module__):
                follow(vars(base).get(name))
    return names, [*functions]


def guard_of(
    kind: type, attributes: Mapping[str, Any], methods: Iterable[str]
) -> EagerGuard | None:
    """A guard of what methods read besides the containers and arrays in ``attributes``.

    That is globals, closures, attributes of classes, and attributes of objects.

    Returns:
        None if nothing of it could change: the library's own code reads nothing else.
    """
    names, functions = names_read(kind, attributes, methods)
    guard = EagerGuard()
    for function in functions:
        guard.function(function)
    for base in kind.__mro__:
        if is_users(base.__module__):
            for name in names:
                guard._class_attribute(base, name)
    for name, value in attributes.items():
        if name in names:
            for each in others(value):
                guard.value(each, f"{kind.__name__}.{name}")
    guard.complete()
    if guard.is_empty:
        return None
    if local.guard is not None:
        local.guard.include(guard)
    return guard


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing was assigned yet
        return None


def _functions(value: Any) -> list[Any]:
    """The Python functions that a value may call."""
    if isinstance(value, (type, Watched)):
        return []
    if isinstance(value, (partial, cached_property)):
        return _functions(value.func)
    if isinstance(value, MethodType):
        return [value.__func__]
    if callable(value) and not isinstance(value, FunctionType):
        value = getattr(value, "__dict__", {}).get("__wrapped__", value)  # such as jax.jit's
    return functions_of(value)

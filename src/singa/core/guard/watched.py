"""Objects that notify guards of assignments, and the registry of which guard has read what."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol
from weakref import WeakSet, ref

from singa.core.guard.contents import ABSENT, own, pairs
from singa.core.watching import local


class _Reader(Protocol):
    """An object that has read something: a Guard."""

    def doubt(self, owner: Any, name: Any) -> None: ...


class _Registry:
    """Which guards have read what, by the owner's ``id`` and the name of what was read.

    Entries of freed owners are removed from time to time. A callback of their weak references
    would be Python code that runs whenever a Tensor is freed, and an interrupt there would be lost.
    """

    def __init__(self) -> None:
        self._of: dict[int, tuple[ref[Any], dict[Any, WeakSet[_Reader]]]] = {}
        self._enough = 1000

    def add(self, owner: Any, name: Any, guard: _Reader) -> None:
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
register = _readers.add
changed = _readers.tell
"""Notify all guards that have read this attribute of an object that it may have changed."""


class Watched:
    """Base of objects whose attributes a captured step depends on: layers, optimizers, schedules.

    Assignments notify the guards that have read the attribute, and the journal of a step that may
    be undone.

    Attributes:
        _unread: names of attributes on which no step depends.
    """

    _unread: ClassVar[frozenset[str]] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        if local.journal is not None:
            local.journal.attribute(self, name)
        object.__setattr__(self, name, value)
        changed(self, name)

    def as_read(self, name: Any) -> Any:
        """What a guard compares: the attribute of this name, or all if it is ``__dict__``."""
        if name != "__dict__":
            return own(self).get(name, ABSENT)
        return pairs(
            {key: value for key, value in own(self).items() if key not in type(self)._unread}
        )

    def be_as_read(self, contents: tuple[Any, ...]) -> None:
        """Restore the attributes that ``as_read("__dict__")`` gave, and notify the guards."""
        attributes, half = own(self), len(contents) // 2
        wanted = dict(zip(contents[:half], contents[half:], strict=True))
        before = {k: v for k, v in attributes.items() if k not in type(self)._unread}
        for name in before.keys() | wanted:
            if before.get(name, ABSENT) is not wanted.get(name, ABSENT):
                attributes.pop(name, None)
                if name in wanted:
                    attributes[name] = wanted[name]
                changed(self, name)

    def __delattr__(self, name: str) -> None:
        if local.journal is not None:
            local.journal.attribute(self, name)
        object.__delattr__(self, name)
        changed(self, name)


def assign_attribute(owner: Any, name: str, value: Any) -> None:
    """``owner.name = value``, for any object; ``ABSENT`` deletes the attribute."""
    if local.journal is not None:
        local.journal.attribute(owner, name)
    if value is ABSENT:
        own(owner).pop(name, None)
    else:
        own(owner)[name] = value
    changed(owner, name)


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
def attributes_noted() -> Iterator[None]:
    """A block in which guards note which attributes of Watched objects are read."""
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

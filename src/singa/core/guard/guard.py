"""Guard: tells whether everything that a block of code has read is still the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from itertools import chain
from operator import call, is_not
from typing import Any

import numpy as np

from singa.core.guard.comparison import Comparison, difference
from singa.core.guard.contents import GENERATOR, Looks, Part, class_attributes, identical
from singa.core.guard.noting import Notes, as_read
from singa.core.guard.watched import attributes_noted, register
from singa.core.watching import local

_NOTHING: dict[Any, Any] = {}
_STREAMS: dict[str, Any] = {
    "NumPy's random stream": np.random.get_state.__self__,  # type: ignore[attr-defined]
    "Python's random stream": random.getstate.__self__,  # type: ignore[attr-defined]
}
"""The global random generators. A guard depends on one only if its block has used it."""

_END = object()  # marks the end of one container in the list of all elements


class Guard(Notes):
    """Everything that was read in a block of code, and whether it is unchanged.

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
        super().__init__()
        self.replaced: dict[Any, Any] = _NOTHING  # from each replaced Tensor to the new one
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
            if stream.kind.contents(stream.source) != stream.expected:  # the block has used it
                self._parts[id(stream.source)] = stream
        if self._outer is not None:
            self._outer.include(self)
        self.complete()

    def with_outer(self) -> list[Guard]:
        """This guard, and those of the blocks around its block."""
        return [self, *(self._outer.with_outer() if self._outer is not None else ())]

    def include(self, other: Guard) -> None:
        """Depend on everything that another guard depends on."""
        for key, read in other._reads.items():
            owner = read.owner()
            if self.journal is not None and key in self.journal.attributes:
                continue
            if owner is not None and key not in self._reads:
                self._reads[key] = copy(read)
                register(owner, read.name, self)
        self._doubted |= other._doubted & self._reads.keys()
        self._seen |= other._seen
        self.tensors |= other.tensors
        for number, part in other._parts.items():
            self._parts.setdefault(number, copy(part))
        for kind, values in other._class_values.items():
            self._class_values.setdefault(kind, {}).update(values)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A block in which objects are made once; their state at its end counts as read.

        This is so for the guards of the blocks around this guard's block, too.
        """
        local.guard = None  # reads in the block are not noted
        guards = self.with_outer()
        before = [guard._before_pause() for guard in guards]
        try:
            yield
        finally:
            local.guard = self
            for guard, (changed, contents) in zip(guards, before, strict=True):
                guard._after_pause(changed, contents)

    def _before_pause(self) -> tuple[set[tuple[int, Any]], dict[Part, tuple[Any, ...]]]:
        """The keys of what has changed since it was read, and the elements of all containers.

        A change of anything else notifies this guard. It makes no comparison of all that was read,
        which would take the square of the number of layers: each makes its parameters in a pause.
        """
        changed = {key for key in self._doubted if not self._is_as_read(key)}
        self._doubted = set()
        parts = (*self._parts.values(), *self._streams)
        return changed, {part: part.kind.contents(part.source) for part in parts}

    def _after_pause(
        self, changed: set[tuple[int, Any]], contents: dict[Part, tuple[Any, ...]]
    ) -> None:
        """What was unchanged before the pause counts as read now."""
        doubted, self._doubted = self._doubted, changed
        for key in doubted - changed:
            read = self._reads[key]
            if (owner := read.owner()) is not None and not self._is_as_read(key):
                read.expected = as_read(owner, read.name)
                if key in self._named_attributes:
                    self.value(read.expected, f"{type(owner).__name__}.{read.name}")
        for part, elements in contents.items():
            if identical(elements, part.expected):
                part.expected = part.kind.contents(part.source)
                for element in part.expected:
                    self.value(element, part.path)

    def _is_as_read(self, key: tuple[int, Any]) -> bool:
        read = self._reads[key]
        owner = read.owner()
        return owner is not None and identical((as_read(owner, read.name),), (read.expected,))

    def complete(self) -> None:
        """Stop taking notes, and prepare the comparison."""
        # Base classes first: a value that is restored there must not be set on subclasses.
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
                if not part.kind.is_fixed:
                    looks.append((tuple, (_END,)))
                    expected.append(_END)
        self._fast = [f for f, _ in looks], [x for _, x in looks], expected

    # -- whether it is unchanged --------------------------------------------------------------

    def holds(self, is_free: Callable[[Any], bool] | None = None) -> bool:
        """Whether everything that was read is unchanged.

        Args:
            is_free: whether a new Tensor may replace one that was read, of the same shape, type
                and device. ``replaced`` then has the replaced and the new Tensors. If None,
                another Tensor is a change.
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
        except (AttributeError, KeyError, ValueError):  # an element no longer exists
            return False
        slow = self._slow
        return not slow or all(part.kind.contents(part.source) == part.expected for part in slow)

    def _look(self, is_free: Callable[[Any], bool] | None) -> bool:
        comparison = Comparison(self._parts, is_free)
        found = []
        for key in self._doubted:
            read = self._reads[key]
            owner = read.owner()
            if owner is None:
                continue  # it was deleted, so no code can read it
            now = as_read(owner, read.name)
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
        """A message about what had changed at the last comparison."""
        return self._broken

    # -- what the block itself has changed ----------------------------------------------------

    def was_there(self, thing: Any) -> bool:
        """Whether this object is one of those that were found below what was read."""
        return id(thing) in self._parts

    def changes(self) -> list[tuple[Part, tuple[Any, ...]]]:
        """The objects found below what was read that have changed, with their new elements."""
        return [
            (part, now)
            for part in self._parts.values()
            if part.kind.restore is not None
            and not identical(now := part.kind.contents(part.source), part.expected)
        ]

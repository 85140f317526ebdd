"""Whether the present objects are equivalent to those that were read."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import numpy as np

from singa.core.exact import exact
from singa.core.guard.contents import Absent, Part, kind_of
from singa.core.watching import Handle

_VALUES = (bool, int, float, complex, str, bytes, np.generic, frozenset, range, np.dtype)


class Comparison:
    """Compares the objects that were read with the present ones."""

    def __init__(self, parts: dict[int, Part], is_free: Callable[[Any], bool] | None) -> None:
        self._parts, self._is_free = parts, is_free
        self.replaced: dict[Any, Any] = {}  # from old Tensors to those that have replaced them
        self.sources: dict[int, Any] = {}  # from the ids of old objects to the present ones
        self._kept: set[Any] = set()  # Tensors that were not replaced

    def same(self, old: Any, new: Any) -> bool:
        """Whether a step does the same when it reads ``new`` instead of ``old``."""
        if old is new:
            if isinstance(old, Handle):
                self._kept.add(old)
            return True
        if type(old) is not type(new):
            return False
        if isinstance(old, Handle):
            return self._replaces(old, new)
        if isinstance(old, tuple):
            return self.same_elements(old, new)
        if isinstance(old, MethodType):
            return old.__func__ is new.__func__ and self.same(old.__self__, new.__self__)
        if isinstance(old, _VALUES):
            return exact(old) == exact(new)
        part = self._parts.get(id(old))
        if part is None:
            return False
        if id(old) in self.sources:
            return self.sources[id(old)] is new
        if kind_of(new) is not part.kind:
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
        """Whether Tensors were replaced one to one, and none of them is in its old place too."""
        old, new = set(self.replaced), set(self.replaced.values())
        return len(new) == len(old) and not (old | new) & self._kept


def difference(owner: str, name: Any, old: Any, new: Any) -> str:
    """A message that says what has changed."""
    if name == "__dict__":
        return f"an attribute of {owner} was assigned"
    if name == "flags":
        return f"requires_grad or stores_grad of a Tensor was set to {new}"
    return f"{owner}.{name} is {_short(new)}, and was {_short(old)} before"


def _short(value: Any) -> str:
    if isinstance(value, (bool, int, float, str, type(None), Absent)):
        return repr(value)
    return f"another {type(value).__name__}"

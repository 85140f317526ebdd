"""Guard: what Python code has read of Python's objects, and whether that is unchanged.

A captured step ran the user's Python once. Its results depend on what it read: attributes
of layers, models and optimizers, the containers and plain objects below them, flags of Tensors,
and the globals, closures and methods of the user's own code. A program is valid as long as these
are unchanged. It does not matter where they are assigned, or what else changes.

Layers, models and optimizers *notify* the guards of assignments (:class:`Watched`), so that they
need no check as long as nothing has changed. All other objects are *compared*: all at once, by
identity, in one expression without a loop in Python. Objects for which neither is possible are
refused while the step is captured.

- ``guard.py``: Guard, which compares what ``noting.py`` notes.
- ``watched.py``: objects that tell.
- ``contents.py``: what is looked into, and how.
- ``code.py``: whose code something is, and what it reads.
- ``methods.py``: what compiled methods read.
- ``comparison.py``: whether the present objects are equivalent to those that were read.
"""

from singa.core.guard.contents import (
    ABSENT,
    MOST_BYTES,
    Cache,
    Kind,
    Part,
    is_iterator,
    kind_of,
    own,
)
from singa.core.guard.guard import Guard
from singa.core.guard.methods import EagerGuard, guard_of, names_read, running
from singa.core.guard.noting import MOST_ITEMS
from singa.core.guard.watched import Watched, assign_attribute, changed

__all__ = [
    "ABSENT", "MOST_BYTES", "MOST_ITEMS", "Cache", "EagerGuard", "Guard", "Kind", "Part",
    "Watched", "assign_attribute", "changed", "guard_of", "is_iterator", "kind_of", "names_read",
    "own", "running",
]  # fmt: skip

"""Guard: what a run of Python code read of Python's objects, and whether that is still so.

A captured step ran the user's Python once. What it computed follows from what it read: attributes
of layers, models and optimizers, the containers and plain objects below them, flags of Tensors,
and the globals, closures and methods of the user's own code. A program is valid as long as these
are what they were, wherever they are assigned, and whatever else changes.

Layers, models and optimizers *tell* of assignments (:class:`Watched`), so that nothing is looked at
as long as nothing has changed. What cannot tell is *compared*: all at once, by identity, in one
expression without a loop of Python's. What can be neither is refused while the step is captured.

- ``guard.py``: Guard, which compares what ``noting.py`` notes.
- ``watched.py``: objects that tell.
- ``contents.py``: what is looked into, and how.
- ``code.py``: whose code something is, and what it reads.
- ``methods.py``: what methods read that are compiled, and kept.
- ``comparison.py``: whether what is there now does as well.
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

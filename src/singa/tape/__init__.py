"""The tape: operations that record themselves, and the backward pass over the record.

- ``operation.py``: Operation, and what happens when one is called.
- ``kernel.py``: an operation's forward and backward, compiled once and kept.
- ``backward.py``: the walk over the record, yielding gradients as they become complete.
"""

from singa.tape.backward import backward, gradients
from singa.tape.operation import Operation, mode, training

__all__ = ["Operation", "backward", "gradients", "mode", "training"]

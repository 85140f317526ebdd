"""The tape: operations that record themselves, and the backward pass over the record.

- ``operation.py``: Operation, and what happens when one is called.
- ``kernel.py``: an operation's forward and backward, compiled once and kept.
- ``backward.py``: the walk over the record, yielding gradients as they become complete.
- ``gradient.py``: an operation's backward as an operation, for a record of the backward pass.
- ``derivatives.py``: Jacobians, Hessians, and products with them.
- ``checking.py``: gradients compared with central differences.
- ``modes.py``: whether operations are recorded, and layers behave as in training.
"""

from singa.tape.backward import backward, grad, gradients
from singa.tape.checking import check_gradients
from singa.tape.derivatives import hessian, hvp, jacobian, jvp, vjp
from singa.tape.modes import enable_grad, mode, no_grad, training
from singa.tape.operation import Operation

__all__ = [
    "Operation", "backward", "check_gradients", "enable_grad", "grad", "gradients",
    "hessian", "hvp", "jacobian", "jvp", "mode", "no_grad", "training", "vjp",
]  # fmt: skip

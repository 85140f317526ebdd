"""The tape: operations that record themselves, and the backward pass over the record.

- ``operation.py``: Operation, and what happens when one is called.
- ``record.py``: Record, one call of an operation.
- ``configuration.py``: the key of an operation's kernel.
- ``differentiation.py``: by its own backward or by jax; gradients of complex numbers.
- ``arrays_only.py``: what compiled methods are refused.
- ``kernel.py``: an operation's forward and backward, compiled once and cached.
- ``table.py``: which kernels are cached, and for how long.
- ``returned.py``: what a backward returns, in the shapes and types of the inputs.
- ``backward.py``: the backward pass, which yields gradients as they become complete.
- ``order.py``: the order of the pass, and the edges that it follows.
- ``stretch.py``: parts of the pass that come often, each as one compiled program.
- ``broadcasting.py``: gradients of broadcast inputs, summed.
- ``gradient.py``: an operation's backward as an operation, so that it can be recorded.
- ``derivatives.py``: Jacobians, Hessians, and products with them.
- ``checking.py``: gradients compared with central differences.
- ``checkpointing.py``: segments that are computed again in the backward pass.
- ``hooks.py``: functions that are called for each gradient or operation.
- ``anomaly.py``: the search for the first NaN.
- ``host.py``: operations that run as Python on the host.
- ``jax_functions.py``: jax's functions as operations, and the other way round.
- ``mapping.py``: vmap, and the gradients of each sample.
- ``samples.py``: functions of one sample, applied to a batch by one operation.
- ``precision.py``: which operations compute in short types.
- ``modes.py``: whether operations are recorded, and layers behave as in training.
"""

from singa.tape.anomaly import detect_anomaly
from singa.tape.backward import backward, grad, gradients
from singa.tape.broadcasting import axis_helper, back_broadcast, ctensor2numpy
from singa.tape.checking import check_gradients
from singa.tape.checkpointing import checkpoint
from singa.tape.derivatives import hessian, hvp, jacobian, jvp, vjp
from singa.tape.jax_functions import FromJax, from_jax, to_jax
from singa.tape.mapping import per_sample_gradients, vmap
from singa.tape.modes import enable_grad, mode, no_grad, training
from singa.tape.operation import Operation
from singa.tape.precision import as_precision, mixed_precision, warn_where_slow, wide, widened

__all__ = [
    "FromJax", "Operation", "as_precision", "axis_helper", "back_broadcast",
    "backward", "check_gradients", "checkpoint", "ctensor2numpy", "detect_anomaly", "enable_grad",
    "from_jax", "grad", "gradients", "hessian", "hvp", "jacobian", "jvp", "mixed_precision",
    "mode", "no_grad", "per_sample_gradients", "to_jax", "training", "vjp", "vmap",
    "warn_where_slow", "wide", "widened",
]  # fmt: skip

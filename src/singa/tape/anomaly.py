"""Finds the operation that made the first NaN or infinity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.core.watching import local, within
from singa.device import CTensor, has_gradients
from singa.errors import NumericalError, users_line
from singa.tape.operation import Operation, describe
from singa.tape.record import Record

_lines: WeakKeyDictionary[Record, str] = WeakKeyDictionary()
"""Where in the user's code an operation was called."""


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """A block in which the first NaN or infinity is an error that says where it was made.

    The error names the operation, forward or backward, and the line of your code that called it.
    In a compiled step the checks are part of the program, which is compiled again for them: the
    error is raised after the step, and no Tensor has changed. In eager code it is raised
    immediately. In both cases steps take longer.

    Raises:
        NumericalError: an operation gave a NaN or an infinity, or its backward did.

    Example:
        >>> with autograd.detect_anomaly():
        ...     autograd.log(Tensor(data=[-1.0]))
        Traceback (most recent call last):
            ...
        singa.errors.NumericalError: detect_anomaly: the first NaN or infinity was made ...
    """
    with (
        within("anomaly", True),
        Operation.register_forward_hook(_check_forward),
        Operation.register_backward_hook(_check_backward),
    ):
        yield


def _check_forward(operation: Operation, xs: Sequence[Tensor], ys: Sequence[Tensor]) -> None:
    if not local.anomaly:
        return  # another thread's block
    line = users_line()
    for y in ys:
        if y.creator is not None:
            _lines[y.creator] = line
    about = f"{operation.name}({', '.join(map(describe, xs))}), called at {line}"
    _check(ys, f"forward of {about}")


def _check_backward(
    record: Record, dxs: Sequence[Tensor | None], dys: Sequence[Tensor | None]
) -> None:
    if local.anomaly:
        line = _lines.get(record, "a line before detect_anomaly began")
        _check(dxs, f"backward of {record.name}, which was called at {line}")


def _check(tensors: Sequence[Tensor | None], where: str) -> None:
    floats = [t.data for t in tensors if t is not None and has_gradients(t.dtype) and t.size()]
    if not floats:
        return
    holds = _finite(floats)
    message = f"detect_anomaly: the first NaN or infinity was made in {where}"
    if local.capture is not None:
        local.capture.check(holds, partial(NumericalError, message))
    elif not holds:
        raise NumericalError(message)


@jax.jit
def _finite(arrays: list[CTensor]) -> CTensor:
    return jnp.stack([jnp.isfinite(array).all() for array in arrays]).all()

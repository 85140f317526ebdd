"""Methods that are compiled compute with arrays only: what else they try is refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import jax

from singa.core.tensor import Tensor
from singa.core.watching import Exchange, Listener, local
from singa.errors import CaptureError


class _Refusal(Listener[Tensor]):
    """Refuses all use of Tensors: in a kernel, they would be frozen at their present values."""

    def __init__(self, what: str, instead: str) -> None:
        self._what, self._instead = what, instead

    def refuse(self) -> NoReturn:
        raise CaptureError(
            f"{self._what} compute with CTensors; a Tensor in them would be frozen at its present "
            f"value. {self._instead}"
        )

    def communicates(self, communicator: Exchange) -> None:
        raise CaptureError(f"{self._what} run on one rank; they exchange nothing with others")

    def made(self, tensor: Tensor) -> None:
        self.refuse()


_LOOKS_AT_VALUES = jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError
_ON_HOST = ". An operation with traceable = False runs as Python each time"


@contextmanager
def arrays_only(what: str, instead: str) -> Iterator[None]:
    """A block in which any use of a Tensor is refused.

    Args:
        what: the methods that run in the block, for messages.
        instead: what the user should do instead.
    """
    outer = local.capture, local.journal
    local.capture = local.journal = _Refusal(what, instead)
    try:
        yield
    except _LOOKS_AT_VALUES as error:
        raise CaptureError(
            f"{what} are compiled: they run once for all values, so that an if, a loop over values "
            "or a function of NumPy cannot see these. Compute with jax.numpy: jnp.where instead of "
            f"if, jnp.sin instead of np.sin{_ON_HOST}"
        ) from error
    finally:
        local.capture, local.journal = outer

"""Methods that are compiled compute with arrays only: what else they try is refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NoReturn

import jax

from singa.core.tensor import Tensor
from singa.core.watching import Exchange, Listener, local, within
from singa.device import CTensor
from singa.errors import CaptureError


class _Refusal(Listener[Tensor]):
    """Refuses Tensors from outside: in a kernel, they would be frozen at their present values.

    Tensors that the kernel itself makes are names for its arrays, and harmless.
    """

    def __init__(self, what: str, instead: str) -> None:
        self._what, self._instead = what, instead
        self._own: set[Tensor] = set()

    def refuse(self) -> NoReturn:
        raise CaptureError(
            f"{self._what} compute with CTensors; a Tensor from outside would be frozen in them at "
            f"its present value. {self._instead}"
        )

    def communicates(self, communicator: Exchange) -> None:
        raise CaptureError(f"{self._what} run on one rank; they exchange nothing with others")

    def made(self, tensor: Tensor) -> None:
        self._own.add(tensor)

    def calling(self, kind: str, owner: Any) -> AbstractContextManager[Any]:
        return nullcontext()

    def read(self, tensor: Tensor) -> CTensor:
        self._expect_own(tensor)
        return tensor._data

    def write(self, tensor: Tensor, value: CTensor) -> None:
        self._expect_own(tensor)
        tensor._data = value

    def _expect_own(self, tensor: Tensor) -> None:
        if tensor not in self._own:
            self.refuse()


_LOOKS_AT_VALUES = jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError
_ON_HOST = ". An operation with traceable = False runs as Python each time"


@contextmanager
def arrays_only(what: str, instead: str) -> Iterator[None]:
    """A block in which any use of a Tensor is refused that was not made in it.

    Args:
        what: the methods that run in the block, for messages.
        instead: what the user should do instead.
    """
    outer = local.capture, local.journal
    local.capture = local.journal = _Refusal(what, instead)
    try:
        with within("recording", False):
            yield
    except _LOOKS_AT_VALUES as error:
        raise CaptureError(
            f"{what} are compiled: they run once for all values, so that an if, a loop over values "
            "or a function of NumPy cannot see these. Compute with jax.numpy: jnp.where instead of "
            f"if, jnp.sin instead of np.sin{_ON_HOST}"
        ) from error
    finally:
        local.capture, local.journal = outer

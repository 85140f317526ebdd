"""Which Tensor has an array: SINGA's functions change ``t.data``, which is immutable here."""

from __future__ import annotations

import gc
from typing import Any

import jax

from singa.core.tensor import Tensor
from singa.errors import DTypeError


def changeable(given: Any, what: str) -> Tensor:
    """The Tensor that a function will change: the argument itself, or the one with this array.

    SINGA's programs write ``function(t.data)``. The Tensor ``t`` is looked for among all objects of
    the process, which takes some milliseconds: SINGA calls such functions once an epoch or so.

    Args:
        given: a Tensor, or the array that exactly one Tensor has.
        what: the function, for messages.

    Raises:
        DTypeError: it is neither, or several Tensors have this array: which one is meant?

    Example:
        >>> from singa.core.holding import changeable
        >>> t = Tensor((2,))
        >>> changeable(t.data, "all_reduce") is t
        True
    """
    if isinstance(given, Tensor):
        return given
    found = _holders(given)
    if len(found) > 1:
        gc.collect()  # some of them may be garbage
        found = _holders(given)
    if len(found) == 1:
        return found[0]
    which = f"{len(found)} Tensors have" if found else "no Tensor has"
    a_hint = (
        f". A CTensor cannot be modified, and {which} this one: leave out the `.data`"
        if isinstance(given, jax.Array)
        else ""
    )
    raise DTypeError(
        f"{what}: a Tensor is expected, whose values are replaced; got "
        f"{type(given).__name__}{a_hint}"
    )


def _holders(array: Any) -> list[Tensor]:
    if not isinstance(array, jax.Array):
        return []
    return [x for x in gc.get_referrers(array) if isinstance(x, Tensor) and x._data is array]

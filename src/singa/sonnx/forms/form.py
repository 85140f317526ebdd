"""What a form is: how an operation is written as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from singa.sonnx.forms.writer import Value, Writer

Form = Callable[..., "str | Sequence[str]"]

_FORMS: dict[type, tuple[Form, frozenset[str]]] = {}


def form(*classes: type, of: Sequence[str] = ()) -> Callable[[Form], Form]:
    """Register a function as the form of operations.

    It takes the :class:`Writer`, the operation and its inputs (a :class:`Value` each), and returns
    the name of its output, or a list of them. It raises ``Unfit`` if it does not hold for this
    configuration: then the operation is written by the primitives of jax that it consists of.

    Args:
        classes: of the operations.
        of: the names of all attributes of their configuration. An operation with a further one,
            which the form does not know, is written by its primitives too.
    """

    def register(function: Form) -> Form:
        for each in classes:
            _FORMS[each] = (function, frozenset(of))
        return function

    return register


def form_of(operation: Any) -> Form | None:
    """The form of an operation; that of its class, not of a base class. None if there is none."""
    own = getattr(type(operation), "to_onnx", None)
    if own is not None:
        return _own
    found, known = _FORMS.get(type(operation), (None, frozenset()))
    return found if set(vars(operation)) <= known else None


def _own(writer: Writer, operation: Any, *xs: Value) -> Any:
    return operation.to_onnx(writer, *xs)


def formed() -> set[type]:
    """The classes of operations that have a form."""
    return set(_FORMS)

"""SINGA's older forms of layers' arguments, in which the input sizes come first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from singa.errors import DTypeError


def by_position(
    name: str, given: Sequence[Any], newer: Sequence[str], older: Sequence[str], **options: Any
) -> dict[str, Any]:
    """Positional arguments as a dict: by the newer form or, if it has too few, by the older one.

    Args:
        name: the layer's name, for messages.
        given: the positional arguments. If they are more than the newer form has, they are taken
            as the older form.
        newer, older: the names of the arguments in each form.
        options: the values of arguments that are not given by position.

    Raises:
        DTypeError: there are more arguments than the older form has.
    """
    if len(given) > len(older):
        raise DTypeError(
            f"{name}: ({', '.join(older)}) at most by position, got {len(given)} arguments"
        )
    names = newer if len(given) <= len(newer) else older
    return options | dict(zip(names, given, strict=False))

"""SINGA's older forms of layers' arguments, in which the sizes of the inputs come first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from singa.errors import DTypeError


def by_position(
    name: str, given: Sequence[Any], newer: Sequence[str], older: Sequence[str], **options: Any
) -> dict[str, Any]:
    """What arguments by position mean: the newer form's, or, if they are more, the older one's.

    Args:
        name: of the layer, for messages.
        given: the arguments.
        newer, older: what those of each form are called.
        options: what arguments are that were not given by position.

    Raises:
        DTypeError: they are more than the older form has.
    """
    if len(given) > len(older):
        raise DTypeError(
            f"{name}: ({', '.join(older)}) at most by position, got {len(given)} arguments"
        )
    names = newer if len(given) <= len(newer) else older
    return options | dict(zip(names, given, strict=False))

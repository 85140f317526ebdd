"""Keys that tell apart what Python calls equal."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np


def exact(value: Any) -> Hashable:
    """A key that is equal only for values of one type that compute the same.

    0.0 is not -0.0, 1 is neither 1.0 nor True, and nan is nan; inside of tuples and sets too.

    Raises:
        TypeError: the value cannot be hashed.

    Example:
        >>> exact.exact((1, 0.0)) == exact.exact((1, -0.0)), exact.exact(1) == exact.exact(True)
        (False, False)
    """
    kind = type(value)
    if isinstance(value, (float, complex, np.generic)):
        return kind, repr(value)
    if isinstance(value, tuple):
        return kind, tuple(map(exact, value))
    if isinstance(value, frozenset):
        return kind, frozenset(map(exact, value))
    hash(value)
    return kind, value

"""A line search: how far to go in a direction, from values of the loss and of its slope."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from singa.device import CTensor

_DECREASE, _CURVATURE = 1e-4, 0.9


class Point(NamedTuple):
    """A point on the line, t times the direction away from its start."""

    t: float
    loss: float
    gradient: CTensor
    slope: float
    """The derivative of the loss by t."""


def strong_wolfe(
    at: Callable[[float], Point],
    start: Point,
    t: float,
    length: float,
    tolerance: float,
    most: int,
) -> Point:
    """A point where the loss is lower and the slope is flatter: the strong Wolfe conditions.

    First a bracket is found that contains such a point, then it is made shorter by cubic
    interpolation. Ends, safeguards and tolerances are those of PyTorch, with the same points.

    Args:
        at: computes the point at a t.
        start: the point at 0; its slope is negative.
        t: the first one to be tried.
        length: the direction's largest element.
        tolerance: the bracket's length, times ``length``, at which the search ends.
        most: how often ``at`` is called at most, but for the first time.

    Source: Nocedal and Wright, Numerical Optimization, 2006, algorithms 3.5 and 3.6.
    """

    def is_high(point: Point) -> bool:
        return point.loss > start.loss + _DECREASE * point.t * start.slope

    def is_flat(point: Point) -> bool:
        return abs(point.slope) <= -_CURVATURE * start.slope

    previous, point = start, at(t)
    for tried in range(most):
        if is_high(point) or (tried > 1 and point.loss >= previous.loss):
            break
        if is_flat(point):
            return point
        if point.slope >= 0:
            break
        least = point.t + 0.01 * (point.t - previous.t)
        t = _minimum(previous, point, least, 10 * point.t)
        previous, point = point, at(t)
    else:
        return min(start, point, key=lambda each: each.loss)
    low, high = sorted((previous, point), key=lambda each: each.loss)
    was_near_an_end = False
    for _ in range(tried, most):
        first, last = min(low.t, high.t), max(low.t, high.t)
        if (last - first) * length < tolerance:
            break
        near, far = sorted((low, high), key=lambda each: each.t)
        t = _minimum(near, far, first, last)
        margin = 0.1 * (last - first)
        is_near = min(last - t, t - first) < margin
        if is_near and (was_near_an_end or not first < t < last):
            t = last - margin if abs(t - last) < abs(t - first) else first + margin
            is_near = False
        was_near_an_end = is_near
        point = at(t)
        if is_high(point) or point.loss >= low.loss:
            low, high = sorted((low, point), key=lambda each: each.loss)
            continue
        if is_flat(point):
            return point
        if point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
    return low


def _minimum(a: Point, b: Point, least: float, most: float) -> float:
    """Where the cubic with these values and slopes at a.t < b.t is least, between two bounds."""
    if a.t == b.t:
        return (least + most) / 2
    mean = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = mean * mean - a.slope * b.slope
    if not 0 <= square < math.inf:  # no minimum, or values that are not finite
        return (least + most) / 2
    root = math.sqrt(square)
    divisor = b.slope - a.slope + 2 * root
    if not divisor:
        return (least + most) / 2
    t = b.t - (b.t - a.t) * ((b.slope + root - mean) / divisor)
    return min(max(t, least), most)

"""Every operation with a plain formula and inputs: one file for each family, as in the package."""

from catalogue import (
    activation,
    arranging,
    attention,
    bending,
    choosing,
    complex_numbers,
    convolution,
    ctc,
    cumulative,
    elementwise,
    exponential,
    factorization,
    fourier,
    indexing,
    joining,
    linear,
    logic,
    lookup,
    loss,
    normalization,
    ordering,
    pooling,
    random,
    recurrent,
    reduction,
    resizing,
    rounding,
    sampling,
    scaling,
    scattering,
    segments,
    selection,
    shaping,
    short_time,
    similarity,
    sliding,
    special,
    statistics,
    trigonometric,
    variadic,
)
from catalogue.row import Row as Row

FAMILIES = (
    activation, arranging, attention, bending, choosing, complex_numbers, convolution, ctc,
    cumulative, elementwise, exponential, factorization, fourier, indexing, joining, linear, logic,
    lookup, loss, normalization, ordering, pooling, random, recurrent, reduction, resizing,
    rounding, sampling, scaling, scattering, segments, selection, shaping, short_time, similarity,
    sliding, special, statistics, trigonometric, variadic,
)  # fmt: skip

TABLE: dict[str, Row] = {}
for family in FAMILIES:
    assert not TABLE.keys() & family.ROWS.keys()
    TABLE |= family.ROWS

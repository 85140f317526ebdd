"""The operations, one file for each family: each Operation with its functional form.

The ``__all__`` of a family's file has its public names; this package exports all of them.
"""

from __future__ import annotations

from types import FunctionType, ModuleType

from singa.core import hints
from singa.core.tensor import Tensor
from singa.operation import (
    activation,
    adaptive_pooling,
    arranging,
    attention,
    batch_normalization,
    bending,
    bessel,
    choosing,
    class_loss,
    complex_numbers,
    convolution,
    ctc,
    cumulative,
    elementwise,
    entropy,
    error_function,
    exponential,
    factorization,
    fourier,
    fourier_axes,
    frequencies,
    gamma,
    gated_activation,
    indexing,
    joining,
    linear,
    logic,
    lookup,
    margin_loss,
    max_pooling,
    normalization,
    number_loss,
    ordering,
    pooling,
    probability_loss,
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
    statistics,
    systems,
    trigonometric,
    variadic,
)
from singa.operation import methods as methods
from singa.operation.activation import *
from singa.operation.adaptive_pooling import *
from singa.operation.arranging import *
from singa.operation.attention import *
from singa.operation.batch_normalization import *
from singa.operation.bending import *
from singa.operation.bessel import *
from singa.operation.choosing import *
from singa.operation.class_loss import *
from singa.operation.complex_numbers import *
from singa.operation.convolution import *
from singa.operation.ctc import *
from singa.operation.cumulative import *
from singa.operation.elementwise import *
from singa.operation.entropy import *
from singa.operation.error_function import *
from singa.operation.exponential import *
from singa.operation.factorization import *
from singa.operation.fourier import *
from singa.operation.fourier_axes import *
from singa.operation.frequencies import *
from singa.operation.gamma import *
from singa.operation.gated_activation import *
from singa.operation.indexing import *
from singa.operation.joining import *
from singa.operation.linear import *
from singa.operation.logic import *
from singa.operation.lookup import *
from singa.operation.margin_loss import *
from singa.operation.max_pooling import *
from singa.operation.normalization import *
from singa.operation.number_loss import *
from singa.operation.ordering import *
from singa.operation.pooling import *
from singa.operation.probability_loss import *
from singa.operation.random import *
from singa.operation.recurrent import *
from singa.operation.reduction import *
from singa.operation.resizing import *
from singa.operation.rounding import *
from singa.operation.sampling import *
from singa.operation.scaling import *
from singa.operation.scattering import *
from singa.operation.segments import *
from singa.operation.selection import *
from singa.operation.shaping import *
from singa.operation.short_time import *
from singa.operation.similarity import *
from singa.operation.sliding import *
from singa.operation.statistics import *
from singa.operation.systems import *
from singa.operation.trigonometric import *
from singa.operation.variadic import *
from singa.tape import Operation

_FAMILIES: tuple[ModuleType, ...] = (
    activation, adaptive_pooling, arranging, attention, batch_normalization, bending, bessel,
    choosing, class_loss, complex_numbers, convolution, ctc, cumulative, elementwise, entropy,
    error_function, exponential, factorization, fourier, fourier_axes, frequencies, gamma,
    gated_activation, indexing, joining, linear, logic, lookup, margin_loss, max_pooling,
    normalization, number_loss, ordering, pooling, probability_loss, random, recurrent, reduction,
    resizing, rounding, sampling, scaling, scattering, segments, selection, shaping, short_time,
    similarity, sliding, statistics, systems, trigonometric, variadic,
)  # fmt: skip

__all__ = [name for family in _FAMILIES for name in family.__all__]

OPERATIONS: tuple[type[Operation], ...] = tuple(
    item for name in __all__ if isinstance(item := globals()[name], type)
)
"""Every operation of the library. A test fails if one of them is not tested."""

for _name in __all__:
    if isinstance(globals()[_name], FunctionType) and not hasattr(Tensor, _name):
        hints.TENSOR.setdefault(_name, f"autograd.{_name}")

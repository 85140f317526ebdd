"""Every operation with a plain formula and inputs: one file for each family, as in the package."""

from catalogue import (
    activation,
    arranging,
    attention,
    convolution,
    elementwise,
    indexing,
    joining,
    linear,
    logic,
    loss,
    normalization,
    pooling,
    random,
    recurrent,
    reduction,
    resizing,
    selection,
    shaping,
)
from catalogue.row import Row as Row

FAMILIES = (
    activation, arranging, attention, convolution, elementwise, indexing, joining, linear,
    logic, loss, normalization, pooling, random, recurrent, reduction, resizing, selection, shaping,
)  # fmt: skip

TABLE: dict[str, Row] = {}
for family in FAMILIES:
    assert not TABLE.keys() & family.ROWS.keys()
    TABLE |= family.ROWS

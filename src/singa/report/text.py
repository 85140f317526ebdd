"""Tables and lists as plain text."""

from __future__ import annotations

from collections.abc import Container, Sequence


def aligned(rows: Sequence[Sequence[str]], right: Container[int] = ()) -> list[str]:
    """A table's rows as lines. Each column is as wide as its longest cell.

    Args:
        rows: all with the same number of cells. A column without any text is left out.
        right: the numbers of the columns that are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            if width
        ).rstrip()
        for row in rows
    ]


def listed(names: Sequence[str], most: int | None = 3) -> str:
    """The first names, and the number of the others."""
    shown = [*names[:most]]
    more = len(names) - len(shown)
    return ", ".join([*shown, f"{more} more"] if more else shown)

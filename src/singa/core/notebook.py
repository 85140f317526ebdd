"""How Tensors and layers are shown in a notebook: self-contained HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

_MOST = 12  # rows or columns of a table
_CELL = "padding:2px 8px;text-align:right;font-family:monospace"


def array(values: np.ndarray[Any, Any], about: str) -> str:
    """A heading, and the values: as a table if they have one or two axes, else as NumPy prints."""
    heading = f"<div style='opacity:.7'><code>{html.escape(about)}</code></div>"
    if values.ndim in (1, 2) and values.size:
        rows = values.reshape(-1, values.shape[-1])
        # As NumPy prints them: each with the same number of digits, and "..." for omitted values.
        text = np.array2string(
            rows, threshold=_MOST**2, edgeitems=_MOST // 2, separator="\t", max_line_width=10**9
        )
        cells = "".join(
            "<tr>"
            + "".join(f"<td style='{_CELL}'>{cell.strip()}</td>" for cell in line.split("\t"))
            + "</tr>"
            for line in (line.strip(" []\t") for line in text.split("\n"))
        )
        return f"{heading}<table>{cells}</table>"
    return f"{heading}<pre>{html.escape(np.array2string(values, separator=', '))}</pre>"


def tree(lines: Sequence[tuple[int, str]]) -> str:
    """Lines with their depths; a line that has deeper lines below it can be opened and closed."""
    parts: list[str] = []
    is_open: list[int] = []  # the depths of the open elements
    for i, (depth, line) in enumerate(lines):
        while is_open and is_open[-1] >= depth:
            parts.append("</div></details>")
            is_open.pop()
        text = f"<code>{html.escape(line)}</code>"
        if i + 1 < len(lines) and lines[i + 1][0] > depth:
            opened = " open=''" if depth < 2 else ""
            parts.append(
                f"<details{opened}><summary>{text}</summary><div style='margin-left:1.5em'>"
            )
            is_open.append(depth)
        else:
            parts.append(f"<div style='margin-left:1em'>{text}</div>")
    parts += ["</div></details>"] * len(is_open)
    return "".join(parts)

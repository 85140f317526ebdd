"""Draws the storeys of the code, their parts, and how often each is imported. ``make docs``.

The storeys are those of the table in architecture.md, which tests/test_house.py compares with the
code; the imports are read from the code, without running it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs import drawing
from singa.report.svg import text_width

PAGE, DRAWING = Path("docs/architecture.md"), Path("docs/images/house.svg")
SOURCE = Path("src/singa")

_WIDTH, _HEIGHT = 800, 40  # of a storey; the height is that of one row of boxes
_NAME, _GAP, _PAD = 12, 8, 12
_LEFT = 112  # where boxes begin
_WHAT = 16  # the height of the line with the contents


def storeys() -> dict[str, tuple[list[str], str]]:
    """From the table: the parts of each storey, by the names of their imports, and its contents."""
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d \w+) \| (.*?) \| (.*?) \|", page, re.M)
    return {
        storey: (
            [name.removesuffix(".py").rstrip("/") for name in re.findall(r"`([^`]+)`", names)],
            what,
        )
        for storey, names, what in rows
    }


def imports() -> dict[str, set[str]]:
    """For each part of the package the other parts that it imports when it runs."""
    found: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if part != "__init__":
            others = set(_imported(ast.parse(path.read_text(encoding="utf-8"))))
            found.setdefault(part, set()).update(others - {part})
    known = found.keys()
    return {part: others & known for part, others in found.items()}


def _imported(tree: ast.AST) -> Iterator[str]:
    stack = [tree]
    while stack:
        node = stack.pop()
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                stack += node.orelse
                continue
            case ast.ImportFrom(module="singa"):
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)) if module.startswith("singa."):
                yield module.split(".")[1]
            case ast.Import():
                yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("singa."))
        stack += ast.iter_child_nodes(node)


def table() -> str:
    """The imports of each part, as a table in Markdown."""
    found = imports()
    lines = ["| part | imports |", "|---|---|"]
    for parts, _ in storeys().values():
        for part in parts:
            others = ", ".join(f"`{other}`" for other in sorted(found.get(part, ())))
            lines.append(f"| `{part}` | {others or 'nothing of ours'} |")
    return "\n".join(lines)


def draw() -> str:
    """The drawing: storeys on top of each other; the colour of a part shows how many use it."""
    found = imports()
    users = {part: [o for o in found if part in found[o]] for part in found}
    canvas = drawing.Drawing()
    y = 48.0
    canvas.text(
        16,
        28,
        "A part imports only from storeys below, and from parts on its left",
        15,
        bold=True,
    )
    for storey, (parts, what) in sorted(storeys().items(), reverse=True):
        rows = _rows(parts)
        height = len(rows) * _HEIGHT + 8 + _WHAT
        canvas.box(16, y, _WIDTH - 32, height, drawing.PANEL, radius=8)
        canvas.text(28, y + height / 2 + 5, storey, 13, fill=drawing.FAINT, bold=True)
        canvas.text(_LEFT, y + height - 9, what, 11, fill=drawing.FAINT)
        for i, row in enumerate(rows):
            x = float(_LEFT)
            for part, width in row:
                below = ", ".join(sorted(found.get(part, ()))) or "nothing of ours"
                above = ", ".join(sorted(users.get(part, ()))) or "nobody"
                with canvas.group("part", f"{part} imports {below}; imported by {above}"):
                    top = y + 4 + i * _HEIGHT + 5
                    fill, edge = drawing.STRENGTHS[min(len(users.get(part, ())) // 6, 3)]
                    canvas.box(x, top, width, _HEIGHT - 10, fill, edge)
                    canvas.text(x + width / 2, top + 19, part, _NAME, "middle", drawing.INK)
                x += width + _GAP
        y += height + 8
    canvas.text(
        16, y + 18, "Parts that are imported more often are darker.", 11, fill=drawing.FAINT
    )
    return canvas.document(_WIDTH, y + 34, "The storeys of the package")


def _rows(parts: list[str]) -> list[list[tuple[str, float]]]:
    """Boxes with their widths, in as many rows as necessary."""
    rows: list[list[tuple[str, float]]] = [[]]
    used = 0.0
    for part in parts:
        width = text_width(part, _NAME) + 2 * _PAD
        if used + width > _WIDTH - 32 - _LEFT:
            rows.append([])
            used = 0.0
        rows[-1].append((part, width))
        used += width + _GAP
    return rows


_MARKS = "<!-- imports: written by make docs -->", "<!-- end of imports -->"


def with_table(page: str) -> str:
    """The page with the table of imports as it is now."""
    begin, end = _MARKS
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{table()}\n{end}{after}"


if __name__ == "__main__":
    DRAWING.write_text(draw(), encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""The floors of docs/architecture.md are those of the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "singa"


def _floors() -> dict[str, int]:
    """From docs/architecture.md: the part of the package, and the floor that it is on."""
    rows = re.findall(r"^\| (\d) \| (.*?) \|", (ROOT / "docs/architecture.md").read_text(), re.M)
    return {
        name.removesuffix(".py").rstrip("/"): int(floor)
        for floor, names in rows
        for name in re.findall(r"`([^`]+)`", names)
    }


FLOORS = _floors()
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def _part(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imported_parts(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom) and node.module:
        if node.module == "singa":
            return [alias.name for alias in node.names]
        names = [node.module]
    elif isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        return []
    return [name.split(".")[1] for name in names if name.startswith("singa.")]


def _runtime_nodes(tree: ast.AST) -> list[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING:``, which do not run."""
    nodes, stack = [], [tree]
    while stack:
        node = stack.pop()
        nodes.append(node)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            stack += node.orelse
        else:
            stack += ast.iter_child_nodes(node)
    return nodes


def test_every_part_has_a_floor():
    assert {_part(path) for path in MODULES} == FLOORS.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_from_its_floor_and_below(path):
    part = _part(path)
    for node in _runtime_nodes(ast.parse(path.read_text())):
        for imported in _imported_parts(node):
            if imported in FLOORS and imported != part:
                assert FLOORS[imported] <= FLOORS[part], f"{part} imports {imported}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_function_hides_an_import_of_ours(path):
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            hidden = [part for node in ast.walk(function) for part in _imported_parts(node)]
            assert not hidden, f"{function.name} imports {hidden}"

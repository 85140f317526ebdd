"""The storeys of docs/architecture.md are those of the code, and no files import in a circle."""

import ast
import inspect
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import singa
from singa.core.recorded import Recorded
from singa.operation.methods import Catalogue
from singa.tensor import Tensor

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "singa"


def _order() -> dict[str, int]:
    """From docs/architecture.md: the parts of the package, from the ground up."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d \w+ \| (.*?) \|", page, re.M)
    parts = [part for row in rows for part in re.findall(r"`([^`]+)`", row)]
    return {part.removesuffix(".py").rstrip("/"): i for i, part in enumerate(parts)}


ORDER = _order()
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def _part(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)


FILES = {_name(path).removesuffix(".__init__"): path for path in MODULES}


def _imported_files(node: ast.AST) -> set[str]:
    """The names of our files that an import statement brings."""
    if isinstance(node, ast.ImportFrom) and node.module:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return {name if name in FILES else node.module for name in names} & FILES.keys()
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names} & FILES.keys()
    return set()


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {name for node in ast.walk(tree) for name in _imported_files(node)}


def test_every_part_has_its_place():
    assert {_part(path) for path in MODULES} == ORDER.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_part_imports_only_from_those_before_it(path):
    part = _part(path)
    for name in _imports(path):
        imported = name.split(".")[1]
        assert imported == part or ORDER[imported] < ORDER[part], f"{part} imports {imported}"


def test_no_files_import_each_other():
    """Not for type checkers either. A package and the files that it hands on are one."""
    graph = {name: _imports(path) - {name} for name, path in FILES.items()}
    # Who imports from a package wants what its files have; the files do not want the package.
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_function_hides_an_import_of_ours(path):
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            hidden = {name for node in ast.walk(function) for name in _imported_files(node)}
            assert not hidden, f"{function.name} imports {hidden}"


def _privates(tree: ast.AST) -> set[str]:
    """The private names that a file defines: functions, classes, attributes, slots."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found |= {node.attr} if ast.unparse(node.value) in ("self", "cls") else set()
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                targets = getattr(each, "targets", [getattr(each, "target", None)])
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def test_what_is_private_stays_in_its_part():
    """But for the names of Tensors that docs/architecture.md has."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
    defined: dict[str, set[str]] = {}
    for path, tree in trees.items():
        for name in _privates(tree):
            defined.setdefault(name, set()).add(_part(path))
    reached = {
        node.attr
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls")
        if _part(path) not in defined.get(node.attr, {_part(path)})
    }
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    said = re.search(r"\*\*What is private.*?(?=\n\n)", page, re.S)
    assert said is not None
    assert reached == set(re.findall(r"`(_\w+)`", said[0]))


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, text: list[str]) -> int:
    """Those of its body, without docstrings, comments and empty lines."""
    docs = {
        number
        for node in ast.walk(function)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for number in range(node.lineno, node.end_lineno + 1)
    }
    body = range(function.body[0].lineno, function.end_lineno + 1)
    return sum(bool(text[i - 1].partition("#")[0].strip()) for i in body if i not in docs)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = _code_lines(function, text.splitlines())
            assert lines <= 60, f"{function.name} has {lines} lines of code"


def test_what_tensors_do_that_is_recorded_is_as_it_is_declared():
    declared = {name: f for name, f in vars(Recorded).items() if inspect.isfunction(f)}
    assert declared.keys() == {name for name, f in vars(Catalogue).items() if callable(f)}
    for name, declaration in declared.items():
        wanted, found = (
            [p for p in list(inspect.signature(f).parameters.values())[1:] if p.name != "others"]
            for f in (declaration, getattr(Tensor, name))
        )
        if not name.startswith("__"):  # operators' arguments have no names
            assert [(p.name, p.default, p.kind) for p in found] == [
                (p.name, p.default, p.kind) for p in wanted
            ], name


@pytest.mark.parametrize(
    "init", sorted(SOURCE.rglob("__init__.py")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_a_folder_that_says_what_its_files_are_names_all_of_them(init):
    doc = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
    if "\n- ``" in doc:
        named = set(re.findall(r"``(\w+)(?:\.py|/)``", doc))
        files = {path.stem for path in init.parent.glob("*.py")} - {"__init__"}
        folders = {path.name for path in init.parent.iterdir() if path.is_dir()} - {"__pycache__"}
        assert files <= named <= files | folders


def test_the_faces_of_formats_are_where_they_were():
    from singa.checkpoint import Reader
    from singa.weights import load

    from singa import checkpoint, weights

    assert weights.load is load
    assert singa.weights is weights is sys.modules["singa.formats.weights"]
    assert checkpoint.Reader is Reader
    assert checkpoint is sys.modules["singa.formats.checkpoint"]

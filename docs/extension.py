"""Extensions of Sphinx for this site: reference pages that cannot miss a name.

``{names} singa.opt`` on a page is replaced by all public names of the module: a table with one line
for each, and their docstrings below it. For modules with many names, ``:from:`` selects those that
one of the package's files defines, or names can be listed in the block.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from singa.autograd import Operation

PAGES = Path(__file__).parent / "reference"

MODULES = [
    "singa.tensor", "singa.autograd", "singa.linalg", "singa.fft", "singa.special", "singa.random",
    "singa.distributions", "singa.layer", "singa.opt",
    "singa.metric", "singa.initializer", "singa.model", "singa.data", "singa.image_tool",
    "singa.device", "singa.singa_wrap",
    "singa.weights", "singa.checkpoint", "singa.models", "singa.sonnx", "singa.train",
    "singa.board", "singa.errors",
]  # fmt: skip
"""The modules that users import; all else is how they work."""

NOT_FOR_USERS = {"singa.device.timed_devices", "singa.errors.warn", "singa.errors.users_line"}
"""Names without an underscore that are internal to the package."""


# -- which names there are ------------------------------------------------------------------------


def public_names(module: str) -> list[str]:
    """A module's public names: ``__all__``, or else names it defines or imports ``as`` itself."""
    found = import_module(module)
    if hasattr(found, "__all__"):
        return sorted(found.__all__, key=str.lower)
    names = []
    for node in ast.parse(inspect.getsource(found)).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.append(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.append(name)
            case ast.ImportFrom(names=aliases):
                names += [alias.name for alias in aliases if alias.asname == alias.name]
    return [
        name
        for name in dict.fromkeys(names)
        if not name.startswith("_") and not inspect.ismodule(getattr(found, name))
    ]


def chosen_names(module: str, defined_in: str | None, listed: list[str]) -> list[str]:
    """The names that a ``{names}`` block selects."""
    names = public_names(module)
    if listed:
        return listed
    if defined_in is None:
        return names
    face = import_module(module)
    return [n for n in names if getattr(getattr(face, n), "__module__", "") == defined_in]


def documented() -> Iterator[tuple[str, str]]:
    """Each name on the pages of reference, and the page: ``singa.opt.SGD``, ``optimizers.md``."""
    for page in sorted(PAGES.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for module, content in re.findall(r"^```\{names\} (\S+)\n(.*?)^```", text, re.M | re.S):
            defined_in = re.search(r"^:from: (\S+)$", content, re.M)
            listed = re.sub(r"^:\w+:.*$", "", content, flags=re.M).split()
            for name in chosen_names(module, defined_in and defined_in[1], listed):
                yield f"{module}.{name}", page.relative_to(PAGES).as_posix()
        for full in re.findall(r"^\.\. py:data:: (\S+)$", text, re.M):
            yield full, page.relative_to(PAGES).as_posix()


def missing() -> list[str]:
    """Public names that are on no page, neither by this name nor by another one."""
    shown = {full for full, _ in documented()}
    items = {id(_found(full)) for full in shown}
    return [
        full
        for module in MODULES
        for full in (f"{module}.{name}" for name in public_names(module))
        if full not in shown | NOT_FOR_USERS and id(_found(full)) not in items
    ]


def _found(full: str) -> Any:
    module, _, name = full.rpartition(".")
    return getattr(import_module(module), name)


# -- the pages ------------------------------------------------------------------------------------


class Names(SphinxDirective):
    """``{names} module``: see above."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"from": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        module = self.arguments[0]
        names = chosen_names(module, self.options.get("from"), " ".join(self.content).split())
        face = import_module(module)
        functions = [n for n in names if inspect.isroutine(getattr(face, n))]
        classes = [n for n in names if inspect.isclass(getattr(face, n))]
        rest = [n for n in names if n not in functions and n not in classes]
        return self.parse_text_to_nodes(
            "\n".join(
                [
                    "````{eval-rst}",
                    f".. currentmodule:: {module}",
                    "",
                    *_table(face, [*functions, *classes]),
                    *[line for name in rest for line in _constant(module, name)],
                    *[f".. autofunction:: {name}\n" for name in functions],
                    *[line for name in classes for line in _autoclass(getattr(face, name), name)],
                    "````",
                ]
            )
        )


class CommandLine(SphinxDirective):
    """``{command-line} singa.cli.app``: all commands, with the texts of their ``--help``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = self.arguments[0]
        command = [sys.executable, "-m", "typer", module, "utils", "docs", "--name", "singa"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        text = text.partition("\n## ")[2]  # without what is about all commands
        # Of examples only the lines are kept, behind a mark for terminals.
        examples = re.compile(r"^\x08?\s*Examples:\n((?:  .*\n)+)", re.M)
        text = examples.sub(lambda m: f"Examples:\n\n```sh\n{dedent(m[1])}```\n", text)
        return self.parse_text_to_nodes(f"## {text}", allow_section_headings=True)


def _table(face: Any, names: list[str]) -> list[str]:
    """A row for each function, with the operations that it is, and each class."""
    if len(names) < 3:
        return []
    items = {name: getattr(face, name) for name in names}
    lines = [".. list-table::", "   :class: names", "   :widths: auto", ""]
    operations = {n for n, item in items.items() if _is_operation(item)}
    for name, item in items.items():
        if name in operations:
            continue
        used = operations & set(getattr(getattr(item, "__code__", None), "co_names", ()))
        made = "".join(f", :class:`{operation}`" for operation in sorted(used))
        lines += [f"   * - :py:obj:`{name}`{made}", f"     - {first_line(item)}"]
    return [*lines, ""] if len(lines) > 4 else []


def _constant(module: str, name: str) -> list[str]:
    """With what stands below its assignment, and not, as autodoc has it, what its class is."""
    docs = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name), [])
    return [f".. py:data:: {name}", "", *[f"   {line}" for line in docs], ""]


def _autoclass(cls: type, name: str) -> list[str]:
    if _is_operation(cls) and cls is not Operation:  # forward and backward are documented there
        return [f".. autoclass:: {name}", ""]
    taken_over = [
        attribute
        for attribute, item in vars(cls).items()
        if isinstance(item, staticmethod) and item.__func__.__module__ != cls.__module__
    ]
    parts = _parts(cls)
    members = [
        attribute
        for part in (cls, *parts)
        for attribute, item in vars(part).items()
        if parts and not attribute.startswith("_")
        if inspect.isroutine(item) or isinstance(item, property)
    ]
    return [
        f".. autoclass:: {name}",
        f"   :members: {', '.join(dict.fromkeys(members))}",
        f"   :exclude-members: {', '.join(taken_over)}",
        *(["   :show-inheritance:"] if _public_bases(cls) else []),
        "",
    ]


def _parts(cls: type) -> list[type]:
    """The bases that are nothing by themselves: a class is in several files, for its length."""
    return [
        base
        for base in takewhile(lambda base: base not in _known_classes(), cls.__mro__[1:])
        if base.__module__.startswith("singa.") and (base.__doc__ or "").startswith("The part of ")
    ]


def _is_operation(item: Any) -> bool:
    return inspect.isclass(item) and issubclass(item, Operation)


def first_line(item: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return _escaped(" ".join((inspect.getdoc(item) or "").partition("\n\n")[0].split()))


# -- docstrings -----------------------------------------------------------------------------------


def _tidy_docstring(
    app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]
) -> None:
    """Convert our docstrings, which are plain text, to reStructuredText."""
    if "Returns:" in lines:  # prose, and no type before the colon
        at = lines.index("Returns:")
        lines[at : at + 2] = [f":returns: {lines[at + 1].strip()}"]
    literal = None  # how far the line before the present literal block is indented
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line and indent <= literal:
            literal = None
        if literal is not None:
            continue
        if line.lstrip().startswith(">>>"):
            literal = indent - 1
            continue
        lines[i] = _escaped(line)
        begins_formula = lines[i + 1 : i + 2] == [""] and re.match(
            rf" {{{indent + 4}}}\S", "".join(lines[i + 2 : i + 3])
        )
        if line.endswith(":") and begins_formula:
            lines[i] = lines[i].rstrip(":") + "::"
            literal = indent


def _escaped(line: str) -> str:
    """Escape stars and bars, which mean products and absolute values outside of code."""
    parts = line.split("``")
    parts[::2] = [re.sub(r"(?<!\*)\*(?!\*)|\|", r"\\\g<0>", part) for part in parts[::2]]
    return "``".join(parts)


def _as_it_was(
    app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]
) -> None:
    """Undo that napoleon takes the text before a colon as an attribute's type."""
    if what == "property":
        lines[:] = [*map(_escaped, (inspect.getdoc(item) or "").splitlines()), ""]


class _AsWritten:
    """An annotation that is shown as in the source, without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _as_written(annotation: Any) -> Any:
    return _AsWritten(annotation.strip("'\"")) if isinstance(annotation, str) else annotation


def _signature(
    app: Sphinx, what: str, name: str, item: Any, options: Any, arguments: Any, returned: Any
) -> tuple[str, str] | None:
    """The signature as it is written in the source."""
    if what not in ("class", "function", "method"):
        return None
    function = item.__init__ if what == "class" and _is_operation(item) else item
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    parameters = list(found.parameters.values())
    if parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    if what == "class":
        found = found.replace(return_annotation=inspect.Signature.empty)
    parameters = [p.replace(annotation=_as_written(p.annotation)) for p in parameters]
    returns = _as_written(found.return_annotation)
    text = str(found.replace(parameters=parameters, return_annotation=returns))
    text = text.replace("dtype('float32')", "float32")
    arguments, _, returned = text.partition(" -> ")
    return arguments, returned


def _bases(app: Sphinx, name: str, cls: type, options: Any, bases: list[Any]) -> None:
    """Public base classes only: an internal base is replaced by its own public base."""
    bases[:] = _public_bases(cls)


def _public_bases(cls: type) -> list[type]:
    bases = [
        next((b for b in base.__mro__ if b in _known_classes() or b.__module__ == "builtins"), None)
        for base in cls.__bases__
    ]
    return [base for base in dict.fromkeys(bases) if base not in (None, object)]


@cache
def _known_classes() -> set[type]:
    return {item for full, _ in documented() if inspect.isclass(item := _found(full))}


# -- links ---------------------------------------------------------------------------------------


def _stay_inside(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace links to files of the repository by their texts, because the site has only docs/."""
    folder = Path(app.env.doc2path(docname)).parent

    def shown(link: re.Match[str]) -> str:
        target = (folder / link[2].partition("#")[0]).resolve()
        return link[0] if target.is_relative_to(app.srcdir) else link[1]

    source[0] = re.sub(r"(?<!!)\[([^\]]+)\]\((\.\./[^)]+)\)", shown, source[0])


# -- references -----------------------------------------------------------------------------------


@cache
def _by_last_name() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for full, _ in documented():
        found.setdefault(full.rpartition(".")[2], []).append(full)
    return found


def _resolve(app: Sphinx, env: Any, node: pending_xref, contnode: nodes.Node) -> Any:
    """Resolve a class by its last name, from any module of the package that imports it."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if node["reftype"] == "mod" and target in MODULES:
        return contnode
    owner = target.partition(".")[0] if "." in target else "singa"
    if owner != "singa" and f"singa.{owner}" not in MODULES:
        return None  # another package's class with the same name
    for full in _by_last_name().get(target.rpartition(".")[2], ()):
        domain = env.get_domain("py")
        found = domain.find_obj(env, None, None, full, None, 0)
        if found:
            name, entry = found[0]
            return make_refnode(
                app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, name
            )
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_directive("names", Names)
    app.add_directive("command-line", CommandLine)
    app.connect("autodoc-process-docstring", _tidy_docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", _as_it_was, priority=600)  # after it
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-bases", _bases)
    app.connect("source-read", _stay_inside)
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Compares the package with compatibility.toml and writes compatibility.md: ``make docs``."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any, NamedTuple

from singa import autograd, data, device, image_tool, layer, model, opt, tensor

TABLE, PAGE = Path("docs/compatibility.toml"), Path("docs/compatibility.md")

CLASSES = {
    "singa.tensor.Tensor": tensor.Tensor(),
    "singa.autograd.Operator": autograd.Operator(),
    "singa.layer.Layer": layer.Layer(),
    "singa.model.Model": model.Model(),
    "singa.opt.Optimizer": opt.SGD(),
    "singa.opt.DistOpt": opt.DistOpt(),
    "singa.device.Device": device.get_default_device(),
    "singa.data.ImageBatchIter": data.ImageBatchIter.__new__(data.ImageBatchIter),
    "singa.image_tool.ImageTool": image_tool.ImageTool(),
}
"""An object of each class that has a section. The other sections are modules."""

DEFAULTS = {
    "float32": tensor.float32, "default_device": device.get_default_device(), "SGD": opt.SGD,
}  # fmt: skip
"""What SINGA's defaults stand for."""

KINDS = {
    "same": "the same",
    "renamed": "the same except for names of arguments",
    "behaviour": "does something else",
    "arguments": "other arguments",
    "missing": "not here",
}
_ONE_NAME = re.compile(r"\w+(?:\((?:[^()]|\([^()]*\))*\))?")


class Name(NamedTuple):
    """A public name of SINGA: its text in the table, its kind here, and remarks."""

    name: str
    text: str
    kind: str
    sentences: list[str]


# -- the code, compared ---------------------------------------------------------------------------


def compare(section: str, table: dict[str, Any]) -> Iterator[Name | str]:
    """Each name of a section; and, as strings, the differences that the table does not declare."""
    owner = CLASSES[section] if section in CLASSES else _module(section)
    texts = {text.partition("(")[0]: text for text in _ONE_NAME.findall(table["names"])}
    said = {kind: _spread(table.get(kind, {}), texts) for kind in KINDS}
    for kind in ("arguments", "behaviour", "missing"):
        for name in said[kind].keys() - texts.keys():
            yield f"{section}: {kind} of {name!r}, which is none of its names"
    for name, text in texts.items():
        sentences = [said[kind][name] for kind in KINDS if name in said[kind]]
        here = hasattr(owner, name)
        if here == (name in said["missing"]):
            yield f"{section}.{name} is {'here' if here else 'not here, and nothing says so'}"
            continue
        wrong = ""
        if here and "(" in text:
            theirs, ours = _signature(text), _own_signature(getattr(owner, name))
            wrong = refused(theirs, ours, {})
            kind = "arguments" if wrong else "same"
            if wrong and not refused(theirs, ours, table.get("renamed", {})):
                kind = "renamed"
        else:
            kind = "same" if here else "missing"
        if (kind == "arguments") != (name in said["arguments"]):
            wrong = wrong or "its arguments are the same, and declared different"
            yield f"{section}.{text}: {wrong}"
        if name in said["behaviour"] and kind != "arguments":
            kind = "behaviour"
        yield Name(name, text, kind, sentences)


def refused(theirs: Signature, ours: Signature, renamed: dict[str, str]) -> str:
    """The first argument of SINGA that ours does not take, with the reason; empty if none."""
    places = [p for p in ours.parameters.values() if p.kind <= Parameter.POSITIONAL_OR_KEYWORD]
    kinds = {p.kind for p in ours.parameters.values()}
    for i, parameter in enumerate(theirs.parameters.values()):
        own: Parameter | None
        if parameter.kind is Parameter.VAR_POSITIONAL:
            if Parameter.VAR_POSITIONAL not in kinds:
                return f"{parameter} is not taken"
            continue
        if parameter.kind is Parameter.KEYWORD_ONLY:
            own, rest = ours.parameters.get(parameter.name), Parameter.VAR_KEYWORD
        else:
            own, rest = places[i] if i < len(places) else None, Parameter.VAR_POSITIONAL
        if own is None:
            if rest not in kinds:
                return f"{parameter} is not taken"
            continue
        if own.name not in (parameter.name, renamed.get(parameter.name)):
            return f"{parameter.name} is called {own.name}"
        if parameter.default is not Parameter.empty and not _equal(parameter.default, own.default):
            return f"the default of {parameter.name} is {own.default!r}"
    for own in places[len(theirs.parameters) :]:
        if own.default is Parameter.empty:
            return f"{own.name} is wanted as well"
    return ""


def _signature(text: str) -> Signature:
    """The signature of a function as written in the table."""
    return signature(eval(f"lambda {text.partition('(')[2][:-1]}: 0", dict(DEFAULTS)))


def _own_signature(item: Any) -> Signature:
    if isinstance(item, type) and issubclass(item, autograd.Operation):
        item = item.__init__.__get__(object())  # the signature of its __new__ takes anything
    return signature(item)


def _equal(one: Any, other: Any) -> bool:
    return one is other or (tuple(one) if isinstance(one, list) else one) == other


def _spread(sentences: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    """Each name with its sentence; a sentence of the table may be for several names, or for all."""
    return {
        name: sentence
        for several, sentence in sentences.items()
        for name in (names if several == "*" else several.split())
    }


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


# -- the page -------------------------------------------------------------------------------------


def page(table: dict[str, Any]) -> tuple[str, list[str]]:
    """The page, and all differences between the table and the code."""
    defects = table["defects"]
    sections: dict[str, list[Name]] = {}
    errors = list(defect_errors(defects))
    for section, part in table.items():
        if section != "defects":
            found = list(compare(section, part))
            sections[section] = [name for name in found if isinstance(name, Name)]
            errors += [error for error in found if isinstance(error, str)]
    blocks = [table_of_counts(sections), "## Differences"]
    for section, names in sections.items():
        if items := differences(names, table[section]):
            blocks += [f"### {section}", "\n".join(items)]
    blocks += ["## What SINGA does wrong", _DEFECTS, table_of_defects(defects), "## Every name"]
    for section, names in sections.items():
        blocks += [f"### {section}", *lists(names, table[section].get("renamed", {}))]
    return "\n\n".join([_TOP, *blocks]) + "\n", errors


_TOP = """# Where it differs from SINGA, name by name

<!-- Written by `make docs` from compatibility.toml and the code. Do not edit this file. -->

Code for SINGA runs here. Every public name of SINGA 5.1 is listed below, with its state here.
Deliberate differences are listed first. Defects of SINGA are fixed here, and each of them has a
test. Additional arguments, after SINGA's, are not counted as a difference."""

_DEFECTS = """The defects of SINGA that could occur here, each with tests that check for it; and the
others, with the reason why they cannot occur here."""


def table_of_counts(sections: dict[str, list[Name]]) -> str:
    """The number of names of each kind, for each section."""
    rows = [["", "names", *KINDS.values()], ["---", *["--:"] * (1 + len(KINDS))]]
    for section, names in sections.items():
        counts = [sum(name.kind == kind for name in names) for kind in KINDS]
        rows.append([section, str(len(names)), *[str(count or "") for count in counts]])
    return _rows(rows)


def differences(names: list[Name], part: dict[str, Any]) -> list[str]:
    """A line for each sentence, with all the names that it applies to."""
    about: dict[str, list[str]] = {}
    for name in names:
        for sentence in name.sentences:
            about.setdefault(sentence, []).append(name.name)
    missing = set(part.get("missing", {}).values())
    return [
        f"- {'Not here: ' if sentence in missing else ''}{_code(which)}. {sentence}"
        if sentence in missing
        else f"- {_code(which)}: {sentence}"
        for sentence, which in sorted(about.items(), key=lambda item: item[0] in missing)
    ]


def lists(names: list[Name], renamed: dict[str, str]) -> Iterator[str]:
    """A paragraph for each kind of names."""
    for kind, title in KINDS.items():
        texts = [name.text for name in names if name.kind == kind]
        if kind == "renamed":
            title += " (" + ", ".join(f"`{one}`: `{two}`" for one, two in renamed.items()) + ")"
        if texts:
            yield f"{title.capitalize()}: {_code(texts)}."


def _code(texts: list[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def _rows(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# -- the defects ----------------------------------------------------------------------------------


def table_of_defects(defects: dict[str, Any]) -> str:
    """A row for each defect, with its tests or the reason why there is none."""
    rows = [["", "defect", "tests"], ["--:", "---", "---"]]
    for number, defect in defects.items():
        tests = [test.partition("::") for test in defect.get("tests", [])]
        shown = ", ".join(f"[{name}](../{path})" for path, _, name in tests)
        rows.append([number, defect["was"], "; ".join(filter(None, [shown, defect.get("but")]))])
    return _rows(rows)


def defect_errors(defects: dict[str, Any]) -> Iterator[str]:
    """The errors in the table of defects: a missing number or test."""
    if list(defects) != [str(number) for number in range(1, 51)]:
        yield "the defects are not numbered from 1 to 50"
    for number, defect in defects.items():
        if not ("but" in defect or defect.get("tests")):
            yield f"defect {number} has neither a test nor a reason"
        for test in defect.get("tests", []):
            path, _, name = test.partition("::")
            if not Path(path).exists() or name not in _functions(Path(path)):
                yield f"defect {number}: there is no test {test}"


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


if __name__ == "__main__":
    text, wrong = page(tomllib.loads(TABLE.read_text(encoding="utf-8")))
    if wrong:
        sys.exit("\n".join(wrong))
    PAGE.write_text(text, encoding="utf-8")

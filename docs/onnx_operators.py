"""Writes the table of ONNX's operators in onnx.md from the rules: ``make docs``."""

from __future__ import annotations

from pathlib import Path

import onnx

from singa.sonnx.rules.rule import operators

PAGE = Path("docs/onnx.md")
DOMAINS = {
    "": "ONNX", "ai.onnx.ml": "ai.onnx.ml", "com.microsoft": "com.microsoft",
}  # fmt: skip

_MARKS = "<!-- operators: written by make docs -->", "<!-- end of operators -->"


def defined_by_others() -> list[str]:
    """ONNX's operators that have no rule, but are defined by operators that have one."""
    known = {kind for domain, kind in operators() if not domain}
    found = {
        schema.name
        for schema in onnx.defs.get_all_schemas()
        if not schema.domain and (schema.has_function or schema.has_context_dependent_function)
    }
    return sorted(found - known)


def missing() -> list[str]:
    """ONNX's operators that cannot be read."""
    known = {kind for domain, kind in operators() if not domain} | {*defined_by_others()}
    found = {s.name for s in onnx.defs.get_all_schemas() if not s.domain and not s.deprecated}
    return sorted(found - known)


def table() -> str:
    """The operators of each domain."""
    lines = ["| domain | operators |", "|---|---|"]
    for domain, title in DOMAINS.items():
        kinds = ", ".join(kind for of, kind in operators() if of == domain)
        lines.append(f"| {title} | {kinds} |")
    lines.append(f"| ONNX, by their definitions | {', '.join(defined_by_others())} |")
    lines.append(f"| ONNX, not here | {', '.join(missing()) or 'none'} |")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """The page with the table as it is now."""
    begin, end = _MARKS
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{table()}\n{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""The pages that are translations, and their originals: ``python -m docs.translations`` marks them.

A translation ends with a mark, a digest of the English page. When the English page has changed, a
test fails until the translation was checked and marked again with the command above.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

PAGES = {
    Path("docs/zh/quickstart.md"): Path("docs/quickstart.md"),
    Path("docs/zh/tutorial.md"): Path("docs/tutorial.md"),
    Path("README.zh.md"): Path("README.md"),
}
"""Each translation and its original."""

_MARK = re.compile(r"\n*<!-- translated from (\S+) ([0-9a-f]{12}) -->\n*\Z")


def digest(original: str) -> str:
    """The digest of the original's text, for a mark."""
    return hashlib.sha256(original.encode()).hexdigest()[:12]


def marked(translation: str) -> str | None:
    """The digest in a translation's mark, if it has one."""
    found = _MARK.search(translation)
    return found and found[2]


def mark(translation: Path, original: Path) -> None:
    """Mark the translation as one of the present original."""
    text = _MARK.sub("", translation.read_text(encoding="utf-8")).rstrip("\n")
    now = digest(original.read_text(encoding="utf-8"))
    text += f"\n\n<!-- translated from {original.as_posix()} {now} -->\n"
    translation.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for page, source in PAGES.items():
        mark(page, source)

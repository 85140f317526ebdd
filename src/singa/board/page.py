"""A page: one HTML document that contains its styles, scripts and data."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

_FOLDER = Path(__file__).parent
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" '
    'rx="7" fill="#3b78c4"/><path d="M6 7c3 14 8 18 20 18" fill="none" stroke="#fff" '
    'stroke-width="3.5" stroke-linecap="round"/></svg>'
)


def page(title: str, body: str, data: str, scripts: tuple[str, ...]) -> str:
    """A complete, self-contained document.

    Its security policy lists the digests of its scripts: no other script is run, for example one
    in a text of a run's folder.

    Args:
        title: a text.
        body: HTML.
        data: JSON for the scripts, without ``<``.
        scripts: the files of ``assets`` that are run, joined into one script.
    """
    chart = _read("vendor/uplot/uPlot.iife.min.js")
    script = "\n".join(_read(f"assets/{name}") for name in scripts)
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; connect-src 'self'; "
        f"base-uri 'none'; form-action 'none'; script-src {_digest(chart)} {_digest(script)}"
    )
    text = Template(_read("assets/page.html")).substitute(
        policy=escape(policy),
        title=escape(title),
        icon="data:image/svg+xml," + quote(_ICON),
        style=_read("vendor/uplot/uPlot.min.css") + _read("assets/style.css"),
        body=body,
        data=data,
        chart=chart,
        script=script,
    )
    # JSON and names of files may contain invalid Unicode.
    return text.encode(errors="replace").decode()


@cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"

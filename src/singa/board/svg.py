"""Makes an SVG of an untrusted file safe to be a part of a page."""

from __future__ import annotations

import html
import io
import re
from xml.etree import ElementTree

from singa.errors import DataError

# The elements of drawings. Nothing that loads, links, runs, or styles the page around it.
_ELEMENTS = {
    "circle", "clipPath", "defs", "desc", "ellipse", "g", "line", "linearGradient", "marker",
    "path", "polygon", "polyline", "rect", "stop", "svg", "text", "title", "tspan",
}  # fmt: skip
_ATTRIBUTES = {
    "clip-path", "cx", "cy", "d", "dominant-baseline", "dx", "dy", "fill", "fill-opacity",
    "fill-rule", "font-family", "font-size", "font-style", "font-weight", "gradientUnits",
    "height", "marker-end", "marker-mid", "marker-start", "markerHeight", "markerUnits",
    "markerWidth", "offset", "opacity", "orient", "points", "preserveAspectRatio", "r", "refX",
    "refY", "rx", "ry", "stop-color", "stop-opacity", "stroke", "stroke-dasharray",
    "stroke-linecap", "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor",
    "transform", "viewBox", "width", "x", "x1", "x2", "y", "y1", "y2",
}  # fmt: skip
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_PREFIX = "drawing-"  # of ids and classes, so that they differ from the page's
_MOST_ELEMENTS = 100_000
_DEEPEST = 60
_REFERRED = {"marker", "clipPath"}
_TEXTS = {"fill", "font-family", "stroke", "stop-color"}  # which may have digits in them
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_LARGEST = 1e6


def clean(text: str) -> str:
    """An SVG document as an ``<svg>`` element for a page: known elements and attributes only.

    Ids and classes get a prefix, and references lead only to ids of the same drawing. Unknown
    elements are left out with their contents, and so are numbers that could keep a browser busy
    forever.

    Raises:
        DataError: it is not an SVG document, or declares entities.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError("it has a document type, which a drawing does not need")
    cleaner = _Cleaner()
    parser = ElementTree.XMLParser(target=cleaner)
    try:
        parser.feed(text)
        parser.close()
    except ElementTree.ParseError as error:
        raise DataError(f"it is not XML: {error}") from None
    return cleaner.text.getvalue()


class _Cleaner:
    """Handles the parser's events of elements; only the result is kept."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self._count = 0
        self._kept: list[str] = []  # the enclosing elements that are kept
        self._left_out = 0  # the number of enclosing elements from the first one that is left out

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MOST_ELEMENTS:
            raise DataError(f"it has more than {_MOST_ELEMENTS} elements")
        tag = name.removeprefix(_NAMESPACE)
        if not self._kept and not self._left_out and name != f"{_NAMESPACE}svg":
            raise DataError("it is not an SVG document")
        if self._left_out or tag not in _ELEMENTS or len(self._kept) > _DEEPEST:
            self._left_out += 1
            return
        # With nested references, elements could be drawn 10 to the 10th times.
        refers = not _REFERRED.intersection(self._kept)
        self._kept.append(tag)
        written = "".join(
            f' {key}="{html.escape(kept)}"'
            for key, value in attributes.items()
            if (kept := _attribute(key, value)) and (refers or "url(" not in kept)
        )
        self.text.write(f"<{tag}{written}>")

    def data(self, text: str) -> None:
        if not self._left_out:
            self.text.write(html.escape(text))

    def end(self, name: str) -> None:
        if self._left_out:
            self._left_out -= 1
        else:
            self.text.write(f"</{self._kept.pop()}>")


def _attribute(name: str, value: str) -> str:
    """The value of an attribute for the page; empty if the attribute is not allowed."""
    if name == "id":
        return _PREFIX + value
    if name == "class":
        return " ".join(_PREFIX + word for word in value.split())
    if name not in _ATTRIBUTES:
        return ""
    if name not in _TEXTS and not _is_moderate(value):
        return ""
    reference = re.fullmatch(r"url\(#([\w.-]+)\)", value.strip())
    if reference:
        return f"url(#{_PREFIX}{reference[1]})"
    return "" if "(" in value and name != "transform" else value


def _is_moderate(value: str) -> bool:
    """Whether no number in a value is too large or has too many digits."""
    return all(len(n) <= 24 and abs(float(n)) <= _LARGEST for n in _NUMBER.findall(value))

"""SVG from files of others, made safe to be a part of a page."""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

from singa.errors import DataError

# What drawings are made of. Nothing that loads, links, runs, or styles the page around it.
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
_PREFIX = "drawing-"  # of ids and classes: they are the page's otherwise
_DEEPEST = 60


def clean(text: str) -> str:
    """An SVG document as an ``<svg>`` element for a page: known elements and attributes only.

    Ids and classes get a prefix, and references lead only to ids of the same drawing. What is not
    known is left out with all that is in it.

    Raises:
        DataError: it is no SVG document, or declares entities.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError("it has a document type, which a drawing does not need")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"it is not XML: {error}") from None
    if root.tag != f"{_NAMESPACE}svg":
        raise DataError("it is not an SVG document")
    parts: list[str] = []
    _write(root, parts, 0)
    return "".join(parts)


def _write(element: ElementTree.Element, parts: list[str], depth: int) -> None:
    tag = element.tag.removeprefix(_NAMESPACE)
    if tag not in _ELEMENTS or depth > _DEEPEST:
        return
    attributes = "".join(
        f' {name}="{html.escape(kept)}"'
        for name, value in element.items()
        if (kept := _attribute(name, value))
    )
    parts.append(f"<{tag}{attributes}>{html.escape(element.text or '')}")
    for child in element:
        _write(child, parts, depth + 1)
        parts.append(html.escape(child.tail or ""))
    parts.append(f"</{tag}>")


def _attribute(name: str, value: str) -> str:
    """The value that an attribute may have in the page; empty if it may not be there."""
    if name == "id":
        return _PREFIX + value
    if name == "class":
        return " ".join(_PREFIX + word for word in value.split())
    if name not in _ATTRIBUTES:
        return ""
    reference = re.fullmatch(r"url\(#([\w.-]+)\)", value.strip())
    if reference:
        return f"url(#{_PREFIX}{reference[1]})"
    return "" if "(" in value and name != "transform" else value

"""Untrusted drawings."""

import re

import pytest

from singa.board.svg import clean
from singa.errors import DataError

XMLNS = 'xmlns="http://www.w3.org/2000/svg"'


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<script href="data:text/javascript,alert(1)"/>',
        "<foreignObject><body onload='alert(1)'/></foreignObject>",
        '<image href="https://example.org/x.png"/>',
        '<use href="https://example.org/x.svg#a"/>',
        '<a href="javascript:alert(1)"><text>x</text></a>',
        "<style>* { display: none }</style>",
        '<animate attributeName="href" to="javascript:alert(1)"/>',
        '<set attributeName="onload" to="alert(1)"/>',
        '<x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)</x:script>',
        '<iframe xmlns="http://www.w3.org/1999/xhtml" src="https://example.org"/>',
    ],
)
def test_elements_that_are_not_known_are_left_out(inside):
    assert clean(f"<svg {XMLNS}><g>{inside}</g></svg>") == "<svg><g></g></svg>"


@pytest.mark.parametrize(
    "attribute",
    [
        'onload="alert(1)"',
        'onclick="alert(1)"',
        'style="background: url(https://example.org)"',
        'fill="url(https://example.org/#a)"',
        'fill="URL( &quot;https://example.org/&quot; )"',
        'marker-end="url(//example.org)"',
        'href="#a"',
        'xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="https://example.org"',
        'tabindex="1"',
        'data-part="header"',
    ],
)
def test_attributes_that_are_not_known_are_left_out(attribute):
    assert (
        clean(f'<svg {XMLNS}><rect {attribute} x="1"/></svg>') == '<svg><rect x="1"></rect></svg>'
    )


def test_texts_stay_texts():
    drawing = (
        f"<svg {XMLNS}><text x='&quot;&gt;&lt;b&gt;'>&lt;script&gt; &amp;</text> &lt;i&gt;</svg>"
    )
    assert clean(drawing) == (
        '<svg><text x="&quot;&gt;&lt;b&gt;">&lt;script&gt; &amp;</text> &lt;i&gt;</svg>'
    )


def test_names_are_the_drawings_own():
    drawing = (
        f'<svg {XMLNS}><g id="data" class="a b"/><path d="M0,0" marker-end="url(#data)"/></svg>'
    )
    assert clean(drawing) == (
        '<svg><g id="drawing-data" class="drawing-a drawing-b"></g>'
        '<path d="M0,0" marker-end="url(#drawing-data)"></path></svg>'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not XML"),
        ("<svg>", "it is not an SVG document"),
        ("<svg/>", "it is not an SVG document"),
        (f'<!DOCTYPE svg [<!ENTITY a "b">]><svg {XMLNS}>&a;</svg>', "document type"),
    ],
)
def test_what_is_no_drawing_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        clean(text)


def test_depth_has_an_end():
    deep = "<g>" * 5000 + "<rect/>" + "</g>" * 5000
    assert "rect" not in clean(f"<svg {XMLNS}>{deep}</svg>")


def test_our_own_drawings_lose_nothing(trained):
    folder, _ = trained
    text = (folder / "graph.svg").read_text(encoding="utf-8")

    cleaned = clean(text)

    for pattern in (r"<(\w+)", r"marker-end=", r"\b([a-z-]+)=\""):
        before = [m for m in re.findall(pattern, text) if m not in ("xmlns", "encoding", "version")]
        assert re.findall(pattern, cleaned) == before

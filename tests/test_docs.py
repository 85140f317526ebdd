"""The code on the pages in docs/ runs and prints what they show, and their links work.

The convention of the pages, by the first line of a block:

- ``python``: the blocks of a page run in order, in one namespace and an empty folder.
- ``python not run: REASON``: it does not run, for the reason that readers see in the source.
- ``text`` after a block that runs: its output, exactly.
- ``text form``: its output, except for numbers and spaces; ``...`` stands for any lines. Of rows
  with a percentage (sorted by time) only their presence is compared.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from docs import drawings, extension, house
from singa import autograd, device

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
_FENCE = re.compile(r"^```(\w+)?([^\n`{]*)\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A fenced block: its language, the rest of its first line, its text, and where it ends."""

    language: str
    info: str
    text: str
    end: int


def _text(page):
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(text):
    """Python that runs, each with the output that is said to follow (None if none is)."""
    found = [Block(m[1] or "", m[2].strip(), m[3], m.end()) for m in _FENCE.finditer(text)]
    for i, block in enumerate(found):
        if block.language == "python" and not block.info.startswith("not run: "):
            shown = found[i + 1] if i + 1 < len(found) else None
            follows = shown is not None and text[block.end :].startswith("\n\n```text")
            yield block, shown if follows else None


# Tested beside what it is about, with the files that it writes: tests/train/test_page.py.
ELSEWHERE = {"training.md"}
# Translations have the same blocks as their originals: tests/test_translations.py.
HERE = [page for page in PAGES if page not in ELSEWHERE and not page.startswith("zh/")]
WITH_CODE = [page for page in HERE if any(blocks(_text(page)))]


@pytest.mark.parametrize("page", WITH_CODE)
def test_a_page_runs_and_prints_what_it_shows(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards
    device.get_default_device().set_rand_seed(0)
    names = {"__name__": "__main__"}
    for block, shown in blocks(_text(page)):
        exec(compile(block.text, page, "exec"), names)
        printed = capsys.readouterr().out
        if shown is None:
            continue
        if shown.info == "form":
            assert matches(shown.text, printed), printed
        else:
            assert printed == shown.text, block.text


def matches(shown, printed):
    """Whether these are the same lines in the same order, but for numbers, spaces and ``...``."""
    lines = iter([_form(line) for line in printed.splitlines()])
    is_open = False
    for wanted in map(_form, shown.splitlines()):
        if wanted == ["..."]:
            is_open = True
        elif is_open:
            if wanted not in lines:  # which moves on to behind it
                return False
            is_open = False
        elif next(lines, None) != wanted:
            return False
    return is_open or next(lines, None) is None


def _form(line):
    words = re.sub(r"-?\d[\d.,]*(e[+-]?\d+)?", "#", line).split()
    return ["a share"] if re.search(r"#%", line) or "#%" in words else words


@pytest.mark.parametrize(
    ("shown", "printed", "is_so"),
    [
        ("loss 0.5\n", "loss 1.25\n", True),
        ("loss 0.5\n", "gain 1.25\n", False),
        ("loss 0.5\n", "loss 1\nloss 2\n", False),
        ("a 1\n...\nb  2\n", "a 1\nx\ny\nb 3\n", True),
        ("a 1\n...\n", "b 1\nx\n", False),
        ("...\nb 2\n", "a 1\nb 3\nc\n", False),
        ("ReLU 1  3.4%  with x\n", "Add 2 10.4%\n", True),
    ],
)
def test_forms(shown, printed, is_so):
    assert matches(shown, printed) is is_so


@pytest.mark.parametrize("page", HERE)
def test_a_block_says_what_it_is(page):
    for m in re.finditer(r"^```([^\n]*)\n(.*?)^```$", _text(page), re.M | re.S):
        known = r"python( not run: .+)?|text( form)?|sh|json|toml|\{.+\}.*"
        assert re.fullmatch(known, m[1]), f"{page}: ```{m[1]}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", _text(page), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = (DOCS / page).parent / path if path else DOCS / page
        assert target.exists(), link
        if heading:
            found = target.read_text(encoding="utf-8")
            assert heading in {_anchor(h) for h in re.findall(r"^#+ (.*)$", found, re.M)}, link


def _anchor(heading):
    """As code hosts make it, and MyST."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_reference_has_every_public_name():
    assert extension.missing() == []


def test_the_reference_has_each_name_once():
    names = [full for full, _ in extension.documented()]
    assert len(names) > 600
    assert not {name for name in names if names.count(name) > 1}


class TestWhatIsMadeFromTheCode:
    """``make docs`` writes it anew."""

    @pytest.fixture(autouse=True)
    def at_the_root(self, monkeypatch):
        monkeypatch.chdir(DOCS.parent)

    def test_the_house(self):
        page = house.PAGE.read_text(encoding="utf-8")
        assert house.with_table(page) == page
        assert house.draw() == house.DRAWING.read_text(encoding="utf-8")

    def test_the_drawings_of_concepts(self, monkeypatch):
        monkeypatch.setattr(autograd, "training", False)  # put back afterwards
        for name, drawn in (("record", drawings.record()), ("capture", drawings.capture())):
            path = drawings.IMAGES / f"{name}.svg"
            assert drawn == path.read_text(encoding="utf-8"), name

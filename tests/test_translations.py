"""The Chinese pages agree with the English ones, as far as a test can check it."""

import re
from pathlib import Path

import pytest

from docs import translations

ROOT = Path(__file__).parent.parent


def _both(page):
    original = translations.PAGES[page]
    return ((ROOT / path).read_text(encoding="utf-8") for path in (page, original))


@pytest.mark.parametrize("page", translations.PAGES, ids=str)
class TestTranslation:
    def test_it_is_of_the_original_as_it_is_now(self, page):
        translation, original = _both(page)
        assert translations.marked(translation) == translations.digest(original), (
            f"{translations.PAGES[page]} has changed: look at {page}, "
            "then mark it with python -m docs.translations"
        )

    def test_it_has_the_same_blocks_and_sections(self, page):
        translation, original = _both(page)
        fence = re.compile(r"^```.*?^```$", re.M | re.S)
        assert fence.findall(translation) == fence.findall(original)
        levels = [
            re.findall(r"^(#+) ", fence.sub("", text), re.M) for text in (translation, original)
        ]
        assert levels[0] == levels[1]

    def test_links_lead_somewhere(self, page):
        translation, _ = _both(page)
        links = [x for x in re.findall(r"\]\(([^)#\s]+)", translation) if "://" not in x]
        assert links
        assert not [link for link in links if not ((ROOT / page).parent / link).exists()]


def test_a_mark_is_replaced(tmp_path):
    page, original = tmp_path / "page.md", tmp_path / "original.md"
    page.write_text("页\n", encoding="utf-8")
    for text in ("one", "two"):
        original.write_text(text, encoding="utf-8")
        translations.mark(page, original)
        found = page.read_text(encoding="utf-8")
        assert translations.marked(found) == translations.digest(text)
        assert found.count("<!--") == 1

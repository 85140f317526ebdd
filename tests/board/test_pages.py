"""Pages are well formed and self-contained, run no untrusted code, and list what is missing."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from singa import board
from singa.board.report import report
from singa.board.run import read_details, read_run
from singa.errors import DataError

VOID = {"br", "hr", "img", "input", "link", "meta"}
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`${x}\ud800"


class Page(HTMLParser):
    """What a page consists of; it fails where elements are not closed as they were opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts, self.scripts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        (self.scripts if self.open and self.open[-1] == "script" else self.texts).append(text)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self):
        return json.loads(self.scripts[0])

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def page_of(folder):
    return Page(report(read_run(folder), read_details(folder)))


def pages_of(runs, output):
    """The pages of a board by their names: of all runs, and of each."""
    board.write_board(runs, output)
    return {
        path.relative_to(output).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in output.rglob("*.html")
    }


def test_a_report_has_all_of_a_run_in_it(run_folder, tmp_path):
    board.write_report(run_folder, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    assert "first completed CNN · digits · started 2026-11-25 20:00 UTC" in page.text
    assert "best validation loss 0.5 epoch 5" in page.text
    assert "duration 12.5 s of all epochs speed 1,003 samples/s parameters 30,154" in page.text
    assert page.data["steps"]["step"] == list(range(1, 21))
    assert page.data["epochs"]["val_loss"][-1] == 0.5
    assert page.data["best"] == {"val_accuracy": 5, "val_loss": 5}
    assert "conv1 (64, 32, 8, 8)" in page.text
    assert len([a for a in page.all("img") if a["alt"].startswith("digits after")]) == 5
    assert "Convolution2d 2 conv1 forward 8 5.000 50.0% with ReLU" in page.text
    assert "8.0 MiB at the most" in page.text
    assert "scratch 6.0 MiB 75.0%" in page.text
    assert "optimizer.momentum 0.9" in page.text
    sections = [a["id"] for a in page.all("section") if "hidden" not in a]
    assert sections == ["curves", "samples", "model", "graph", "time", "memory", "settings"]
    links = [a["href"] for a in page.all("a") if a["href"] != "#top"]
    assert links == [f"#{name}" for name in sections]


def test_a_page_asks_for_nothing(run_folder, tmp_path):
    for page in pages_of(run_folder.parent, tmp_path / "pages").values():
        loads = [
            value
            for tag, attributes in page.elements
            for name, value in attributes.items()
            if name in ("src", "srcset", "href", "data", "poster", "action", "background")
            and tag != "a"
        ]
        assert loads
        assert all(value.startswith("data:") for value in loads)
        styles = [a.get("style", "") for _, a in page.elements] + page.texts
        assert not [s for s in styles if re.search(r"url\((?!#)|@import", s)]
        (policy,) = (a["content"] for a in page.all("meta") if "Policy" in a.get("http-equiv", ""))
        assert "default-src 'none'; img-src data:;" in policy


def test_only_our_scripts_are_run(run_folder):
    page = page_of(run_folder)

    (policy,) = (a["content"] for a in page.all("meta") if "Policy" in a.get("http-equiv", ""))
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    scripts = page.scripts[1:]  # the first is the data
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert digests == allowed
    assert [a.get("type") for a in page.all("script")] == ["application/json", None, None]
    assert "unsafe" not in policy.partition("script-src")[2]


def test_what_a_run_says_is_text(write_run, tmp_path):
    plain = write_run(tmp_path / "runs/plain")
    names = dict.fromkeys(("name", "model", "status", "stopped", "summary", "device"), EVIL)
    folder = write_run(tmp_path / "runs/evil", **names, data={EVIL: EVIL, "name": EVIL})
    (folder / "samples/0001-'\"><script>x.png").write_bytes(
        (folder / "samples/0001-digits.png").read_bytes()
    )
    profile = json.loads((folder / "profile.json").read_text())
    profile["rows"][0] |= {"name": EVIL, "layer": EVIL, "direction": EVIL, "includes": [EVIL]}
    (folder / "profile.json").write_text(json.dumps(profile))
    rows = [f'epoch,"{EVIL[:-1].replace(chr(34), "")}"', "1,2", "2,3", '"<b>",3', ""]
    (folder / "epochs.csv").write_text("\n".join(rows))

    pages = pages_of(tmp_path / "runs", tmp_path / "pages")

    for name in ("index.html", "run/evil.html"):
        page = pages[name]
        assert len(page.all("script")) == 3
        assert not [a for _, a in page.elements for key in a if key.startswith("on")]
        assert not [a for a in page.all("img") if a["src"] == "x"]
        assert "<script>alert(1)</script>" in page.text
    assert {tag for tag, _ in pages["run/evil.html"].elements} <= {
        tag for tag, _ in page_of(plain).elements
    } | {"li", "ul"}


@pytest.mark.parametrize(
    "missing", ["epochs.csv", "steps.csv", "graph.svg", "profile.json", "memory.json", "all"]
)
def test_what_is_not_there_is_left_out(run_folder, missing):
    for path in run_folder.rglob("*"):
        if path.name == missing or (missing == "all" and path.is_file() and path.suffix != ".json"):
            path.unlink()

    page = page_of(run_folder)

    hidden = {a["id"] for a in page.all("section") if "hidden" in a}
    assert hidden == {
        "graph.svg": {"graph"},
        "profile.json": {"time"},
        "memory.json": {"memory"},
        "all": {"curves", "samples", "graph"},
    }.get(missing, set())
    links = {a["href"] for a in page.all("a")}
    assert not links & {f"#{name}" for name in hidden}
    assert 'class="problems"' not in str(page.elements)


def test_damaged_runs_say_so_and_others_are_shown(write_run, tmp_path):
    write_run(tmp_path / "runs/good")
    (write_run(tmp_path / "runs/bad") / "run.json").write_text("{")
    (write_run(tmp_path / "runs/torn") / "epochs.csv").write_text("epoch,loss\n1,0.5\n2\n")

    pages = pages_of(tmp_path / "runs", tmp_path / "pages")

    assert set(pages) == {"index.html", "run/good.html", "run/bad.html", "run/torn.html"}
    for page in (pages["index.html"], pages["run/bad.html"]):
        assert "run.json: not JSON: Expecting property name" in page.text
    for page in (pages["index.html"], pages["run/torn.html"]):
        assert "epochs.csv: line 3 is not 2 numbers; the rest is shown" in page.text
    keys = {run["key"]: run["epochs"] for run in pages["index.html"].data["runs"]}
    assert set(keys) == {"good", "bad", "torn"}
    assert keys["torn"] == {"epoch": [1], "loss": [0.5]}


def test_a_loss_that_is_no_number_is_news(run_folder):
    (run_folder / "steps.csv").write_text("step,loss\n1,2.5\n2,nan\n3,inf\n4,1\n")

    page = page_of(run_folder)

    assert "loss is nan at step 2" in page.text
    assert page.data["steps"]["loss"] == [2.5, None, None, 1]


def test_of_a_step_that_was_done_twice_the_last_one_counts(run_folder):
    (run_folder / "steps.csv").write_text("step,loss\n1,9\n2,8\n3,7\n2,6\n3,5\n,4\n")
    assert page_of(run_folder).data["steps"] == {"step": [1, 2, 3], "loss": [9, 6, 5]}


def test_long_curves_are_averaged(run_folder):
    lines = [f"{step},{step % 3}" for step in range(1, 60_001)]
    (run_folder / "steps.csv").write_text("\n".join(["step,loss", *lines, ""]))

    page = page_of(run_folder)

    assert page.data["steps"]["step"][:2] == [2, 5]
    assert len(page.data["steps"]["step"]) == 20_000
    assert set(page.data["steps"]["loss"]) == {1}
    assert "Each point is the average of 3 steps." in page.text


def test_the_best_of_a_metric_is_its_most_and_of_a_loss_its_least(write_run, tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "epochs.csv").write_text(
        "epoch,val_loss,val_accuracy,val_mae\n1,3,0.5,2\n2,1,0.9,1\n3,2,0.8,3\n"
    )
    assert page_of(folder).data["best"] == {"val_loss": 2, "val_accuracy": 2, "val_mae": 2}


def test_the_page_of_all_runs_has_the_newest_first(write_run, tmp_path):
    write_run(tmp_path / "runs/old", started="2026-11-01T00:00:00+00:00", name="first of all")
    write_run(tmp_path / "runs/a&b/new", started="2026-11-02T00:00:00+00:00", status="running")

    pages = pages_of(tmp_path / "runs", tmp_path / "pages")

    index = pages["index.html"]
    assert [a["href"] for a in index.all("a")] == ["run/a%26b/new.html", "run/old.html"]
    assert "2 runs, 1 in progress" in index.text
    assert len([a for a in index.all("svg") if a["class"] == "sparkline"]) == 2
    assert "../../index.html" in [a["href"] for a in pages["run/a&b/new.html"].all("a")]
    assert "../index.html" in [a["href"] for a in pages["run/old.html"].all("a")]
    assert all(page.all("main")[0]["data-live"] == "" for page in pages.values())
    assert page_of(tmp_path / "runs/a&b/new").all("progress")


def test_a_report_needs_a_run(tmp_path):
    with pytest.raises(DataError, match=r"no run in .*: there is no run\.json"):
        board.write_report(tmp_path, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_the_chart_library_has_its_licence():
    folder = board.page._FOLDER / "vendor" / "uplot"
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert (folder / "uPlot.iife.min.js").read_text().startswith("/*! https://github.com/leeoniya")

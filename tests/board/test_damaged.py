"""Pages of run folders that are damaged or malicious."""

import json
import os
import random
from itertools import pairwise

import pytest

from mutations import damaged_json, damaged_text
from singa import data
from singa.board.overview import overview
from singa.board.report import report
from singa.board.run import find_runs, read_details, read_run
from singa.board.svg import clean
from singa.board.table import read_table
from singa.errors import CheckpointError, DataError
from singa.formats import checkpoint


@pytest.mark.parametrize("part", range(4))
def test_pages_are_made_of_any_folder(write_run, tmp_path, part):
    for seed in range(part * 25, part * 25 + 25):
        rng = random.Random(seed)
        folder = write_run(tmp_path / str(seed))
        for path in rng.sample([p for p in folder.rglob("*") if p.is_file()], 2):
            content = path.read_bytes()
            if path.suffix == ".json" and rng.random() < 0.6:
                other = json.dumps(damaged_json(rng, json.loads(content))).encode()
            else:
                other = damaged_text(rng, content)
            path.write_bytes(other)
        run = read_run(folder)
        page = report(run, read_details(folder))
        assert len(page) < 2**22
        assert "<html" in page
        assert "<html" in overview([run], "runs")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes pipes")
def test_what_is_no_file_is_not_waited_for(write_run, tmp_path):
    folder = write_run(tmp_path / "runs/one")
    for name in ("epochs.csv", "profile.json", "samples/0001-pipe.png", "checkpoint.zip"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    (tmp_path / "runs/two").mkdir()
    os.mkfifo(tmp_path / "runs/two/run.json")

    assert [*find_runs(tmp_path / "runs")] == ["one"]
    found = [*read_run(folder).problems, *read_details(folder).problems]
    assert sum("not a regular file" in problem for problem in found) == 3
    with pytest.raises(CheckpointError, match="not a regular file"):
        checkpoint.Reader(folder / "checkpoint.zip")
    with pytest.raises(DataError, match="not a regular file"):
        data.read_idx(folder / "checkpoint.zip")


def test_a_drawing_that_a_browser_would_draw_for_ever_loses_what_does_so():
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg">'
        '<marker id="a"><path marker-end="url(#b)" d="M0,0"/></marker>'
        '<rect width="1e9" height="5" stroke-dasharray="3"/><path d="M0,0 L9,9 L-2e300,1"/>'
        '<path d="M0,0 L9.5,-9" marker-end="url(#a)" fill="#e12345"/></svg>'
    )
    assert clean(text) == (
        '<svg><marker id="drawing-a"><path d="M0,0"></path></marker>'
        '<rect height="5" stroke-dasharray="3"></rect><path></path>'
        '<path d="M0,0 L9.5,-9" marker-end="url(#drawing-a)" fill="#e12345"></path></svg>'
    )
    with pytest.raises(DataError, match="more than 100000 elements"):
        clean(f'<svg xmlns="http://www.w3.org/2000/svg">{"<g/>" * 100_001}</svg>')


def test_long_tables_are_read_in_part(tmp_path):
    lines = (f"{i},{i / 2}\n" for i in range(1, 300_001))
    (tmp_path / "t.csv").write_text("step,loss\n" + "".join(lines))
    table = read_table(tmp_path / "t.csv")
    steps = table["step"]
    assert "a part is shown" in table.problem
    assert 50_000 < len(steps) < 250_000
    assert sorted(steps) == steps
    assert steps[0] == 1
    assert max(b - a for a, b in pairwise(steps)) < 1000
    assert table["loss"] == [step / 2 for step in steps]

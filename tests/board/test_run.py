"""Reading a run folder, complete or damaged."""

import json
import math

import pytest

from singa.board.run import Best, find_runs, read_details, read_run
from singa.board.table import read_table
from singa.errors import DataError
from singa.formats import process


def test_a_run_is_what_its_folder_says(run_folder):
    run = read_run(run_folder)

    assert (run.name, run.status, run.text("model")) == ("first", "completed", "CNN")
    assert (run.number("parameters"), run.data_name) == (30154, "digits")
    assert run.time("started").isoformat() == "2026-11-25T20:00:00+00:00"
    assert (run.seconds, run.speed) == (12.5, 1003)
    assert run.measures == ["val_loss", "val_accuracy"]
    assert run.best("val_loss") == Best("val_loss", 5, 0.5)
    assert run.best("val_accuracy") == Best("val_accuracy", 5, pytest.approx(0.87))
    assert run.settings["optimizer.lr"] == "0.02"
    assert run.settings["versions.python"] == "3.13.0"
    assert not run.settings.keys() & {"name", "status", "summary"}
    assert run.problems == []


def test_a_training_whose_process_is_gone_is_not_in_progress(write_run, tmp_path):
    here = process.this_process()
    gone = here | {"pid": 2**31 - 1}
    reused = here | {"began": "1"}  # its number is that of another process by now
    unknown = [None, [], here | {"kernel": "another"}, here | {"pid": "1"}, here | {"pid": -1}]
    for about, status in (
        (here, "running"), (gone, "interrupted"),
        (reused, "interrupted" if "began" in here else "running"),
        *((about, "running") for about in unknown),
    ):  # fmt: skip
        run = read_run(write_run(tmp_path / "run", status="running", process=about))
        assert run.status == status, about
        assert (run.text("stopped") == "its process has ended") == (status == "interrupted")
        assert not any(name.startswith("process") for name in run.settings)


def test_its_details_too(run_folder):
    details = read_details(run_folder)

    assert details.steps["step"] == list(range(1, 21))
    assert details.graph.startswith("<svg")
    rows = [(row.name, row.milliseconds, row.share, row.remark) for row in details.operations]
    assert rows == [
        ("Convolution2d 2", pytest.approx(5), 0.5, "with ReLU"),
        ("Flatten", pytest.approx(3), 0.3, ""),
        ("Convolution2d 1", pytest.approx(2), 0.2, ""),
        ("ReLU", 0, 0, "in Convolution2d 2"),
    ]
    assert details.memory["scratch"] == 6 * 2**20
    assert [sample.epoch for sample in details.samples["digits"]] == [1, 2, 3, 4, 5]
    assert details.problems == []


def test_what_fit_writes_is_understood(trained):
    folder, history = trained

    run, details = read_run(folder), read_details(folder)
    assert run.problems + details.problems == []
    assert (run.status, run.text("model"), run.number("epoch")) == ("completed", "MLP", 2)
    assert run.epochs["val_accuracy"] == pytest.approx(history["val_accuracy"])
    assert details.steps["loss"] == pytest.approx(history.steps["loss"])
    assert "Affine" in {row.name.split()[0] for row in details.operations}
    assert details.memory["peak"] > 0
    assert "MLP" in details.graph
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "best validation accuracy" in page


def test_what_has_time_of_its_own_is_not_said_to_be_elsewhere(run_folder):
    path = run_folder / "profile.json"
    profile = json.loads(path.read_text())
    profile["rows"][1]["part_of"] = ["Flatten"]
    path.write_text(json.dumps(profile))
    remarks = {row.name: row.remark for row in read_details(run_folder).operations}
    assert remarks["Convolution2d 2"] == "with ReLU"
    assert remarks["ReLU"] == "in Convolution2d 2"


# -- tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns", "problem"),
    [
        ("", {}, ""),
        ("\n", {}, ""),
        ("epoch,loss\n", {"epoch": [], "loss": []}, ""),
        ("epoch,loss\n1,0.5\n2,", {"epoch": [1], "loss": [0.5]}, ""),  # being written
        ("epoch,loss\n1,\n", {"epoch": [1], "loss": [None]}, ""),
        ("a,b\n1,2\n3\n5,6\n", {"a": [1, 5], "b": [2, 6]}, "line 3 is not 2 numbers; the rest"),
        ("a\n<b>\n1\nx\n", {"a": [1]}, "line 2 is not 1 numbers, nor are 1 others; the rest"),
    ],
)
def test_tables_are_read_as_far_as_they_can_be(tmp_path, text, columns, problem):
    (tmp_path / "t.csv").write_text(text)

    table = read_table(tmp_path / "t.csv")

    assert dict(table) == columns
    assert problem in table.problem
    assert bool(problem) == bool(table.problem)


def test_numbers_that_are_none_are_kept_and_not_the_best(run_folder):
    (run_folder / "epochs.csv").write_text("epoch,val_loss\n1,nan\n2,3\n3,inf\n4,3\n5,-inf\n")
    run = read_run(run_folder)

    assert math.isnan(run.epochs["val_loss"][0])
    assert run.best("val_loss") == Best("val_loss", 2, 3)
    assert run.best("val_accuracy") is None
    assert run.seconds is run.speed is None


# -- what is missing or damaged ---------------------------------------------------------------


def test_only_run_json_has_to_be_there(tmp_path):
    (tmp_path / "run.json").write_text('{"format": 1}')

    run, details = read_run(tmp_path), read_details(tmp_path)

    assert (run.name, run.status) == (tmp_path.name, "unknown")
    assert not run.problems + details.problems
    assert not run.epochs.rows + details.steps.rows
    assert not details.graph + "".join(details.samples)
    assert not [*details.operations, *details.memory]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '"run"', "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, "\0", "NaN"],
    ids=lambda text: text[:8],
)
def test_a_damaged_run_json_is_a_problem_and_no_error(run_folder, text):
    (run_folder / "run.json").write_text(text)

    run = read_run(run_folder)

    assert run.status == "unknown"
    assert run.epochs.rows == 5
    (problem,) = run.problems
    assert problem.startswith("run.json: ")


def test_values_of_other_types_are_not_taken(write_run, tmp_path):
    odd = {"name": ["x"], "status": 3, "started": "yesterday", "data": [1]}
    numbers = {"parameters": "many", "epoch": True, "batch_size": 10**400}
    run = read_run(write_run(tmp_path / "odd", **odd, **numbers))

    assert (run.name, run.status, run.data_name) == ("odd", "unknown", "")
    assert run.time("started") is None
    assert [run.number(name) for name in numbers] == [None, None, None]


def test_a_later_format_is_named(write_run, tmp_path):
    run = read_run(write_run(tmp_path / "later", format=2))
    assert run.problems == ["run.json: it has format 2, and only 1 is known here"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("steps.csv", b"step,loss\n\xff\n"),
        ("graph.svg", b"<svg"),
        ("profile.json", b"[]"),
        ("profile.json", b'{"iterations": 1, "rows": [{"name": "ReLU"}]}'),
        ("profile.json", b'{"iterations": 1e999, "rows": []}'),
        ("memory.json", b"1"),
        ("samples/0001-digits.png", b"<svg onload='alert(1)'>"),
    ],
)
def test_other_damaged_files_are_left_out(run_folder, name, text):
    (run_folder / name).write_bytes(text)

    details = read_details(run_folder)

    (problem,) = details.problems
    assert problem.startswith(f"{name}: ")
    assert bool(details.graph) == (name != "graph.svg")
    assert bool(details.operations) == (name != "profile.json")
    assert bool(details.memory) == (name != "memory.json")


def test_of_many_samples_some_are_taken_first_and_last_among_them(run_folder):
    picture = (run_folder / "samples/0001-digits.png").read_bytes()
    for epoch in range(1, 200):
        (run_folder / f"samples/{epoch:04}-many of them.png").write_bytes(picture)
    (run_folder / "samples/notes.png").write_bytes(picture)  # is no sample

    samples = read_details(run_folder).samples

    assert samples.keys() == {"digits", "many of them"}
    epochs = [sample.epoch for sample in samples["many of them"]]
    assert len(epochs) == 40
    assert (epochs[0], epochs[-1]) == (1, 199)


# -- finding ----------------------------------------------------------------------------------


def test_runs_are_found_at_any_depth(write_run, tmp_path):
    for key in ("b", "a/deep", "a/deep/inside"):
        write_run(tmp_path / key)
    (tmp_path / "empty").mkdir()

    assert find_runs(tmp_path) == {"a/deep": tmp_path / "a/deep", "b": tmp_path / "b"}
    assert find_runs(tmp_path / "b") == {"b": tmp_path / "b"}


def test_a_folder_without_runs_is_told(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        find_runs(tmp_path / "none")
    with pytest.raises(DataError, match=r"no run in .*: none of its folders has a run\.json"):
        find_runs(tmp_path)
    with pytest.raises(DataError, match=r"no run in .*: there is no run\.json"):
        read_run(tmp_path)


def test_settings_are_flat(write_run, tmp_path):
    run = read_run(write_run(tmp_path / "run", optimizer={"name": "Adam", "betas": [0.9, 0.99]}))
    assert run.settings["optimizer.betas"] == json.dumps([0.9, 0.99])

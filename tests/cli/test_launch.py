"""``singa launch``; the ranks themselves are tested in tests/distributed."""

from pathlib import Path


def test_a_script_runs_in_each_rank_with_its_own_arguments(singa):
    Path("script.py").write_text(
        "import os, sys\n"
        "print(os.environ['RANK'], os.environ['WORLD_SIZE'], *sys.argv[1:])\n"
        "print('a warning', file=sys.stderr)"
    )
    status, out, err = singa("launch", "--ranks", 2, "script.py", "--epochs", "3", "--help")
    assert status == 0
    assert sorted(out.splitlines()) == ["[0] 0 2 --epochs 3 --help", "[1] 1 2 --epochs 3 --help"]
    assert sorted(err.splitlines()) == ["[0] a warning", "[1] a warning"]


def test_the_restarts_are_counted_and_the_last_status_is_that_of_the_program(singa):
    Path("script.py").write_text(
        "import os, sys\n"
        "print(os.environ['TORCHELASTIC_RESTART_COUNT'])\n"
        "sys.exit(3 + int(os.environ['TORCHELASTIC_RESTART_COUNT']))"
    )
    status, out, err = singa("launch", "--ranks", 1, "--restarts", 1, "script.py")
    assert status == 4
    assert out.splitlines() == ["[0] 0", "[0] 1"]
    assert err.splitlines() == [
        "singa: rank 0 ended with status 3; restart 1 of 1",
        "singa: rank 0 ended with status 4",
    ]


def test_a_script_that_is_not_there_is_wrong_usage(singa):
    status, _, err = singa("launch", "no.py")
    assert status == 2
    assert "there is no file no.py" in err

"""Files that are written completely or not at all, by several writers in several processes."""

import os
import random
import subprocess
import sys
import threading
import time

import pytest

from singa.formats import files
from singa.formats.files import writing

posix = pytest.mark.skipif(os.name != "posix", reason="locks files")


def left_by(folder, target, kernel, age):
    """A temporary file as a dead writer leaves it."""
    path = folder / f"{files._prefix(target)}{kernel}.{os.urandom(4).hex()}.tmp"
    path.write_bytes(b"half of")
    os.utime(path, (time.time() - age,) * 2)
    return path


@posix
@pytest.mark.parametrize("name", ["run.json", "a*b?[1].zip", "x" * 255, "é" * 127, ".hidden"])
def test_only_what_has_no_writer_any_more_is_removed(tmp_path, name):
    rng = random.Random(name)
    target, day = tmp_path / name, 24 * 3600
    stays, goes = [], []
    for _ in range(12):
        kernel = rng.choice((files.kernel(), "another0host", "1234"))
        age = rng.choice((0, 100, day - 100, day + 100))
        gone = kernel == files.kernel() or age > day
        (goes if gone else stays).append(left_by(tmp_path, target, kernel, age))
    of_another = tmp_path / f".other.{files.kernel()}.00000000.tmp"
    of_another.write_bytes(b"")
    with writing(target) as mine:  # a live writer, whose number in its container nobody knows
        mine.write(b"mine")
        mine.flush()
        (own,) = set(tmp_path.iterdir()) - {*stays, of_another}
        os.utime(own, (0, 0))
        for _ in range(3):
            with writing(target) as file:
                file.write(b"another's")
        assert own.exists()
    assert target.read_bytes() == b"mine"
    assert set(tmp_path.iterdir()) == {target, of_another, *stays}
    assert goes


@posix
def test_a_live_writer_in_another_process_is_left_alone(tmp_path):
    script = """
import sys
from singa.formats.files import writing
with writing(sys.argv[1]) as file:
    print("writing", flush=True)
    sys.stdin.read()
    file.write(b"the other's")
"""
    target = tmp_path / "x"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(target)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == "writing\n"
        with writing(target) as file:
            file.write(b"mine")
        assert target.read_bytes() == b"mine"
        other.stdin.close()
        assert other.wait() == 0
    assert target.read_bytes() == b"the other's"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_threads_write_one_file(tmp_path, overwrite):
    target, done, errors = tmp_path / "x", [], []

    def write(content):
        for _ in range(20):
            try:
                with writing(target, overwrite) as file:
                    file.write(content)
                done.append(content)
            except FileExistsError as error:
                errors.append(error)

    threads = [threading.Thread(target=write, args=(bytes([i]) * 5000,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == (80 if overwrite else 1)
    assert len(errors) == 80 - len(done)
    assert target.read_bytes() in set(done)
    assert os.listdir(tmp_path) == ["x"]

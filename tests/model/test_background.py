"""Checkpoints that are written while the training goes on."""

import copy
import errno
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

from singa import device, models, opt, train
from singa.errors import CheckpointError
from singa.formats import checkpoint
from singa.tensor import Tensor

X = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
Y = np.arange(4, dtype=np.int32)


def made():
    device.get_default_device().set_rand_seed(3)
    mlp = models.MLP(4)
    mlp.set_optimizer(opt.SGD(0.1, momentum=0.9))
    x, y = Tensor(data=X), Tensor(data=Y)
    mlp.compile([x], use_graph=True)
    return mlp, x, y


@pytest.fixture
def held(monkeypatch):
    """Files are written only after this event."""
    event, write = threading.Event(), checkpoint._write

    def later(*args):
        assert event.wait(60)
        write(*args)

    monkeypatch.setattr(checkpoint, "_write", later)
    yield event
    event.set()


def test_the_numbers_are_those_of_the_call(held, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mlp, x, y = made()
    mlp(x, y)
    saved = {name: t.to_numpy() for name, t in mlp.get_states().items()}
    mlp.save_states("a.zip", {"epoch": Tensor(data=3)}, background=True)
    expected = [mlp(x, y)[1].item() for _ in range(2)]  # goes on, and overwrites its arrays
    assert list(tmp_path.iterdir()) == []
    monkeypatch.chdir("/")  # the path was that of the call
    held.set()
    mlp.wait_until_saved()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    other, x, y = made()
    assert other.load_states(tmp_path / "a.zip")["epoch"].item() == 3
    for name, state in other.get_states().items():
        np.testing.assert_array_equal(state, saved[name])
    assert [other(x, y)[1].item() for _ in range(2)] == expected


def test_a_save_waits_for_the_one_before(held, tmp_path):
    mlp, x, y = made()
    mlp.save_states(tmp_path / "a.zip", background=True)
    mlp(x, y)
    threading.Timer(0.2, held.set).start()
    with pytest.raises(FileExistsError):  # it is there by then
        mlp.save_states(tmp_path / "a.zip", background=True)
    mlp.save_states(tmp_path / "a.zip", background=True, overwrite=True)
    mlp.load_states(tmp_path / "a.zip")  # waits, too
    for twin in (copy.deepcopy(mlp), pickle.loads(pickle.dumps(mlp))):
        twin.save_states(tmp_path / "b.zip", background=True, overwrite=True)
        twin.wait_until_saved()


@pytest.mark.parametrize("then", ["save", "wait", "load"])
def test_errors_arrive(then, tmp_path):
    mlp, *_ = made()
    with pytest.raises(CheckpointError, match=r"two states are named 'linear1\.W'"):  # at once
        mlp.save_states(tmp_path / "a.zip", {"linear1.W": Tensor((1,))}, background=True)
    mlp.save_states(tmp_path / "no" / "a.zip", background=True)
    call = {
        "save": lambda: mlp.save_states(tmp_path / "a.zip"),
        "wait": mlp.wait_until_saved,
        "load": lambda: mlp.load_states(tmp_path / "a.zip"),
    }[then]
    with pytest.raises(FileNotFoundError) as caught:
        call()
    assert caught.value.__notes__ == [
        f"while {tmp_path / 'no' / 'a.zip'} was being written in the background"
    ]
    mlp.save_states(tmp_path / "a.zip", background=True)
    mlp.load_states(tmp_path / "a.zip")


def test_at_the_end_of_the_process(tmp_path):
    """The last file is complete, and an error that nobody has seen is printed."""
    script = f"""
import threading, time
from singa.formats.background import Background
writer, other, path = Background(), Background(), {str(tmp_path / "late")!r}
writer.run(lambda: (time.sleep(0.3), open(path, "w").write("whole")), path)
other.run(lambda: open("/no/such/folder/b"), "/no/such/folder/b")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (tmp_path / "late").read_text() == "whole"
    assert run.stderr.startswith("FileNotFoundError")
    assert run.stderr.endswith("while /no/such/folder/b was being written in the background\n")


def test_fit(held, tmp_path, monkeypatch):
    """The checkpoints of a training are those that it writes in the foreground."""
    found = []
    for background in (True, False):
        mlp, *_ = made()
        files = [tmp_path / f"{name} {background}.zip" for name in ("last", "best")]
        saver = train.Checkpoint(files[0], best=files[1], background=background)
        if background:
            threading.Timer(0.5, held.set).start()
        train.fit(mlp, (X, Y), 2, batch_size=2, checkpoint=saver, progress=False)
        for file in files:
            with checkpoint.Reader(file) as reader:
                found.append(reader.read(checkpoint.MODEL, checkpoint.TRAINING))
    for one, other in zip(found[:2], found[2:], strict=True):
        assert {n: a.tobytes() for n, a in one.items()} == {
            n: a.tobytes() for n, a in other.items()
        }

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write", full)
    mlp, *_ = made()
    saver = train.Checkpoint(tmp_path / "a.zip", background=True)
    with pytest.raises(OSError, match="No space left"):
        train.fit(mlp, (X, Y), 1, batch_size=2, checkpoint=saver, progress=False)

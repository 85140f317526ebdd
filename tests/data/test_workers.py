"""DataLoader with workers: the same batches as without, even if processes die.

No test waits for a fixed time: a worker that is killed is noticed, or the test hangs.
"""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import odd_datasets as odd
from singa import device
from singa.data import ArrayDataset, DataLoader
from singa.errors import ArgumentError, DataError, WorkerError

SOURCE = Path(__file__).parents[2] / "src"


def is_running(pid):
    try:
        os.kill(pid, 0)
        # One that has ended and waits for whoever adopted it to take notice is not.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return not Path("/proc/self").exists()


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it has not happened within a minute"
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_do_not_depend_on_the_number_of_workers(workers):
    images = np.random.default_rng(0).normal(size=(50, 3, 4)).astype(np.float32)
    arrays = ArrayDataset(images, np.arange(50, dtype=np.int32))
    options = {"batch_size": 8, "shuffle": True, "seed": 5}
    alone = DataLoader(arrays, **options)
    drawn_alone = DataLoader(odd.Numbers(20), **options, transform=odd.noisy)

    with (
        DataLoader(arrays, **options, workers=workers) as loader,
        DataLoader(odd.Numbers(20), **options, transform=odd.noisy, workers=workers) as drawn,
    ):
        epochs = [list(loader), list(loader), list(loader.batches_of(0, start=4))]
        noise = [list(drawn), list(drawn)]

    for epoch, expected in zip(epochs, [alone, alone, alone.batches_of(0, 4)], strict=True):
        for batch, wanted in zip(epoch, expected, strict=True):
            np.testing.assert_array_equal(batch[0], wanted[0])
            np.testing.assert_array_equal(batch[1], wanted[1])
            assert batch[0].dtype == np.float32
            assert batch[0].flags.writeable
    for epoch in noise:
        for batch, wanted in zip(epoch, drawn_alone, strict=True):
            np.testing.assert_array_equal(batch, wanted)


def test_workers_share_the_work_are_kept_and_end_with_the_loader():
    loader = DataLoader(odd.Numbers(8), 2, workers=2)

    first, second = ([int(pids[0]) for _, pids, _ in loader] for _ in range(2))

    assert first == second == [*first[:2], *first[:2]]
    assert len({*first, os.getpid()}) == 3
    del loader
    assert not any(map(is_running, first))


def test_epochs_under_way_at_the_same_time_have_workers_of_their_own():
    with DataLoader(odd.Numbers(8), 2, shuffle=True, seed=2, workers=1) as loader:
        pairs = list(zip(loader, loader, strict=True))

    alone = DataLoader(odd.Numbers(8), 2, shuffle=True, seed=2)
    for number in (0, 1):
        numbers = [pair[number][0].tolist() for pair in pairs]
        assert numbers == [batch[0].tolist() for batch in alone]
    pids = {int(pid) for pair in pairs for _, some, _ in pair for pid in some}
    assert len(pids) == 2
    assert not any(map(is_running, pids))


def test_workers_are_without_jax_unless_the_dataset_needs_it():
    with DataLoader(odd.Numbers(2), 2, workers=1) as loader:
        ((_, _, has_jax),) = loader
    with DataLoader(odd.UsesTensors(3), 3, workers=1) as loader:
        (sums,) = loader

    assert "jax" in sys.modules
    assert not has_jax.any()
    assert sums.tolist() == [[1.0], [2.0], [3.0]]


def test_tensors_and_a_collate_of_ones_own():
    cpu = device.get_default_device()
    with DataLoader(odd.Numbers(5), 2, workers=1, device=cpu) as loader:
        assert [numbers.to_numpy().tolist() for numbers, *_ in loader] == [[0, 1], [2, 3], [4]]
    with DataLoader(odd.Numbers(5), 2, workers=2, collate=odd.listed) as loader:
        assert list(loader) == [[0, 1], [2, 3], [4]]


def test_what_is_printed_does_not_get_into_the_batches(capfd):
    with DataLoader(odd.Chatty(4), 2, workers=1) as loader:
        assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3]]
    out, err = capfd.readouterr()
    assert out == ""
    assert "hello from 3" in err


@pytest.mark.parametrize(
    ("how", "fate"),
    [
        ("kill", "was killed by SIGKILL, as happens when memory runs out,"),
        ("exit", "ended with exit status 3"),
    ],
)
def test_a_worker_that_dies_is_told_of_at_its_batch(how, fate):
    loader = DataLoader(odd.EndsItself(12, how), 2, workers=2)
    batches = iter(loader)

    before = [next(batches).tolist() for _ in range(3)]
    with pytest.raises(WorkerError) as raised:
        next(batches)

    assert before == [[0, 1], [2, 3], [4, 5]]
    message = str(raised.value)
    assert message.startswith("DataLoader: worker 1 (process ")
    assert message.endswith(f") {fate} before it had made the batch of samples 6, 7 in epoch 0")
    assert not list(batches)
    assert loader._idle is None


def test_a_worker_that_is_killed_from_outside_is_told_of_at_once():
    loader = DataLoader(odd.Slow(40), 1, workers=1)
    batches = iter(loader)
    pid = int(next(batches)[0])

    threading.Timer(0.1, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(WorkerError, match="was killed by SIGKILL"):
        next(batches)

    assert not is_running(pid)


def test_an_epoch_that_is_left_ends_its_workers_and_the_next_starts_others():
    loader = DataLoader(odd.Numbers(40), 1, workers=1)
    batches = iter(loader)
    pid = int(next(batches)[1][0])

    batches.close()
    assert not is_running(pid)

    ids = {int(pids[0]) for _, pids, _ in loader}
    assert len(ids) == 1
    assert pid not in ids
    loader.close()
    assert not any(map(is_running, ids))


@pytest.mark.parametrize(
    ("error", "expected"),
    [(DataError("7.png: damaged"), DataError), (KeyError("seven"), KeyError)],
)
def test_what_a_dataset_raises_is_raised_here(error, expected):
    batches = iter(DataLoader(odd.Fails(12, error), 2, workers=2))

    with pytest.raises(expected) as raised:
        list(batches)

    assert raised.value.args == error.args
    assert "in a worker:" in raised.value.__notes__[0]
    assert "odd_datasets.py" in raised.value.__notes__[0]


def test_an_error_that_cannot_be_sent_is_told_in_words():
    dataset = odd.Fails(12, None)
    dataset.error = None  # raising None raises TypeError
    with pytest.raises(TypeError, match="exceptions must derive from BaseException"):
        list(DataLoader(dataset, 2, workers=1))
    with pytest.raises(WorkerError, match="Unpicklable: 1 and 2"):
        list(DataLoader(odd.Numbers(3), 1, workers=1, collate=odd.raise_unpicklable))


def test_a_dataset_that_cannot_be_unpacked():
    with pytest.raises(RuntimeError, match="cannot be unpacked"):
        list(DataLoader(odd.NotThere(3), 1, workers=2))


def test_what_cannot_be_sent_is_refused_before_anything_starts():
    loader = DataLoader(odd.Numbers(3), 1, workers=1, transform=lambda *fields: fields)

    with pytest.raises(ArgumentError, match="must be picklable; lambdas and functions within"):
        list(loader)


# -- as a script ----------------------------------------------------------------------------------

_SCRIPT = """
    import os, time
    from singa.data import DataLoader

    class Mine:
        def __len__(self):
            return 6
        def __getitem__(self, i):
            return i, os.getpid()
"""


def script(tmp_path, rest):
    file = tmp_path / "script.py"
    file.write_text(textwrap.dedent(_SCRIPT) + textwrap.dedent(rest))
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(
        [sys.executable, file],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,  # it gets Ctrl-C for itself
    )


def test_a_dataset_of_the_script_itself(tmp_path):
    process = script(
        tmp_path,
        """
        if __name__ == "__main__":
            for numbers, pids in DataLoader(Mine(), 2, workers=1):
                print(*numbers, pids[0] != os.getpid())
        """,
    )

    out, err = process.communicate()

    assert (process.returncode, err) == (0, "")
    assert out == "0 1 True\n2 3 True\n4 5 True\n"


def test_a_script_that_trains_when_it_is_imported_is_told_so(tmp_path):
    process = script(tmp_path, "list(DataLoader(Mine(), 2, workers=1))")

    _, err = process.communicate()

    assert process.returncode == 1
    assert "a worker starts no workers" in err
    assert "`if __name__ == '__main__':`" in err


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_workers_do_not_outlive_their_process(tmp_path, end):
    process = script(
        tmp_path,
        """
        if __name__ == "__main__":
            loader = DataLoader(Mine(), 1, workers=2)
            for numbers, pids in loader:
                print(pids[0], flush=True)
                if numbers[0] == 1:
                    time.sleep(60)
        """,
    )
    pids = [int(process.stdout.readline()) for _ in range(2)]
    assert all(map(is_running, pids))

    os.killpg(process.pid, end)
    _, err = process.communicate()

    wait_for(lambda: not any(map(is_running, pids)))
    assert process.returncode == (-end if end == signal.SIGKILL else -signal.SIGINT)
    assert err.count("Traceback") == (end == signal.SIGINT)  # its own, none of a worker

"""Ranks that fail in all ways: who is blamed, what is said, and that nothing is left behind."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from distributed import ranks
from singa import distributed
from singa.distributed import hub as hubs
from singa.distributed.comparison import Comparison, Exchange
from singa.distributed.group import Group
from singa.distributed.hub import Hub
from singa.distributed.scripts import Scripts
from singa.errors import DistributedError

HERE = Path(__file__).parent


# -- what the hub makes of what it hears -----------------------------------------------------------


class Rank:
    """What a rank says to a hub, and hears from it."""

    def __init__(self, hub: Hub, number: int, size: int = 2, **more: Any) -> None:
        host, _, port = hub.address.rpartition(":")
        self.hub = hub
        self.link = Connection(socket.create_connection((host, int(port))).detach())
        self.say(rank=number, size=size, timeout=5, silence=3, coordinator="there:1", **more)

    def say(self, **message: Any) -> None:
        hubs.send(self.link, **message)
        for _ in range(2):  # a first message comes after the connection
            self.hub.turn(0)

    def hear(self) -> list[dict[str, Any]]:
        found = []
        while self.link.poll():
            found.append(hubs.receive(self.link))
        return found

    def end(self) -> None:
        self.link.close()
        self.hub.turn(0)


@pytest.fixture
def clock(monkeypatch):
    """The hub's time, in beats: it stands still if nobody moves it on."""
    now = SimpleNamespace(time=0.0)
    monkeypatch.setattr(hubs, "time", SimpleNamespace(monotonic=lambda: now.time))
    return now


@pytest.fixture
def hub(clock):
    ours = Hub(2)
    yield ours
    ours.close()


def beats(hub: Hub, clock: Any, number: int, *speakers: Rank) -> None:
    for _ in range(number):
        for speaker in speakers:
            speaker.say(made=[])
        clock.time += 1
        hub.turn(0)


def test_all_are_told_where_jaxs_service_is_when_all_are_there(hub):
    first = Rank(hub, 1)
    assert first.hear() == []
    second = Rank(hub, 0)
    assert first.hear() == second.hear() == [{"coordinator": "there:1", "silence": 3}]
    assert hub.failure is None


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"failed": "failed:\n\nValueError: no", "certain": True}, "rank 1 failed:\n\nValueError"),
        (
            {"made": [[1, 5, "a"], [2, 6, "b"]]},
            "rank 1 exchanges something else than rank 0: its exchange 2 is b, and rank 0's is c. ",
        ),
        (
            {"made": [[2, 6, "b"]]},  # the one before is not told
            "rank 1 exchanges something else than rank 0: its exchange 2 is b, and rank 0's is c. ",
        ),
        ({"done": 1}, "rank 1 ended after 1 exchanges, and rank 0 has begun another one"),
        ({"failed": "failed: Gloo", "certain": False}, "rank 1 failed: Gloo"),
        (None, "rank 1 ended without a word"),
        ({}, "rank 1 has not been heard of for 3 seconds: it is stopped"),
    ],
)
def test_what_a_rank_says_or_does_not_say_is_told_to_all(hub, clock, message, words):
    zero, one = Rank(hub, 0), Rank(hub, 1)
    zero.say(made=[[1, 5, "a"], [2, 7, "c"]])
    if message is None:
        one.end()
    else:
        one.say(**message)
    beats(hub, clock, 5, zero)
    assert words in str(hub.failure)
    told = [each for each in zero.hear() if "failed" in each]
    assert told == [{"failed": 1, "what": hub.failure.what}]


def made(words: list[str]) -> list[Exchange]:
    """The exchanges of a rank that does all this."""
    found = [Exchange(0, 0, "")]
    for what in words:
        found.append(Exchange(found[-1].number + 1, crc32(what.encode(), found[-1].checksum), what))
    return found[1:]


@pytest.mark.parametrize("seed", range(20))
def test_the_first_exchange_that_differs_is_found_and_no_other_one(seed):
    rng = random.Random(seed)
    size, count = rng.choice([2, 3, 5]), rng.randrange(1, 300)
    odd, first = rng.randrange(size), rng.randrange(count)
    words = [[f"step {i}" for i in range(count)] for _ in range(size)]
    if seed % 4:
        words[odd][first] = "something else"
    ranks, begun, asked = [made(own) for own in words], [0] * size, []
    ours = Comparison(size, asked.append)
    while min(begun) < count:
        for rank in range(size):
            begun[rank] = min(begun[rank] + rng.randrange(40), count)
            ours.hear(rank, ranks[rank][: begun[rank]][-1:])
        ours.look()
        while asked:
            number = asked.pop()
            for rank in range(size):
                ours.hear(
                    rank, [each for each in ranks[rank][: begun[rank]] if each.number == number]
                )
    found = ours.difference()
    assert ours.is_exact == (found is not None) == bool(seed % 4)
    if found is not None:
        rank, said = found
        other = 1 if odd == 0 and size > 2 else 0
        # Of two ranks nobody can say which one is wrong.
        both = (1, "step", "something") if size == 2 and odd == 0 else (odd, "something", "step")
        wrong, mine, others = both
        assert rank == wrong
        assert f"than rank {other}: its exchange {first + 1} is {mine}" in said
        assert f"and rank {other}'s is {others}" in said


def test_whoever_waits_for_the_others_is_not_silent(hub, clock):
    zero = Rank(hub, 0)
    beats(hub, clock, 4)
    one = Rank(hub, 1)
    beats(hub, clock, 2)
    assert hub.failure is None
    assert {"coordinator": "there:1", "silence": 3} in zero.hear()
    assert {"coordinator": "there:1", "silence": 3} in one.hear()


def test_a_consequence_is_not_blamed_if_the_reason_comes_soon(hub, clock):
    zero, one = Rank(hub, 0), Rank(hub, 1)
    zero.say(failed="failed: Gloo: connection closed", certain=False)
    beats(hub, clock, 2, zero)
    one.end()
    assert hub.failure.rank == 1


def test_ranks_that_were_suspended_together_go_on(hub, clock):
    zero, one = Rank(hub, 0), Rank(hub, 1)
    clock.time += 3600
    hub.turn(0)
    beats(hub, clock, 5, zero, one)
    assert hub.failure is None


def test_rank_0_ends_last(hub):
    zero, one = Rank(hub, 0), Rank(hub, 1)
    zero.hear()
    zero.say(done=3)
    one.say(done=3)
    assert zero.hear() == []
    one.say(left=True)  # its process may go on, and wait for that of rank 0
    hub.turn(0.1)  # TCP holds a message back that soon follows another one
    assert {"over": True} in zero.hear()
    one.end()
    assert hub.failure is None


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (None, "rank 1 has not connected within 5 seconds"),
        ((1, 3), "rank 1 was started as one of 3, and another one as one of 2"),
        ((0, 2), "rank 0 was started twice"),
    ],
)
def test_a_world_that_is_not_complete_says_who_is_missing(hub, clock, second, words):
    zero = Rank(hub, 0)
    if second is not None:
        Rank(hub, *second)
    beats(hub, clock, 7, zero)
    assert words in str(hub.failure)
    assert any(words.endswith(each.get("what", "-")) for each in zero.hear())


def test_whoever_comes_after_a_failure_is_told_of_it_and_strangers_are_ignored(hub):
    stranger = socket.create_connection(hub.address.split(":"))
    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    hub.turn(0.1)
    hub.turn(0.1)
    assert hub.failure is None
    hub.fail(1, "ended with status 7")
    assert Rank(hub, 0).hear()[0] == {"failed": 1, "what": "ended with status 7"}
    stranger.close()


# -- processes -------------------------------------------------------------------------------------


def scripts(folder: Path, begin: str, own: str, **options: Any) -> Scripts:
    """Two ranks that begin alike; then rank 1 goes on, and rank 0 waits."""
    code = f"""
import os, pathlib, signal, time
{begin}
ready = pathlib.Path({str(folder)!r}, "ready")
if os.environ["RANK"] == "0":
    ready.touch()
while not ready.exists():
    time.sleep(0.01)
if os.environ["RANK"] == "1":
    {own}
for _ in range(6000):
    time.sleep(0.01)  # a signal that comes just before a long sleep would wait for its end
"""
    return Scripts([sys.executable, "-c", code], 2, **options)


@pytest.mark.parametrize(
    ("own", "status", "words"),
    [
        ("os._exit(7)", 7, "rank 1 ended with status 7"),
        ("os.kill(os.getpid(), 9)", 137, "rank 1 was killed by SIGKILL"),
        ("raise SystemExit(3)", 3, "rank 1 ended with status 3"),
    ],
)
def test_the_status_is_that_of_the_first_rank_that_fails(tmp_path, capfd, own, status, words):
    assert scripts(tmp_path, "print('one', end='')", own).run() == status
    out, err = capfd.readouterr()
    assert words in err
    assert sorted(out.splitlines()) == ["[0] one", "[1] one"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_handed_on_and_nothing_is_started_again(tmp_path, capfd, number):
    begin = f"signal.signal({number:d}, lambda *_: (print('asked'), os._exit(7)))"
    own = f"os.kill(os.getppid(), {number:d})"
    assert scripts(tmp_path, begin, own, restarts=3).run() == 128 + number
    assert "[1] asked" in capfd.readouterr().out


def test_a_stopped_process_is_named(clock, monkeypatch):
    monkeypatch.setattr(
        "singa.distributed.group.time", SimpleNamespace(monotonic=lambda: clock.time)
    )
    hub = Hub(1, sees_processes=True)
    group = Group(hub)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        group.add(process)
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        for _ in range(12):
            clock.time += 1
            assert not group.has_ended()
    finally:
        process.kill()
        process.wait()
        hub.close()
    assert str(hub.failure) == "rank 0 has been stopped for 10 seconds (SIGSTOP)"


# -- ranks -----------------------------------------------------------------------------------------


def test_a_rank_that_is_killed_is_named_by_launch():
    with pytest.raises(DistributedError, match=r"^launch: rank 1 was killed by SIGKILL"):
        distributed.launch(ranks.kill_rank_1, 2)


@pytest.mark.slow
def test_a_rank_that_runs_another_operation_on_a_mesh_of_all_is_named():
    words = (
        r"rank 1 exchanges something else than rank 0: its exchange \d+ is "
        r"ReduceSum\(axes=\(1,\), .*\) of float32\[2, 2\], and rank 0's is ReduceSum\(axes=\(0,\), "
    )
    with pytest.raises(DistributedError, match=words):
        distributed.launch(ranks.sum_along_another_axis, 2)


def environment(**more: Any) -> dict[str, str]:
    path = os.pathsep.join([str(HERE.parent), *sys.path])
    return os.environ | {"PYTHONPATH": path} | {name: str(value) for name, value in more.items()}


@pytest.mark.slow
def test_ranks_that_others_have_started_name_the_one_that_ends():
    code = "import sys; from distributed import ranks; ranks.exit_on_rank_1(*sys.argv[1:])"
    address = distributed.free_address()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, address, str(rank)],
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    (_, said), _ = (process.communicate(timeout=60) for process in started)
    assert [process.returncode for process in started] == [1, 7]
    assert "rank 1 ended without a word" in said


@pytest.mark.slow
def test_the_ends_of_processes_may_wait_for_each_other(tmp_path, monkeypatch, capfd):
    """As MPI does: what was registered before the ranks connect runs after they have left."""
    code = f"""
import atexit, os, pathlib, time
from singa import distributed, opt, Tensor

def end():
    pathlib.Path({str(tmp_path)!r}, os.environ["RANK"]).touch()
    while len(os.listdir({str(tmp_path)!r})) < 2:
        time.sleep(0.01)

atexit.register(end)
distributed.initialize()
print(opt.DistOpt().all_reduce(Tensor(data=[1.0])).item())
"""
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    assert Scripts([sys.executable, "-c", code], 2).run() == 0
    assert {"[0] 2.0", "[1] 2.0"} <= {*capfd.readouterr().out.splitlines()}


@pytest.mark.slow
def test_a_training_goes_on_from_its_checkpoint_as_if_nothing_had_happened(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    command = [sys.executable, str(HERE / "resuming.py"), str(tmp_path)]
    assert Scripts(command, 2, restarts=1).run() == 0
    out, err = capfd.readouterr()
    assert "singa: rank 1 ended with status 7; restart 1 of 1" in err
    assert {"[0] done after 1", "[1] done after 1"} <= {*out.splitlines()}
    for rank in range(2):
        straight, resumed = (
            np.load(tmp_path / f"{which} {rank}.npz") for which in ("straight", "resumed")
        )
        for name in straight:
            np.testing.assert_array_equal(resumed[name], straight[name])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks into Linux's /proc")
def test_nothing_is_left_when_the_launching_process_is_killed(tmp_path):
    code = (
        "import sys\nfrom distributed import ranks\nfrom singa import distributed\n"
        "if __name__ == '__main__': distributed.launch(ranks.wait_for_ever, 2, sys.argv[1])"
    )
    launching = subprocess.Popen([sys.executable, "-c", code, tmp_path], env=environment())
    while len(pids := [*tmp_path.iterdir()]) < 2:
        time.sleep(0.1)
        assert launching.poll() is None
    launching.kill()
    launching.wait()
    until = time.monotonic() + 20
    while left := [pid.name for pid in pids if is_running(pid.name)]:
        assert time.monotonic() < until, left
        time.sleep(0.05)


def is_running(pid: str) -> bool:
    """Whether a process has neither ended nor waits for its parent to notice its end."""
    try:
        return re.search(r"\) [^Z]", Path(f"/proc/{pid}/stat").read_text()) is not None
    except OSError:
        return False

"""Ctrl-C at any moment of a compiled step: the step is done completely, or not at all."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time

import numpy as np
import pytest

from singa import model, tensor
from singa.core.watching import local
from singa.tensor import Tensor

pytestmark = pytest.mark.usefixtures("optimized")


@pytest.fixture(autouse=True)
def _no_collector():
    """jax has a callback of the collector's, in which Python drops interrupts."""
    gc.disable()
    yield
    gc.enable()


class Counters(model.Model):
    """Each step adds 1 to everything that it has."""

    def __init__(self, count=20):
        super().__init__()
        self.states = [tensor.from_numpy(np.zeros(50, np.float32)) for _ in range(count)]
        self.latest = tensor.from_numpy(np.zeros((), np.float32))

    def forward(self, x):
        for state in self.states:
            state += x
        self.latest = self.latest + x.sum()
        return x * 2.0

    def numbers(self):
        return {float(each.to_numpy().max()) for each in (*self.states, self.latest)}


def interrupted(count, seed, sequential=False):
    """So many interrupts of steps that run one after the other, at random moments."""
    drawn = random.Random(seed)
    net, x = Counters(), Tensor(data=np.ones(1, np.float32))
    net.compile([x], is_train=False, use_graph=True, sequential=sequential)
    for _ in range(2):  # the second time the latest Tensor is one that a step has made
        net(x)
    came, waiting, over = [0], threading.Event(), threading.Event()
    blocks = vars(local).copy()

    def interrupt():
        sent, when = 0, 0.0
        while not over.is_set():
            waiting.wait()
            over.wait(drawn.random() * 2e-3)
            is_lost = came[0] < sent and time.monotonic() > when + 10
            if waiting.is_set() and (came[0] == sent or is_lost) and not over.is_set():
                sent, when = came[0] + 1, time.monotonic()
                os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        while came[0] < count:
            try:
                waiting.set()
                while True:
                    net(x)
            except KeyboardInterrupt:
                waiting.clear()
                came[0] += 1
                numbers = net.numbers()  # raises if an array was given away and is in no Tensor
                assert len(numbers) == 1, f"after {came[0]} interrupts: {numbers}"
                assert vars(local) == blocks, f"after {came[0]} interrupts a block goes on"
    finally:
        over.set()
        waiting.set()
        thread.join()
    return net


@pytest.mark.parametrize("sequential", [False, True])
def test_a_step_that_is_interrupted_was_done_or_was_not(sequential):
    net = interrupted(150, seed=0, sequential=sequential)
    assert net.numbers() != {2.0}
    before = signal.getsignal(signal.SIGINT)
    assert before is signal.default_int_handler


def test_an_interrupt_of_the_very_first_run_waits_for_its_end():
    net, x = Counters(), Tensor(data=np.ones(1, np.float32))
    net.compile([x], is_train=False, use_graph=True)
    came = 0
    for _ in range(50):  # should one be lost all the same
        net._steps._programs.clear()  # each run is the first one of its program
        timer = threading.Timer(0.001, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            for _ in range(3):
                net(x)
            timer.join()
        except KeyboardInterrupt:
            came += 1
            assert len(net.numbers()) == 1
        if came == 3:
            return
    raise AssertionError(f"of 50 interrupts {came} came")

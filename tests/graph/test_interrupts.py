"""Ctrl-C at any moment of a compiled step: it was done, or it was not."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading

import numpy as np
import pytest

from singa import model, tensor
from singa.tensor import Tensor

pytestmark = pytest.mark.usefixtures("optimized")


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
    net(x)
    came, waiting, over = [0], threading.Event(), threading.Event()

    def interrupt():
        sent = 0
        while not over.is_set():
            waiting.wait()
            over.wait(drawn.random() * 2e-3)
            if waiting.is_set() and came[0] == sent and not over.is_set():
                sent += 1
                os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    gc.disable()  # jax has a callback there, in which Python drops an interrupt
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
    finally:
        gc.enable()
        over.set()
        waiting.set()
        thread.join()
    return net


@pytest.mark.parametrize("sequential", [False, True])
def test_a_step_that_is_interrupted_was_done_or_was_not(sequential):
    net = interrupted(150, seed=0, sequential=sequential)
    assert net.numbers() != {1.0}
    before = signal.getsignal(signal.SIGINT)
    assert before is signal.default_int_handler


def test_an_interrupt_of_the_very_first_run_waits_for_its_end():
    net, x = Counters(), Tensor(data=np.ones(1, np.float32))
    net.compile([x], is_train=False, use_graph=True)
    program = net._steps
    for _ in range(3):
        program._programs.clear()  # each run is the first one of its program
        try:
            threading.Timer(0.001, os.kill, (os.getpid(), signal.SIGINT)).start()
            while True:
                net(x)
        except KeyboardInterrupt:
            assert len(net.numbers()) == 1

"""Long runs, long chains, and several threads at once."""

import gc
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from singa import autograd, device, layer, model, opt
from singa.tensor import Tensor

pytestmark = pytest.mark.slow


class Net(model.Model):
    def __init__(self, width):
        super().__init__()
        self.hidden = layer.Linear(width)
        self.out = layer.Linear(3)
        self.loss = layer.SoftMaxCrossEntropy()

    def forward(self, x):
        return self.out(autograd.dropout(autograd.relu(self.hidden(x)), 0.2))

    def train_one_batch(self, x, t):
        loss = self.loss(self.forward(x), t)
        self.optimizer(loss)
        return loss


def made(width, use_graph, seed=0):
    device.get_default_device().set_rand_seed(seed)
    rng = np.random.default_rng(seed)
    x = Tensor(data=rng.standard_normal((16, 8), np.float32))
    t = Tensor(data=rng.integers(0, 3, 16, np.int32))
    net = Net(width)
    net.optimizer = opt.SGD(0.05, momentum=0.9)
    net.compile([x], is_train=True, use_graph=use_graph)
    return net, x, t


def resident():
    """The memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def growth(use_graph):
    """By how many bytes the process grows in 4,000 steps, after 1,000."""
    net, x, t = made(16, use_graph)
    for _ in range(1000):
        net(x, t)
    before = resident()
    for _ in range(4000):
        loss = net(x, t)
    assert np.isfinite(loss.item())
    return resident() - before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_thousands_of_steps_do_not_make_the_process_grow():
    # In a process of its own: what other tests have left there is freed at any time.
    code = "from tape.test_endurance import growth; print(growth(False), growth(True))"
    tests = Path(__file__).parent.parent
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tests, check=True, capture_output=True, text=True
    )
    eager, compiled = map(int, found.stdout.split())
    assert max(eager, compiled) < 2**22  # a kilobyte for each step


def test_the_record_of_a_step_is_freed_without_the_collector():
    net, x, t = made(4, use_graph=False)
    net(x, t)
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(o, autograd.Operation) for o in gc.get_objects())
        for _ in range(5):
            net(x, t)
        after = sum(isinstance(o, autograd.Operation) for o in gc.get_objects())
    finally:
        gc.enable()
    assert after == before


STEPS = 200


def trained(width, use_graph, seed):
    net, x, t = made(width, use_graph, seed)
    losses = [net(x, t) for _ in range(STEPS)]
    return [loss.item() for loss in losses], net.hidden.W.to_numpy()


@pytest.mark.parametrize("use_graph", [False, True])
def test_two_threads_train_two_models_as_if_each_were_alone(use_graph):
    """One in training, next to one that goes back and forth between training and evaluation."""
    alone = [trained(8, use_graph, 1), trained(12, use_graph, 2)]
    together = [None, None]
    start = threading.Barrier(3)
    stop = threading.Event()

    def train(i, width, seed):
        start.wait()
        together[i] = trained(width, use_graph, seed)

    def evaluate():
        net, x, _ = made(4, use_graph)
        net.eval()
        start.wait()
        while not stop.is_set():
            net(x)

    threads = [
        threading.Thread(target=train, args=(0, 8, 1)),
        threading.Thread(target=train, args=(1, 12, 2)),
        threading.Thread(target=evaluate),
    ]
    for thread in threads:
        thread.start()
    for thread in threads[:2]:
        thread.join()
    stop.set()
    threads[2].join()
    for (losses, weights), (expected_losses, expected_weights) in zip(together, alone, strict=True):
        assert losses == expected_losses
        np.testing.assert_array_equal(weights, expected_weights)

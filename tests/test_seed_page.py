"""The programs of SINGA's page on autograd run unchanged; only ``...`` is filled in."""

import re
from pathlib import Path

import numpy as np
import pytest

from singa import autograd, data, device, layer, model, opt, tensor

PAGE = (Path(__file__).parent / "seed_page" / "programs.md").read_text(encoding="utf-8")
PROGRAMS = [
    "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    for section in PAGE.split("\n## ")[1:]
]


@pytest.fixture
def yielded(monkeypatch):
    """What ``autograd.backward`` is asked for and yields: pairs of a loss and its gradients."""
    calls = []
    original = autograd.backward

    def backward(loss, *args):
        gradients = []
        calls.append((loss.item(), gradients))
        for p, g in original(loss, *args):
            gradients.append((p, g))
            yield p, g

    monkeypatch.setattr(autograd, "backward", backward)
    return calls


def test_the_programs_of_the_page(yielded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards
    operations, layers, by_model, save, load = PROGRAMS
    dev = device.get_default_device()
    dev.set_rand_seed(0)
    digits = data.load_digits()
    rng = np.random.default_rng(0)

    # Only operations: points in the plane, and on which side of a line they are.
    points = rng.normal(size=(64, 2)).astype(np.float32)
    names = {"data": points, "label": (points.sum(1) > 0).astype(np.int32)}
    exec(operations, names)
    _check_steps(yielded, 10, [names[name] for name in ("w0", "b0", "w1", "b1")])

    # Operations and layers: digits of 28x28 pixels.
    yielded.clear()
    names |= {
        "tensor": tensor, "dev": dev, "sgd": opt.SGD(0.0005),
        "epochs": 2, "batch_number": 4, "batch_sz": 16,
        "x_train": _enlarged(digits.train_images[:64]), "y_train": digits.train_labels[:64],
    }  # fmt: skip
    exec(layers, names)
    parameters = [
        t
        for name in ("conv1", "bn1", "conv21", "conv22", "bn2", "linear")
        for t in names[name].get_params().values()
    ]
    assert len(parameters) == 1 + 2 + 2 + 2 + 2 + 2
    _check_steps(yielded, 8, parameters)
    assert names["y"].shape == (16, 10)

    # By the Model API, on one-hot targets.
    losses = []

    def minibatches():
        for images, labels in _endless(data.DataLoader(digits.train, 32)):
            losses.append(names["loss"].item())  # of the step before
            yield images, np.eye(10, dtype=np.int32)[labels]

    names |= {
        "model": model, "layer": layer, "batch_size": 32, "IMG_SIZE": 8, "num_classes": 10,
        "num_train_batch": 30, "minibatches": minibatches(),
    }  # fmt: skip
    assert by_model.count("...") == 1
    exec(by_model.replace("...", "next(minibatches)"), names)
    net = names["model"]
    assert net.captures == 1
    losses = [*losses[1:], names["loss"].item()]  # the first was of the program above
    assert len(losses) == 30
    assert np.mean(losses[-5:]) < np.mean(losses[:5])

    # Saved, changed, and loaded.
    exec(save, names)
    saved = {name: t.to_numpy() for name, t in net.get_states().items()}
    net.linear1.W.set_value(0.0)
    exec(load, names)
    for name, t in net.get_states().items():
        np.testing.assert_array_equal(t.to_numpy(), saved[name])


def _check_steps(yielded, count, parameters):
    """So many losses, falling, and each time the gradients of just these parameters."""
    losses = [loss for loss, _ in yielded]
    assert len(losses) == count
    assert losses[-1] < losses[0]
    for _, gradients in yielded:
        assert {p for p, _ in gradients} == set(parameters)
        assert len(gradients) == len(parameters)
        assert all(g.shape == p.shape for p, g in gradients)
    assert any(g.to_numpy().any() for _, g in yielded[-1][1])


def _enlarged(images):
    """Images of 8x8 pixels on 28x28."""
    return np.pad(images.repeat(3, axis=2).repeat(3, axis=3), ((0, 0), (0, 0), (2, 2), (2, 2)))


def _endless(batches):
    while True:
        yield from batches

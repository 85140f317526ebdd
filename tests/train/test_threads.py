"""Saving in another thread than the one that trains."""

import threading

import numpy as np
import pytest

from singa import train
from singa.train import saving
from small_trainings import Noisy, samples, states

EPOCHS = 4


class Tells(train.Callback):
    """Hands the training to another thread, and goes on when that has looked at it once."""

    def __init__(self):
        self.training, self.begun, self.seen = None, threading.Event(), threading.Event()

    def on_step_end(self, training):
        self.training = training
        if training.step == 3:
            self.begun.set()
            self.seen.wait(60)


def fit(net, callbacks=(), **options):
    x, y = samples(64)
    return train.fit(
        net, (x, y), EPOCHS, validation=(x, y), batch_size=8, metrics="mean_absolute_error",
        callbacks=callbacks, progress=False, seed=3, **options,
    )  # fmt: skip


@pytest.mark.parametrize(("use_graph", "savers"), [(True, 2), (False, 1)])
def test_what_another_thread_saves_is_the_training_between_two_steps(use_graph, savers, tmp_path):
    expected, tells, saved = Noisy(), Tells(), []
    fit(expected, use_graph=use_graph)

    def save(number):
        tells.begun.wait(60)
        while trainer.is_alive():
            path = tmp_path / f"{number}-{len(saved) % 5}.zip"
            saving.save(tells.training, path)
            tells.training.model.save_states(tmp_path / "one.zip", overwrite=True)
            saved.append(path)
            tells.seen.set()

    net, errors = Noisy(), []
    trainer = threading.Thread(target=lambda: fit(net, [tells], use_graph=use_graph), daemon=True)
    threads = [threading.Thread(target=save, args=(i,), daemon=True) for i in range(savers)]
    hook, threading.excepthook = threading.excepthook, errors.append
    try:
        for thread in (trainer, *threads):
            thread.start()
        for thread in (trainer, *threads):
            thread.join(120)
    finally:
        threading.excepthook = hook

    assert not errors
    assert saved
    for path in sorted({saved[0], saved[-1]}):
        resumed = Noisy()
        fit(resumed, checkpoint=path, resume=True, use_graph=use_graph)
        for name, value in states(expected).items():
            np.testing.assert_array_equal(states(resumed)[name], value, err_msg=name)

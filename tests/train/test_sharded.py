"""Checkpoints of ``fit`` that are folders; tests/mesh has those of several processes."""

import numpy as np
import pytest

from singa import data, layer, model, opt, train
from singa.autograd import softmax_cross_entropy
from singa.errors import CheckpointError
from singa.formats import sharded
from singa.tensor import Tensor

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed")

DIGITS = data.ArrayDataset(
    np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32),
    np.arange(12, dtype=np.int32) % 3,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Net(model.Model):
    def __init__(self):
        super().__init__()
        self.out, self.optimizer = layer.Linear(3), opt.SGD(0.1, momentum=0.9)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x)

    def train_one_batch(self, x: Tensor, y: Tensor) -> Tensor:
        loss = softmax_cross_entropy(self.forward(x), y)
        self.optimizer(loss)
        return loss


def fitted(epochs, **options):
    net = Net()
    history = train.fit(net, DIGITS, epochs, batch_size=4, progress=False, **options)
    return list(history["loss"]), {name: t.to_numpy() for name, t in net.get_states().items()}


def saver(**options):
    return train.Checkpoint("net", sharded=True, **options)


@pytest.mark.parametrize("background", [False, True])
def test_a_training_goes_on_from_the_newest_of_its_checkpoints(folder, background):
    straight = fitted(4)
    fitted(2, checkpoint=saver(background=background))
    assert [each.name for each in (folder / "net").iterdir()] == ["2"]
    np.testing.assert_equal(fitted(4, resume="net"), straight)
    assert [each.name for each in (folder / "net").iterdir()] == ["4"]
    assert train.read_about("net")["class"] == "Net"


def test_what_a_killed_process_has_left_is_not_read_and_goes(folder):
    straight = fitted(3)
    (folder / "net" / "1.orbax-checkpoint-tmp").mkdir(parents=True)
    (folder / "net" / "notes.txt").touch()
    fitted(1, checkpoint=saver(), resume=True)  # there is nothing to go on from yet
    (folder / "net" / "3.orbax-checkpoint-tmp").mkdir(parents=True)
    (folder / "net" / "2.orbax-checkpoint-tmp" / "model").mkdir(parents=True)
    np.testing.assert_equal(fitted(3, checkpoint=saver(), resume=True), straight)
    assert sorted(each.name for each in (folder / "net").iterdir()) == ["3", "notes.txt"]


def test_the_best_epoch_is_in_a_folder_too_and_is_restored(folder):
    stopping = train.EarlyStopping(9, restore_best=True)
    worst = train.EarlyStopping(9, "loss", mode="max", restore_best=True)  # not the last epoch
    _, states = fitted(3, checkpoint=saver(best="best"), early_stopping=worst)
    for name in ("net", "best"):
        found = Net()
        found.compile([Tensor((4, 5))])
        found.load_states(name)
        for key, value in states.items():
            np.testing.assert_array_equal(found.get_states()[key].to_numpy(), value)
    straight = fitted(4, early_stopping=stopping)
    fitted(2, checkpoint=train.Checkpoint("other", sharded=True), early_stopping=stopping)
    np.testing.assert_equal(fitted(4, resume="other", early_stopping=stopping), straight)


def test_a_run_folder_has_no_second_checkpoint(folder):
    fitted(1, checkpoint=saver(), run="run")
    assert not [*(folder / "run").glob("*.zip")]
    straight = fitted(2)
    np.testing.assert_equal(fitted(2, checkpoint=saver(), run="run", resume=True), straight)


def test_a_folder_of_other_things_is_no_checkpoint(folder):
    (folder / "net").mkdir()
    (folder / "net" / "2024-results").mkdir()
    assert sharded.newest("net").name == "net"
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        fitted(1, resume="net")


def test_a_process_may_end_at_any_moment_of_a_save(folder, monkeypatch):
    net = Net()
    net.compile([Tensor((4, 5))])

    def save(number, **options):
        net.save_states("net", {"n": Tensor(data=number)}, sharded=True, **options)

    def ends(*args, **options):
        raise KeyboardInterrupt

    def found():
        return net.load_states("net")["n"].item()

    save(1)
    with monkeypatch.context() as patch:
        patch.setattr("orbax.checkpoint.AsyncCheckpointer.wait_until_finished", ends)
        with pytest.raises(KeyboardInterrupt):
            save(2, overwrite=True)
    with monkeypatch.context() as patch:
        patch.setattr("singa.formats.sharded.shutil.rmtree", ends)
        with pytest.raises(KeyboardInterrupt):
            save(3, overwrite=True)
    assert found() == 3
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save(4)
    save(5, overwrite=True)
    assert found() == 5
    assert len([*(folder / "net").iterdir()]) == 1
    (folder / "net.zip").touch()
    with pytest.raises(FileExistsError, match="is a file"):
        net.save_states("net.zip", sharded=True, overwrite=True)


def test_nothing_else_in_the_folder_is_deleted(folder):
    net = Net()
    net.compile([Tensor((4, 5))])
    results = folder / "runs" / "2024"
    results.mkdir(parents=True)
    (results / "table.txt").touch()
    with pytest.raises(FileExistsError, match="2024 is no checkpoint in parts"):
        net.save_states("runs", sharded=True, overwrite=True)
    assert (results / "table.txt").exists()
    assert [each.name for each in (folder / "runs").iterdir()] == ["2024"]

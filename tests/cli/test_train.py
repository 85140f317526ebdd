import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from singa import checkpoint, data, opt, picture
from singa.cli.commands import DataName
from singa.cli.progress import fit
from singa.errors import CheckpointError
from singa.models import MLP
from singa.training import Trainer

SOURCE = str(Path(data.__file__).parents[2])  # also if it is not installed, and named relatively
EPOCH_LINE = re.compile(
    r"epoch +\d+/\d+  loss +\d+\.\d{4}  accuracy +\d+\.\d\d%  test +\d+\.\d\d% +[\d,]+ samples/s"
)


def contents(path):
    """All arrays of a checkpoint."""
    with checkpoint.Reader(path) as reader:
        return reader.read(checkpoint.MODEL, checkpoint.AUX, checkpoint.TRAINING)


def assert_same(path, other):
    one, two = contents(path), contents(other)
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(two[name], value, err_msg=name, strict=True)


def losses_of(output):
    return [float(loss) for loss in re.findall(r"loss +([\d.]+)", output)]


# -- what it prints and writes ------------------------------------------------------------------


def test_one_line_per_epoch_when_piped(singa):
    status, out, err = singa("train", "mlp", "--epochs", 3)

    assert (status, err) == (0, "")
    title, *epochs = out.splitlines()
    assert title == (
        "MLP of 7,510 parameters on digits: 1,438 training and 359 test images; cpu, compiled"
    )
    assert len(epochs) == 3
    assert all(EPOCH_LINE.fullmatch(line) for line in epochs)
    assert losses_of(out) == sorted(losses_of(out), reverse=True)


def test_a_progress_bar_on_a_terminal():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)

    assert fit(_trainer(), 2, console)

    assert "━" in screen.getvalue()
    assert "0/44" in screen.getvalue()  # all steps of both epochs
    assert EPOCH_LINE.search(screen.getvalue())


def test_the_bar_shows_numbers_while_it_moves(monkeypatch):
    monkeypatch.setattr("singa.cli.progress._REFRESH", 0.0)
    screen = io.StringIO()

    fit(_trainer(), 1, Console(file=screen, force_terminal=True, width=100))

    bar = screen.getvalue().split("test")[0]
    assert re.search(r"/22.* loss .* accuracy .* samples/s", bar)


@pytest.mark.parametrize(
    "options",
    [
        ["--no-graph"],
        ["--batch-size", "1438"],
        ["--lr", "0.5"],
        ["--momentum", "0"],
        ["--weight-decay", "0.1"],
        ["--seed", "7"],
        ["--device", "cpu"],
        ["--data", "digits"],
        ["--precision", "bfloat16"],
    ],
    ids=" ".join,
)
def test_options(singa, options):
    status, out, err = singa("train", "mlp", "--epochs", 1, *options)

    assert (status, err) == (0, "")
    assert len(losses_of(out)) == 1
    assert ("eager" in out) == ("--no-graph" in options)
    plain = losses_of(singa("train", "mlp", "--epochs", 1)[1])
    same = options[0] in ("--no-graph", "--device", "--data", "--precision")
    assert (losses_of(out) == pytest.approx(plain, abs=1e-3)) == same


def test_the_cnn(singa):
    status, out, _ = singa("train", "cnn", "--epochs", 1)

    assert status == 0
    assert out.startswith("CNN of 30,154 parameters on digits")
    assert losses_of(out)[0] < 1.2


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_data_from_a_folder(singa, tmp_path, name):
    rng = np.random.default_rng(0)
    for split, count in (("train", 130), ("t10k", 70)):
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        labels = rng.integers(0, 10, count, np.uint8)
        header = bytes([0, 0, 8, 3, *count.to_bytes(4), 0, 0, 0, 28, 0, 0, 0, 28])
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = bytes([0, 0, 8, 1, *count.to_bytes(4)])
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())

    status, out, _ = singa("train", "mlp", "--data", name, "--data-dir", tmp_path, "--epochs", 1)

    assert status == 0
    assert f"on {name}: 130 training and 70 test images" in out


def test_every_data_set_has_its_name():
    assert [*DataName] == [*data.NAMES]


def test_a_plot(singa, tmp_path):
    status, out, _ = singa("train", "mlp", "--epochs", 2, "--plot", "mlp.png")

    assert status == 0
    assert out.endswith("drew mlp.png\n")
    assert (tmp_path / "mlp.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_plot_marks_what_is_wrong(tmp_path):
    trainer = _trainer()
    fit(trainer, 1, Console(file=io.StringIO()))  # long names, and a test set smaller than the grid
    trainer.dataset = data.Dataset(
        trainer.dataset.train_images, trainer.dataset.train_labels,
        trainer.dataset.test_images[:20], (trainer.dataset.test_labels[:20] + 1) % 10,
        class_names=tuple("an exceedingly long name" for _ in range(10)),
    )  # fmt: skip

    picture.draw(tmp_path / "wrong.png", trainer)

    assert (tmp_path / "wrong.png").stat().st_size > 10_000


# -- checkpoints --------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_two_epochs_are_one_and_one_more_resumed(singa, model):
    whole = singa("train", model, "--epochs", 2, "--seed", 5, "--checkpoint", "whole.zip")
    first = singa("train", model, "--epochs", 1, "--seed", 5, "--checkpoint", "parts.zip")
    second = singa("train", model, "--epochs", 2, "--resume", "parts.zip")

    assert [status for status, _, _ in (whole, first, second)] == [0, 0, 0]
    assert "epoch 1/2" not in second[1]
    assert second[1].endswith("saved parts.zip\n")
    assert losses_of(whole[1])[1:] == losses_of(second[1])
    assert_same("whole.zip", "parts.zip")


def test_resume_into_another_file_leaves_the_first_alone(singa, tmp_path):
    singa("train", "mlp", "--epochs", 1, "--checkpoint", "a.zip")
    before = (tmp_path / "a.zip").read_bytes()

    status, out, _ = singa(
        "train", "mlp", "--epochs", 2, "--resume", "a.zip", "--checkpoint", "b.zip"
    )

    assert status == 0
    assert out.endswith("saved b.zip\n")
    assert (tmp_path / "a.zip").read_bytes() == before


def test_resume_of_a_complete_training_trains_no_more_but_draws(singa, tmp_path):
    singa("train", "mlp", "--epochs", 1, "--checkpoint", "a.zip")

    status, out, _ = singa("train", "mlp", "--epochs", 1, "--resume", "a.zip", "--plot", "a.png")

    assert status == 0
    assert "epoch" not in out
    assert (tmp_path / "a.png").is_file()


def test_a_training_left_in_mid_epoch_goes_on_with_the_next_batch(tmp_path):
    whole = _trainer()
    fit(whole, 2, Console(file=io.StringIO()))
    parts = _trainer()
    for _ in parts.train():
        if parts.step == 10:
            break
    parts.save(tmp_path / "c.zip")
    resumed = _trainer(batch_size=32, seed=1)  # those of the checkpoint count
    resumed.load(tmp_path / "c.zip")
    assert (resumed.epoch, resumed.step) == (0, 10)
    fit(resumed, 2, Console(file=io.StringIO()))

    assert resumed.losses == whole.losses
    assert resumed.accuracies == pytest.approx(whole.accuracies)
    for name, t in whole.model.get_states().items():
        np.testing.assert_array_equal(resumed.model.get_states()[name].to_numpy(), t.to_numpy())


def test_a_checkpoint_of_another_data_set_is_refused(tmp_path):
    digits = _trainer()
    digits.save(tmp_path / "digits.zip")
    other = Trainer(digits.model, data.load_digits(seed=1))

    with pytest.raises(CheckpointError, match=r"digits\.zip: the training was on another data set"):
        other.load(tmp_path / "digits.zip")


def test_a_checkpoint_without_a_training_is_refused(tmp_path):
    trainer = _trainer()
    trainer.model.save_states(tmp_path / "model.zip")

    with pytest.raises(CheckpointError, match="not how far its training was"):
        trainer.load(tmp_path / "model.zip")


def test_ctrl_c_leaves_a_checkpoint_that_can_be_resumed(singa, tmp_path):
    stopped = tmp_path / "stopped.zip"
    command = "from singa.cli import main; main()"
    arguments = ["train", "mlp", "--epochs", "1000000", "--checkpoint", stopped]
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", command, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": SOURCE},
    ) as process:  # fmt: skip
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    found = re.fullmatch(r"interrupted in epoch (\d+); saved, go on with --resume (.+)\n", err)
    assert found[2] == str(stopped)
    epochs = int(found[1])
    singa("train", "mlp", "--epochs", epochs, "--checkpoint", "whole.zip")
    status, _, _ = singa("train", "mlp", "--epochs", epochs, "--resume", stopped)
    assert status == 0
    assert_same("whole.zip", stopped)


def test_ctrl_c_without_a_checkpoint(singa, monkeypatch):
    original = Trainer.evaluate

    def evaluate(self):
        os.kill(os.getpid(), signal.SIGINT)
        return original(self)

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    handler = signal.getsignal(signal.SIGINT)

    status, out, err = singa("train", "mlp", "--epochs", 5)

    assert status == 130
    assert len(losses_of(out)) == 1
    assert err == "interrupted in epoch 2; not saved\n"
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_ctrl_c_does_not_wait(monkeypatch):
    def evaluate(self):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("still there")

    monkeypatch.setattr(Trainer, "evaluate", evaluate)

    with pytest.raises(KeyboardInterrupt):
        fit(_trainer(), 2, Console(file=io.StringIO()))


# -- what it refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'model'"),
        (["lstm"], "'lstm' is not one of 'mlp', 'cnn'"),
        (["mlp", "--epochs", "0"], "Invalid value for '--epochs'"),
        (["mlp", "--batch-size", "0"], "Invalid value for '--batch-size'"),
        (["mlp", "--batch-size", "1439"], "'--batch-size': there are 1438 training images"),
        (["mlp", "--lr", "-1"], "Invalid value for '--lr'"),
        (["mlp", "--lr", "fast"], "Invalid value for '--lr'"),
        (["mlp", "--momentum", "-1"], "Invalid value for '--momentum'"),
        (["mlp", "--weight-decay", "-1"], "Invalid value for '--weight-decay'"),
        (["mlp", "--seed", "-1"], "Invalid value for '--seed'"),
        (["mlp", "--data", "cifar"], "Invalid value for '--data'"),
        (["mlp", "--data-dir", "."], "'--data-dir': digits come with the package"),
        (["mlp", "--device", "tpu"], "'--device': no device is named 'tpu'"),
        (["mlp", "--device", "cuda:99"], "'--device': GPU 99 asked for"),
        (["mlp", "--checkpoint", "no/a.zip"], "'--checkpoint': there is no folder no"),
        (["mlp", "--plot", "no/a.png"], "'--plot': there is no folder no"),
        (["mlp", "--fast"], "No such option: --fast"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_misuse_exits_with_2(singa, arguments, message):
    status, out, err = singa("train", *arguments)

    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_an_existing_checkpoint_is_not_overwritten(singa, tmp_path):
    (tmp_path / "a.zip").write_text("precious")

    status, _, err = singa("train", "mlp", "--checkpoint", "a.zip")

    assert status == 2
    assert "'--checkpoint': a.zip exists; name another file, or go on from it with --resume" in err
    assert (tmp_path / "a.zip").read_text() == "precious"


@pytest.mark.parametrize(("option", "value"), [("--seed", 1), ("--batch-size", 32)])
def test_resume_with_another_order_of_batches_is_refused(singa, option, value):
    singa("train", "mlp", "--epochs", 1, "--checkpoint", "a.zip")

    status, _, err = singa("train", "mlp", "--resume", "a.zip", option, value)

    assert status == 2
    assert f"'{option}': a.zip was trained with" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlp", "--data", "mnist", "--data-dir", "."], "the files of mnist were not found"),
        (["mlp", "--resume", "absent.zip"], "No such file or directory: 'absent.zip'"),
        (["mlp", "--resume", "damaged.zip"], "damaged.zip: damaged or cut short"),
        (["mlp", "--resume", "cnn.zip"], "cnn.zip: the checkpoint is of another model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_failures_exit_with_1_and_one_line(singa, tmp_path, arguments, message):
    (tmp_path / "damaged.zip").write_bytes(b"PK")
    if "cnn.zip" in arguments:
        singa("train", "cnn", "--epochs", 1, "--checkpoint", "cnn.zip")

    status, out, err = singa("train", *arguments)

    assert (status, out) == (1, "")
    assert err.startswith("singa: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_plot_without_matplotlib_is_refused_before_training(singa, monkeypatch):
    monkeypatch.setattr(picture, "find_spec", lambda name: None)

    assert singa("train", "mlp", "--plot", "a.png") == (
        1, "", "singa: drawing needs matplotlib: pip install 'singa-xla[demo]'\n",
    )  # fmt: skip


def _trainer(batch_size=64, seed=0):
    net = MLP()
    net.set_optimizer(opt.SGD(0.02, momentum=0.9))
    return Trainer(net, data.load_digits(), batch_size, seed)

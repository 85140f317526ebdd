import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from singa import data, opt, train
from singa.cli.app import DataName, ModelName
from singa.formats import checkpoint
from singa.models import MODELS
from singa.train import picture

SOURCE = str(Path(data.__file__).parents[2])  # also if it is not installed, and named relatively
EPOCH_LINE = re.compile(
    r"^ *\d+/\d+ +(?:[\d.e-]+ +)?(\d+\.\d{4}) +\d+\.\d\d% +\d+\.\d{4} +\d+\.\d\d% +[\d,]+$",
    re.MULTILINE,
)


def contents(path):
    """All arrays of a checkpoint."""
    with checkpoint.Reader(path) as reader:
        return reader.read(checkpoint.MODEL, checkpoint.AUX, checkpoint.TRAINING)


def assert_same(path, other):
    one, two = contents(path), contents(other)
    assert one.keys() == two.keys()
    for name, value in one.items():
        if name.removeprefix("epochs/") in ("seconds", "samples_per_second"):
            continue
        np.testing.assert_array_equal(two[name], value, err_msg=name, strict=True)


def losses_of(output):
    return [float(loss) for loss in EPOCH_LINE.findall(output)]


# -- what it prints and writes ------------------------------------------------------------------


def test_one_line_per_epoch_when_piped(singa):
    status, out, err = singa("train", "mlp", "--epochs", 3)

    assert (status, err) == (0, "")
    title, head, *epochs = out.splitlines()
    assert title == (
        "MLP of 7,510 parameters on digits: 1,438 training and 359 test images; cpu, compiled"
    )
    assert head.split() == [
        "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "samples/s",
    ]  # fmt: skip
    assert len(epochs) == 3
    assert all(EPOCH_LINE.fullmatch(line) for line in epochs)
    assert losses_of(out) == sorted(losses_of(out), reverse=True)


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
        ["--optimizer", "adam"],
        ["--schedule", "cosine"],
        ["--warmup", "10"],
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


def test_every_data_set_and_model_has_its_name():
    assert [*DataName] == [*data.NAMES]
    assert [*ModelName] == [*MODELS]


def test_a_plot(singa, tmp_path):
    status, out, _ = singa("train", "mlp", "--epochs", 2, "--plot", "mlp.png")

    assert status == 0
    assert out.endswith("drew mlp.png\n")
    assert (tmp_path / "mlp.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_plot_marks_what_is_wrong(tmp_path):
    net, digits = MODELS["mlp"](), data.load_digits()
    net.set_optimizer(opt.SGD(0.02, momentum=0.9))
    history = train.fit(net, digits, 1, metrics="accuracy", progress=False)
    # Long names, and a test set smaller than the grid.
    wrong = data.Dataset(
        digits.train_images, digits.train_labels,
        digits.test_images[:20], (digits.test_labels[:20] + 1) % 10,
        class_names=tuple("an exceedingly long name" for _ in range(10)),
    )  # fmt: skip

    picture.draw(tmp_path / "wrong.png", net, wrong, history)

    assert (tmp_path / "wrong.png").stat().st_size > 10_000


def test_what_it_can_leave(singa, tmp_path):
    status, out, err = singa(
        "train", "mlp", "--epochs", 2, "--run", "runs/mlp", "--report", "page.html",
        "--csv", "log.csv", "--tensorboard", "tb", "--schedule", "one-cycle",
    )  # fmt: skip

    assert (status, err) == (0, "")
    assert out.splitlines()[1].split()[1] == "lr"
    assert out.endswith(
        "saved runs/mlp/checkpoint.zip\nrun runs/mlp\nreport page.html\ncsv log.csv\n"
    )
    for name in ("runs/mlp/best.zip", "page.html", "log.csv", "tb/train", "tb/validation"):
        assert (tmp_path / name).exists()
    assert train.read_about(tmp_path / "runs/mlp/best.zip")["data"] == "digits"
    about = json.loads((tmp_path / "runs/mlp/run.json").read_text())
    assert about["optimizer"]["lr"].startswith("OneCycle")


def test_json(singa):
    status, out, err = singa("train", "mlp", "--epochs", 2, "--json", "--checkpoint", "a.zip")

    assert status == 0
    assert len(losses_of(err)) == 2
    found = json.loads(out)
    assert (found["status"], found["saved"]) == ("completed", "a.zip")
    assert [row["epoch"] for row in found["epochs"]] == [1, 2]


def test_early_stopping(singa):
    status, out, _ = singa(
        "train", "mlp", "--epochs", 50, "--lr", 1, "--early-stopping", 1, "--checkpoint", "a.zip",
        "--best", "b.zip",
    )  # fmt: skip

    assert status == 0
    assert re.search(r"ended in epoch \d+: val_loss has been no better for 1 epoch\n", out)
    assert out.endswith("saved a.zip\nbest b.zip\n")
    for name, value in contents("b.zip").items():  # the best weights are in both
        if name.startswith("linear"):
            np.testing.assert_array_equal(contents("a.zip")[name], value)


# -- checkpoints --------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_two_epochs_are_one_and_one_more_resumed(singa, model):
    whole = singa("train", model, "--epochs", 2, "--seed", 5, "--checkpoint", "whole.zip")
    first = singa("train", model, "--epochs", 1, "--seed", 5, "--checkpoint", "parts.zip")
    second = singa("train", model, "--epochs", 2, "--resume", "parts.zip")

    assert [status for status, _, _ in (whole, first, second)] == [0, 0, 0]
    assert "1/2" not in second[1]
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
    assert not losses_of(out)
    assert "nothing was left to train: 1 of 1 epochs are complete" in out
    assert (tmp_path / "a.png").is_file()


def test_resume_of_a_run_folder(singa, tmp_path):
    singa("train", "mlp", "--epochs", 1, "--run", "run")

    status, out, _ = singa("train", "mlp", "--epochs", 2, "--resume", "run")

    assert status == 0
    assert len(losses_of(out)) == 1
    assert json.loads((tmp_path / "run/run.json").read_text())["epoch"] == 2


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
            if EPOCH_LINE.match(line):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert err == f"saved, go on with --resume {stopped}\n"
    epochs = int(re.search(r"ended in epoch (\d+): interrupted by Ctrl-C\n", out)[1])
    singa("train", "mlp", "--epochs", epochs, "--checkpoint", "whole.zip")
    status, _, _ = singa("train", "mlp", "--epochs", epochs, "--resume", stopped)
    assert status == 0
    assert_same("whole.zip", stopped)


def test_ctrl_c_without_a_checkpoint(singa, monkeypatch):
    original = train.Training._end_epoch

    def end_epoch(self):
        os.kill(os.getpid(), signal.SIGINT)
        return original(self)

    monkeypatch.setattr(train.Training, "_end_epoch", end_epoch)
    handler = signal.getsignal(signal.SIGINT)

    status, out, err = singa("train", "mlp", "--epochs", 5)

    assert status == 130
    assert len(losses_of(out)) == 1
    assert out.endswith("ended in epoch 1: interrupted by Ctrl-C\n")
    assert err == "not saved\n"
    assert signal.getsignal(signal.SIGINT) is handler


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
        (["mlp", "--csv", "no/a.csv"], "'--csv': there is no folder no"),
        (["mlp", "--report", "no/a.html"], "'--report': there is no folder no"),
        (["mlp", "--best", "a.zip"], "'--best': it goes with --checkpoint"),
        (["mlp", "--early-stopping", "0"], "Invalid value for '--early-stopping'"),
        (["mlp", "--schedule", "zigzag"], "Invalid value for '--schedule'"),
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


def test_an_existing_run_folder_is_not_written_into(singa, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/file").write_text("precious")

    status, _, err = singa("train", "mlp", "--run", "run")

    assert status == 2
    assert "'--run': run exists; name another folder, or go on with --resume run" in err


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

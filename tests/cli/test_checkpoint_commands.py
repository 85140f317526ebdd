"""evaluate and predict, of checkpoints."""

import json

import numpy as np
import pytest

from singa import cli, data, models, opt, tape, train
from singa.formats import checkpoint
from singa.tensor import Tensor


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint of the command line, and the history of its training."""
    path = tmp_path_factory.mktemp("trained") / "mlp.zip"
    before = tape.mode.training
    mlp, digits = models.MLP(), data.load_digits()
    mlp.set_optimizer(opt.SGD(0.05, momentum=0.9))
    task = cli.task.Task.of("mlp", "digits", digits)
    history = train.fit(
        mlp, digits, 8, metrics="accuracy", progress=False, checkpoint=path, about=task.about()
    )
    tape.mode.training = before
    return path, history


def parts(path):
    """The arrays of a checkpoint by their kinds."""
    with checkpoint.Reader(path) as reader:
        return {
            kind: {n: a for n, a in reader.read(kind).items() if n in reader.named(kind)}
            for kind in (checkpoint.MODEL, checkpoint.AUX)
        }


def rewritten(path, target, **changes):
    """A copy of a checkpoint that says something else of itself."""
    about, found = train.read_about(path) | changes, parts(path)
    found[checkpoint.AUX]["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    checkpoint.write(target, found, overwrite=True)
    return target


def digit(path, index, inverted=False, size=80):
    """A test image as a file, larger than the model's; and its class."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    digits = data.load_digits()
    pixels = np.round(digits.test_images[index, 0] * 255).astype(np.uint8)
    large = np.kron(255 - pixels if inverted else pixels, np.ones((size // 8, size // 8), np.uint8))
    image.fromarray(large).convert("RGB").save(path)
    return str(digits.test_labels[index])


# -- evaluate -----------------------------------------------------------------------------------


def test_evaluate(singa, trained):
    path, history = trained

    status, out, err = singa("evaluate", path)

    assert (status, err) == (0, "")
    title, loss, accuracy, _, head, *rows = out.splitlines()
    assert title == f"MLP of {path} on 359 test images of digits"
    assert loss == f"loss      {history['val_loss'][-1]:.4f}"
    assert accuracy == f"accuracy  {history['val_accuracy'][-1]:.2%}"
    assert head.split() == ["class", *"0123456789", "right"]
    assert len(rows) == 10
    assert len({len(row) for row in (head, *rows)}) == 1


def test_evaluate_as_json(singa, trained):
    path, history = trained

    found = json.loads(singa("evaluate", path, "--json", "--batch-size", 100)[1])

    assert found["accuracy"] == pytest.approx(history["val_accuracy"][-1])
    assert found["loss"] == pytest.approx(history["val_loss"][-1])
    confusion = np.array(found["confusion"])
    assert (confusion.sum(), np.trace(confusion)) == (359, round(359 * found["accuracy"]))
    assert found["classes"] == [*"0123456789"]


def test_many_classes_have_a_list_of_what_was_confused(singa, trained, monkeypatch):
    monkeypatch.setattr("singa.cli.evaluate._MOST_CLASSES", 9)

    out = singa("evaluate", trained[0])[1]

    _, _, _, _, head, *rows = out.splitlines()
    assert head.split() == ["class", "taken", "for", "times"]
    counts = [int(row.split()[2]) for row in rows]
    assert counts == sorted(counts, reverse=True)


def test_another_data_set_must_fit(singa, trained, monkeypatch):
    fake = data.Dataset(*[np.zeros((1, 1, 28, 28), np.float32), np.zeros(1, np.int32)] * 2, ("a",))
    monkeypatch.setattr(data, "load", lambda name, folder: fake)

    status, _, err = singa("evaluate", trained[0], "--data", "mnist")

    assert status == 2
    assert "'--data': " in err
    assert "mnist has (1, 28, 28) of 1" in err


# -- predict ------------------------------------------------------------------------------------


@pytest.mark.parametrize("inverted", [False, True])
def test_predict(singa, trained, inverted):
    labels = [digit(f"{i}.png", i, inverted) for i in range(6)]

    status, out, err = singa("predict", trained[0], *(f"{i}.png" for i in range(6)))

    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows] == [f"{i}.png" for i in range(6)]
    assert sum(row[1] == label for row, label in zip(rows, labels, strict=True)) >= 5
    assert all(row[2].endswith("%") for row in rows)


@pytest.mark.parametrize("shade", [0, 255])
def test_a_transparent_picture_is_not_black_on_black(singa, trained, shade):
    label = digit("a.png", 0)
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    alpha = image.open("a.png").convert("L")
    transparent = image.new("LA", alpha.size, (shade, 0))
    transparent.putalpha(alpha)
    transparent.save("transparent.png")

    (name, *_), (other, *_) = (
        singa("predict", trained[0], path)[1].split()[1:] for path in ("a.png", "transparent.png")
    )

    assert name == other == label


def test_outputs_that_are_no_numbers_are_no_probabilities(singa, trained):
    found = parts(trained[0])
    found[checkpoint.MODEL]["linear2.b"] = np.full(10, np.nan, np.float32)
    checkpoint.write("nan.zip", found, overwrite=True)
    digit("a.png", 0)

    status, out, err = singa("predict", "nan.zip", "a.png")

    assert (status, out) == (1, "")
    assert err.startswith("singa: nan.zip: the model's outputs are not finite")


def test_a_run_folder_has_a_checkpoint(singa, trained, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    assert "run: a run folder has best.zip or checkpoint.zip" in singa("evaluate", "run")[2]
    digit("a.png", 0)
    for name in ("checkpoint.zip", "best.zip"):
        (run / name).write_bytes(trained[0].read_bytes())
        status, out, _ = singa("evaluate", "run")
        assert status == 0
        assert out.startswith(f"MLP of run/{name} on")
    assert singa("predict", "run", "a.png")[0] == 0


def test_predict_as_json(singa, trained):
    label = digit("a.png", 0)

    ((found),) = json.loads(singa("predict", trained[0], "a.png", "--top", 3, "--json")[1])

    assert found["image"] == "a.png"
    assert found["classes"][0]["name"] == label
    probabilities = [each["probability"] for each in found["classes"]]
    assert len(probabilities) == 3
    assert 1 >= probabilities[0] >= probabilities[1] >= probabilities[2] >= 0
    every = json.loads(singa("predict", trained[0], "a.png", "--top", 99, "--json")[1])
    assert sum(each["probability"] for each in every[0]["classes"]) == pytest.approx(1)


def test_inversion_may_be_asked_for(singa, trained):
    digit("a.png", 0, inverted=True)
    digit("b.png", 0)

    def probabilities(*options):
        (found,) = json.loads(singa("predict", trained[0], "--top", 10, "--json", *options)[1])
        return [each["probability"] for each in found["classes"]]

    by_itself = probabilities("a.png")
    # Not to the last digit: pixels are rounded when images are resized.
    assert probabilities("a.png", "--invert") == by_itself
    assert probabilities("b.png", "--no-invert") == pytest.approx(by_itself, abs=0.01)
    assert probabilities("a.png", "--no-invert") != pytest.approx(by_itself, abs=0.05)


# -- what they refuse ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_checkpoints_that_do_not_say_what_they_are_of(singa, trained, command, tmp_path):
    mlp = models.MLP()
    mlp.compile([Tensor((1, 1, 8, 8))])
    mlp.save_states(tmp_path / "old.zip")
    digit("a.png", 0)
    images = ["a.png"] if command == "predict" else []

    status, out, err = singa(command, "old.zip", *images)

    assert (status, out) == (1, "")
    assert err.startswith("singa: old.zip: it does not say")
    for changes in (
        {"model": "resnet"}, {"data": "imagenet"}, {"classes": []}, {"classes": [1, 2]},
        {"classes": 3}, {"images": {}}, {"model": ["mlp"]},
        {"images": {"shape": [2, 8, 8], "pixels": [0, 1], "background": 0}},
        {"images": {"shape": [1, 10**9, 10**9], "pixels": [0, 1], "background": 0}},
        {"images": {"shape": [1, 8.5, 8], "pixels": [0, 1], "background": 0}},
    ):  # fmt: skip
        path = rewritten(trained[0], tmp_path / "wrong.zip", **changes)
        status, out, err = singa(command, path, *images)
        assert (status, out) == (1, ""), changes
        assert "it does not say which model it is of" in err, changes
    path = rewritten(trained[0], tmp_path / "wrong.zip", classes=["a", "b"])
    problem = {"predict": "the checkpoint is of another model", "evaluate": "of 2 classes"}[command]
    assert problem in singa(command, path, *images)[2]


def test_images_that_are_none(singa, trained, tmp_path):
    (tmp_path / "text.png").write_text("no image")

    assert singa("predict", trained[0], "text.png")[::2] == (
        1, "singa: text.png: not an image of a format that is read here\n",
    )  # fmt: skip
    assert "No such file" in singa("predict", trained[0], "absent.png")[2]
    assert singa("predict", trained[0])[0] == 2
    assert singa("evaluate")[0] == 2

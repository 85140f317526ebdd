"""The files of examples/ run and learn; models written both ways agree."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from singa import autograd, data, device, opt, tensor
from singa.models import CNN, MLP

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run an example in an empty folder, and return what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def losses_of(output):
    return [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", output)]


def accuracy_of(output):
    return float(re.search(r"test accuracy (\d+\.\d+)%", output)[1])


@pytest.mark.parametrize(
    ("name", "epochs", "accuracy"),
    [("operations_mlp.py", 30, 80), ("layers_cnn.py", 2, 80), ("model_mlp.py", 2, 60)],
)
def test_an_example_learns(run, name, epochs, accuracy):
    output = run(name, "--epochs", str(epochs))

    losses = losses_of(output)
    assert losses[-1] < losses[0] / 1.5
    assert accuracy_of(output) > accuracy


def test_the_model_example_goes_on_from_its_checkpoint(run):
    first = run("model_mlp.py", "--epochs", "2")
    second = run("model_mlp.py", "--epochs", "2")

    assert "loaded" not in first
    assert "loaded checkpoint.zip" in second
    assert losses_of(second)[-1] < losses_of(first)[-1]


def test_the_readme_of_the_examples_names_all_of_them():
    readme = (EXAMPLES / "README.md").read_text()
    named = {*re.findall(r"python examples/(\w+\.py)", readme)}
    linked = {*re.findall(r"\]\((\w+)/README\.md\)", readme)}

    assert named == {path.name for path in EXAMPLES.glob("*.py")}
    assert linked == {path.parent.name for path in EXAMPLES.glob("*/main.py")}
    for name in linked:
        text = (EXAMPLES / name / "README.md").read_text()
        assert f"examples/{name}/main.py" in text
        for picture in re.findall(r"\]\(([\w-]+\.png)\)", text):
            assert (EXAMPLES / name / picture).stat().st_size < 150_000


@pytest.mark.parametrize("Model", [MLP, CNN])
def test_eager_and_compiled_training_agree(Model):
    digits = data.load_digits()
    runs = []
    for use_graph in (False, True):
        device.get_default_device().set_rand_seed(3)
        net = Model()
        net.set_optimizer(opt.SGD(0.02, momentum=0.9, weight_decay=1e-4))
        tx, ty = tensor.Tensor((32, 1, 8, 8)), tensor.Tensor((32,), dtype=tensor.int32)
        net.compile([tx], is_train=True, use_graph=use_graph)
        batches = data.DataLoader(digits.train, 32, shuffle=True)
        losses = []
        for (x, y), _ in zip(batches, range(20), strict=False):
            tx.copy_from_numpy(x)
            ty.copy_from_numpy(y)
            _, loss = net(tx, ty)
            losses.append(loss.item())
        runs.append((losses, {name: t.to_numpy() for name, t in net.get_states().items()}))
        assert net.captures == use_graph

    (eager, eager_states), (compiled, compiled_states) = runs
    assert eager[-1] < eager[0] / 1.2
    np.testing.assert_allclose(compiled, eager, rtol=1e-4, atol=0)
    for name, value in eager_states.items():
        np.testing.assert_allclose(compiled_states[name], value, rtol=0, atol=1e-4)

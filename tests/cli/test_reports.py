"""summary, profile and bench."""

import json

import pytest

from singa.cli import peers


def test_summary(singa):
    status, out, err = singa("summary", "mlp", "--batch-size", 3)

    assert (status, err) == (0, "")
    assert out.startswith("inputs (3, 1, 8, 8)\n")
    assert "linear1: Linear" in out
    assert "parameters     7,510" in out
    found = json.loads(singa("summary", "mlp", "--json")[1])
    assert sum(layer["parameters"] for layer in found["layers"]) == 7510


def test_profile(singa, tmp_path):
    status, out, err = singa(
        "profile", "mlp", "--steps", 2, "--most", 2, "--batch-size", 8, "--graph", "step.svg"
    )

    assert (status, err) == (0, "")
    assert out.startswith("2 steps timed, 3 skipped.")
    assert out.endswith("drew step.svg\n")
    assert "<svg" in (tmp_path / "step.svg").read_text()


@pytest.mark.parametrize("how", ["--compiled", "--eager"])
def test_profile_as_json(singa, how):
    found = json.loads(singa("profile", "mlp", "--steps", 2, "--json", how)[1])

    assert found["iterations"] == 2
    assert {"forward", "backward", "update"} <= {row["direction"] for row in found["rows"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--graph", "a.png"], "the name of an SVG ends in .svg"),
        (["--graph", "no/a.svg"], "there is no folder no"),
        (["--graph", "a.svg", "--eager"], "an eager step has no graph"),
        (["--batch-size", "1439"], "there are 1438 training images"),
        (["--steps", "0"], "Invalid value for '--steps'"),
    ],
    ids=str,
)
def test_profile_refuses(singa, options, message):
    status, out, err = singa("profile", "mlp", *options)

    assert (status, out) == (2, "")
    assert message in err


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)


def test_bench(singa, no_torch):
    status, out, err = singa("bench", "mlp", "--seconds", 0.01, "--shape", "1x4x4")

    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("64 images of 1x4x4, ")
    name, compiled, eager, *_ = lines[3].split()
    assert name == "mlp"
    assert float(compiled) > 0
    assert float(eager) > 0
    assert "PyTorch is not installed, and not measured" in out


def test_bench_as_json(singa, no_torch):
    found = json.loads(
        singa("bench", "--seconds", 0.01, "--shape", "3x4x4", "--batch-size", 2, "--json")[1]
    )

    assert found["seconds per step"].keys() == {"mlp", "cnn"}
    assert found["seconds per step"]["cnn"].keys() == {"compiled", "eager"}
    assert (found["batch size"], found["image"], found["torch"]) == (2, [3, 4, 4], None)


def test_bench_beside_pytorch(singa, monkeypatch):
    monkeypatch.setattr(peers, "torch_version", lambda: "9.9")
    monkeypatch.setattr(peers, "torch_step", lambda *_: lambda: 1.0)

    out = singa("bench", "mlp", "--seconds", 0.01, "--shape", "1x4x4")[1]

    assert out.splitlines()[2].endswith("than PyTorch")
    assert "PyTorch 9.9" in out


def test_pytorch_s_models_have_as_many_parameters_as_ours():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for name, count in (("mlp", 7510), ("cnn", 30_154)):
        net = peers._BUILD[name](torch, (1, 8, 8))
        assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize("shape", ["28", "1x0x4", "axbxc"])
def test_bench_refuses(singa, shape):
    status, _, err = singa("bench", "--shape", shape)

    assert status == 2
    assert "channels, height and width are expected: 3x32x32" in err

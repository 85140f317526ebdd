"""Weights in safetensors files, with our own names and with PyTorch's."""

import json

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from singa import layer, model, tensor
from singa.errors import ArgumentError, CheckpointError
from singa.formats import weights
from singa.tensor import Tensor


class Net(model.Model):
    def __init__(self, width=6):
        super().__init__()
        self.conv = layer.Conv2d(4, 3, padding=1)
        self.bn = layer.BatchNorm2d()
        self.act = layer.PReLU()
        self.blocks = [layer.Linear(width), layer.Linear(5)]
        self.norm = layer.LayerNorm()

    def forward(self, x):
        x = self.act(self.bn(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


X = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)

PYTORCH = {
    "conv.weight": (4, 3, 3, 3), "conv.bias": (4,),
    "bn.weight": (4,), "bn.bias": (4,), "bn.running_mean": (4,), "bn.running_var": (4,),
    "act.weight": (1,),
    "blocks.0.weight": (6, 64), "blocks.0.bias": (6,),
    "blocks.1.weight": (5, 6), "blocks.1.bias": (5,),
    "norm.weight": (5,), "norm.bias": (5,),
}  # fmt: skip


def made(seed, **options):
    net = Net(**options)
    net.compile([Tensor(data=X)], is_train=False)
    rng = np.random.default_rng(seed)
    net.set_states({n: rng.uniform(0.1, 1, t.shape) for n, t in net.get_states().items()})
    return net


def values(net):
    return {name: t.to_numpy() for name, t in net.get_states().items()}


@pytest.mark.parametrize("style", weights.STYLES)
def test_what_is_saved_is_loaded(tmp_path, style):
    net, other = made(1), made(2)
    weights.save(net, tmp_path / "net.safetensors", style)
    assert weights.load(other, tmp_path / "net.safetensors", style) == weights.Unmatched((), ())
    for name, value in values(net).items():
        np.testing.assert_array_equal(values(other)[name], value)
    x = Tensor(data=X)
    np.testing.assert_array_equal(other(x).to_numpy(), net(x).to_numpy())


def test_names_and_layouts_are_those_of_pytorch(tmp_path):
    net = made(1)
    weights.save(net, tmp_path / "net.safetensors", "pytorch")
    found = load_file(tmp_path / "net.safetensors")
    assert {name: array.shape for name, array in found.items()} == PYTORCH
    np.testing.assert_array_equal(found["blocks.1.weight"].T, net.blocks[1].W.to_numpy())
    np.testing.assert_array_equal(found["norm.weight"], net.norm.scale.to_numpy())


@pytest.mark.parametrize(
    ("make", "x", "shapes"),
    [
        (
            lambda: layer.LSTM(3, 4, bias=False), (5, 2, 3),
            {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4)},
        ),
        (
            lambda: layer.MultiHeadAttention(4, 2), (2, 5, 4),
            {
                "in_proj_weight": (12, 4), "in_proj_bias": (12,),
                "out_proj.weight": (4, 4), "out_proj.bias": (4,),
            },
        ),
        (lambda: layer.GroupNorm(2), (2, 4, 3), {"weight": (4,), "bias": (4,)}),
        (lambda: layer.ConvTranspose2d(6, 3), (2, 4, 3, 3), {"weight": (4, 6, 3, 3), "bias": (6,)}),
    ],
    ids=["lstm", "attention", "group norm", "transposed"],
)  # fmt: skip
def test_other_layers_have_pytorchs_names(tmp_path, make, x, shapes):
    one = make()
    one(Tensor(x))
    weights.save(one, tmp_path / "one.safetensors", "pytorch")
    found = load_file(tmp_path / "one.safetensors")
    assert {name: array.shape for name, array in found.items()} == shapes


def test_counters_of_batch_norm_are_passed_over_and_types_converted(tmp_path):
    arrays = {name: np.full(shape, 0.5, np.float16) for name, shape in PYTORCH.items()}
    arrays["bn.num_batches_tracked"] = np.array(7)
    save_file(arrays, tmp_path / "net.safetensors")
    net = made(1)
    weights.load(net, tmp_path / "net.safetensors", "pytorch")
    assert {t.dtype for t in net.get_states().values()} == {tensor.float32}
    assert all((value == 0.5).all() for value in values(net).values())


def test_other_names_are_renamed_and_what_is_missing_is_left(tmp_path):
    save_file(
        {"module.norm.weight": np.full(5, 3, np.float32), "module.head": np.ones(2)},
        tmp_path / "net.safetensors",
    )
    net = made(1)
    before = values(net)
    unmatched = weights.load(
        net, tmp_path / "net.safetensors", "pytorch", strict=False,
        rename=lambda name: name.removeprefix("module."),
    )  # fmt: skip
    assert unmatched.unexpected == ("head",)
    assert set(unmatched.missing) == PYTORCH.keys() - {"norm.weight"}
    assert (net.norm.scale.to_numpy() == 3).all()
    np.testing.assert_array_equal(net.conv.W.to_numpy(), before["conv.W"])


def damaged(path, net):
    weights.save(net, path)
    path.write_bytes(path.read_bytes()[:-5])


def lying(path, net):
    """A header that promises far more than any machine has."""
    header = json.dumps(
        {"norm.bias": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}
    ).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def missing(path, net):
    save_file({"conv.W": net.conv.W.to_numpy()}, path)


def misshapen(path, net):
    save_file(values(net) | {"norm.bias": np.ones(6, np.float32)}, path)


def of_another_type(path, net):
    arrays = values(net)
    arrays["norm.bias"] = arrays["norm.bias"].astype(np.complex64)
    try:
        save_file(arrays, path)
    except SafetensorError:
        pytest.skip("this version of safetensors has no complex numbers")


def of_eight_bits(path, net):
    """Zeros, of which one array is of a float type that NumPy does not have."""
    header, end = {}, 0
    for name, array in values(net).items():
        kind, size = ("F8_E4M3", 1) if name == "norm.bias" else ("F32", 4)
        offsets = [end, end := end + size * array.size]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (of_eight_bits, "net.safetensors: 'norm.bias' is of type F8_E4M3, which is not read here"),
        (damaged, "net.safetensors: the file is damaged, or not in the safetensors format"),
        (lying, "net.safetensors: the file is damaged, or not in the safetensors format"),
        (missing, r"do not have the same names: missing conv.b, .* and 7 more; strict=False"),
        (misshapen, r"'norm.bias' is of shape \(6,\), \(5,\) is expected"),
        (of_another_type, "'norm.bias': complex64 values do not fit into a float32 Tensor"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_is_changed(tmp_path, write, words):
    net, path = made(1), tmp_path / "net.safetensors"
    write(path, net)
    before = values(net)
    with pytest.raises(CheckpointError, match=words):
        weights.load(net, path)
    for name, value in values(net).items():
        np.testing.assert_array_equal(value, before[name])


def test_mistakes_are_refused_with_words(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(ArgumentError, match="style must be one of singa, pytorch, got 'torch'"):
        weights.save(made(1), path, "torch")
    with pytest.raises(ArgumentError, match=r"weights.load: Net has no weights yet: compile it"):
        weights.load(Net(), path)
    with pytest.raises(FileNotFoundError):
        weights.load(made(1), path)
    weights.save(made(1), path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        weights.save(made(2), path)
    assert path.read_bytes() == before
    weights.save(made(2), path, overwrite=True)
    assert path.read_bytes() != before
    with pytest.raises(CheckpointError, match="both became 'x'"):
        weights.load(made(1), path, rename=lambda name: "x")

"""Checkpoints: SINGA's format, written completely or not at all, exact, and safe to read."""

import contextlib
import io
import json
import os
import random
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest

from singa import autograd, device, layer, model, opt, tensor
from singa.errors import CheckpointError, CheckpointWarning, SingaError
from singa.formats import checkpoint
from singa.tensor import Tensor

CPU = device.get_default_device()
X = np.linspace(-1, 1, 20, dtype=np.float32).reshape(4, 5)
Y = np.zeros((4, 3), np.float32)


class Net(model.Model):
    def __init__(self, hidden=4, optimizer=True):
        super().__init__()
        self.first = layer.Linear(hidden)
        self.bn = layer.BatchNorm2d()
        self.second = layer.Linear(3)
        if optimizer:
            lr = opt.ExponentialDecay(0.1, 3, 0.5)
            self.optimizer = opt.SGD(lr, momentum=0.9, weight_decay=1e-3)

    def forward(self, x):
        return self.second(autograd.dropout(self.bn(self.first(x)), 0.3))

    def train_one_batch(self, x, y):
        loss = autograd.mse_loss(self.forward(x), y)
        self.optimizer(loss)
        return loss


def make(seed=0, steps=0, **options):
    CPU.set_rand_seed(seed)
    net = Net(**options)
    net.compile([Tensor(data=X)], is_train=True, use_graph=True)
    losses = run(net, steps)
    return net, losses


def run(net, steps):
    return [net(Tensor(data=X), Tensor(data=Y)).item() for _ in range(steps)]


def everything(net):
    optimizer = net.optimizer.get_states({t: n for n, t in net.get_params().items()})
    states = {**net.get_states(), **optimizer, "key": tensor.random_key(CPU)}
    return {name: t.to_numpy() for name, t in states.items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture
def saved(tmp_path):
    net, _ = make(steps=3)
    path = tmp_path / "net.zip"
    net.save_states(path)
    return path


# -- round trips ---------------------------------------------------------------------------------


def test_training_resumes_bit_for_bit(tmp_path):
    path = tmp_path / "net.zip"
    net, _ = make(steps=3)
    net.save_states(path)
    expected = run(net, 4)
    fresh, _ = make(seed=5, steps=1)
    fresh.load_states(path)
    assert run(fresh, 4) == expected
    assert_same(everything(fresh), everything(net))


def test_aux_states_of_every_type_come_back_as_they_were(tmp_path):
    path = tmp_path / "net.zip"
    rng = np.random.default_rng(0)
    aux = {
        str(dtype): Tensor(data=Tensor(data=rng.uniform(0, 100, (2, 3))).data.astype(dtype))
        for dtype in device.DTYPES.values()
    }
    aux["empty"], aux["scalar"] = Tensor((0, 3)), Tensor(data=7)
    net, _ = make()
    net.save_states(path, aux)
    loaded = net.load_states(path)
    assert loaded.keys() == aux.keys()
    for name, t in aux.items():
        assert loaded[name].dtype == t.dtype
        np.testing.assert_array_equal(loaded[name].to_numpy(), t.to_numpy())


def test_aux_states_may_be_left_in_the_file(tmp_path):
    net, _ = make()
    net.save_states(tmp_path / "net.zip", {"epoch": Tensor(data=3)})
    first = net.first.W.to_numpy()
    net.first.W.set_value(0.0)
    assert net.load_states(tmp_path / "net.zip", aux=False) == {}
    np.testing.assert_array_equal(net.first.W.to_numpy(), first)


def test_without_resume_only_the_model_is_loaded(saved):
    net, _ = make(seed=9, steps=2)
    before = everything(net)
    net.load_states(saved, resume=False)
    after = everything(net)
    np.testing.assert_array_equal(before["key"], after["key"])
    np.testing.assert_array_equal(before["step_counter"], after["step_counter"])
    assert not np.array_equal(before["first.W"], after["first.W"])


def test_a_model_without_optimizer_loads_the_file_of_one_that_had_one(saved):
    net, _ = make(optimizer=False)
    net.load_states(saved)
    net.eval()
    assert net(Tensor(data=X)).shape == (4, 3)


# -- SINGA's format ------------------------------------------------------------------------------


def test_the_members_are_what_singa_reads(saved):
    with zipfile.ZipFile(saved) as archive:
        arrays = np.load(io.BytesIO(archive.read("tensor_dict.npz")))
        attributes = json.loads(archive.read("states_attr.json"))
    assert set(arrays.files) == {
        "first.W", "first.b", "bn.scale", "bn.bias", "bn.running_mean", "bn.running_var",
        "second.W", "second.b",
    }  # fmt: skip
    for name in arrays.files:
        shape = list(arrays[name].shape)
        assert attributes[name] == {"state_type": 0, "shape": shape, "dtype": 0}


def test_a_file_that_singa_wrote_is_read(tmp_path):
    net, _ = make()
    values = {name: t.to_numpy() + 1 for name, t in net.get_states().items()}
    values["epoch"] = np.array([3], np.int32)
    buffer = io.BytesIO()
    np.savez(buffer, **values)
    attributes = {
        name: {
            "state_type": int(name == "epoch"),
            "shape": list(value.shape),
            "dtype": 2 if name == "epoch" else 0,
        }
        for name, value in values.items()
    }
    path = tmp_path / "singa.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tensor_dict.npz", buffer.getvalue())
        archive.writestr("states_attr.json", json.dumps(attributes))
    aux = net.load_states(path)
    assert aux["epoch"].to_numpy().tolist() == [3]
    np.testing.assert_array_equal(net.first.W, values["first.W"])


# -- writing -------------------------------------------------------------------------------------


def test_a_file_is_replaced_only_on_request(saved):
    net, _ = make(steps=1)
    old = saved.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        net.save_states(saved)
    assert saved.read_bytes() == old
    net.save_states(saved, overwrite=True)
    assert saved.read_bytes() != old
    assert os.listdir(saved.parent) == [saved.name]


def test_an_aux_state_must_not_have_the_name_of_another_state(tmp_path):
    net, _ = make()
    with pytest.raises(CheckpointError, match=r"two states are named 'first\.W'"):
        net.save_states(tmp_path / "net.zip", {"first.W": Tensor((2,))})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(saved, monkeypatch, failing):
    net, _ = make(steps=1)
    old = saved.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left"):
        net.save_states(saved, overwrite=True)
    assert saved.read_bytes() == old
    assert os.listdir(saved.parent) == [saved.name]


KILLED = """
    import os, sys
    import numpy as np
    from singa.formats import checkpoint
    n = 0
    print("ready", flush=True)
    while True:
        n += 1
        arrays = {f"a{i}": np.full((64, 1024), n, np.float32) for i in range(4)}
        checkpoint.write(sys.argv[1], {checkpoint.MODEL: arrays}, overwrite=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")
def test_a_process_that_is_killed_while_saving_never_leaves_a_broken_file(tmp_path):
    path = tmp_path / "net.zip"
    script = textwrap.dedent(f"""
        import os, random, sys, time
        source = compile({textwrap.dedent(KILLED)!r}, "killed", "exec")
        import numpy as np
        from singa import checkpoint  # once; each child is a fork of this process
        arrays = {{f"a{{i}}": np.full((64, 1024), 0, np.float32) for i in range(4)}}
        began = time.monotonic()
        for _ in range(5):
            checkpoint.write(sys.argv[1], {{checkpoint.MODEL: arrays}}, overwrite=True)
        took = (time.monotonic() - began) / 5
        for _ in range(40):
            child = os.fork()
            if not child:
                exec(source)
            time.sleep(4 * took * random.random())
            os.kill(child, 9)
            os.waitpid(child, 0)
            print(child, flush=True)
            sys.stdin.readline()
    """)
    command = [sys.executable, "-c", script, str(path)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    kills = 0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        for line in process.stdout:
            if line.strip() != "ready":
                kills += 1  # of a child that overwrites a file which is always there
                with checkpoint.Reader(path) as reader:
                    arrays = reader.read(checkpoint.MODEL)
                assert len({float(a.ravel()[0]) for a in arrays.values()}) == 1
                assert all((a == a.ravel()[0]).all() for a in arrays.values())
                process.stdin.write("\n")
                process.stdin.flush()
    assert kills == 40
    checkpoint.write(path, {checkpoint.MODEL: {"a": np.ones(2)}}, overwrite=True)
    assert os.listdir(tmp_path) == ["net.zip"]  # what the dead left was swept


# -- reading files from strangers ----------------------------------------------------------------


def refused(path, words, **options):
    """Loading raises, with these words, and changes nothing."""
    net, _ = make(seed=1, steps=1, **options)
    before = everything(net)
    with pytest.raises(CheckpointError, match=words):
        net.load_states(path)
    assert_same(everything(net), before)


def test_a_file_that_is_cut_short_anywhere_is_refused(saved):
    net, _ = make(seed=1)
    before = everything(net)
    data = saved.read_bytes()
    for end in [*range(0, len(data), 211), len(data) - 1]:
        saved.write_bytes(data[:end])
        with pytest.raises(CheckpointError):
            net.load_states(saved)
    assert_same(everything(net), before)


def test_flipped_bits_are_found_or_change_nothing_that_is_loaded(saved):
    net, _ = make(seed=1)
    good = saved.read_bytes()
    net.load_states(saved)
    expected = everything(net)
    rng = random.Random(0)
    for _ in range(50):
        data = bytearray(good)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        saved.write_bytes(bytes(data))
        with contextlib.suppress(CheckpointError):
            net.load_states(saved)
        assert_same(everything(net), expected)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "net.zip"
    path.write_bytes(b"not a zip at all")
    refused(path, "damaged or cut short")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, "not a checkpoint: it holds readme.txt")
    with pytest.raises(FileNotFoundError):
        make()[0].load_states(tmp_path / "absent.zip")


def rewritten(path, change):
    """The file again, with its members changed by ``change(dict of bytes)``."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def attributes(change):
    def apply(members):
        table = json.loads(members["states_attr.json"])
        change(table)
        members["states_attr.json"] = json.dumps(table).encode()

    return apply


def arrays(change):
    def apply(members):
        table = dict(np.load(io.BytesIO(members["tensor_dict.npz"])))
        change(table)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **table)
        members["tensor_dict.npz"] = buffer.getvalue()

    return apply


def drop(name):
    return lambda table: table.pop(name)


def put(name, value):
    return lambda table: table.__setitem__(name, value)


NORMAL = {"state_type": 0, "shape": [2], "dtype": 0}
BOMB = np.zeros((40_000_000,), np.uint8)

STRANGE = {
    "member missing": (drop("tensor_dict.npz"), "not a checkpoint"),
    "member too much": (put("../evil.py", b"print()"), "not a checkpoint"),
    "JSON broken": (put("states_attr.json", b"{"), "does not describe states"),
    "JSON deep": (put("states_attr.json", b"[" * 100_000), "does not describe states"),
    "JSON a list": (put("states_attr.json", b"[1]"), "does not describe states"),
    "type unknown": (attributes(lambda t: t["first.W"].update(dtype=9)), "unknown data type 9"),
    "kind unknown": (attributes(lambda t: t["first.W"].update(state_type=7)), "unknown kind"),
    "shape negative": (attributes(lambda t: t["first.W"].update(shape=[-1])), "not a shape"),
    "name missing": (attributes(drop("first.W")), "missing: first.W"),
    "name too much": (attributes(put("extra", NORMAL)), "unexpected: extra"),
    "shape wrong": (
        attributes(lambda t: t["first.W"].update(shape=[2, 2])),
        r"first.W is float32\[2, 2\], not float32\[5, 4\]",
    ),
    "type wrong": (attributes(lambda t: t["first.W"].update(dtype=1)), r"first.W is float16"),
    "aux huge": (
        attributes(put("aux", {"state_type": 1, "shape": [2**40], "dtype": 0})),
        "states of .* bytes; of such a file at most",
    ),
    "array missing": (arrays(drop("first.W")), "does not hold the arrays"),
    "array too much": (arrays(put("more", np.ones(2))), "does not hold the arrays|bytes"),
    "array misshapen": (arrays(put("first.W", np.ones((4, 5), "f4"))), "says otherwise"),
    "array of another type": (arrays(put("first.W", np.ones((5, 4), "i4"))), "says otherwise"),
    "array pickled": (
        arrays(put("first.W", np.array([[print] * 4] * 5, object))),
        "pickled objects, which are never loaded|at most",
    ),
    "array huge": (arrays(put("first.W", BOMB)), "at most .* are expected"),
    "member a bomb": (put("tensor_dict.npz", bytes(50_000_000)), "at most .* are expected"),
    "JSON a bomb": (put("states_attr.json", b" " * 80_000_000), "at most .* are expected"),
}  # fmt: skip


@pytest.mark.parametrize("case", STRANGE)
def test_strange_files_are_refused_with_words(saved, case):
    change, words = STRANGE[case]
    rewritten(saved, change)
    refused(saved, words)


def test_members_that_appear_twice_are_refused(saved):
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("states_attr.json", "{}")
    refused(saved, "several members have the same name")


def test_a_checkpoint_of_another_model_is_refused(saved):
    refused(saved, "of another model: .*first.W is", hidden=6)


# -- states of optimizers ------------------------------------------------------------------------

# What was saved, what it is loaded into, and what comes of it: what is refused or left out, in
# which words, or None. And the same of files of older versions, which do not name the algorithm.
KINDS = [
    ("SGD", "SGD", None, None),
    ("momentum", "momentum", None, None),
    ("momentum", "SGD", Warning("momentum of 'optimizer' was left out"), Warning("momentum")),
    ("SGD", "momentum", None, None),
    ("momentum", "average", Warning("momentum"), Warning("momentum")),
    ("momentum", "Lion", "is of SGD, and not of the model's Lion", None),
    ("Lion", "momentum", "is of Lion", None),
    ("Adam", "Adam", None, None),
    ("Adam", "AdamW", "is of Adam, and not of the model's AdamW; .*resume=False", None),
    ("Adam", "NAdam", "is of Adam", None),
    ("AdamW", "LAMB", "is of AdamW", None),
    ("Adam", "SGD", "is of Adam", Warning("mean, variance of 'optimizer' was left out")),
    ("Adam", "momentum", "is of Adam", "one with mean, variance, and not of the model's SGD"),
    ("SGD", "Adam", "is of SGD", None),
    ("RMSProp", "AdaGrad", "is of RMSProp", "one with average_square, and not of .* AdaGrad"),
    ("Adafactor", "factored", "one with average_square", "one with average_square"),
    ("micro", "momentum", Warning("gradient_sum"), Warning("gradient_sum")),
    ("average", "SGD", Warning("average"), Warning("average")),
    ("momentum", "ranks", None, None),
    ("ranks", "momentum", None, None),
    ("ranks", "Adam", "is of SGD, and not of the model's Adam", "one with momentum"),
    ("Adam", None, None, None),
]
OPTIMIZERS = {
    "momentum": lambda: opt.SGD(0.1, momentum=0.9),
    "average": lambda: opt.SGD(0.1, ema_decay=0.9),
    "micro": lambda: opt.SGD(0.1, momentum=0.9, accumulate=2),
    "factored": lambda: opt.Adafactor(factored_from=2),
    "ranks": lambda: opt.DistOpt(opt.SGD(0.1, momentum=0.9)),
}


def with_optimizer(kind, seed=0, steps=0):
    net, _ = make(seed)
    if kind is None:
        del net.optimizer
    else:
        net.optimizer = OPTIMIZERS[kind]() if kind in OPTIMIZERS else getattr(opt, kind)()
        net.graph(False)  # nothing is compiled for so few steps
        run(net, steps)
    return net


def as_older_versions_wrote_it(path):
    """Without what they did not know: turns, open steps, and names of algorithms."""

    def is_new(name):
        return name.endswith((":turn", "/is_open", "/algorithm", "/micro_step"))

    def change(members):
        for member in ("states_attr.json", "training_state.npz"):
            if member.endswith("json"):
                table = json.loads(members[member])
                kept = {name: entry for name, entry in table.items() if not is_new(name)}
                members[member] = json.dumps(kept).encode()
            else:
                table = np.load(io.BytesIO(members[member]))
                buffer = io.BytesIO()
                np.savez(buffer, **{name: table[name] for name in table.files if not is_new(name)})
                members[member] = buffer.getvalue()

    rewritten(path, change)


@pytest.mark.parametrize(("written", "read", "now", "then"), KINDS)
def test_a_state_of_another_kind_is_refused_or_left_out_with_words(
    tmp_path, written, read, now, then
):
    path = tmp_path / "net.zip"
    source = with_optimizer(written, steps=3)
    source.save_states(path)
    for expected in (now, then):
        net = with_optimizer(read, seed=1, steps=1)
        if isinstance(expected, str):
            before = net.first.W.to_numpy()
            with pytest.raises(CheckpointError, match=expected):
                net.load_states(path)
            np.testing.assert_array_equal(net.first.W, before)
            net.load_states(path, resume=False)
        elif expected is None:
            net.load_states(path)
        else:
            with pytest.warns(CheckpointWarning, match=str(expected)):
                net.load_states(path)
        np.testing.assert_array_equal(net.first.W, source.first.W)
        if read is not None and not isinstance(expected, str):
            assert net.optimizer.step_counter.item() == source.optimizer.step_counter.item()
        as_older_versions_wrote_it(path)


@pytest.mark.parametrize("kind", ["momentum", "Adam", "SGD"])
def test_a_file_of_an_older_version_goes_on_bit_for_bit(tmp_path, kind):
    path = tmp_path / "net.zip"
    net = with_optimizer(kind, steps=3)
    net.save_states(path)
    expected = run(net, 3)
    as_older_versions_wrote_it(path)
    fresh = with_optimizer(kind, seed=4, steps=2)
    fresh.load_states(path)
    states = fresh.optimizer.get_states(fresh._names())
    turns = [t.to_numpy().tolist() for name, t in states.items() if name.endswith(":turn")]
    assert turns == [[3, 3]] * 6
    assert run(fresh, 3) == expected


class Deep(model.Model):
    """Optimizers in every place where a layer may be, and one in two places."""

    def __init__(self):
        super().__init__()
        self.blocks = [layer.Linear(3), layer.Linear(3)]
        self.blocks[1].own = opt.SGD(0.1, momentum=0.9)
        shared = opt.Adam(0.01)
        self.by_rate = {"a/b": shared, "slow": [opt.DistOpt(opt.SGD(0.05, momentum=0.5))]}
        self.again = (shared,)

    def forward(self, x):
        return self.blocks[1](autograd.tanh(self.blocks[0](x)))

    def train_one_batch(self, x, y):
        loss = autograd.mse_loss(self.forward(x), y)
        pairs = autograd.gradients(loss)
        w, b = self.blocks[1].W, self.blocks[1].b
        self.blocks[1].own.update(w, pairs.pop(w))
        self.by_rate["slow"][0].update(b, pairs.pop(b))
        self.again[0].update_all(pairs.items())
        return loss


def test_optimizers_are_found_where_layers_are_and_saved(tmp_path):
    def fresh(seed):
        CPU.set_rand_seed(seed)
        net = Deep()
        net.compile([Tensor(data=X)], use_graph=True)
        return net

    net, path = fresh(0), tmp_path / "net.zip"
    assert list(net.optimizers()) == ["by_rate.a/b", "by_rate.slow.0", "blocks.1.own"]
    run(net, 3)
    net.save_states(path)
    expected = run(net, 3)
    other = fresh(1)
    run(other, 1)
    other.load_states(path)
    assert run(other, 3) == expected


def test_a_model_that_has_no_states_yet_says_what_to_do(saved):
    with pytest.raises(CheckpointError, match="compile it before load_states"):
        Net().load_states(saved)


def test_all_of_it_is_caught_as_one_kind_of_error():
    assert issubclass(CheckpointError, SingaError)
    assert issubclass(CheckpointError, ValueError)

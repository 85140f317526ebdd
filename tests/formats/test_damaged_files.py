"""Every reader of damaged and malicious files: the right value or an error of ours, with limits."""

import contextlib
import gzip
import io
import json
import random
import struct
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest

from mutations import damaged, damaged_json, damaged_text
from singa import data, image_tool, layer
from singa.errors import CheckpointError, DataError, SingaError
from singa.formats import checkpoint, weights
from singa.formats.reading import parse_json
from singa.tensor import Tensor

SEEDS = range(60)
ARRAYS = {"W": np.arange(6, dtype=np.float32).reshape(3, 2), "b": np.ones(2, np.float32)}


@pytest.mark.parametrize("is_packed", [False, True])
def test_idx(tmp_path, is_packed):
    values = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    content = struct.pack(">BBBB3I", 0, 0, 12, 3, 2, 3, 4) + values.astype(">i4").tobytes()
    content = gzip.compress(content) if is_packed else content
    for seed in SEEDS:
        (tmp_path / "x").write_bytes(damaged(random.Random(seed), content))
        with contextlib.suppress(DataError):
            read = data.read_idx(tmp_path / "x")
            assert not is_packed or (read == values).all()


def test_cifar(tmp_path):
    record = bytes([3]) + bytes(range(256)) * 12
    names = ["test_batch.bin", *(f"data_batch_{i}.bin" for i in range(1, 6))]
    for seed in SEEDS:
        rng = random.Random(seed)
        for name in names:
            (tmp_path / name).write_bytes(gzip.compress(record * 2))
        (tmp_path / "batches.meta.txt").write_text("\n".join("abcdefghij"))
        chosen = tmp_path / rng.choice([*names, "batches.meta.txt"])
        chosen.write_bytes(damaged(rng, chosen.read_bytes()))
        with contextlib.suppress(DataError):
            read = data.load_cifar10(tmp_path)
            if chosen.suffix == ".bin":
                assert (read.train_labels == 3).all()
                assert read.train_images.shape[1:] == (3, 32, 32)


@pytest.mark.parametrize("label", [None, "c"])
def test_tables_and_lines(tmp_path, label):
    for seed in SEEDS:
        text = damaged_text(random.Random(seed), b"a,b,c\n1,2.5,3\n4,5,6\n")
        (tmp_path / "t.csv").write_bytes(text)
        with contextlib.suppress(SingaError):
            data.CsvTable(tmp_path / "t.csv", label=label)
        with contextlib.suppress(SingaError):
            lines = data.TextLines(tmp_path / "t.csv")
            found = [lines[i][0] for i in range(len(lines))]
            assert found == [
                line.rstrip("\r") for line in text.decode().removesuffix("\n").split("\n")
            ]


def test_lists_of_images(tmp_path):
    for seed in SEEDS:
        (tmp_path / "l.txt").write_bytes(damaged_text(random.Random(seed), b"a.png 0\nb.png 1\n"))
        with contextlib.suppress(SingaError):
            data.ImageBatchIter(tmp_path / "l.txt", 2, list)


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "ppm", "tiff", "webp"])
@pytest.mark.filterwarnings("ignore")  # Pillow's, of what it has left out
def test_images(tmp_path, kind):
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(buffer, kind)
    for seed in SEEDS:
        (tmp_path / "x").write_bytes(damaged(random.Random(seed), buffer.getvalue()))
        with contextlib.suppress(DataError):
            assert image_tool.load_img(tmp_path / "x").mode == "RGB"


def test_of_images_no_format_is_read_that_runs_programs(tmp_path):
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    (tmp_path / "x.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    )
    with pytest.raises(DataError, match="not an image of a format that is read here"):
        image_tool.load_img(tmp_path / "x.png")


# -- archives -----------------------------------------------------------------------------------


def saved(path):
    states = {checkpoint.MODEL: ARRAYS, checkpoint.AUX: {"about": np.frombuffer(b"{}", np.uint8)}}
    checkpoint.write(path, states, overwrite=True)
    return path.read_bytes()


def read_checkpoint(path):
    """It is what was saved, or refused."""
    with contextlib.suppress(CheckpointError), checkpoint.Reader(path) as reader:
        reader.expect(checkpoint.MODEL, {n: (a.shape, a.dtype) for n, a in ARRAYS.items()})
        for name, array in reader.read(checkpoint.MODEL).items():
            np.testing.assert_array_equal(array, ARRAYS[name])
        reader.read(checkpoint.AUX)


def rewritten(content, method, change):
    """The archive again, its members changed and with sums that fit them."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target.getvalue()


def test_checkpoints_whose_bytes_are_damaged(tmp_path):
    content = saved(tmp_path / "x.zip")
    for seed in range(200):
        (tmp_path / "x.zip").write_bytes(damaged(random.Random(seed), content))
        read_checkpoint(tmp_path / "x.zip")


@pytest.mark.parametrize("method", [0, 8, 12, 14], ids=["stored", "deflated", "bz2", "lzma"])
def test_checkpoints_whose_json_is_another(tmp_path, method):
    content = saved(tmp_path / "x.zip")
    for seed in SEEDS:
        rng = random.Random(seed)

        def change(name, member, rng=rng):
            if not name.endswith(".json"):
                return member
            if rng.random() < 0.5:
                return damaged_text(rng, member)
            return json.dumps(damaged_json(rng, json.loads(member))).encode()

        (tmp_path / "x.zip").write_bytes(rewritten(content, method, change))
        read_checkpoint(tmp_path / "x.zip")


HEADERS = (
    "{", "{'descr': '<f4', 'shape': (3, 2), }", "(" * 300, "-" * 3000 + "1", "'" * 3000, "\n\t 1",
    "[" * 3000 + "]" * 3000, "{'descr': '|O', 'fortran_order': False, 'shape': (3, 2), }", "\0\xff",
    "{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (3,), }", "{'descr': [" * 200,
    "{'descr': '<f4', 'fortran_order': 1, 'shape': (-3, 2), }", "__import__('os').getpid()",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 3000 + ",), }", "if 1:\n 2\n3",
    "{'descr': 'f4, f4, (2,)f8', 'fortran_order': False, 'shape': (3, 2), }", "'''", "1 if",
)  # fmt: skip


@pytest.mark.parametrize("method", [0, 8], ids=["stored", "deflated"])
def test_checkpoints_whose_arrays_have_other_headers(tmp_path, method):
    content = saved(tmp_path / "x.zip")
    for seed, head in enumerate([*HEADERS, *(None for _ in SEEDS)]):
        rng = random.Random(seed)

        def change(name, member, rng=rng, head=head):
            if not name.endswith(".npz"):
                return member
            return rewritten(member, method, lambda _, array: other(rng, head, array))

        def other(rng, head, array):
            if head is None:
                return damaged(rng, array)
            text = head.encode("latin1") + b" \n"
            return array[:8] + struct.pack("<H", len(text)) + text + array[-24:]

        (tmp_path / "x.zip").write_bytes(rewritten(content, method, change))
        if head is None:
            read_checkpoint(tmp_path / "x.zip")
            continue
        with checkpoint.Reader(tmp_path / "x.zip") as reader, pytest.raises(CheckpointError):
            reader.read(checkpoint.MODEL)


def test_weights(tmp_path):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    net = layer.Linear(2)
    net(Tensor((1, 3)))
    weights.save(net, tmp_path / "x")
    content = (tmp_path / "x").read_bytes()
    size = int.from_bytes(content[:8], "little")
    for seed in range(150):
        rng = random.Random(seed)
        if rng.random() < 0.5:
            head = json.dumps(damaged_json(rng, json.loads(content[8 : 8 + size]))).encode()
            other = struct.pack("<Q", len(head)) + head + content[8 + size :]
        else:
            other = damaged(rng, content)
        (tmp_path / "x").write_bytes(other)
        with contextlib.suppress(CheckpointError):
            weights.load(net, tmp_path / "x")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F64", "C64", "BOOL"])
def test_weights_of_types_that_numpy_lacks_or_that_do_not_fit(tmp_path, dtype):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    net = layer.Linear(2)
    net(Tensor((1, 3)))
    size = {"BF16": 2, "F8_E4M3": 1, "F64": 8, "C64": 8, "BOOL": 1}[dtype]
    shapes = {name: list(t.shape) for name, t in net.get_states().items()}
    table, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + int(np.prod(shape)) * size
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    head = json.dumps(table).encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(head)) + head + bytes(end))
    with contextlib.suppress(CheckpointError):
        weights.load(net, tmp_path / "x")


def test_json_is_what_python_says_or_refused():
    document = {"a": [1, 2.5, 'x\\"]['], "b": {"c": None, "d": "é"}}
    for seed in range(300):
        content = damaged_text(random.Random(seed), json.dumps(document).encode())
        with contextlib.suppress(DataError):
            assert repr(parse_json(content)) == repr(json.loads(content))


# -- memory -------------------------------------------------------------------------------------

BOMBS = r"""
    import gzip, io, json, resource, struct, sys, zipfile
    from pathlib import Path
    import numpy as np
    from singa.formats import checkpoint
    from singa import data, train
    from singa.board.overview import overview
    from singa.board.report import report
    from singa.board.run import read_details, read_run
    from singa.errors import SingaError

    folder = Path(sys.argv[1])

    def packed(path, begin, size):
        with gzip.open(path, "wb", 1) as file:
            file.write(begin)
            for _ in range(size >> 20):
                file.write(bytes(2**20))

    def archive(path, attributes, members):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
            out.writestr("states_attr.json", attributes)
            for name, size in members.items():
                with out.open(name, "w") as member:
                    for _ in range(size >> 20):
                        member.write(bytes(2**20))

    most, row = 300 << 20, {"state_type": 0, "shape": [2**26], "dtype": 0}
    packed(folder / "idx", struct.pack(">BBBBI", 0, 0, 8, 1, 10), most)
    packed(folder / "truncated", struct.pack(">BBBBI", 0, 0, 8, 1, 2**32 - 1), 1 << 20)
    for name in ["test_batch.bin", *(f"data_batch_{i}.bin" for i in range(1, 6))]:
        packed(folder / f"{name}.gz", bytes([99]), most if name == "data_batch_1.bin" else 0)
    (folder / "batches.meta.txt").write_text("a\nb\n")
    archive(folder / "npz.zip", json.dumps({"about": row | {"state_type": 1}, "W": row}),
            {"tensor_dict.npz": most})
    archive(folder / "json.zip", "[" + "[]," * 1_000_000 + "[]]", {"tensor_dict.npz": 0})
    archive(folder / "spaces.zip", " " * (50 << 20), {"tensor_dict.npz": 0})
    rows = [f'"{i:x}":{{"state_type":0,"shape":[{"281474976710655," * 9}1],"dtype":0}}'
            for i in range(20_000)]
    archive(folder / "shapes.zip", "{" + ",".join(rows) + "}", {"tensor_dict.npz": 0})

    runs = folder / "run"
    (runs / "samples").mkdir(parents=True)
    nested = "1"
    for _ in range(90):
        nested = '{"' + "k" * 40_000 + '":' + nested + ',"":1}'
    (runs / "run.json").write_text('{"format":1,"settings":' + nested + "}")
    line = "1," * 49 + "1\n"
    (runs / "epochs.csv").write_text(",".join(map(str, range(50))) + "\n" + line * 60_000)
    (runs / "steps.csv").write_text("step,loss\n" + "".join(f"{i},1\n" for i in range(600_000)))
    svg = '<svg xmlns="http://www.w3.org/2000/svg">'
    (runs / "graph.svg").write_text(svg + "<g/>" * (2**20 - 50) + "</svg>")
    (runs / "profile.json").write_text("[" * 2**22)
    head = b"\x89PNG\r\n\x1a\n" + bytes(8) + struct.pack(">II", 8, 8)
    for i in range(60):
        (runs / f"samples/{i:04}-x.png").write_bytes(head + bytes(2**20))

    def page():
        run = read_run(runs)
        report(run, read_details(runs))
        overview([run], "runs")

    def size():
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()

    readers = {
        "idx": lambda: data.read_idx(folder / "idx"),
        "truncated": lambda: data.read_idx(folder / "truncated"),
        "cifar": lambda: data.load_cifar10(folder),
        **{name: lambda name=name: train.read_about(folder / f"{name}.zip")
           for name in ("npz", "json", "spaces", "shapes")},
        "page": page,
    }
    for name, read in readers.items():
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size() + (256 << 20), before[1]))
        try:
            read()
            print(name, "read")
        except SingaError:
            print(name, "refused")
        resource.setrlimit(resource.RLIMIT_AS, before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.slow
def test_no_file_takes_more_memory_than_its_bound(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BOMBS), str(tmp_path)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = dict(line.split() for line in done.stdout.splitlines())
    assert found.pop("page") == "read"
    assert set(found.values()) == {"refused"}
    assert len(found) == 7

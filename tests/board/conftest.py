import csv
import io
import json
import shutil
import struct
import zlib

import pytest

from singa import data, models, opt, tape, train
from singa.formats.files import writing

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="200" viewBox="0 0 400 200">'
    '<defs><marker id="arrow"><path d="M0,0 L8,4 z"/></marker></defs>'
    '<g class="operation forward"><title>ReLU</title><rect x="10" y="10" width="80" height="40"/>'
    '<path d="M90,30 L200,30" marker-end="url(#arrow)"/><text x="20" y="30">ReLU</text></g></svg>'
)


def png(grey=128):
    """A picture of one pixel."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, grey]))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def write_csv(path, heads, rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    write(path, text.getvalue())


def write(path, text):
    with writing(path) as file:
        file.write(text.encode())


def write_run(folder, epochs=5, **info):
    """A run folder as singa.train.fit leaves it, without a training."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "format": 1,
        "name": folder.name,
        "model": "CNN",
        "status": "completed",
        "started": "2026-11-25T20:00:00+00:00",
        "finished": "2026-11-25T20:01:00+00:00",
        "epochs": epochs,
        "epoch": epochs,
        "step": 4 * epochs,
        "steps_per_epoch": 4,
        "batch_size": 64,
        "optimizer": {"name": "SGD", "lr": 0.02, "momentum": 0.9},
        "precision": "float32",
        "parameters": 30154,
        "summary": "layer   outputs\nconv1   (64, 32, 8, 8)",
        "versions": {"python": "3.13.0", "singa": "0.1.0"},
        "data": {"name": "digits", "samples": 1438},
    } | info
    write(folder / "run.json", json.dumps(about))
    heads = ["epoch", "step", "seconds", "samples_per_second", "lr", "loss", "accuracy"]
    rows = [
        (i, 4 * i, 2.5, 1000 + i, 0.02, 2 / i**2, 1 - 0.5 / i, 2.5 / i, 0.95 - 0.4 / i)
        for i in range(1, epochs + 1)
    ]
    write_csv(folder / "epochs.csv", [*heads, "val_loss", "val_accuracy"], rows)
    steps = [(i, (i + 3) // 4, 3 / i, 0.02, 1 - 0.8 / i) for i in range(1, 4 * epochs + 1)]
    write_csv(folder / "steps.csv", ["step", "epoch", "loss", "lr", "accuracy"], steps)
    (folder / "graph.svg").write_text(SVG)
    (folder / "profile.json").write_text(
        json.dumps(
            {
                "iterations": 8,
                "skipped": 2,
                "seconds": 0.1,
                "rows": [
                    row("Convolution2d", "forward", 1, 0.016, 0.2),
                    row("Convolution2d", "forward", 2, 0.040, 0.5, includes=["ReLU"]),
                    row("Flatten", "backward", 1, 0.024, 0.3),
                    row("ReLU", "forward", 1, 0.0, 0.0, part_of=["Convolution2d 2"]),
                ],
            }
        )
    )
    memory = {"parameters": 2**20, "states": 2**20, "scratch": 6 * 2**20, "code": 0}
    (folder / "memory.json").write_text(json.dumps(memory | {"peak": 2**23, "device": "cpu"}))
    (folder / "samples").mkdir(exist_ok=True)
    for epoch in range(1, epochs + 1):
        (folder / f"samples/{epoch:04}-digits.png").write_bytes(png(40 * epoch % 256))
    return folder


def row(name, direction, number, seconds, share, includes=(), part_of=()):
    return {
        "name": name,
        "direction": direction,
        "number": number,
        "layer": "conv1",
        "calls": 8,
        "seconds": seconds,
        "share": share,
        "includes": includes,
        "part_of": part_of,
    }


@pytest.fixture(name="write_run")
def _write_run():
    return write_run


@pytest.fixture(name="write_csv")
def _write_csv():
    return write_csv


@pytest.fixture
def run_folder(tmp_path):
    return write_run(tmp_path / "runs" / "first")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The run folder and the history of a real training."""
    folder = tmp_path_factory.mktemp("runs") / "mlp"
    mlp = models.MLP()
    mlp.set_optimizer(opt.SGD(opt.ExponentialDecay(0.05, 10, 0.9)))
    with tape.training(False):  # and as it was afterwards
        history = train.fit(
            mlp, data.load_digits(), 2, metrics="accuracy", run=folder, report=True, progress=False
        )
    return folder, history


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium without a window."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("no chromium and chromedriver on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
        "force-prefers-reduced-motion", "window-size=1300,1000",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    yield driver
    driver.quit()

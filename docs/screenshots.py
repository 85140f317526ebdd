"""Take the pictures of board.md: ``python -m docs.screenshots``, on a machine that is quiet.

Four trainings on the digits, and Chromium with its driver, which have to be on the PATH.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from selenium import webdriver

from singa import board, data, models, opt, train

IMAGES = Path(__file__).parent / "images"
DIGITS = data.load_digits()
EPOCHS = 12


class Samples(train.Callback):
    """Predictions, and which digits are taken for which, after every epoch."""

    def on_epoch_end(self, training: train.Training) -> None:
        images, labels = DIGITS.test_images, DIGITS.test_labels
        predicted = np.asarray(train.predict(training.model, images)).argmax(1)
        figure = Figure(figsize=(6.4, 3.9), layout="constrained")
        for axes, image, digit, label in zip(
            figure.subplots(4, 8).flat, images, predicted, labels, strict=False
        ):
            axes.imshow(image[0], cmap="gray_r")
            axes.axis("off")
            axes.set_title(digit, fontsize=9, color="#333333" if digit == label else "#d62f3a")
        training.run.add_image("predictions", figure, training.epoch)

        counts = np.zeros((10, 10))
        np.add.at(counts, (labels, predicted), 1)
        figure = Figure(figsize=(6.4, 3.9), layout="constrained")
        axes = figure.subplots()
        axes.imshow(counts / counts.sum(1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
        axes.set(xticks=range(10), yticks=range(10), xlabel="predicted", ylabel="true")
        training.run.add_image("confusion", figure, training.epoch)


def _train(runs: Path) -> None:
    schedule = opt.CosineDecay(0.02, EPOCHS * 22)
    for name, model, optimizer in (
        ("mlp-sgd", models.MLP(), opt.SGD(0.05, momentum=0.9)),
        ("mlp-adam", models.MLP(), opt.Adam(0.002)),
        ("cnn-adam", models.CNN(), opt.Adam(0.001)),
        ("cnn-sgd", models.CNN(), opt.SGD(schedule, momentum=0.9, weight_decay=1e-4)),
    ):
        model.set_optimizer(optimizer)
        train.fit(
            model, DIGITS, EPOCHS, metrics="accuracy", run=runs / name, callbacks=[Samples()],
            about={"data": "digits"},
        )  # fmt: skip


def _browser() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("headless", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def main() -> None:
    """Train, write the pages, and take pictures of two."""
    with tempfile.TemporaryDirectory() as folder:
        runs, pages = Path(folder) / "runs", Path(folder) / "pages"
        _train(runs)
        board.write_board(runs, pages)
        browser = _browser()
        for page, height, image in (
            ("run/cnn-sgd.html", 1560, "board.png"),
            ("index.html", 1330, "board_runs.png"),
        ):
            browser.set_window_size(1300, height)
            browser.get((pages / page).as_uri())
            browser.save_screenshot(IMAGES / image)
        browser.quit()


if __name__ == "__main__":
    main()

"""A CNN learns to read handwritten digits in a few seconds: ``python -m singa.cli.demo``.

It is trained by the Model API, each step compiled into one program; saved, loaded into a fresh
model, and evaluated again. A picture shows the results.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from singa import data, opt, train
from singa.core.tensor import Tensor
from singa.errors import SingaError
from singa.models import CNN
from singa.train import picture

_FOLDER = Path("demo-output")
_EPOCHS = 10


def main() -> int:
    """Run the demo, and return 0 if the results are right."""
    try:
        return _demo(Console(highlight=False))
    except (SingaError, OSError) as error:
        print(f"singa.cli.demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _demo(console: Console) -> int:
    picture.check_available()
    _FOLDER.mkdir(exist_ok=True)
    checkpoint, drawing = _FOLDER / "cnn.zip", _FOLDER / "cnn.png"
    digits = data.load_digits()

    console.print(
        f"A CNN learns to read {len(digits.train_images):,} handwritten digits, and is tested "
        f"on {len(digits.test_images)} others.",
        soft_wrap=True,
    )
    cnn = _cnn()
    progress = train.ProgressBar(console)
    history = train.fit(cnn, digits, _EPOCHS, metrics="accuracy", progress=progress)
    if history.status == "interrupted":
        return 130

    cnn.save_states(checkpoint, overwrite=True)
    fresh = _cnn()
    fresh.compile([Tensor(data=digits.test_images[:1])], is_train=False, use_graph=True)
    fresh.load_states(checkpoint)
    before = history["val_accuracy"][-1]
    after = train.evaluate(fresh, digits, metrics="accuracy")["accuracy"]
    console.print(f"test accuracy {before:.2%}; {after:.2%} by a fresh model from the checkpoint")
    if before != after:
        console.print("The two must be the same: the checkpoint has not restored the model.")
        return 1

    picture.draw(drawing, cnn, digits, history)
    console.print(f"checkpoint  {checkpoint}\npicture     {drawing}")
    return 0


def _cnn() -> CNN:
    cnn = CNN()
    cnn.set_optimizer(opt.SGD(lr=0.02, momentum=0.9, weight_decay=1e-4))
    return cnn


if __name__ == "__main__":
    sys.exit(main())

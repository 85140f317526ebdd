"""A script for ranks: a training that one of them leaves, beside one that none leaves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from distributed import ranks
from singa import distributed, opt, train

EPOCHS = 3


class Leaves(train.Callback):
    """Ends rank 1, with a status, in the middle of the second epoch."""

    def on_step_end(self, training: train.Training) -> None:
        if distributed.rank() == 1 and training.step == 3:
            os._exit(7)


def trained(checkpoint: Path | None, callbacks: list[train.Callback]) -> ranks.Net:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, ranks.FEATURES)).astype(np.float32)
    y = rng.integers(0, ranks.CLASSES, 16).astype(np.int32)
    net = ranks.Net(opt.DistOpt(ranks.momentum()))
    resume = checkpoint is not None and checkpoint.exists()
    train.fit(
        net,
        (x, y),
        EPOCHS,
        batch_size=8,
        checkpoint=checkpoint,
        resume=resume,
        callbacks=callbacks,
        progress=False,
    )
    return net


def main(folder: Path) -> None:
    distributed.initialize()
    restarts = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    if restarts == 0:
        straight = trained(None, [])
        np.savez(folder / f"straight {distributed.rank()}.npz", **ranks.weights(straight))
    net = trained(folder / "net.zip", [Leaves()] if restarts == 0 else [])
    np.savez(folder / f"resumed {distributed.rank()}.npz", **ranks.weights(net))
    print(f"done after {restarts}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

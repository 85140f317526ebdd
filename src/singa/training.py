"""Trainer: the training of a classifier on a data set, which can be left and taken up again."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from singa import metric, tensor
from singa._tensor import Tensor
from singa.data import DataLoader, Dataset
from singa.device import Device, get_default_device
from singa.errors import CheckpointError
from singa.model import Model

# What a checkpoint says of a training besides the model's own state: data type, number of axes.
_AUX = {
    "seed": (tensor.int64, 0),
    "batch_size": (tensor.int64, 0),
    "labels_crc32": (tensor.int64, 0),
    "losses": (tensor.float32, 1),
    "accuracies": (tensor.float32, 1),
    "test_accuracies": (tensor.float32, 1),
}


class Trainer:
    """Trains a model on a data set, epoch by epoch.

    The batches of an epoch depend on nothing but the seed and the epoch's number, so that a
    training that is saved and loaded goes on bit for bit as if it had never been interrupted.
    Training leaves out an epoch's last batch if it is short: every step then runs the same
    program, none has the noisy batch statistics of a few images, and the order is another in
    every epoch, so that no image is left out for good. Evaluation leaves out nothing.

    Args:
        model: its ``train_one_batch`` returns the logits and the loss. It is compiled here.
        dataset: what to train and to evaluate on.
        batch_size: images per step.
        seed: of the initial parameters and of the batches.
        use_graph: whether steps run as one compiled program.
        device: where; the CPU if not given.
        precision: ``"float32"``, or ``"bfloat16"`` or ``"float16"`` for mixed precision.

    Attributes:
        losses: the loss of every step that has been read.
        accuracies: the share of that step's batch that was classified rightly.
        test_accuracies: the same of the test images, after each epoch.
    """

    def __init__(
        self,
        model: Model,
        dataset: Dataset,
        batch_size: int = 64,
        seed: int = 0,
        use_graph: bool = True,
        device: Device | None = None,
        precision: str = "float32",
    ) -> None:
        self.model = model
        self.dataset = dataset
        self.device = device or get_default_device()
        self.batches = self._make_batches(batch_size, seed)
        self.losses: list[float] = []
        self.accuracies: list[float] = []
        self.test_accuracies: list[float] = []
        self._unread: list[tuple[Tensor, Tensor, npt.NDArray[Any]]] = []
        self.device.set_rand_seed(seed)
        self.model.compile(
            [self._placeholder()], is_train=True, use_graph=use_graph, precision=precision
        )

    # -- where it is --------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """How many epochs are complete, evaluation included."""
        return len(self.test_accuracies)

    @property
    def step(self) -> int:
        """How many steps of the present epoch are done."""
        return len(self.losses) + len(self._unread) - self.epoch * len(self.batches)

    def read(self) -> None:
        """Bring ``losses`` and ``accuracies`` up to date. This waits for the device."""
        for out, loss, labels in self._unread:
            self.losses.append(float(loss))
            self.accuracies.append(float(metric.accuracy(out.to_numpy(), labels)))
        self._unread.clear()

    # -- what it does -------------------------------------------------------------------------

    def train(self) -> Iterator[None]:
        """Train until the end of the present epoch; one iteration is one step.

        It may be left after any step, and called again to go on. Nothing waits for a step's
        results: call :meth:`read` when they are wanted.
        """
        self.model.train()
        tx = self._placeholder()
        ty = Tensor((self.batches.batch_size,), self.device, tensor.int32)
        for images, labels in self.batches.batches_of(self.epoch, self.step):
            tx.copy_from_numpy(images)
            ty.copy_from_numpy(labels)
            out, loss = self.model(tx, ty)
            self._unread.append((out, loss, labels))
            yield

    def evaluate(self) -> float:
        """The accuracy on the test images, which completes the epoch."""
        self.read()
        predicted = self.predict(self.dataset.test_images)
        self.test_accuracies.append(float(metric.accuracy(predicted, self.dataset.test_labels)))
        return self.test_accuracies[-1]

    def predict(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
        """The most probable class of each image: (N, C, H, W) to (N,)."""
        self.model.eval()
        size = self.batches.batch_size
        logits = [
            self.model(Tensor(data=images[i : i + size], device=self.device))
            for i in range(0, len(images), size)
        ]
        return np.concatenate([out.to_numpy().argmax(1) for out in logits])

    # -- checkpoints --------------------------------------------------------------------------

    def save(self, fpath: str | os.PathLike[str]) -> None:
        """Write a checkpoint of the model and of this training; a file that is there is replaced.

        Raises:
            OSError: it cannot be written.
        """
        self.read()
        numbers: dict[str, Any] = {
            "seed": self.batches.seed,
            "batch_size": self.batches.batch_size,
            "labels_crc32": self._labels_crc32(),
            "losses": self.losses,
            "accuracies": self.accuracies,
            "test_accuracies": self.test_accuracies,
        }
        aux = {name: Tensor(data=numbers[name], dtype=dtype) for name, (dtype, _) in _AUX.items()}
        self.model.save_states(fpath, aux, overwrite=True)

    def load(self, fpath: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint, with the seed and the batch size that are in it.

        Raises:
            CheckpointError: it is damaged, of another model or data set, or of no Trainer.
            OSError: it cannot be read.
        """
        aux = {name: t.to_numpy() for name, t in self.model.load_states(fpath).items()}
        for name, (dtype, ndim) in _AUX.items():
            if name not in aux or (aux[name].dtype, aux[name].ndim) != (dtype, ndim):
                raise CheckpointError(
                    f"{fpath}: the model is there, but not how far its training was "
                    f"(no aux state {name!r}), so that it cannot be resumed"
                )
        if aux["labels_crc32"] != self._labels_crc32():
            raise CheckpointError(f"{fpath}: the training was on another data set")
        self.batches = self._make_batches(int(aux["batch_size"]), int(aux["seed"]))
        self.losses = aux["losses"].tolist()
        self.accuracies = aux["accuracies"].tolist()
        self.test_accuracies = aux["test_accuracies"].tolist()
        self._unread.clear()

    def _make_batches(self, batch_size: int, seed: int) -> DataLoader:
        return DataLoader(self.dataset.train, batch_size, shuffle=True, seed=seed, drop_last=True)

    def _placeholder(self) -> Tensor:
        image_shape = self.dataset.train_images.shape[1:]
        return Tensor((self.batches.batch_size, *image_shape), self.device, tensor.float32)

    def _labels_crc32(self) -> int:
        return zlib.crc32(self.dataset.train_labels.tobytes())

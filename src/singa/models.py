"""The models of the command line and the demo, written like a user's models."""

from __future__ import annotations

from collections.abc import Callable

from singa import layer, model
from singa.core.tensor import Tensor


class Classifier(model.Model):
    """Base of both models: softmax and cross entropy on the result of ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.softmax_cross_entropy = layer.SoftMaxCrossEntropy()

    def train_one_batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One step of training.

        Args:
            x: images, float32 (N, C, H, W).
            y: their classes, int32 (N,), or one-hot rows (N, classes).

        Returns:
            The logits (N, classes), and the loss ().
        """
        out = self.forward(x)
        loss = self.softmax_cross_entropy(out, y)
        self.optimizer(loss)
        return out, loss


class MLP(Classifier):
    """Two linear layers with a ReLU in between.

    Args:
        perceptron_size: the number of hidden units.
        num_classes: the number of logits.
    """

    def __init__(self, perceptron_size: int = 100, num_classes: int = 10) -> None:
        super().__init__()
        self.linear1 = layer.Linear(perceptron_size)
        self.relu = layer.ReLU()
        self.linear2 = layer.Linear(num_classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear1(x)
        y = self.relu(y)
        return self.linear2(y)


class CNN(Classifier):
    """A small convolutional network: one convolution, then two in parallel.

    Args:
        num_classes: the number of logits.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = layer.Conv2d(32, 3, padding=1, bias=False)
        self.bn1 = layer.BatchNorm2d()
        self.pooling1 = layer.MaxPool2d(3, 1, padding=1)
        self.conv21 = layer.Conv2d(16, 3, padding=1)
        self.conv22 = layer.Conv2d(16, 3, padding=1)
        self.cat = layer.Cat(1)
        self.bn2 = layer.BatchNorm2d()
        self.pooling2 = layer.AvgPool2d(3, 1, padding=1)
        self.relu = layer.ReLU()
        self.flatten = layer.Flatten()
        self.linear = layer.Linear(num_classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = self.relu(y)
        y = self.bn1(y)
        y = self.pooling1(y)
        y1 = self.conv21(y)
        y2 = self.conv22(y)
        y = self.cat((y1, y2))
        y = self.relu(y)
        y = self.bn2(y)
        y = self.pooling2(y)
        y = self.flatten(y)
        return self.linear(y)


MODELS: dict[str, Callable[..., Classifier]] = {"mlp": MLP, "cnn": CNN}
"""The models by their names in the command line; made with ``num_classes``."""

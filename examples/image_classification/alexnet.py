"""AlexNet (Krizhevsky et al., 2012), for small images."""

from singa import layer
from singa.models import Classifier


class AlexNet(Classifier):
    """Five convolutions with three poolings among them, and three linear layers with dropout.

    Next to the original the first convolution is 3x3 without a stride, and there is no response
    normalization.

    Args:
        width: the first convolution's channels; the original has 64 to 96.
    """

    def __init__(self, width=32, num_classes=10):
        super().__init__()

        def conv(channels):
            return layer.Conv2d(channels, 3, padding=1, activation="RELU")

        def pool():
            return layer.MaxPool2d(3, 2, padding=1)

        self.features = layer.Sequential(
            conv(width), pool(),
            conv(3 * width), pool(),
            conv(6 * width), conv(4 * width), conv(4 * width), pool(),
        )  # fmt: skip
        self.classifier = layer.Sequential(
            layer.Flatten(),
            layer.Dropout(), layer.Linear(16 * width), layer.ReLU(),
            layer.Dropout(), layer.Linear(16 * width), layer.ReLU(),
            layer.Linear(num_classes),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.features(x))

"""Xception (Chollet, 2017), for small images."""

from singa import autograd, layer
from singa.models import Classifier


class Block(layer.Layer):
    """Separable convolutions, and a way past them. With a pooling, images become half as large.

    Args:
        channels: of each convolution.
        pool: whether there is a pooling at the end.
    """

    def __init__(self, *channels, pool=False):
        self.convs = [layer.SeparableConv2d(count, 3, padding=1) for count in channels]
        self.bns = [layer.BatchNorm2d() for _ in channels]
        self.pool, self.past = layer.Identity(), layer.Identity()
        if pool:
            self.pool = layer.MaxPool2d(3, 2, padding=1)
            self.past = layer.Sequential(
                layer.Conv2d(channels[-1], 1, stride=2, bias=False), layer.BatchNorm2d()
            )

    def forward(self, x):
        y = x
        for conv, bn in zip(self.convs, self.bns, strict=True):
            y = bn(conv(autograd.relu(y)))
        return self.pool(y) + self.past(x)


class Xception(Classifier):
    """The entry, the middle and the exit flow, with fewer and narrower blocks than the original.

    Args:
        width: the first convolution's channels.
        middle: how many blocks the middle flow has; the original has 8.
    """

    def __init__(self, width=32, middle=2, num_classes=10):
        super().__init__()
        self.conv = layer.Conv2d(width, 3, padding=1, bias=False)
        self.bn = layer.BatchNorm2d()
        self.entry = layer.Sequential(
            Block(2 * width, 2 * width, pool=True), Block(4 * width, 4 * width, pool=True)
        )
        self.middle = layer.Sequential(*(Block(*[4 * width] * 3) for _ in range(middle)))
        self.exit = layer.Sequential(
            Block(4 * width, 8 * width, pool=True),
            layer.SeparableConv2d(16 * width, 3, padding=1), layer.BatchNorm2d(), layer.ReLU(),
            layer.GlobalAvgPool(), layer.Flatten(), layer.Linear(num_classes),
        )  # fmt: skip

    def forward(self, x):
        x = self.bn(self.conv(x))
        return self.exit(self.middle(self.entry(x)))

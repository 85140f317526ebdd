"""Residual networks for small images (He et al., 2016, section 4.2)."""

from singa import autograd, layer
from singa.models import Classifier


class Block(layer.Layer):
    """Two convolutions, and a way past them. With a stride, images become that much smaller."""

    def __init__(self, channels, stride=1):
        self.conv1 = layer.Conv2d(channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = layer.BatchNorm2d()
        self.conv2 = layer.Conv2d(channels, 3, padding=1, bias=False)
        self.bn2 = layer.BatchNorm2d()
        self.past = layer.Identity()
        if stride > 1:
            self.past = layer.Sequential(
                layer.Conv2d(channels, 1, stride=stride, bias=False), layer.BatchNorm2d()
            )

    def forward(self, x):
        y = autograd.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return autograd.relu(y + self.past(x))


class ResNet(Classifier):
    """A convolution, three stages of blocks, and a linear layer.

    Args:
        depth: 6 n + 2 for n blocks in each stage: 8, 14, 20, 32, 44, 56, 110.
        width: the first stage's channels; each further one has twice as many.
    """

    def __init__(self, depth=8, width=16, num_classes=10):
        super().__init__()
        self.conv = layer.Conv2d(width, 3, padding=1, bias=False)
        self.bn = layer.BatchNorm2d()
        self.blocks = [
            Block(width * 2**stage, stride=2 if stage and not i else 1)
            for stage in range(3)
            for i in range((depth - 2) // 6)
        ]
        self.pool = layer.GlobalAvgPool()
        self.linear = layer.Linear(num_classes)

    def forward(self, x):
        x = autograd.relu(self.bn(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.linear(autograd.flatten(self.pool(x)))

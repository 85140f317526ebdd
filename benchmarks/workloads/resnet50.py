"""He et al., 2015: 50 layers with bottlenecks, whose 3x3 convolutions have the strides."""

TITLE = "ResNet-50, batch 32, 3x224x224"
INPUT = (32, 3, 224, 224)
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride
BLOCKS = []  # input channels, width and stride of each
for _width, _count, _stride in STAGES:
    for _i in range(_count):
        _inputs = BLOCKS[-1][1] * 4 if BLOCKS else 64
        BLOCKS.append((_inputs, _width, _stride if _i == 0 else 1))


def _conv(name, norm, outputs, inputs, size):
    return {
        f"{name}.weight": (outputs, inputs, size, size),
        f"{norm}.weight": (outputs,), f"{norm}.bias": (outputs,),
    }  # fmt: skip


PARAMS = _conv("conv", "bn", 64, 3, 7)
for _i, (_inputs, _width, _) in enumerate(BLOCKS):
    _block = f"blocks.{_i}"
    PARAMS |= _conv(f"{_block}.conv1", f"{_block}.bn1", _width, _inputs, 1)
    PARAMS |= _conv(f"{_block}.conv2", f"{_block}.bn2", _width, _width, 3)
    PARAMS |= _conv(f"{_block}.conv3", f"{_block}.bn3", 4 * _width, _width, 1)
    if _inputs != 4 * _width:
        PARAMS |= _conv(f"{_block}.shortcut", f"{_block}.bn4", 4 * _width, _inputs, 1)
PARAMS |= {"linear.weight": (2048, 10), "linear.bias": (10,)}


def in_singa():
    from benchmarks.contenders.ours import Trained
    from singa import autograd, layer

    class Block(layer.Layer):
        def __init__(self, inputs, width, stride):
            self.conv1, self.bn1 = layer.Conv2d(width, 1, bias=False), layer.BatchNorm2d()
            self.conv2 = layer.Conv2d(width, 3, stride=stride, padding=1, bias=False)
            self.bn2 = layer.BatchNorm2d()
            self.conv3, self.bn3 = layer.Conv2d(4 * width, 1, bias=False), layer.BatchNorm2d()
            self.shortcut = None
            if inputs != 4 * width:
                self.shortcut = layer.Conv2d(4 * width, 1, stride=stride, bias=False)
                self.bn4 = layer.BatchNorm2d()

        def forward(self, x):
            y = autograd.relu(self.bn1(self.conv1(x)))
            y = autograd.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            return autograd.relu(y + (self.bn4(self.shortcut(x)) if self.shortcut else x))

    class ResNet(Trained):
        def __init__(self):
            super().__init__()
            self.conv = layer.Conv2d(64, 7, stride=2, padding=3, bias=False)
            self.bn = layer.BatchNorm2d()
            self.pool = layer.MaxPool2d(3, 2, padding=1)
            self.blocks = [Block(*block) for block in BLOCKS]
            self.linear = layer.Linear(10)

        def forward(self, x):
            y = self.pool(autograd.relu(self.bn(self.conv(x))))
            for block in self.blocks:
                y = block(y)
            return self.linear(autograd.reduce_mean(y, (2, 3), keepdims=False))

    return ResNet()


def in_jax(p, x, stats):
    import jax
    import jax.numpy as jnp

    from benchmarks.contenders.plain_jax import batch_norm, conv

    y = jax.nn.relu(batch_norm(conv(x, p["conv.weight"], 2), p, "bn", stats))
    pads = ((0, 0), (0, 0), (1, 1), (1, 1))
    y = jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), pads)
    for i, (inputs, width, stride) in enumerate(BLOCKS):
        name, x = f"blocks.{i}", y
        for part, step in ((1, 1), (2, stride), (3, 1)):
            y = conv(y, p[f"{name}.conv{part}.weight"], step)
            y = batch_norm(y, p, f"{name}.bn{part}", stats)
            y = jax.nn.relu(y) if part < 3 else y
        if inputs != 4 * width:
            x = conv(x, p[f"{name}.shortcut.weight"], stride)
            x = batch_norm(x, p, f"{name}.bn4", stats)
        y = jax.nn.relu(y + x)
    return y.mean((2, 3)) @ p["linear.weight"] + p["linear.bias"]


def in_torch():
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inputs, width, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(4 * width)
            self.shortcut = None
            if inputs != 4 * width:
                self.shortcut = nn.Conv2d(inputs, 4 * width, 1, stride, bias=False)
                self.bn4 = nn.BatchNorm2d(4 * width)

        def forward(self, x):
            y = self.bn1(self.conv1(x)).relu()
            y = self.bn2(self.conv2(y)).relu()
            y = self.bn3(self.conv3(y))
            return (y + (self.bn4(self.shortcut(x)) if self.shortcut else x)).relu()

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
            self.bn, self.pool = nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, padding=1)
            self.blocks = nn.Sequential(*(Block(*block) for block in BLOCKS))
            self.linear = nn.Linear(2048, 10)

        def forward(self, x):
            y = self.blocks(self.pool(self.bn(self.conv(x)).relu()))
            return self.linear(y.mean((2, 3)))

    return ResNet()

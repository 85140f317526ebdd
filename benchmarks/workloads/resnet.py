"""He et al., 2015, in the form for small images: a 3x3 stem without pooling."""

TITLE = "ResNet-18, batch 32, 3x32x32"
INPUT = (32, 3, 32, 32)

# Each block's input and output channels and stride.
BLOCKS = (
    (64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1),
    (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1),
)  # fmt: skip


def _norm(name, channels):
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


PARAMS = {"conv.weight": (64, 3, 3, 3), **_norm("bn", 64)}
for _i, (_inputs, _outputs, _) in enumerate(BLOCKS):
    PARAMS |= {f"blocks.{_i}.conv1.weight": (_outputs, _inputs, 3, 3)}
    PARAMS |= _norm(f"blocks.{_i}.bn1", _outputs)
    PARAMS |= {f"blocks.{_i}.conv2.weight": (_outputs, _outputs, 3, 3)}
    PARAMS |= _norm(f"blocks.{_i}.bn2", _outputs)
    if _inputs != _outputs:
        PARAMS |= {f"blocks.{_i}.shortcut.weight": (_outputs, _inputs, 1, 1)}
        PARAMS |= _norm(f"blocks.{_i}.bn3", _outputs)
PARAMS |= {"linear.weight": (512, 10), "linear.bias": (10,)}


def in_singa():
    from benchmarks.contenders.ours import Trained
    from singa import autograd, layer

    class Block(layer.Layer):
        def __init__(self, inputs, outputs, stride):
            self.conv1 = layer.Conv2d(outputs, 3, stride=stride, padding=1, bias=False)
            self.bn1 = layer.BatchNorm2d()
            self.conv2 = layer.Conv2d(outputs, 3, padding=1, bias=False)
            self.bn2 = layer.BatchNorm2d()
            self.shortcut = None
            if inputs != outputs:
                self.shortcut = layer.Conv2d(outputs, 1, stride=stride, bias=False)
                self.bn3 = layer.BatchNorm2d()

        def forward(self, x):
            y = autograd.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            return autograd.relu(y + (self.bn3(self.shortcut(x)) if self.shortcut else x))

    class ResNet(Trained):
        def __init__(self):
            super().__init__()
            self.conv = layer.Conv2d(64, 3, padding=1, bias=False)
            self.bn = layer.BatchNorm2d()
            self.blocks = [Block(*block) for block in BLOCKS]
            self.linear = layer.Linear(10)

        def forward(self, x):
            y = autograd.relu(self.bn(self.conv(x)))
            for block in self.blocks:
                y = block(y)
            return self.linear(autograd.reduce_mean(y, (2, 3), keepdims=False))

    return ResNet()


def in_jax(p, x, stats):
    import jax

    from benchmarks.contenders.plain_jax import batch_norm, conv

    y = jax.nn.relu(batch_norm(conv(x, p["conv.weight"]), p, "bn", stats))
    for i, (inputs, outputs, stride) in enumerate(BLOCKS):
        name, x = f"blocks.{i}", y
        y = batch_norm(conv(x, p[f"{name}.conv1.weight"], stride), p, f"{name}.bn1", stats)
        y = conv(jax.nn.relu(y), p[f"{name}.conv2.weight"])
        y = batch_norm(y, p, f"{name}.bn2", stats)
        if inputs != outputs:
            x = conv(x, p[f"{name}.shortcut.weight"], stride)
            x = batch_norm(x, p, f"{name}.bn3", stats)
        y = jax.nn.relu(y + x)
    return y.mean((2, 3)) @ p["linear.weight"] + p["linear.bias"]


def in_torch():
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.shortcut = None
            if inputs != outputs:
                self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                self.bn3 = nn.BatchNorm2d(outputs)

        def forward(self, x):
            y = self.bn1(self.conv1(x)).relu()
            y = self.bn2(self.conv2(y))
            return (y + (self.bn3(self.shortcut(x)) if self.shortcut else x)).relu()

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(64)
            self.blocks = nn.Sequential(*(Block(*block) for block in BLOCKS))
            self.linear = nn.Linear(512, 10)

        def forward(self, x):
            y = self.blocks(self.bn(self.conv(x)).relu())
            return self.linear(y.mean((2, 3)))

    return ResNet()


def in_flax(rngs):
    from functools import partial

    from flax import nnx

    conv = partial(nnx.Conv, use_bias=False, rngs=rngs)
    norm = partial(nnx.BatchNorm, momentum=0.9, rngs=rngs)

    class Block(nnx.Module):
        def __init__(self, inputs, outputs, stride):
            # "SAME" would put the padding of a stride of 2 on the other side.
            self.conv1 = conv(inputs, outputs, (3, 3), stride, padding=1)
            self.bn1 = norm(outputs)
            self.conv2 = conv(outputs, outputs, (3, 3))
            self.bn2 = norm(outputs)
            changes = inputs != outputs
            self.shortcut = conv(inputs, outputs, (1, 1), stride, padding=0) if changes else None
            self.bn3 = norm(outputs) if changes else None

        def __call__(self, x):
            y = nnx.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            return nnx.relu(y + (self.bn3(self.shortcut(x)) if self.shortcut else x))

    class ResNet(nnx.Module):
        def __init__(self):
            self.conv = conv(3, 64, (3, 3))
            self.bn = norm(64)
            self.blocks = nnx.List([Block(*block) for block in BLOCKS])
            self.linear = nnx.Linear(512, 10, rngs=rngs)

        def __call__(self, x):
            y = nnx.relu(self.bn(self.conv(x)))
            for block in self.blocks:
                y = block(y)
            return self.linear(y.mean((1, 2)))

    return ResNet()

TITLE = "CNN, batch 64, 1x28x28"
INPUT = (64, 1, 28, 28)
PARAMS = {
    "conv1.weight": (32, 1, 3, 3),
    "bn1.weight": (32,), "bn1.bias": (32,),
    "conv21.weight": (16, 32, 3, 3), "conv21.bias": (16,),
    "conv22.weight": (16, 32, 3, 3), "conv22.bias": (16,),
    "bn2.weight": (32,), "bn2.bias": (32,),
    "linear.weight": (32 * 28 * 28, 10), "linear.bias": (10,),
}  # fmt: skip
FLATTENED = {"linear.weight": (32, 28, 28)}


def in_singa():
    from benchmarks.contenders.ours import Trained
    from singa import autograd, layer

    class CNN(Trained):
        def __init__(self):
            super().__init__()
            self.conv1 = layer.Conv2d(32, 3, padding=1, bias=False)
            self.bn1 = layer.BatchNorm2d()
            self.pool1 = layer.MaxPool2d(3, 1, padding=1)
            self.conv21 = layer.Conv2d(16, 3, padding=1)
            self.conv22 = layer.Conv2d(16, 3, padding=1)
            self.bn2 = layer.BatchNorm2d()
            self.pool2 = layer.AvgPool2d(3, 1, padding=1)  # its padding does not count
            self.linear = layer.Linear(10)

        def forward(self, x):
            y = self.pool1(self.bn1(autograd.relu(self.conv1(x))))
            y = autograd.relu(autograd.cat((self.conv21(y), self.conv22(y)), 1))
            return self.linear(autograd.flatten(self.pool2(self.bn2(y))))

    return CNN()


def in_jax(p, x, stats):
    import jax
    import jax.numpy as jnp

    from benchmarks.contenders.plain_jax import batch_norm, conv, pool

    y = batch_norm(jax.nn.relu(conv(x, p["conv1.weight"])), p, "bn1", stats)
    y = pool(y, -jnp.inf, jax.lax.max)
    y1 = conv(y, p["conv21.weight"]) + p["conv21.bias"][:, None, None]
    y2 = conv(y, p["conv22.weight"]) + p["conv22.bias"][:, None, None]
    y = batch_norm(jax.nn.relu(jnp.concatenate((y1, y2), 1)), p, "bn2", stats)
    counts = pool(jnp.ones((1, 1, 28, 28), x.dtype), 0.0, jax.lax.add)
    y = pool(y, 0.0, jax.lax.add) / counts
    return y.reshape(len(y), -1) @ p["linear.weight"] + p["linear.bias"]


def in_torch():
    import torch
    from torch import nn

    class CNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 32, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(32)
            self.pool1 = nn.MaxPool2d(3, 1, padding=1)
            self.conv21 = nn.Conv2d(32, 16, 3, padding=1)
            self.conv22 = nn.Conv2d(32, 16, 3, padding=1)
            self.bn2 = nn.BatchNorm2d(32)
            self.pool2 = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
            self.linear = nn.Linear(32 * 28 * 28, 10)

        def forward(self, x):
            y = self.pool1(self.bn1(self.conv1(x).relu()))
            y = torch.cat((self.conv21(y), self.conv22(y)), 1).relu()
            return self.linear(self.pool2(self.bn2(y)).flatten(1))

    return CNN()


def in_flax(rngs):
    import jax.numpy as jnp
    from flax import nnx

    def pool(y):
        return nnx.avg_pool(y, (3, 3), (1, 1), "SAME")

    class CNN(nnx.Module):
        def __init__(self):
            self.conv1 = nnx.Conv(1, 32, (3, 3), use_bias=False, rngs=rngs)
            self.bn1 = nnx.BatchNorm(32, momentum=0.9, rngs=rngs)
            self.conv21 = nnx.Conv(32, 16, (3, 3), rngs=rngs)
            self.conv22 = nnx.Conv(32, 16, (3, 3), rngs=rngs)
            self.bn2 = nnx.BatchNorm(32, momentum=0.9, rngs=rngs)
            self.linear = nnx.Linear(32 * 28 * 28, 10, rngs=rngs)

        def __call__(self, x):
            y = self.bn1(nnx.relu(self.conv1(x)))
            y = nnx.max_pool(y, (3, 3), (1, 1), "SAME")
            y = self.bn2(nnx.relu(jnp.concatenate((self.conv21(y), self.conv22(y)), -1)))
            y = pool(y) / pool(jnp.ones((1, 28, 28, 1), y.dtype))  # it counts the padding
            return self.linear(y.reshape(len(y), -1))

    return CNN()


def in_mlx():
    import mlx.core as mx
    import mlx.nn as nn

    class CNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 32, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm(32)
            self.pool1 = nn.MaxPool2d(3, 1, padding=1)
            self.conv21 = nn.Conv2d(32, 16, 3, padding=1)
            self.conv22 = nn.Conv2d(32, 16, 3, padding=1)
            self.bn2 = nn.BatchNorm(32)
            self.pool2 = nn.AvgPool2d(3, 1, padding=1)
            self.linear = nn.Linear(32 * 28 * 28, 10)

        def __call__(self, x):
            y = self.pool1(self.bn1(nn.relu(self.conv1(x))))
            y = self.bn2(nn.relu(mx.concatenate((self.conv21(y), self.conv22(y)), -1)))
            y = self.pool2(y) / self.pool2(mx.ones((1, 28, 28, 1)))  # it counts the padding
            return self.linear(y.flatten(1))

    return CNN()

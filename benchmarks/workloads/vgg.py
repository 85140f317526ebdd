"""Simonyan and Zisserman, 2015, for small images: 3x3 convolutions only, with batch norm."""

TITLE = "VGG of 3x3, 64-256 channels, batch 32, 3x32x32"
INPUT = (32, 3, 32, 32)
STAGES = ((64, 64), (128, 128), (256, 256))  # channels; each ends with 2x2 max-pooling

PARAMS = {}
_inputs, CONVOLUTIONS = 3, []
for _stage in STAGES:
    for _outputs in _stage:
        _i = len(CONVOLUTIONS)
        PARAMS[f"convs.{_i}.weight"] = (_outputs, _inputs, 3, 3)
        PARAMS |= {f"norms.{_i}.weight": (_outputs,), f"norms.{_i}.bias": (_outputs,)}
        CONVOLUTIONS.append(_outputs)
        _inputs = _outputs
PARAMS |= {"linear.weight": (256, 10), "linear.bias": (10,)}
ENDS = (1, 3, 5)  # the last convolution of each stage


def in_singa():
    from benchmarks.contenders.ours import Trained
    from singa import autograd, layer

    class VGG(Trained):
        def __init__(self):
            super().__init__()
            self.convs = [layer.Conv2d(n, 3, padding=1, bias=False) for n in CONVOLUTIONS]
            self.norms = [layer.BatchNorm2d() for _ in CONVOLUTIONS]
            self.pool = layer.MaxPool2d(2, 2)
            self.linear = layer.Linear(10)

        def forward(self, x):
            for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
                x = autograd.relu(norm(conv(x)))
                x = self.pool(x) if i in ENDS else x
            return self.linear(autograd.reduce_mean(x, (2, 3), keepdims=False))

    return VGG()


def in_jax(p, x, stats):
    import jax
    import jax.numpy as jnp

    from benchmarks.contenders.plain_jax import batch_norm, conv

    window = (1, 1, 2, 2)
    for i in range(len(CONVOLUTIONS)):
        x = jax.nn.relu(batch_norm(conv(x, p[f"convs.{i}.weight"]), p, f"norms.{i}", stats))
        if i in ENDS:
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
    return x.mean((2, 3)) @ p["linear.weight"] + p["linear.bias"]


def in_torch():
    from torch import nn

    class VGG(nn.Module):
        def __init__(self):
            super().__init__()
            pairs = zip((3, *CONVOLUTIONS), CONVOLUTIONS, strict=False)
            self.convs = nn.ModuleList(nn.Conv2d(m, n, 3, padding=1, bias=False) for m, n in pairs)
            self.norms = nn.ModuleList(map(nn.BatchNorm2d, CONVOLUTIONS))
            self.pool = nn.MaxPool2d(2)
            self.linear = nn.Linear(CONVOLUTIONS[-1], 10)

        def forward(self, x):
            for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
                x = norm(conv(x)).relu()
                x = self.pool(x) if i in ENDS else x
            return self.linear(x.mean((2, 3)))

    return VGG()

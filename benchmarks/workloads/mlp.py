TITLE = "MLP 64-100-10, batch 32"
INPUT = (32, 64)
PARAMS = {
    "linear1.weight": (64, 100), "linear1.bias": (100,),
    "linear2.weight": (100, 10), "linear2.bias": (10,),
}  # fmt: skip


def in_singa():
    from benchmarks.contenders.ours import Trained
    from singa import autograd, layer

    class MLP(Trained):
        def __init__(self):
            super().__init__()
            self.linear1 = layer.Linear(100)
            self.linear2 = layer.Linear(10)

        def forward(self, x):
            return self.linear2(autograd.relu(self.linear1(x)))

    return MLP()


def in_jax(p, x, stats):
    import jax

    y = jax.nn.relu(x @ p["linear1.weight"] + p["linear1.bias"])
    return y @ p["linear2.weight"] + p["linear2.bias"]


def in_torch():
    from torch import nn

    class MLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear1 = nn.Linear(64, 100)
            self.linear2 = nn.Linear(100, 10)

        def forward(self, x):
            return self.linear2(self.linear1(x).relu())

    return MLP()


def in_flax(rngs):
    from flax import nnx

    class MLP(nnx.Module):
        def __init__(self):
            self.linear1 = nnx.Linear(64, 100, rngs=rngs)
            self.linear2 = nnx.Linear(100, 10, rngs=rngs)

        def __call__(self, x):
            return self.linear2(nnx.relu(self.linear1(x)))

    return MLP()


def in_mlx():
    import mlx.nn as nn

    class MLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear1 = nn.Linear(64, 100)
            self.linear2 = nn.Linear(100, 10)

        def __call__(self, x):
            return self.linear2(nn.relu(self.linear1(x)))

    return MLP()

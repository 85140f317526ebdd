"""Vaswani et al., 2017: an encoder as torch.nn.TransformerEncoderLayer has it, without dropout."""

TITLE = "Transformer 2x128, 64 steps, batch 16"
LAYERS, WIDTH, HEADS, INNER = 2, 128, 4, 512
INPUT = (16, 64, WIDTH)


def params_of(layers):
    """The parameters of an encoder of so many layers."""
    params = {}
    for i in range(layers):
        for name, shape in {
            "self_attn.in_proj_weight": (WIDTH, 3 * WIDTH), "self_attn.in_proj_bias": (3 * WIDTH,),
            "self_attn.out_proj.weight": (WIDTH, WIDTH), "self_attn.out_proj.bias": (WIDTH,),
            "linear1.weight": (WIDTH, INNER), "linear1.bias": (INNER,),
            "linear2.weight": (INNER, WIDTH), "linear2.bias": (WIDTH,),
            "norm1.weight": (WIDTH,), "norm1.bias": (WIDTH,),
            "norm2.weight": (WIDTH,), "norm2.bias": (WIDTH,),
        }.items():  # fmt: skip
            params[f"encoder.layers.{i}.{name}"] = shape
    return params | {"linear.weight": (WIDTH, 10), "linear.bias": (10,)}


PARAMS = params_of(LAYERS)


def attention(projected):
    """Queries, keys and values of all heads, (batch, sequence, 3 * width), to (..., width)."""
    import jax
    import jax.numpy as jnp

    batch, length, _ = projected.shape
    q, k, v = jnp.moveaxis(projected.reshape(batch, length, 3, HEADS, -1), (2, 3), (0, 2))
    weights = jax.nn.softmax(q @ k.mT / q.shape[-1] ** 0.5)
    return (weights @ v).swapaxes(1, 2).reshape(batch, length, -1)


def layer_norm(x, weight, bias):
    import jax

    centered = x - x.mean(-1, keepdims=True)
    variance = (centered * centered).mean(-1, keepdims=True)
    return centered * jax.lax.rsqrt(variance + 1e-5) * weight + bias


def in_singa():
    from benchmarks.contenders.ours import Trained
    from singa import autograd, layer

    class Classifier(Trained):
        def __init__(self):
            super().__init__()
            self.encoder = layer.TransformerEncoder(
                [
                    layer.TransformerEncoderLayer(WIDTH, HEADS, INNER, dropout=0.0)
                    for _ in range(LAYERS)
                ]
            )
            self.linear = layer.Linear(10)

        def forward(self, x):
            return self.linear(autograd.reduce_mean(self.encoder(x), 1, keepdims=False))

    return Classifier()


def in_jax(p, x, stats):
    import jax

    def linear(x, name):
        return x @ p[f"{name}weight"] + p[f"{name}bias"]

    def norm(x, name):
        return layer_norm(x, p[f"{name}.weight"], p[f"{name}.bias"])

    for i in range(LAYERS):
        name = f"encoder.layers.{i}"
        y = attention(linear(x, f"{name}.self_attn.in_proj_"))
        x = norm(x + linear(y, f"{name}.self_attn.out_proj."), f"{name}.norm1")
        y = linear(jax.nn.relu(linear(x, f"{name}.linear1.")), f"{name}.linear2.")
        x = norm(x + y, f"{name}.norm2")
    return linear(x.mean(1), "linear.")


def in_torch():
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, dropout=0.0, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, LAYERS)
            self.linear = nn.Linear(WIDTH, 10)

        def forward(self, x):
            return self.linear(self.encoder(x).mean(1))

    return Classifier()

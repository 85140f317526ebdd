"""Radford et al., 2019: a decoder of text, without dropout; its blocks normalize their inputs."""

VOCABULARY, LAYERS, WIDTH, HEADS, INNER, PLACES = 8192, 6, 256, 4, 1024, 256
TITLE = f"GPT {LAYERS}x{WIDTH}, {PLACES} steps, batch 8, {VOCABULARY} ids, AdamW"
INPUT = (8, PLACES)
TABLES = ("embedding.weight", "places.embedding.weight")
PARAMS = {"embedding.weight": (VOCABULARY, WIDTH), "places.embedding.weight": (PLACES, WIDTH)}
for _i in range(LAYERS):
    for _name, _shape in {
        "self_attn.in_proj_weight": (WIDTH, 3 * WIDTH), "self_attn.in_proj_bias": (3 * WIDTH,),
        "self_attn.out_proj.weight": (WIDTH, WIDTH), "self_attn.out_proj.bias": (WIDTH,),
        "linear1.weight": (WIDTH, INNER), "linear1.bias": (INNER,),
        "linear2.weight": (INNER, WIDTH), "linear2.bias": (WIDTH,),
        "norm1.weight": (WIDTH,), "norm1.bias": (WIDTH,),
        "norm2.weight": (WIDTH,), "norm2.bias": (WIDTH,),
    }.items():  # fmt: skip
        PARAMS[f"blocks.{_i}.{_name}"] = _shape
PARAMS |= {
    "norm.weight": (WIDTH,), "norm.bias": (WIDTH,),
    "linear.weight": (WIDTH, VOCABULARY), "linear.bias": (VOCABULARY,),
}  # fmt: skip


def in_singa():
    import numpy as np

    from benchmarks.contenders.ours import Trained
    from singa import layer
    from singa.tensor import Tensor

    class Places(layer.Layer):
        def __init__(self):
            self.embedding = layer.Embedding(PLACES, WIDTH)

        def forward(self, x):
            return x + self.embedding(Tensor(data=np.arange(PLACES), device=x.device))

    class GPT(Trained):
        def __init__(self):
            super().__init__()
            self.embedding = layer.Embedding(VOCABULARY, WIDTH)
            self.places = Places()
            self.blocks = [
                layer.TransformerEncoderLayer(
                    WIDTH, HEADS, INNER, dropout=0.0, activation="gelu", norm_first=True
                )
                for _ in range(LAYERS)
            ]
            self.norm = layer.LayerNorm(WIDTH)
            self.linear = layer.Linear(VOCABULARY)

        def forward(self, ids):
            x = self.places(self.embedding(ids))
            for block in self.blocks:
                x = block(x, causal=True)
            return self.linear(self.norm(x)).reshape(-1, VOCABULARY)

    return GPT()


def in_jax(p, x, stats):
    import jax
    import jax.numpy as jnp

    from benchmarks.workloads.transformer import layer_norm

    def linear(x, name):
        return x @ p[f"{name}weight"] + p[f"{name}bias"]

    def norm(x, name):
        return layer_norm(x, p[f"{name}.weight"], p[f"{name}.bias"])

    x = p["embedding.weight"][x] + p["places.embedding.weight"]
    for i in range(LAYERS):
        name = f"blocks.{i}"
        projected = linear(norm(x, f"{name}.norm1"), f"{name}.self_attn.in_proj_")
        q, k, v = (y.reshape(*x.shape[:2], HEADS, -1) for y in jnp.split(projected, 3, -1))
        y = jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape)
        x = x + linear(y, f"{name}.self_attn.out_proj.")
        y = jax.nn.gelu(linear(norm(x, f"{name}.norm2"), f"{name}.linear1."), approximate=False)
        x = x + linear(y, f"{name}.linear2.")
    return linear(norm(x, "norm"), "linear.").reshape(-1, VOCABULARY)


def in_torch():
    from torch import nn

    class Places(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(PLACES, WIDTH)

        def forward(self, x):
            return x + self.embedding.weight

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.places = nn.Embedding(VOCABULARY, WIDTH), Places()
            self.blocks = nn.ModuleList(
                nn.TransformerEncoderLayer(
                    WIDTH, HEADS, INNER, 0.0, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(LAYERS)
            )
            self.norm, self.linear = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)
            ahead = nn.Transformer.generate_square_subsequent_mask(PLACES)
            self.register_buffer("ahead", ahead, persistent=False)

        def forward(self, ids):
            x = self.places(self.embedding(ids))
            for block in self.blocks:
                x = block(x, src_mask=self.ahead, is_causal=True)
            return self.linear(self.norm(x)).reshape(-1, VOCABULARY)

    return GPT()

"""Files of other exporters, and the gradients that test_exporters.py expects.

Needs an environment of its own::

    pip install torch==2.13.0 onnxscript onnx==1.23.2 keras==3.15.1 jax2onnx skl2onnx==1.20.0

``python make.py numbers`` prints PyTorch's gradients; ``python make.py FOLDER`` writes networks by
both exporters of PyTorch (evaluated, and in training without folding), by Keras's, and models by
scikit-learn's. ``singa onnx check`` compares them with ONNX Runtime.
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

os.environ.setdefault("KERAS_BACKEND", "jax")


def wave(*shape, at=0.0):
    made = np.sin(np.arange(np.prod(shape)) + at).reshape(shape).astype(np.float32)
    return torch.tensor(made).requires_grad_()


def show(name, y, **parameters):
    """Print the sum, the sum of absolute values and an element of each gradient."""
    loss = (y * torch.cos(torch.arange(y.numel()).float()).reshape(y.shape)).sum()
    found = torch.autograd.grad(loss, list(parameters.values()))
    numbers = [(g.sum(), g.abs().sum(), g.reshape(-1)[1]) for g in found]
    rounded = [tuple(round(v.item(), 5) for v in each) for each in numbers]
    print(f'"{name}":', dict(zip(parameters, rounded, strict=True)))


def numbers():
    x, w, b = wave(2, 3, 4), wave(12, 4, at=1.0), wave(12, at=2.0)
    g, g2 = (torch.ones(4).requires_grad_() for _ in range(2))
    h, h2 = (torch.zeros(4).requires_grad_() for _ in range(2))
    q, k, v = F.linear(F.layer_norm(x, (4,), g, h), w, b).chunk(3, -1)
    mask = torch.triu(torch.full((3, 3), float("-inf")), 1)
    found = torch.softmax(q @ k.transpose(1, 2) * 0.5 + mask, -1) @ v
    show("attention", F.layer_norm(x + found, (4,), g2, h2), w=w, b=b, g=g, h=h, g2=g2, h2=h2)

    w, b, fc, fb = wave(3, 1, 3, 3, at=1.0), wave(3, at=0.5), wave(2, 3, at=3.0), wave(2)
    inner = F.hardswish(F.conv2d(wave(2, 3, 5, 5), w, b, 2, 1, groups=3))
    show("depthwise", F.linear(inner.mean((2, 3)), fc, fb), w=w, b=b, fc=fc, fb=fb)

    x, k, b = wave(2, 4, 4, 3), wave(3, 3, 3, 2, at=1.0), wave(2, at=0.3)
    y = F.conv2d(x.permute(0, 3, 1, 2), k.permute(3, 2, 0, 1), None, 1, 1)
    show("keras", F.relu(y.permute(0, 2, 3, 1) + b), k=k, b=b)

    x, wi, wh = wave(2, 3, 2), wave(2, 4, at=1.0), wave(4, 4, at=2.0)
    bi, h = torch.zeros(4).requires_grad_(), torch.zeros(2, 4)
    for t in range(3):
        h = torch.tanh(x[:, t] @ wi + h @ wh + bi)
    show("cell", h, wi=wi, wh=wh, bi=bi)


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, groups=outputs)
        self.short = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x):
        return F.relu(self.second(F.hardswish(self.norm(self.first(x)))) + self.short(x))


class Decoder(nn.Module):
    """A block with a cache, and embeddings that are tied to the last layer."""

    def __init__(self, words=20, wide=16, heads=2):
        super().__init__()
        self.heads, self.words = heads, nn.Embedding(words, wide)
        self.places = nn.Embedding(32, wide)
        self.norm1, self.norm2 = nn.LayerNorm(wide), nn.LayerNorm(wide)
        self.qkv, self.out = nn.Linear(wide, 3 * wide), nn.Linear(wide, wide)
        self.inner, self.outer = nn.Linear(wide, 4 * wide), nn.Linear(4 * wide, wide)
        self.last = nn.Linear(wide, words, bias=False)
        self.last.weight = self.words.weight

    def forward(self, ids, keys, values):
        (batch, steps), before = ids.shape, keys.shape[2]
        x = self.words(ids) + self.places(torch.arange(before, before + steps))
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (p.view(batch, steps, self.heads, -1).transpose(1, 2) for p in parts)
        k, v = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        mask = torch.ones(steps, before + steps, dtype=torch.bool).tril(before)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).reshape(batch, steps, -1))
        x = x + self.outer(F.gelu(self.inner(self.norm2(x)), approximate="tanh"))
        return self.last(x), k, v


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True)
        self.gru, self.last = nn.GRU(16, 7, batch_first=True), nn.Linear(7, 5)

    def forward(self, x):
        return self.last(self.gru(self.lstm(x)[0])[0][:, -1])


def write_torch(folder):
    image = torch.randn(2, 3, 16, 16)
    layers = Residual(3, 8, 2), Residual(8, 12, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    cache = torch.randn(2, 2, 3, 8)
    attention = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
    transformer = nn.Sequential(nn.Linear(16, 16), attention)  # alone, its mask would be an input
    cases = {
        "mlp": (nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.1),
                              nn.Linear(16, 5)), (torch.randn(2, 12),)),
        "residual": (nn.Sequential(*layers, nn.Linear(12, 5)), (image,)),
        "transformer": (transformer, (torch.randn(2, 5, 16),)),
        "decoder": (Decoder(), (torch.randint(0, 20, (2, 5)), cache, cache)),
        "recurrent": (Recurrent(), (torch.randn(2, 4, 6),)),
    }  # fmt: skip
    for name, (net, xs) in cases.items():
        net.eval()
        names = [f"x{i}" for i in range(len(xs))]
        batch = torch.export.Dim("batch", min=1, max=64)
        open_axes = {"input_names": names, "dynamic_shapes": tuple({0: batch} for _ in names)}
        torch.onnx.export(net, xs, folder / f"{name}-dynamo.onnx", dynamo=True, **open_axes)
        open_axes = {"input_names": names, "dynamic_axes": {each: {0: "batch"} for each in names}}
        torch.onnx.export(net, xs, folder / f"{name}-script.onnx", dynamo=False, **open_axes)
        torch.onnx.export(
            net, xs, folder / f"{name}-training.onnx", dynamo=False, do_constant_folding=False,
            training=torch.onnx.TrainingMode.TRAINING, **open_axes,
        )  # fmt: skip


def write_keras(folder):
    import keras
    from keras import layers

    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, 2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same", activation="swish")(x)])
    x = layers.Reshape((64, 8))(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    model = keras.Model(inputs, layers.Dense(5)(x))
    model(np.zeros((1, 16, 16, 3), np.float32))
    model.export(folder / "keras.onnx", format="onnx")


def write_sklearn(folder):
    from skl2onnx import to_onnx
    from sklearn import ensemble, linear_model, neighbors, pipeline, preprocessing, svm

    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 4)).astype(np.float32)
    y = np.array(["a", "b", "c"])[(x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5)]
    models = [
        pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
        ensemble.RandomForestClassifier(5), ensemble.GradientBoostingClassifier(n_estimators=5),
        svm.SVC(probability=True), svm.SVC(kernel="linear"), neighbors.KNeighborsClassifier(3),
    ]  # fmt: skip
    for number, model in enumerate(models):
        made = to_onnx(model.fit(x, y), x[:1])
        (folder / f"sklearn-{number}.onnx").write_bytes(made.SerializeToString())


if __name__ == "__main__":
    if sys.argv[1] == "numbers":
        numbers()
    else:
        chosen = Path(sys.argv[1])
        chosen.mkdir(exist_ok=True)
        write_torch(chosen)
        write_keras(chosen)
        write_sklearn(chosen)

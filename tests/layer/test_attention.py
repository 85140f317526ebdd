"""Attention and transformer layers against NumPy, head by head."""

import numpy as np
import pytest

import oracles
from singa import autograd, device, layer, model, opt
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.tensor import Tensor

BATCH, PLACES, KEYS, SIZE, HEADS, INNER = 2, 4, 3, 6, 2, 5


def doubles(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return Tensor(data=values, stores_grad=True)


def gelu(x):
    from math import erf

    return x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2


KEY_MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 1]], bool)
BY_HEAD = np.stack((np.tri(PLACES, dtype=bool), np.eye(PLACES, dtype=bool)[::-1]))
MASKS = {
    "all": ({}, True),
    "causal": ({"causal": True}, np.tri(PLACES, dtype=bool)),
    "padded": ({"key_mask": KEY_MASK}, KEY_MASK[:, None, None]),
    "masked": ({"mask": np.eye(PLACES, dtype=bool)}, np.eye(PLACES, dtype=bool)),
    "by head": ({"mask": BY_HEAD}, BY_HEAD),
    "both": (
        {"causal": True, "mask": np.array([1, 1, 0, 1], bool)},
        np.tri(PLACES, dtype=bool) & np.array([1, 1, 0, 1], bool),
    ),
}  # fmt: skip


@pytest.mark.parametrize("masks", MASKS)
def test_attention_to_itself(masks):
    options, visible = MASKS[masks]
    net = layer.MultiHeadAttention(SIZE, HEADS)
    x = doubles(BATCH, PLACES, SIZE)
    net(x)
    oracles.fill(net)
    oracles.assert_gradients(
        lambda: net(x, **options),
        lambda v: oracles.multi_head(v, v["x"], v["x"], HEADS, visible),
        {**net.get_params(), "x": x},
    )


def test_attention_to_another_sequence():
    net = layer.MultiHeadAttention(SIZE, HEADS)
    x, y = doubles(BATCH, PLACES, SIZE), doubles(BATCH, KEYS, SIZE, seed=1)
    net(x, y)
    oracles.fill(net)
    oracles.assert_gradients(
        lambda: net(x, y),
        lambda v: oracles.multi_head(v, v["x"], v["y"], HEADS),
        {**net.get_params(), "x": x, "y": y},
    )
    np.testing.assert_allclose(net(x, y, y), net(x, y.clone(), y.clone()), rtol=1e-12)


@pytest.mark.parametrize("batch_first", [True, False])
def test_keys_and_values_have_their_own_features_and_fewer_heads(batch_first):
    net = layer.MultiHeadAttention(
        8, 4, num_kv_heads=2, kdim=3, vdim=5, batch_first=batch_first, scale=1.0
    )
    sizes = {"query": (BATCH, PLACES, 8), "key": (BATCH, KEYS, 3), "value": (BATCH, KEYS, 5)}
    inputs = {name: doubles(*size, seed=len(name)) for name, size in sizes.items()}
    padding = np.array([[0, 0, 1], [0, 1, 0]], bool)

    def ours():
        y, weights = net(*given, key_padding_mask=padding, need_weights=True)
        assert weights.shape == (BATCH, PLACES, KEYS)
        assert not weights.to_numpy()[padding[:, None].repeat(PLACES, 1)].any()
        return y if batch_first else y.transpose((1, 0, 2))

    def plain(v):
        q, k, value = (
            v[name] @ v[f"{name[0]}_proj_weight"] + bias
            for name, bias in zip(sizes, np.split(v["in_proj_bias"], [8, 12]), strict=True)
        )
        k, value = (np.repeat(x.reshape(BATCH, KEYS, 2, 2), 2, 2) for x in (k, value))
        k, value = (x.reshape(BATCH, KEYS, 8) for x in (k, value))
        y = oracles.attention(q * np.sqrt(2), k, value, 4, ~padding[:, None, None])
        return y @ v["out_proj.W"] + v["out_proj.b"]

    autograd.training = True
    given = list(inputs.values())
    if not batch_first:
        given = [x.transpose((1, 0, 2)) for x in given]
    net(*given)
    oracles.fill(net)
    oracles.assert_gradients(ours, plain, {**net.get_params(), **inputs})
    _, by_head = net(*given, need_weights=True, average_attn_weights=False)
    np.testing.assert_allclose(
        net(*given, need_weights=True)[1], by_head.to_numpy().mean(1), rtol=1e-12
    )


def test_padding_may_be_numbers_and_be_combined_with_each_mask():
    net = layer.MultiHeadAttention(SIZE, HEADS)
    x, seen = doubles(BATCH, PLACES, SIZE), np.tri(PLACES, dtype=bool)
    added = np.where(KEY_MASK, 0, -np.inf)
    for mask, causal in ((None, False), (seen, True), (np.where(seen, 0, -np.inf), True)):
        expected = net(x, key_mask=KEY_MASK, causal=causal)
        for padding in (~KEY_MASK, added):
            found = net(x, mask=mask, key_padding_mask=padding)
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    encode = layer.TransformerEncoderLayer(SIZE, HEADS, INNER, num_kv_heads=1, batch_first=False)
    turned = x.transpose((1, 0, 2))
    y = encode(turned, key_padding_mask=~KEY_MASK)
    np.testing.assert_array_equal(y, encode(turned, key_mask=KEY_MASK))
    decode = layer.TransformerDecoderLayer(SIZE, HEADS, INNER)
    np.testing.assert_array_equal(
        decode(x, x, key_padding_mask=~KEY_MASK, memory_key_padding_mask=~KEY_MASK),
        decode(x, x, key_mask=KEY_MASK, memory_key_mask=KEY_MASK),
    )


def test_numbers_in_a_mask_are_added():
    net = layer.MultiHeadAttention(SIZE, HEADS)
    x = doubles(BATCH, PLACES, SIZE)
    net(x)
    added = np.where(np.tri(PLACES), 0, -1e30)
    np.testing.assert_allclose(net(x, mask=Tensor(data=added)), net(x, causal=True), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_who_may_look_nowhere_gives_numbers_all_the_same(dtype):
    net = layer.MultiHeadAttention(SIZE, HEADS, bias=False)
    x = Tensor(data=doubles(BATCH, PLACES, SIZE).to_numpy(), dtype=dtype)
    y = net(x, mask=np.zeros((PLACES, PLACES), bool), key_mask=KEY_MASK & False, causal=True)
    assert str(y.dtype) == dtype
    assert np.isfinite(y.to_numpy().astype(np.float32)).all()
    assert len(net.get_params()) == 2


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer(norm_first, activation):
    net = layer.TransformerEncoderLayer(
        SIZE, HEADS, INNER, activation=activation, norm_first=norm_first
    )
    x = doubles(BATCH, PLACES, SIZE)
    net(x)
    oracles.fill(net)

    def plain(v):
        return encoder(v, v["x"], norm_first, activation, KEY_MASK[:, None, None])

    net.dropout.ratio = net.self_attn.dropout = 0.0
    oracles.assert_gradients(lambda: net(x, key_mask=KEY_MASK), plain, {**net.get_params(), "x": x})


def residual(v, name, x, function, norm_first):
    def norm(x):
        return oracles.layer_norm(x, v[f"{name}.scale"], v[f"{name}.bias"])

    return x + function(norm(x)) if norm_first else norm(x + function(x))


def network(v, activation):
    def run(x):
        inner = x @ v["linear1.W"] + v["linear1.b"]
        inner = gelu(inner) if activation == "gelu" else np.maximum(inner, 0)
        return inner @ v["linear2.W"] + v["linear2.b"]

    return run


def encoder(v, x, norm_first, activation, visible):
    own = oracles.below(v, "self_attn.")
    x = residual(v, "norm1", x, lambda x: oracles.multi_head(own, x, x, HEADS, visible), norm_first)
    return residual(v, "norm2", x, network(v, activation), norm_first)


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder_layer(norm_first):
    net = layer.TransformerDecoderLayer(SIZE, HEADS, INNER, 0.0, norm_first=norm_first)
    x, memory = doubles(BATCH, PLACES, SIZE), doubles(BATCH, KEYS, SIZE, seed=1)
    net(x, memory)
    oracles.fill(net)
    seen = np.array([[1, 1, 0], [1, 0, 1]], bool)

    def plain(v):
        own, other = oracles.below(v, "self_attn."), oracles.below(v, "multihead_attn.")
        x = residual(
            v, "norm1", v["x"],
            lambda x: oracles.multi_head(own, x, x, HEADS, np.tri(PLACES, dtype=bool)), norm_first,
        )  # fmt: skip
        x = residual(
            v, "norm2", x,
            lambda x: oracles.multi_head(other, x, v["memory"], HEADS, seen[:, None, None]),
            norm_first,
        )  # fmt: skip
        return residual(v, "norm3", x, network(v, "relu"), norm_first)

    oracles.assert_gradients(
        lambda: net(x, memory, causal=True, memory_key_mask=seen),
        plain,
        {**net.get_params(), "x": x, "memory": memory},
    )


def test_stacks_pass_everything_on_and_normalize_at_the_end():
    layers = [layer.TransformerEncoderLayer(SIZE, HEADS, INNER, norm_first=True) for _ in "ab"]
    net = layer.TransformerEncoder(layers, layer.LayerNorm())
    x = doubles(BATCH, PLACES, SIZE)
    expected = net.norm(layers[1](layers[0](x, causal=True), causal=True))
    np.testing.assert_array_equal(net(x, causal=True), expected)
    assert {name.partition(".")[0] for name in net.get_params()} == {"layers", "norm"}
    assert "layers.1.self_attn.out_proj.W" in net.get_params()
    decoders = [layer.TransformerDecoderLayer(SIZE, HEADS, INNER) for _ in "ab"]
    decoder = layer.TransformerDecoder(decoders)
    np.testing.assert_array_equal(
        decoder(x, expected), decoders[1](decoders[0](x, expected), expected)
    )


def test_dropout_is_everywhere_it_is_due_and_in_training_only():
    net = layer.TransformerEncoderLayer(SIZE, HEADS, INNER, dropout=1.0, norm_first=True)
    x = doubles(BATCH, PLACES, SIZE)
    assert not np.array_equal(net(x), x)
    autograd.training = True
    np.testing.assert_array_equal(net(x), x)
    only = layer.MultiHeadAttention(SIZE, HEADS, dropout=1.0)
    y = only(x)
    autograd.training = False
    assert not y.to_numpy().any()
    assert only(x).to_numpy().any()


@pytest.mark.parametrize(
    ("do", "error", "words"),
    [
        (lambda x: layer.MultiHeadAttention(6, 4), ArgumentError, "not a multiple of num_heads=4"),
        (lambda x: layer.MultiHeadAttention(6, 3, num_kv_heads=2), ArgumentError, "kv_heads=2"),
        (
            lambda x: layer.MultiHeadAttention(6, 2)(x, key_mask=KEY_MASK, key_padding_mask=1),
            ArgumentError, "one of them is enough",
        ),
        (
            lambda x: layer.MultiHeadAttention(6, 2)(x, key_padding_mask=[[1, 0], [1, 1]]),
            DTypeError, r"key_padding_mask must be bools or floats of shape \(2, 4\), got int",
        ),
        (
            lambda x: autograd.scaled_dot_product_attention(x, x, x[:1], enable_gqa=True),
            ShapeError, "the heads of q are a multiple of those of k and v",
        ),
        (lambda x: layer.MultiHeadAttention(6, 2, 1.5), ArgumentError, "ratio is a probability"),
        (lambda x: layer.MultiHeadAttention(8, 2)(x), ShapeError, "8 features expected, got 6"),
        (lambda x: layer.MultiHeadAttention(6, 2)(x[0]), ShapeError, r"\(batch, places, f"),
        (
            lambda x: layer.MultiHeadAttention(6, 2)(x, key_mask=KEY_MASK.astype(int)),
            DTypeError, r"key_mask must be bools of shape \(2, 4\), got int64",
        ),
        (
            lambda x: layer.TransformerEncoderLayer(6, 2, activation="tanh"),
            ArgumentError, "TransformerEncoderLayer: activation must be 'relu' or 'gelu'",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_refused_with_words(do, error, words):
    with pytest.raises(error, match=words):
        do(doubles(BATCH, PLACES, SIZE))


@pytest.mark.parametrize("norm_first", [False, True])
def test_compiled_and_eager_steps_train_alike_with_dropout_too(norm_first):
    class Net(model.Model):
        def __init__(self):
            super().__init__()
            self.encoder = layer.TransformerEncoderLayer(
                SIZE, HEADS, INNER, 0.2, "gelu", norm_first=norm_first
            )
            self.decoder = layer.TransformerDecoderLayer(
                SIZE, HEADS, INNER, 0.2, norm_first=norm_first
            )
            self.optimizer = opt.SGD(0.1, momentum=0.9)

        def forward(self, x, key_mask):
            return self.decoder(x, self.encoder(x, None, key_mask), causal=True)

        def train_one_batch(self, x, key_mask, t):
            loss = autograd.mse_loss(self.forward(x, key_mask), t)
            self.optimizer(loss)
            return loss

    x, t = (Tensor(data=doubles(BATCH, PLACES, SIZE, seed=i).to_numpy()) for i in (0, 1))
    losses = []
    for use_graph in (False, True):
        device.get_default_device().set_rand_seed(3)
        net = Net()
        net.compile([x, Tensor(data=KEY_MASK)], use_graph=use_graph)
        losses.append([net(x, Tensor(data=KEY_MASK), t).item() for _ in range(4)])
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(*losses, rtol=1e-9)


@pytest.mark.slow
def test_attention_learns_the_addition_task():
    """Of a sequence of numbers the two that are marked have to be added."""
    device.get_default_device().set_rand_seed(0)

    class Adder(model.Model):
        def __init__(self):
            super().__init__()
            self.enter = layer.Linear(32)
            self.encoder = layer.TransformerEncoderLayer(32, 2, 64, 0.0, norm_first=True)
            self.leave = layer.Linear(1)
            self.optimizer = opt.SGD(0.01, momentum=0.9)

        def forward(self, x):
            y = self.encoder(self.enter(x))
            return self.leave(autograd.reduce_mean(y, 1, keepdims=False))

        def train_one_batch(self, x, t):
            loss = autograd.mse_loss(self.forward(x), t)
            self.optimizer(loss)
            return loss

    rng = np.random.default_rng(0)

    def batch(size=64, places=10):
        numbers = rng.uniform(-1, 1, (size, places)).astype(np.float32)
        marks = np.zeros_like(numbers)
        for row in marks:
            row[rng.choice(places, 2, replace=False)] = 1
        total = (numbers * marks).sum(1, keepdims=True)
        return Tensor(data=np.stack((numbers, marks), -1)), Tensor(data=total)

    net = Adder()
    net.compile([batch()[0]], use_graph=True)
    for _ in range(500):
        net(*batch())
    net.eval()
    x, t = batch(256)
    error = ((net(x).to_numpy() - t.to_numpy()) ** 2).mean()
    assert error < 0.1 * t.to_numpy().var()

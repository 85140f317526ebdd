"""Hochreiter and Schmidhuber, 1997, with a forget gate and two biases, as PyTorch has it."""

TITLE = "LSTM 2x128, 64 steps, batch 32"
LAYERS, WIDTH = 2, 128
INPUT = (32, 64, WIDTH)
PARAMS = {}
for _i in range(LAYERS):
    PARAMS |= {
        f"lstm.weight_ih_l{_i}": (WIDTH, 4 * WIDTH), f"lstm.weight_hh_l{_i}": (WIDTH, 4 * WIDTH),
        f"lstm.bias_ih_l{_i}": (4 * WIDTH,), f"lstm.bias_hh_l{_i}": (4 * WIDTH,),
    }  # fmt: skip
PARAMS |= {"linear.weight": (WIDTH, 10), "linear.bias": (10,)}

# The step's matrix products, (rows, inner, columns): what contenders/limits.py measures. PyTorch's
# own LSTM hides them. What is not recurrent is one product for all steps, weight gradients too.
_ROWS, _STEPS = INPUT[0] * INPUT[1], INPUT[1]
PRODUCTS = LAYERS * [
    (_ROWS, WIDTH, 4 * WIDTH),  # inputs times weights
    *_STEPS * [(INPUT[0], WIDTH, 4 * WIDTH)],  # and each state
    *_STEPS * [(INPUT[0], 4 * WIDTH, WIDTH)],  # each state's gradient
    (WIDTH, _ROWS, 4 * WIDTH),  # the gradients of both weights
    (WIDTH, _ROWS, 4 * WIDTH),
]
PRODUCTS += [(_ROWS, 4 * WIDTH, WIDTH)]  # the gradient of the second layer's inputs

# Steps of the recurrence in one round of XLA's loop. With 1 the whole training step took 26 ms,
# with 2 30, with 4 32, with 8 46, and with 16 97 ms.
UNROLL = 1


def recurrence(x, w_ih, w_hh, b_ih, b_hh):
    """One layer: (steps, batch, inputs) to (steps, batch, width)."""
    import jax
    import jax.numpy as jnp

    def step(state, projected):
        h, c = state
        i, f, g, o = jnp.split(projected + h @ w_hh, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    # What does not depend on the step before is one product for all steps.
    projected = x @ w_ih + (b_ih + b_hh)
    zeros = jnp.zeros((x.shape[1], w_hh.shape[0]), x.dtype)
    return jax.lax.scan(step, (zeros, zeros), projected, unroll=UNROLL)[1]


def in_singa():
    from benchmarks.contenders.ours import Trained
    from singa import layer

    class Classifier(Trained):
        def __init__(self):
            super().__init__()
            self.lstm = layer.LSTM(WIDTH, WIDTH, num_layers=LAYERS, batch_first=True)
            self.linear = layer.Linear(10)

        def forward(self, x):
            y, _ = self.lstm(x)
            return self.linear(y[:, -1])

    return Classifier()


def in_jax(p, x, stats):
    y = x.swapaxes(0, 1)
    for i in range(LAYERS):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        y = recurrence(y, *(p[f"lstm.{name}_l{i}"] for name in names))
    return y[-1] @ p["linear.weight"] + p["linear.bias"]


def in_torch():
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(WIDTH, WIDTH, LAYERS, batch_first=True)
            self.linear = nn.Linear(WIDTH, 10)

        def forward(self, x):
            y, _ = self.lstm(x)
            return self.linear(y[:, -1])

    return Classifier()

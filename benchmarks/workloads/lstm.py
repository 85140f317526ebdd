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
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks.contenders.ours import Trained
    from singa import Tensor, autograd, layer

    class Recurrence(autograd.Operation):
        """One layer, (steps, batch, inputs) to (steps, batch, width), with its own backward.

        sigmoid(a) is (1 + tanh(a / 2)) / 2, so that all four gates are one tanh of a scaled sum.
        The loop back in time only has what depends on the step after: the rest, and the weights'
        gradients, are computed for all steps at once.
        """

        def forward(self, x, w_ih, w_hh, b_ih, b_hh):
            scale = np.repeat(np.float32([0.5, 0.5, 1, 0.5]), WIDTH)  # gates i, f, g, o
            weight = w_hh * scale
            zeros = jnp.zeros((x.shape[1], WIDTH), x.dtype)

            def step(state, projected):
                h, c = state
                t = jnp.tanh(projected + h @ weight)
                i, f, g, o = self.gates(t)
                c = f * c + i * g
                h = o * jnp.tanh(c)
                return (h, c), (h, t, c)

            projected = (x @ w_ih + (b_ih + b_hh)) * scale
            _, (h, self.t, c) = jax.lax.scan(step, (zeros, zeros), projected)
            self.x, self.w_ih, self.w_hh, self.c = x, w_ih, w_hh, c
            self.h_before = jnp.concatenate((zeros[None], h[:-1]))
            self.c_before = jnp.concatenate((zeros[None], c[:-1]))
            return h

        def backward(self, dy):
            i, f, g, o = self.gates(self.t)
            tanh_c = jnp.tanh(self.c)
            by_c = o * (1 - tanh_c**2)
            by_gates = jnp.concatenate(
                (
                    g * i * (1 - i),
                    self.c_before * f * (1 - f),
                    i * (1 - g**2),
                    tanh_c * o * (1 - o),
                ),
                -1,
            )
            weight = self.w_hh.T

            def step(state, v):
                dh, dc = state
                by_gates, by_c, f, dy = v
                dh = dh + dy
                dc = dc + dh * by_c
                da = jnp.concatenate((dc, dc, dc, dh), -1) * by_gates
                return (da @ weight, dc * f), da

            zeros = jnp.zeros_like(dy[0])
            _, da = jax.lax.scan(step, (zeros, zeros), (by_gates, by_c, f, dy), reverse=True)
            rows = da.reshape(-1, 4 * WIDTH)
            db = rows.sum(0)
            dw = [a.reshape(len(rows), -1).T @ rows for a in (self.x, self.h_before)]
            return da @ self.w_ih.T, *dw, db, db

        @staticmethod
        def gates(t):
            i, f, g, o = jnp.split(t, 4, -1)
            return (1 + i) / 2, (1 + f) / 2, g, (1 + o) / 2

    names = [name.removeprefix("lstm.") for name in PARAMS if name.startswith("lstm.")]

    class LSTM(layer.Layer):
        def initialize(self, x):
            for name in names:
                shape = PARAMS[f"lstm.{name}"]
                setattr(self, name, Tensor(shape, x.device, stores_grad=True))

        def forward(self, x):
            y = autograd.transpose(x, (1, 0, 2))
            for i in range(0, len(names), 4):
                y = Recurrence()(y, *(getattr(self, name) for name in names[i : i + 4]))[0]
            return y

    class Classifier(Trained):
        def __init__(self):
            super().__init__()
            self.lstm = LSTM()
            self.linear = layer.Linear(10)

        def forward(self, x):
            return self.linear(self.lstm(x)[-1])

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

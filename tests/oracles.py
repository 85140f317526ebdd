"""Plain NumPy formulas of layers, and derivatives by central differences."""

import numpy as np

from singa import autograd
from singa.tensor import Tensor


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cell(mode, a, u, h, c):
    """One step: from the input's and the state's part of the gates to the next h and c."""
    if mode == "tanh":
        return np.tanh(a + u), c
    if mode == "relu":
        return np.maximum(a + u, 0), c
    if mode == "lstm":
        i, f, g, o = np.split(a + u, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    (ar, az, an), (ur, uz, un) = np.split(a, 3), np.split(u, 3)
    z = sigmoid(az + uz)
    return (1 - z) * np.tanh(an + sigmoid(ar + ur) * un) + z * h, c


def recurrent(mode, params, x, h0, c0, lengths=None, layers=1, directions=1):
    """x (steps, batch, features), states (layers * directions, batch, hidden); y, h, c."""
    steps, batch, _ = x.shape
    lasts_h, lasts_c = h0.copy(), c0.copy()
    for layer in range(layers):
        ys = []
        for direction in range(directions):
            end = f"_l{layer}{'_reverse' if direction else ''}"
            w, v = params["weight_ih" + end], params["weight_hh" + end]
            r = params.get("weight_hr" + end)
            b, d = params.get("bias_ih" + end, 0), params.get("bias_hh" + end, 0)
            k = layer * directions + direction
            y = np.zeros((steps, batch, v.shape[0]))
            for n in range(batch):
                h, c = h0[k, n], c0[k, n]
                times = range(steps if lengths is None else lengths[n])
                for t in reversed(times) if direction else times:
                    h, c = cell(mode, x[t, n] @ w + b, h @ v + d, h, c)
                    h = h if r is None else h @ r
                    y[t, n] = h
                lasts_h[k, n], lasts_c[k, n] = h, c
            ys.append(y)
        x = np.concatenate(ys, -1)
    return x, lasts_h, lasts_c


def attention(q, k, v, heads, visible=True):
    """(batch, places, features) each, already projected."""
    out = np.zeros_like(q)
    size = q.shape[-1] // heads
    visible = np.broadcast_to(visible, (len(q), heads, q.shape[1], k.shape[1]))
    for n in range(len(q)):
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = q[n][:, part] @ k[n][:, part].T / np.sqrt(size)
            weights = softmax(np.where(visible[n, head], scores, -1e300))
            out[n][:, part] = weights @ v[n][:, part]
    return out


def multi_head(p, query, key, heads, visible=True):
    """With the layer's parameters by name, keys being values too."""
    w, b = np.split(p["in_proj_weight"], 3, 1), np.split(p["in_proj_bias"], 3)
    q, k, v = query @ w[0] + b[0], key @ w[1] + b[1], key @ w[2] + b[2]
    return attention(q, k, v, heads, visible) @ p["out_proj.W"] + p["out_proj.b"]


def layer_norm(x, scale, bias, eps=1e-5):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * scale + bias


def below(params, prefix):
    """The parameters of one sub-layer."""
    return {
        name.removeprefix(prefix): value
        for name, value in params.items()
        if name.startswith(prefix)
    }


def fill(layer, seed=0):
    """Give a layer's parameters values that no initializer gives; returns them by name."""
    rng = np.random.default_rng(seed)
    values = {name: rng.uniform(-0.7, 0.7, p.shape) for name, p in layer.get_params().items()}
    layer.set_params(values)
    return values


def assert_gradients(ours, plain, values, rtol=1e-5):
    """Gradients along random directions are the slopes of the plain formula, in float64.

    ``ours`` takes Tensors by name, ``plain`` arrays, and both return one output; ``values`` are
    Tensors, parameters or inputs, with stores_grad.
    """
    arrays = {name: t.to_numpy() for name, t in values.items()}
    expected = plain(arrays)
    weights = np.random.default_rng(5).uniform(-1, 1, expected.shape)
    autograd.training = True
    y = ours()
    found = autograd.gradients(y, Tensor(data=weights))
    autograd.training = False
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-10)
    rng = np.random.default_rng(6)
    for name, value in values.items():
        direction = rng.standard_normal(value.shape)
        slopes = [
            (plain({**arrays, name: arrays[name] + h * direction}) * weights).sum()
            for h in (1e-6, -1e-6)
        ]
        numeric = (slopes[0] - slopes[1]) / 2e-6
        analytic = (found[value].to_numpy() * direction).sum()
        np.testing.assert_allclose(analytic, numeric, rtol, 1e-7, err_msg=name)

"""Numbers as arguments: NumPy's work like Python's, and other values raise an error of ours.

Every function with one or more number arguments is called once for each of them.
"""

import inspect
from types import FunctionType

import numpy as np
import pytest

from singa import autograd, layer, operation
from singa.errors import SingaError
from singa.tensor import Tensor


def t(*shape, dtype="float32"):
    size = int(np.prod(shape))
    return Tensor(data=np.arange(1, size + 1).reshape(shape).astype(dtype))


IDS = t(2, dtype="int32")
IMAGE, VOLUME, SEQUENCE = (1, 2, 4, 4), (1, 2, 2, 4, 4), (1, 2, 4)

ONE_AXIS, AXES = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"), ("2", "n")

# The Tensors of a call, and its arguments that are numbers.
CALLS = {
    **{name: ([t(3, 4)], {"n": 3, "axis": 0}) for name in ONE_AXIS},
    **{
        name + which: ([t(3, 4)], {"s": (2, 5), "axes": (0, 1)})
        for name in ("fft", "ifft", "rfft", "irfft")
        for which in AXES
    },
    "fftshift": ([t(3, 4)], {"axes": (1,)}),
    "ifftshift": ([t(3, 4)], {"axes": (1,)}),
    "fftfreq": ([], {"n": 3, "d": 2}),
    "rfftfreq": ([], {"n": 3, "d": 2}),
    "stft": ([t(8)], {"n_fft": 4, "hop_length": 2, "win_length": 3}),
    "istft": ([t(3, 5)], {"n_fft": 4, "hop_length": 2, "win_length": 4, "length": 6}),
    "polygamma": ([], {"order": 1, "x": t(2)}),
    "elu": ([t(2)], {"alpha": 2}),
    "embedding": ([IDS, t(3, 2)], {"padding_idx": 1, "max_norm": 9, "norm_type": 1}),
    "embedding_bag": (
        [t(1, 2, dtype="int32"), t(3, 2)], {"padding_idx": 1, "max_norm": 9, "norm_type": 1},
    ),
    "round": ([t(2)], {"decimals": 1}),
    "rounde": ([t(2)], {"decimals": 1}),
    "softplus": ([t(2)], {"beta": 2, "threshold": 1}),
    "glu": ([t(2, 4)], {"axis": 1}),
    "hardsigmoid": ([t(2)], {"alpha": 1, "gamma": 0}),
    "leakyrelu": ([t(2)], {"a": 2}),
    "log_softmax": ([t(2, 3)], {"axis": 0}),
    "selu": ([t(2)], {"alpha": 2, "gamma": 1}),
    "softmax": ([t(2, 3)], {"axis": 0}),
    "depth_to_space": ([t(1, 4, 2, 2)], {"blocksize": 2}),
    "diag": ([t(3)], {"k": 1}),
    "diagonal": ([t(2, 3, 3)], {"offset": 1, "axis1": 1, "axis2": 2}),
    "trace": ([t(2, 3, 3)], {"offset": 1, "axis1": 1, "axis2": 2}),
    "pixel_shuffle": ([t(1, 4, 2, 2)], {"upscale_factor": 2}),
    "pixel_unshuffle": ([t(1, 1, 4, 2)], {"downscale_factor": 2}),
    "matrix_norm": ([t(2, 3)], {"ord": 1}),
    "matrix_power": ([t(2, 2)], {"n": 2}),
    "pinv": ([t(2, 3)], {"rtol": 1}),
    "lstsq": ([t(3, 2), t(3)], {"rtol": 1}),
    "cdist": ([t(2, 3), t(2, 3)], {"p": 1}),
    "cross": ([t(2, 3), t(2, 3)], {"axis": 1}),
    "moveaxis": ([t(2, 3)], {"source": 1, "destination": 0}),
    "swapaxes": ([t(2, 3)], {"axis0": 1, "axis1": 0}),
    "flip": ([t(2, 3)], {"axis": 1}),
    "roll": ([t(2, 3)], {"shift": 1, "axis": 1}),
    "space_to_depth": ([t(1, 1, 4, 2)], {"blocksize": 2}),
    "tril": ([t(3, 3)], {"k": 1}),
    "triu": ([t(3, 3)], {"k": 1}),
    "scaled_dot_product_attention": ([t(2, 2)] * 3, {"dropout": 0, "scale": 2}),
    "conv1d": ([t(*SEQUENCE), t(2, 1, 2)], {"stride": 1, "padding": 1, "dilation": 2, "groups": 2}),
    "conv2d": ([t(*IMAGE), t(2, 1, 2, 2)], {"stride": 1, "padding": 1, "dilation": 2, "groups": 2}),
    "conv3d": (
        [t(*VOLUME), t(2, 1, 1, 1, 1)], {"stride": 1, "padding": 0, "dilation": 1, "groups": 2},
    ),
    "conv_transpose": (
        [t(*SEQUENCE), t(2, 1, 2)],
        {"stride": 2, "padding": 0, "output_padding": 1, "groups": 2, "dilation": 1},
    ),
    "ctc_loss": (
        [t(3, 1, 3), t(1, 1, dtype="int32"), t(1, dtype="int32"), t(1, dtype="int32")],
        {"blank": 0},
    ),
    "addcdiv": ([t(3)] * 3, {"value": 2}),
    "addcmul": ([t(3)] * 3, {"value": 2}),
    "clip": ([t(3)], {"min": 1, "max": 2}),
    "clip of integers": ([t(3, dtype="int32")], {"min": 1, "max": 2}),
    "nan_to_num": ([t(3)], {"nan": 1, "posinf": 2, "neginf": 3}),
    "cat": ([[t(2), t(3)]], {"axis": 0}),
    "pad": ([t(2)], {"mode": "constant", "pads": (1, 1), "constant": 2}),
    "repeat": ([t(2, 3)], {"repeats": 2, "axis": 1}),
    "split": ([t(4)], {"axis": 0, "parts": (1, 3)}),
    "split evenly": ([t(4)], {"axis": 0, "num_output": 2}),
    "stack": ([[t(2), t(2)]], {"axis": 1}),
    "tile": ([t(2)], {"repeats": 2}),
    "unstack": ([t(2)], {"axis": 0}),
    "add_bias": ([t(2, 3), t(2)], {"axis": 1}),
    "gemm": ([t(2, 2)] * 3, {"alpha": 2, "beta": 3}),
    "cross_entropy": ([t(2, 3), IDS], {"ignore_index": 1, "label_smoothing": 0}),
    "nll_loss": ([t(2, 3), IDS], {"ignore_index": 1, "label_smoothing": 0}),
    "softmax_cross_entropy": ([t(2, 3), IDS], {"ignore_index": 1, "label_smoothing": 0}),
    "huber_loss": ([t(2), t(2)], {"delta": 2}),
    "smooth_l1_loss": ([t(2), t(2)], {"beta": 2}),
    "sigmoid_focal_loss": ([t(2), t(2)], {"alpha": 1, "gamma": 2}),
    "gaussian_nll_loss": ([t(2)] * 3, {"epsilon": 1}),
    "poisson_nll_loss": ([t(2), t(2)], {"epsilon": 1}),
    "hinge_embedding_loss": ([t(2), t(2)], {"margin": 1}),
    "margin_ranking_loss": ([t(2)] * 3, {"margin": 1}),
    "multi_margin_loss": ([t(2, 3), IDS], {"p": 2, "margin": 1}),
    "batchnorm_2d": ([t(2, 3), *[t(3)] * 4], {"momentum": 1, "eps": 1}),
    "clip_by_norm": ([t(2, 3)], {"most": 2, "axis": 1}),
    "group_norm": ([t(2, 4)], {"groups": 2, "scale": t(4), "epsilon": 1}),
    "instance_norm": ([t(2, 2, 3), t(2)], {"epsilon": 1}),
    "layer_norm": ([t(2, 3), t(3)], {"epsilon": 1}),
    "rms_norm": ([t(2, 3), t(3)], {"epsilon": 1}),
    "argmax": ([t(2, 3)], {"axis": 1}),
    "argmin": ([t(2, 3)], {"axis": 1}),
    "argsort": ([t(2, 3)], {"axis": 1}),
    "sort": ([t(2, 3)], {"axis": 1}),
    "topk": ([t(2, 3)], {"k": 2, "axis": 1}),
    "adaptive_avg_pool": ([t(*SEQUENCE)], {"size": 2}),
    "adaptive_max_pool": ([t(*SEQUENCE)], {"size": 2}),
    "avg_pool_1d": (
        [t(*SEQUENCE)],
        {"kernel_size": 2, "stride": 1, "padding": 1, "divisor_override": 2},
    ),
    "avg_pool_2d": (
        [t(*IMAGE)],
        {"kernel_size": 2, "stride": 1, "padding": 1, "divisor_override": 2},
    ),
    "avg_pool_3d": (
        [t(*VOLUME)],
        {"kernel_size": 2, "stride": 1, "padding": 1, "divisor_override": 2},
    ),
    "max_pool_1d": (
        [t(*SEQUENCE)], {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 1}
    ),
    "max_pool_2d": (
        [t(*IMAGE)], {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 1}
    ),
    "max_pool_3d": (
        [t(*VOLUME)], {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 1}
    ),
    "max_unpool": (
        [t(*SEQUENCE), t(*SEQUENCE, dtype="int32")],
        {"kernel_size": 2, "stride": 2, "padding": 0, "output_size": 9},
    ),
    "dropout": ([t(2)], {"ratio": 0}),
    "dropout1d": ([t(*SEQUENCE)], {"ratio": 0}),
    "dropout2d": ([t(*IMAGE)], {"ratio": 0}),
    "dropout3d": ([t(*VOLUME)], {"ratio": 0}),
    "hardtanh": ([t(2)], {"min_val": 0, "max_val": 1}),
    "celu": ([t(2)], {"alpha": 2}),
    "softmin": ([t(2, 3)], {"axis": 0}),
    "normalize": ([t(2, 3)], {"p": 1, "axis": 0, "eps": 1}),
    "local_response_norm": ([t(2, 3)], {"size": 2, "alpha": 1, "beta": 1, "k": 1}),
    "unfold": ([t(*IMAGE)], {"kernel_size": 2, "dilation": 1, "padding": 1, "stride": 2}),
    "fold": (
        [t(1, 4, 4)],
        {"output_size": 4, "kernel_size": 2, "dilation": 1, "padding": 0, "stride": 2},
    ),
    **{
        name: ([t(2, 3)], {"axis": 1})
        for name in (
            "cummax", "cummin", "cumprod", "cumsum", "logcumsumexp", "median", "nanmean", "nansum",
        )
    },
    "histogram": ([t(3)], {"bins": 2, "range": (0, 3)}),
    "quantile": ([t(2, 3)], {"q": 1, "axis": 1}),
    "var_mean": ([t(2, 3)], {"axis": 1, "ddof": 1}),
    "logsumexp": ([t(2, 3)], {"axis": 1}),
    "norm": ([t(2, 3)], {"p": 1, "axis": 1}),
    **{
        f"reduce_{kind}": ([t(2, 3)], {"axes": 1})
        for kind in ("all", "any", "max", "mean", "min", "prod", "sum")
    },
    "std": ([t(2, 3)], {"axis": 1, "ddof": 1}),
    "var": ([t(2, 3)], {"axis": 1, "ddof": 1}),
    "resize": ([t(*SEQUENCE)], {"size": 2}),
    "resize by a factor": ([t(*SEQUENCE)], {"scale_factor": 2}),
    "upsample": ([t(2)], {"mode": "nearest", "scales": (2,)}),
    "gather": ([t(2, 3)], {"axis": 1, "indices": IDS}),
    "gather_elements": ([t(2, 3), t(1, 1, dtype="int32")], {"axis": 1}),
    "onehot": ([], {"axis": 1, "indices": IDS, "depth": 3}),
    "scatter_elements": ([t(2, 3), t(1, 1, dtype="int32"), t(1, 1)], {"axis": 1}),
    "take": ([t(2, 3), IDS], {"axis": 1}),
    "take_along_axis": ([t(2, 3), t(1, 1, dtype="int32")], {"axis": 1}),
    "scatter_add": ([t(2, 3)], {"axis": 1, "indices": [[0]], "updates": t(1, 1)}),
    "scatter_reduce": (
        [t(2, 3)], {"axis": 1, "indices": [[0]], "updates": t(1, 1), "reduce": "sum"},
    ),
    "index_add": ([t(2, 3)], {"axis": 1, "indices": IDS, "updates": t(2, 2), "alpha": 2}),
    **{
        f"segment_{kind}": ([t(2, 3), IDS], {"count": 3}) for kind in ("sum", "mean", "max", "min")
    },
    "bincount": ([IDS], {"minlength": 2}),
    "bincount of a length": ([IDS], {"length": 2}),
    "unique": ([t(2, 3)], {"axis": 1}),
    "slice": ([t(3)], {"starts": (0,), "ends": (3,), "axes": (0,), "steps": (2,)}),
    "expand": ([t(1)], {"shape": (2, 3)}),
    "flatten": ([t(2, 3, 2)], {"axis": 2}),
    "reshape": ([t(2, 3)], {"shape": (3, -1)}),
    "squeeze": ([t(2, 1)], {"axis": 1}),
    "transpose": ([t(2, 3)], {"shape": (1, 0)}),
    "unsqueeze": ([t(2)], {"axis": 1}),
    "contrastive_loss": ([t(2, 3), t(2, 3), t(2)], {"margin": 1}),
    "cosine_embedding_loss": ([t(2, 3), t(2, 3), t(2)], {"margin": 1}),
    "ranking_loss": ([t(2), t(2)], {"M": 1}),
    "triplet_loss": ([t(2, 3)] * 3, {"margin": 1, "p": 2, "eps": 1}),
}  # fmt: skip

LAYERS = {
    "AdaptiveAvgPool": ([t(*SEQUENCE)], {"size": 2}),
    "AvgPool1d": ([t(*SEQUENCE)], {"kernel_size": 2, "stride": 1, "padding": 1}),
    "BatchNorm1d": ([t(2, 3)], {"momentum": 1, "eps": 1}),
    "BatchNorm2d": ([t(2, 3)], {"momentum": 1, "eps": 1}),
    "BatchNorm3d": ([t(2, 3, 1, 2, 2)], {"momentum": 1, "eps": 1}),
    "Bilinear": ([t(2, 3), t(2, 4)], {"out_features": 2}),
    "CELU": ([t(2)], {"alpha": 2}),
    "Dropout1d": ([t(*SEQUENCE)], {"ratio": 0}),
    "EmbeddingBag": ([t(2, 1, dtype="int32")], {"input_dim": 3, "output_dim": 2}),
    "PixelShuffle": ([t(1, 4, 2, 2)], {"upscale_factor": 2}),
    "PixelUnshuffle": ([t(1, 1, 4, 2)], {"downscale_factor": 2}),
    "SoftMin": ([t(2, 3)], {"axis": 0}),
    "Cat": ([[t(2), t(3)]], {"axis": 0}),
    "Conv2d": (
        [t(*IMAGE)],
        {
            "nb_kernels": 2, "kernel_size": 2, "stride": 1, "padding": 1, "dilation": 2, "group": 2,
        },
    ),
    "ConvTranspose1d": (
        [t(*SEQUENCE)], {"nb_kernels": 2, "kernel_size": 2, "stride": 2, "output_padding": 1},
    ),
    "Dropout": ([t(2)], {"ratio": 0}),
    "Embedding": (
        [IDS],
        {"input_dim": 3, "output_dim": 2, "padding_idx": 1, "max_norm": 9, "norm_type": 1},
    ),
    "Flatten": ([t(2, 3, 2)], {"axis": 2}),
    "GRU": ([t(3, 2, 2)], {"input_size": 2, "hidden_size": 2, "num_layers": 2, "dropout": 0}),
    "Gemm": ([t(2, 3)], {"nb_kernels": 2, "alpha": 2, "beta": 1, "bias_shape": (2, 1)}),
    "GroupNorm": ([t(2, 4)], {"num_groups": 2, "num_channels": 4, "eps": 1}),
    "InstanceNorm": ([t(2, 2, 3)], {"num_channels": 2, "eps": 1}),
    "LayerNorm": ([t(2, 3)], {"normalized_shape": 3, "eps": 1}),
    "Linear": ([t(2, 3)], {"out_features": 2}),
    "MaxPool2d": ([t(*IMAGE)], {"kernel_size": 2, "stride": 1, "padding": 1}),
    "MultiHeadAttention": (
        [t(2, 3, 4)] * 3,
        {
            "embed_dim": 4, "num_heads": 2, "dropout": 0, "num_kv_heads": 1, "kdim": 4, "vdim": 4,
            "scale": 1,
        },
    ),
    "PReLU": ([t(2, 3)], {"num_parameters": 3, "init": 1}),
    "SmoothL1Loss": ([t(2), t(2)], {"beta": 1}),
    "TransformerEncoderLayer": (
        [t(2, 3, 4)],
        {"d_model": 4, "nhead": 2, "dim_feedforward": 4, "dropout": 0, "layer_norm_eps": 1},
    ),
}  # fmt: skip


def results(name, xs, options):
    if name in LAYERS:
        y = getattr(layer, name)(**options)(*xs)
    else:
        y = getattr(autograd, name.split()[0])(*xs, **options)
    return y if isinstance(y, tuple) else (y,)


def annotation(name, key):
    function = getattr(layer, name) if name in LAYERS else getattr(autograd, name.split()[0])
    parameters = inspect.signature(function).parameters
    return str(parameters[key].annotation) if key in parameters else ""


def test_every_argument_that_is_a_number_is_tried():
    for name in operation.__all__:
        function = getattr(operation, name)
        if isinstance(function, FunctionType):
            wanted = {
                parameter.name
                for parameter in inspect.signature(function).parameters.values()
                for kind in [str(parameter.annotation)]
                if any(word in kind for word in ("int", "float", "Sizes", "Axes"))
                and "Tensor" not in kind
            }
            tried = [options for call, (_, options) in CALLS.items() if call.split()[0] == name]
            assert wanted <= {key for options in tried for key in options}, name


@pytest.mark.parametrize("name", [*CALLS, *LAYERS])
def test_numpys_numbers_are_numbers(name):
    xs, options = (CALLS | LAYERS)[name]
    kind = (np.int64, np.int16, np.int8)[len(name) % 3]
    same = {
        key: kind(value) if isinstance(value, (int, tuple)) else value
        for key, value in options.items()
    }
    for one, other in zip(*(results(name, xs, each) for each in (options, same)), strict=True):
        assert one.shape == other.shape
        if name not in LAYERS:  # whose parameters are random
            np.testing.assert_array_equal(one, other)


# Of these there must be at least one.
SIZES = {
    "bins", "blocksize", "delta", "depth", "dilation", "dim_feedforward", "downscale_factor",
    "embed_dim", "group", "groups", "hidden_size", "input_dim", "kernel_size", "most",
    "nb_kernels", "nhead", "num_groups", "num_heads", "num_layers", "num_output",
    "num_parameters", "out_features", "output_dim", "output_size", "scales", "size", "steps",
    "stride", "upscale_factor",
}  # fmt: skip


@pytest.mark.parametrize("name", [*CALLS, *LAYERS])
def test_what_is_no_number_is_refused_in_words(name):
    xs, options = (CALLS | LAYERS)[name]
    for key in [key for key, value in options.items() if isinstance(value, (int, tuple))]:
        kind = annotation(name, key)
        wrongs = ["text", [None], [[1]]]
        if not ("None" in kind or "Axes" in kind):
            wrongs.append(None)
        if name not in ("squeeze", "expand", "fftshift", "ifftshift", "Gemm"):  # which take ()
            wrongs += [[], {}]
        if key in SIZES:
            wrongs.append(0)
        for wrong in wrongs:
            with pytest.raises(SingaError) as raised:
                results(name, xs, options | {key: wrong})
            assert ":" in str(raised.value), (key, wrong)  # begins with whose argument it is


def test_methods_and_tensors_take_numpys_numbers_too():
    x = Tensor((np.int64(2), np.int32(3)))
    assert x.reshape(np.int64(3), -1).shape == (3, 2)
    assert x.reshape(np.array([6])).shape == (6,)
    assert x.expand(np.int64(4), 2, 3).shape == (4, 2, 3)
    assert x.sum(np.int64(1)).shape == (2,)
    assert x.max(np.array([0, 1])).shape == ()
    assert x.argmax(np.uint8(0)).shape == (3,)
    assert x.transpose(np.array([1, 0])).shape == (3, 2)

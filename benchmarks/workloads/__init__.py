"""What is trained: one file for each model, where every library's way of writing it stands.

A file has a TITLE, the INPUT's shape, PARAMS (name to shape) and a function for each library that
takes part: ``in_singa``, ``in_torch``, ``in_flax`` and ``in_mlx`` give a model whose parameters
have the names of PARAMS; ``in_jax(p, x, stats)`` gives the logits, and leaves the means and
variances of its batch norms in ``stats``. Libraries are imported in these functions, so that a
process that measures one library's memory holds no other.

A file of a language model has a VOCABULARY too: its inputs are ids, each place has a class, and
the logits are a row for each place. It is trained by AdamW, all others by SGD with momentum.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np

ON_GPUS_ONLY = ("resnet50",)  # a CPU would need seconds for each step
NAMES = ("mlp", "cnn", "resnet", "vgg", *ON_GPUS_ONLY, "lstm", "transformer", "gpt")
PRECISIONS = ("float32", "bfloat16")


class Workload:
    """A model with one batch and the initial parameters, the same for every contender.

    Attributes:
        x: the inputs; images are (N, C, H, W), ids (N, places).
        t: the classes (N,), or (N * places,) of ids.
        params: matrices are (in, out), filters (out, in, height, width), tables (ids, width).
        precision: in which type the step computes; parameters and sums stay float32.
    """

    def __init__(self, name: str, precision: str = "float32") -> None:
        self.name, self.precision = name, precision
        self.code = import_module(f"benchmarks.workloads.{name}")
        self.title: str = self.code.TITLE
        if precision != "float32":
            self.title += f", {precision}"
        rng = np.random.default_rng(0)
        vocabulary = getattr(self.code, "VOCABULARY", None)
        self.has_ids = vocabulary is not None
        if self.has_ids:
            self.x = rng.integers(0, vocabulary, self.code.INPUT, np.int32)
        else:
            self.x = rng.standard_normal(self.code.INPUT, np.float32)
        count = self.x.size if self.has_ids else len(self.x)
        self.t = rng.integers(0, vocabulary or 10, count, np.int32)
        self.params = {key: _initial(key, shape, rng) for key, shape in self.code.PARAMS.items()}

    @property
    def has_images(self) -> bool:
        return self.x.ndim == 4

    def is_table(self, name: str) -> bool:
        """Whether a parameter has a row for each id or place."""
        return name in getattr(self.code, "TABLES", ())

    def is_written_in(self, library: str) -> bool:
        return hasattr(self.code, f"in_{library}")

    def x_channels_last(self) -> np.ndarray:
        """The inputs as (N, H, W, C), for libraries that want images so."""
        return np.ascontiguousarray(self.x.transpose(0, 2, 3, 1)) if self.has_images else self.x

    def param_channels_last(self, name: str) -> np.ndarray:
        """A parameter for such a library: a matrix that takes a flattened (C, H, W) image
        gets its rows in the order of a flattened (H, W, C) one. Nothing else changes."""
        value = self.params[name]
        shape = getattr(self.code, "FLATTENED", {}).get(name)
        if shape is None:
            return value
        return value.reshape(*shape, -1).transpose(1, 2, 0, 3).reshape(value.shape)


def _initial(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    values = rng.standard_normal(shape, np.float32)
    if len(shape) == 1:
        # Neither 0 nor 1, so that a scale or bias that somebody forgets changes the loss.
        return 0.1 * values + ("weight" in name)
    if "embedding" in name:
        return np.float32(0.02) * values
    fan_in = shape[0] if len(shape) == 2 else shape[1] * shape[2] * shape[3]
    return values / np.float32(np.sqrt(fan_in))

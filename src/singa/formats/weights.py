"""Weights as ``safetensors`` files, under the names that they have here, or those of PyTorch.

A file holds names and arrays, and no code. A checkpoint (:meth:`Model.save_states`) is for resuming
a training; this format is for exchange with other people and other libraries::

    from singa.formats import weights

    net.compile([tx])                                                # so that its parameters exist
    weights.load(net, "resnet18.safetensors", style="pytorch")
    weights.save(net, "net.safetensors")

With ``style="pytorch"`` names and layouts are those of a PyTorch module whose attributes are named
as here: ``conv1.W`` is its ``conv1.weight``, and ``fc.W``, (in, out), its ``fc.weight``, (out, in).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any

import numpy as np

from singa.core.tensor import Tensor
from singa.device import complex128
from singa.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    DependencyError,
    DTypeError,
)
from singa.formats.files import writing
from singa.formats.reading import MOST_JSON, open_file
from singa.layer import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    Embedding,
    GroupNorm,
    Layer,
    LayerNorm,
    Linear,
    MultiHeadAttention,
    PReLU,
    RNN_Base,
)
from singa.layer.base import named_states
from singa.layer.convolution import Filters

STYLES = ("singa", "pytorch")

# PyTorch's names of a layer's own Tensors; with .T if they are transposed there.
_PYTORCH: dict[type[Layer], dict[str, str]] = {
    Linear: {"W": "weight.T", "b": "bias"},
    Filters: {"W": "weight", "b": "bias"},
    Embedding: {"W": "weight"},
    PReLU: {"slope": "weight"},
    BatchNorm1d: {"scale": "weight"},
    BatchNorm2d: {"scale": "weight"},
    BatchNorm3d: {"scale": "weight"},
    LayerNorm: {"scale": "weight"},
    GroupNorm: {"scale": "weight"},
    MultiHeadAttention: {"*_weight": "*.T"},
    RNN_Base: {"weight_*": "*.T"},
}

_MOST_WORDS = 200  # characters of a name in a message

_IGNORED = "num_batches_tracked"  # a counter of PyTorch's batch norm, which has no effect


@dataclass(frozen=True)
class Unmatched:
    """The names that only a file, or only a model, has.

    Attributes:
        missing: names of the model that are not in the file: these Tensors did not change.
        unexpected: names in the file that the model does not have.

    Example:
        >>> net = layer.Linear(2)
        >>> _ = net(Tensor((1, 3)))
        >>> weights.save(layer.Sequential(net), "net.safetensors")
        >>> weights.load(net, "net.safetensors", strict=False)
        Unmatched(missing=('b', 'W'), unexpected=('0.W', '0.b'))
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def save(
    layer: Layer, fpath: str | os.PathLike[str], style: str = "singa", overwrite: bool = False
) -> None:
    """Write all parameters and states of a layer or a model, completely or not at all.

    Args:
        layer: must have been called or compiled, so that its weights exist.
        fpath: the file's path, such as ``net.safetensors``.
        style: whose names and layouts to use: ``"singa"`` or ``"pytorch"``.
        overwrite: whether an existing file may be replaced.

    Raises:
        FileExistsError: it exists and ``overwrite`` is false.
        ArgumentError: no such style; the layer has no weights yet.
        DTypeError: a weight is complex128, which these files cannot hold.
        DependencyError: the package safetensors is not installed.

    Example:
        >>> from safetensors.numpy import load_file
        >>> net = layer.Sequential(layer.Linear(8), layer.ReLU(), layer.Linear(3))
        >>> _ = net(Tensor((1, 5)))
        >>> weights.save(net, "net.safetensors", style="pytorch")
        >>> {name: array.shape for name, array in sorted(load_file("net.safetensors").items())}
        {'0.bias': (8,), '0.weight': (8, 5), '2.bias': (3,), '2.weight': (3, 8)}
    """
    _check("save", layer, style)
    from safetensors.numpy import save as as_bytes

    arrays = {
        there.name: np.array(there.turned(t.to_numpy()), order="C")
        for t, there in _places(layer, style)
    }
    for name, array in arrays.items():
        if array.dtype == complex128:
            raise DTypeError(
                f"weights.save: {name!r} is complex128; of complex numbers, safetensors files hold "
                "complex64 only"
            )
    with writing(fpath, overwrite) as file:
        file.write(as_bytes(arrays))


def load(
    layer: Layer,
    fpath: str | os.PathLike[str],
    style: str = "singa",
    strict: bool = True,
    rename: Callable[[str], str] | None = None,
) -> Unmatched:
    """Load weights by name. Everything is checked before the first weight is changed.

    Values are converted to the type of the layer's own weight, for example from float16 to float32.

    Args:
        layer: must have been called or compiled, so that its weights exist.
        fpath: the file.
        style: whose names and layouts the file has: ``"singa"`` or ``"pytorch"``.
        strict: whether it is an error if the file and the layer do not have the same names.
        rename: from a name in the file to the layer's name, if they differ:
            ``lambda name: name.removeprefix("module.")``.

    Returns:
        The names that did not match; none if ``strict``.

    Raises:
        CheckpointError: the file is damaged or not a safetensors file; names do not match; a shape
            or type does not fit.
        ArgumentError: no such style; the layer has no weights yet.
        DependencyError: the package safetensors is not installed.
        OSError: it cannot be read.

    Example:
        >>> net = layer.Linear(2)
        >>> _ = net(Tensor((1, 3)))
        >>> weights.save(net, "net.safetensors")
        >>> weights.load(net, "net.safetensors")
        Unmatched(missing=(), unexpected=())
        >>> weights.load(layer.Sequential(net), "net.safetensors", rename="0.{}".format)
        Unmatched(missing=(), unexpected=())
    """
    _check("load", layer, style)
    wanted = {there.name: (t, there) for t, there in _places(layer, style)}
    with _Weights(fpath) as file:
        found = _renamed(fpath, file.names, rename)
        unmatched = Unmatched(
            missing=tuple(name for name in wanted if name not in found),
            unexpected=tuple(
                name for name in found if name not in wanted and name.rpartition(".")[2] != _IGNORED
            ),
        )
        if strict and (unmatched.missing or unmatched.unexpected):
            raise CheckpointError(
                f"{fpath}: {type(layer).__name__} and the file do not have the same names: "
                f"{_some('missing', unmatched.missing)}"
                f"{_some('unexpected', unmatched.unexpected)}"
                "strict=False takes what is there; rename= and style= match other names"
            )
        new: list[tuple[Tensor, np.ndarray[Any, Any]]] = []
        for name, key in found.items():
            if name in wanted:
                t, there = wanted[name]
                array = there.turned(file.read(key, there.shape(t)))
                try:
                    t.check_fits(array, f"{fpath}: {key!r}")
                except TypeError as error:
                    raise CheckpointError(str(error)) from None
                new.append((t, array))
    for t, array in new:
        t.copy_from_numpy(array)
    return unmatched


_TYPES = (
    "BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "BF16", "F32", "F64",
    "C64",
)  # fmt: skip
"""The types of safetensors files that are read. Floats of 8 bits and less need scales, which each
library stores in its own way."""


class _Weights:
    """An open safetensors file. Every error in the file is raised as a CheckpointError."""

    def __init__(self, fpath: str | os.PathLike[str]) -> None:
        from safetensors import safe_open

        self._path = fpath
        with self._checked("the file"), open_file(fpath) as file:
            header = int.from_bytes(file.read(8), "little")
            if header > MOST_JSON:
                raise DataError(f"a header of {header} bytes, at most {MOST_JSON} are read")
            opened: Any = safe_open
            self._file = opened(fpath, "np")
            self.names: list[str] = list(self._file.keys())

    def __enter__(self) -> _Weights:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.__exit__(None, None, None)

    def read(self, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """An array; its shape is checked before it is read."""
        with self._checked(repr(name)):
            slice_ = self._file.get_slice(name)
            found, kind = tuple(slice_.get_shape()), str(slice_.get_dtype())
        if kind not in _TYPES:
            raise CheckpointError(
                f"{self._path}: {_short(repr(name))} is of type {_short(kind)}, which is not read "
                f"here; convert it first, for example to F32"
            )
        if found != shape:
            raise CheckpointError(
                f"{self._path}: {_short(repr(name))} is of shape {_short(str(found))}, {shape} is "
                "expected"
            )
        with self._checked(repr(name)):
            array: np.ndarray[Any, Any] = self._file.get_tensor(name)
        return array

    @contextmanager
    def _checked(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError:
            raise
        except Exception as error:  # any error of the package, or a type that NumPy does not have
            raise CheckpointError(
                f"{self._path}: {_short(what)} is damaged, or not in the safetensors format: "
                f"{_short(str(error))}"
            ) from None


@dataclass(frozen=True)
class _Place:
    """A Tensor's name and layout in a file."""

    name: str
    is_transposed: bool

    def turned(self, array: Any) -> Any:
        """Convert from the layout here to that in the file, or back."""
        return array.T if self.is_transposed else array

    def shape(self, t: Tensor) -> tuple[int, ...]:
        return t.shape[::-1] if self.is_transposed else t.shape


def _places(layer: Layer, style: str) -> Iterator[tuple[Tensor, _Place]]:
    owners = {"": layer} | {f"{path}.": each for path, each in layer.sublayers()}
    for full, t in named_states(layer).items():
        # A Tensor in a list is named "weights.0": its owner is the longest path that fits.
        prefix = max((p for p in owners if full.startswith(p)), key=len)
        name, is_transposed = full.removeprefix(prefix), False
        if style == "pytorch":
            name, is_transposed = _in_pytorch(owners[prefix], name)
        yield t, _Place(prefix + name, is_transposed)


def _in_pytorch(layer: Layer, name: str) -> tuple[str, bool]:
    for kind, names in _PYTORCH.items():
        if isinstance(layer, kind):
            for pattern, there in names.items():
                if fnmatchcase(name, pattern):
                    return there.removesuffix(".T").replace("*", name), there.endswith(".T")
    return name, False


def _renamed(fpath: Any, keys: list[str], rename: Callable[[str], str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in keys:
        name = key if rename is None else rename(key)
        if name in found:
            raise CheckpointError(f"{fpath}: {found[name]!r} and {key!r} both became {name!r}")
        found[name] = key
    return found


def _check(what: str, layer: Layer, style: str) -> None:
    if style not in STYLES:
        raise ArgumentError(
            f"weights.{what}: style must be one of {', '.join(STYLES)}, got {style!r}"
        )
    if not layer.get_states():
        raise ArgumentError(
            f"weights.{what}: {type(layer).__name__} has no weights yet: compile it, or call it"
        )
    if find_spec("safetensors") is None:
        raise DependencyError(
            f"weights.{what} needs safetensors: pip install 'singa-xla[safetensors]'"
        )


def _some(what: str, names: tuple[str, ...], most: int = 5) -> str:
    if not names:
        return ""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{what} {', '.join(map(_short, names[:most]))}{more}; "


def _short(text: str) -> str:
    """A part of a message, with a limited length: it may come from a file."""
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}..."

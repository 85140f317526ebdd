"""Classical learning (the domain ai.onnx.ml): linear models, trees, and preparation of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor, is_float
from singa.errors import ArgumentError, FormatError
from singa.sonnx.rules import trees
from singa.sonnx.rules.rule import Call, formula, held, looked_at, rule
from singa.sonnx.rules.text import strings, words

Known = np.ndarray[Any, Any]
ML = "ai.onnx.ml"


def wide(x: Tensor) -> Tensor:
    """As a float of at least 32 bits."""
    dtype = jnp.promote_types(x.dtype, np.float32) if is_float(x.dtype) else np.float32
    return op.cast(x, dtype)


def constant(values: Any, x: Tensor) -> Tensor:
    """Numbers of a file, of the type and on the device of x."""
    return held(np.asarray(values, x.dtype), x.device)


def post_transform(x: Tensor, kind: str) -> Tensor:
    """Scores as probabilities."""
    if kind in ("NONE", "", None):
        return op.identity(x)
    if kind == "SOFTMAX":
        return op.softmax(x, 1)
    functions = {"LOGISTIC": jax.nn.sigmoid, "SOFTMAX_ZERO": _softmax_zero, "PROBIT": _probit}
    if kind not in functions:
        raise FormatError(f"post_transform: there is no {kind!r}")
    return formula(functions[kind], x)


def _softmax_zero(x: CTensor) -> CTensor:
    """A softmax over the scores that are not 0, which stay 0."""
    counts = jnp.abs(x) > 1e-7
    powers = jnp.where(counts, jnp.exp(x - x.max(1, keepdims=True)), 0)
    total = powers.sum(1, keepdims=True)
    return powers / jnp.where(total == 0, 1, total)


def _probit(x: CTensor) -> CTensor:
    return jnp.sqrt(jnp.asarray(2, x.dtype)) * jax.lax.erf_inv(2 * x - 1)


def labelled(numbers: Tensor, labels: Sequence[Any], what: str) -> Any:
    """The labels of classes; strings need the values of the numbers."""
    if labels and isinstance(labels[0], str):
        found = looked_at(numbers, what)
        return strings([labels[i] for i in found.tolist()], found.shape)
    return op.gather(held(np.array(labels, np.int64), numbers.device), 0, numbers)


@rule("LinearRegressor", domain=ML)
def _linear_regressor(call: Call, x: Tensor) -> Tensor:
    x = wide(x)
    return post_transform(_linear(call, x, call("targets", 1)), call("post_transform", "NONE"))


def _linear(call: Call, x: Tensor, count: int) -> Tensor:
    weights = constant(call("coefficients"), x)
    y = op.matmul(x, op.transpose(op.reshape(weights, (count, -1)), (1, 0)))
    given = call("intercepts")
    return op.add(y, constant(given, x)) if given else y


@rule("LinearClassifier", domain=ML)
def _linear_classifier(call: Call, x: Tensor) -> Any:
    x = wide(x)
    if x.ndim == 1:
        x = op.unsqueeze(x, 0)
    labels = call("classlabels_ints") or call("classlabels_strings") or []
    kind = call("post_transform", "NONE")
    count = len(call("coefficients")) // x.shape[1]
    scores = _linear(call, x, count)
    if count > 1:
        chosen = op.argmax(scores, 1)
        return labelled(chosen, labels, "LinearClassifier"), post_transform(scores, kind)
    has_both = len(labels) == 2
    chosen = op.cast(op.reshape(scores > constant(0, scores), (-1,)), np.int64)
    if not has_both:
        labels = ["0", "1"] if call("classlabels_strings") else [0, 1]
    label = labelled(chosen, labels, "LinearClassifier")
    if not has_both:
        return label, post_transform(scores, kind)
    return label, of_two(scores, kind, positive=kind != "LOGISTIC")


def of_two(score: Tensor, kind: str, positive: bool) -> Tensor:
    """The scores of both classes from that of the one that the file has, as onnxruntime does it.

    Args:
        score: (samples, 1).
        kind: of the transformation; only LOGISTIC has an effect.
        positive: whether the first class has 1 minus the score, and not its negative.
    """
    if kind == "PROBIT":
        raise FormatError("post_transform: PROBIT is not here for a single score of two classes")
    if kind == "LOGISTIC":
        return op.sigmoid(op.cat([op.negative(score), score], 1))
    first = constant(1, score) - score if positive else op.negative(score)
    return op.cat([first, score], 1)


@rule("TreeEnsembleRegressor", domain=ML)
def _tree_ensemble_regressor(call: Call, x: Tensor) -> Tensor:
    made = trees.of_attributes(call, "target", call("n_targets"))
    y = trees.summed(made, x, call("aggregate_function", "SUM"))
    return post_transform(_with_base(call, y), call("post_transform", "NONE"))


def _with_base(call: Call, y: Tensor) -> Tensor:
    base = call("base_values_as_tensor")
    base = call("base_values") if base is None else base
    return y if base is None or not len(base) else op.add(y, constant(base, y))


@rule("TreeEnsemble", domain=ML)
def _tree_ensemble(call: Call, x: Tensor) -> Tensor:
    made = trees.of_ensemble(call)
    y = trees.summed(made, x, ("AVERAGE", "SUM", "MIN", "MAX")[call("aggregate_function", 1)])
    kinds = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
    return post_transform(y, kinds[call("post_transform", 0)])


@rule("TreeEnsembleClassifier", domain=ML)
def _tree_ensemble_classifier(call: Call, x: Tensor) -> Any:
    labels = call("classlabels_int64s") or call("classlabels_strings")
    kind = call("post_transform", "NONE")
    made = trees.of_attributes(call, "class", len(labels))
    scores = trees.summed(made, x)
    classes = set(call("class_ids"))
    base = call("base_values_as_tensor")
    base = call("base_values") or [] if base is None else base
    if len(labels) != 2 or len(classes) != 1 or len(base) > 1:
        scores = _with_base(call, scores)
        chosen = op.argmax(scores, 1)
        label = labelled(chosen, labels, "TreeEnsembleClassifier")
        return label, _float32(post_transform(scores, kind))
    # The file has the scores of one class only. Positive ones are probabilities.
    score = _with_base(call, op.reduce_sum(scores, (1,), True))
    positive = bool((made.leaves >= 0).all())
    limit = constant(0.5 if positive else 0, score)
    chosen = op.cast(op.reshape(score > limit, (-1,)), np.int64)
    label = labelled(chosen, labels, "TreeEnsembleClassifier")
    if classes == {1}:
        both = op.cat([op.sub(score, score), score], 1)
        return label, _float32(post_transform(both, kind))
    return label, _float32(of_two(score, kind, positive))


def _float32(x: Tensor) -> Tensor:
    return op.cast(x, np.float32)


@rule("Scaler", domain=ML)
def _scaler(call: Call, x: Tensor) -> Tensor:
    x = _float32(x)
    return op.mul(op.sub(x, constant(call("offset"), x)), constant(call("scale"), x))


@rule("Normalizer", domain=ML)
def _normalizer(call: Call, x: Tensor) -> Tensor:
    return formula(_normalized, _float32(x), kind=call("norm", "MAX"))


def _normalized(x: CTensor, kind: str) -> CTensor:
    if kind == "MAX":
        size = x.max(-1, keepdims=True)
    elif kind == "L1":
        size = jnp.abs(x).sum(-1, keepdims=True)
    else:
        total = (x * x).sum(-1, keepdims=True)
        size = jnp.where(total == 0, 0, jnp.sqrt(jnp.where(total == 0, 1, total)))
    return x / jnp.where(size == 0, 1, size)


@rule("Binarizer", domain=ML)
def _binarizer(call: Call, x: Tensor) -> Tensor:
    return op.cast(x > constant(call("threshold", 0.0), x), x.dtype)


@rule("ArrayFeatureExtractor", domain=ML)
def _array_feature_extractor(call: Call, x: Any, indices: Any) -> Any:
    if not isinstance(x, Tensor):
        flat = looked_at(indices, "ArrayFeatureExtractor").reshape(-1)
        return np.take(x if x.ndim > 1 else x[None], flat, -1)
    found = op.gather(x, -1, op.reshape(indices, (-1,)))
    return op.unsqueeze(found, 0) if x.ndim == 1 else found


@rule("FeatureVectorizer", domain=ML)
def _feature_vectorizer(call: Call, *xs: Tensor) -> Tensor:
    sizes = call("inputdimensions") or [None] * len(xs)
    flat = [_float32(op.reshape(x, (x.shape[0] if x.ndim > 1 else 1, -1))) for x in xs]
    parts = []
    for x, size in zip(flat, sizes, strict=True):
        width = x.shape[1]
        if size is None or size == width:
            parts.append(x)
        elif size < width:
            parts.append(op.slice(x, [0], [size], [1]))
        else:
            parts.append(op.pad(x, "constant", [0, 0, 0, size - width]))
    return op.cat(parts, 1)


@rule("Imputer", domain=ML)
def _imputer(call: Call, x: Tensor) -> Tensor:
    if is_float(x.dtype):
        missing, given = call("replaced_value_float", 0.0), call("imputed_value_floats")
    else:
        missing, given = call("replaced_value_int64", 0), call("imputed_value_int64s")
    is_nan = is_float(x.dtype) and np.isnan(missing)
    here = formula(jnp.isnan, x) if is_nan else op.equal(x, constant(missing, x))
    new = op.expand(constant(given, x), x.shape)
    return op.where(new, x, op.cast(here, np.bool_))


@rule("OneHotEncoder", domain=ML)
def _one_hot_encoder(call: Call, x: Any) -> Any:
    if not isinstance(x, Tensor):
        kinds = call("cats_strings")
        flat = np.array([[word == kind for kind in kinds] for word in words(x)], np.float32)
        _check_all_found(call, flat)
        return flat.reshape(*x.shape, len(kinds))
    kinds = call("cats_int64s")
    if not call("zeros", 1):
        values = looked_at(x, "OneHotEncoder")
        _check_all_found(call, np.isin(values.astype(np.int64), kinds).reshape(-1, 1))
    whole = op.unsqueeze(op.cast(x, np.int64), -1)
    return op.cast(op.equal(whole, held(np.array(kinds, np.int64), x.device)), np.float32)


def _check_all_found(call: Call, found: Known) -> None:
    if not call("zeros", 1) and not found.any(1).all():
        raise ArgumentError("OneHotEncoder: a value is none of the categories")


@rule("LabelEncoder", domain=ML, since=2)
def _label_encoder(call: Call, x: Any) -> Any:
    keys, values = _pairs(call, "keys"), _pairs(call, "values")
    if call.version < 4 and keys.dtype.kind == "f":  # NaN was no key
        keys, values = keys[~np.isnan(keys)], values[~np.isnan(keys)]
    kind = {"O": "string", "U": "string", "S": "string", "f": "float"}.get(
        values.dtype.kind, "int64"
    )
    default = call("default_tensor")
    if default is None or not default.size:
        default = call(f"default_{kind}", {"string": "_Unused", "float": -0.0, "int64": -1}[kind])
    default = np.asarray(default, values.dtype).reshape(())
    return _encoded(x, keys, values, default)


def _pairs(call: Call, name: str) -> Known:
    """The keys or the values, in whichever attribute they are."""
    tensor = call(f"{name}_tensor")
    if tensor is not None:
        return np.asarray(tensor)
    for kind, dtype in (("strings", np.object_), ("int64s", np.int64), ("floats", np.float32)):
        given = call(f"{name}_{kind}")
        if given:
            return np.array(given, dtype)
    raise FormatError(f"LabelEncoder: it has no {name}")


def _encoded(x: Any, keys: Known, values: Known, default: Known) -> Any:
    if isinstance(x, Tensor) and values.dtype.kind not in "OSU":
        parts = [held(each, x.device) for each in (keys, values, default)]
        return formula(_looked_up, x, *parts)
    array = looked_at(x, "LabelEncoder")
    is_text = array.dtype.kind in "OSU"
    table: dict[Any, Any] = {}
    names = words(keys) if is_text else keys.tolist()
    for key, value in zip(names, values.tolist(), strict=True):
        table.setdefault("nan" if key != key else key, value)
    items = words(array) if is_text else array.reshape(-1).tolist()
    found = [table.get("nan" if each != each else each, default.item()) for each in items]
    made = strings(found, array.shape) if values.dtype.kind in "OSU" else None
    return np.array(found, values.dtype).reshape(array.shape) if made is None else made


def _looked_up(x: CTensor, keys: CTensor, values: CTensor, default: CTensor) -> CTensor:
    same = x[..., None] == keys
    if jnp.issubdtype(x.dtype, jnp.floating):
        same |= jnp.isnan(x)[..., None] & jnp.isnan(keys)
    return jnp.where(same.any(-1), values[jnp.argmax(same, -1)], default)


@rule("LabelEncoder", domain=ML)
def _label_encoder_of_classes(call: Call, x: Any) -> Any:
    classes = call("classes_strings")
    names, numbers = strings(classes, (-1,)), np.arange(len(classes), dtype=np.int64)
    if isinstance(x, Tensor):
        default = np.asarray(call("default_string", "_Unused"), np.object_)
        return _encoded(x, numbers, names, default)
    return _encoded(x, names, numbers, np.asarray(call("default_int64", -1)))


@rule("ZipMap", domain=ML)
def _zip_map(call: Call, x: Tensor) -> list[dict[Any, float]]:
    """The scores of each sample by the names of the classes."""
    labels = call("classlabels_int64s") or call("classlabels_strings")
    rows = np.atleast_2d(looked_at(x, "ZipMap"))
    return [dict(zip(labels, row.tolist(), strict=True)) for row in rows]

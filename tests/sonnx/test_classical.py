"""Classical models, strings, and onnxruntime's fused operators, beside onnxruntime."""

import numpy as np
import pytest

from singa.errors import FormatError
from singa.sonnx import SONNXModel
from singa.sonnx.rules.text import check_pattern
from singa.tensor import Tensor
from tests.sonnx.beside import check, model_of

ML, MS = "ai.onnx.ml", "com.microsoft"
BRANCHES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


def normal(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


def trees(random, role, targets, low=-0.4, high=0.4, count=3):
    """Drawn trees of three branches and four leaves."""
    nodes = {
        name: []
        for name in (
            "treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
            "missing_value_tracks_true",
        )
    }  # fmt: skip
    leaves = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    for tree in range(count):
        for node in range(7):
            is_leaf = node >= 3
            row = [
                tree, node, int(random.integers(4)), float(random.integers(-2, 3) / 2),
                "LEAF" if is_leaf else str(random.choice(BRANCHES)),
                0 if is_leaf else 2 * node + 1, 0 if is_leaf else 2 * node + 2,
                int(random.integers(2)),
            ]  # fmt: skip
            for values, value in zip(nodes.values(), row, strict=True):
                values.append(value)
            for target in targets if is_leaf else ():
                for values, value in zip(
                    leaves.values(), (tree, node, target, random.uniform(low, high)), strict=True
                ):
                    values.append(value)
    made = {f"nodes_{name}": values for name, values in nodes.items()}
    return made | {f"{role}_{name}": values for name, values in leaves.items()}


def features(random):
    x = (random.integers(-2, 3, (9, 4)) / 2).astype(np.float32)
    x[0, 1] = np.nan
    return x


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("low", [-0.4, 0.0])
def test_trees_of_two_classes(transform, low):
    random = np.random.default_rng(0)
    attributes = trees(random, "class", [0], low) | {
        "post_transform": transform, "classlabels_int64s": [3, 5], "base_values": [0.1],
    }  # fmt: skip
    x = features(random)
    check("TreeEnsembleClassifier", [x], attributes, domain=ML, version=3, outputs=2)


def test_trees_of_three_classes():
    random = np.random.default_rng(0)
    attributes = trees(random, "class", [0, 1, 2]) | {
        "post_transform": "SOFTMAX", "classlabels_strings": ["a", "b", "c"],
    }  # fmt: skip
    x = features(random)
    check("TreeEnsembleClassifier", [x], attributes, domain=ML, version=3, outputs=2)


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_trees_of_numbers(aggregate):
    random = np.random.default_rng(0)
    attributes = trees(random, "target", [0, 2]) | {
        "n_targets": 3, "aggregate_function": aggregate, "base_values": [0.5, 0.0, 1.0],
    }  # fmt: skip
    check("TreeEnsembleRegressor", [features(random)], attributes, domain=ML, version=3)


def test_trees_that_are_none():
    attributes = trees(np.random.default_rng(0), "target", [0], count=1) | {"n_targets": 1}
    attributes["nodes_truenodeids"][1] = 0  # back to the root
    x = np.zeros((2, 4), np.float32)
    model = SONNXModel(model_of("TreeEnsembleRegressor", [x], attributes, ML, 3))
    with pytest.raises(FormatError, match="several ways"):
        model.forward(Tensor(data=x))


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_linear_models(transform):
    random = np.random.default_rng(0)
    x = normal(random, 5, 4)
    more = {"intercepts": normal(random, 2).tolist(), "post_transform": transform}
    more["coefficients"] = normal(random, 8).tolist()
    check("LinearRegressor", [x], more | {"targets": 2}, domain=ML, version=1)
    more["classlabels_strings"] = ["u", "v"]
    check("LinearClassifier", [x], more, domain=ML, version=1, outputs=2)
    one = more | {"coefficients": normal(random, 4).tolist(), "intercepts": [0.3]}
    check("LinearClassifier", [x], one, domain=ML, version=1, outputs=2)


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_support_vectors(kernel):
    random = np.random.default_rng(0)
    attributes = {
        "kernel_type": kernel, "kernel_params": [0.3, 0.2, 2.0], "n_supports": 3, "rho": [0.4],
        "coefficients": normal(random, 3).tolist(), "support_vectors": normal(random, 12).tolist(),
    }  # fmt: skip
    check("SVMRegressor", [normal(random, 5, 4)], attributes, domain=ML, version=1)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("has_probabilities", [False, True])
def test_support_vectors_of_classes(classes, has_probabilities):
    random = np.random.default_rng(classes)
    pairs, vectors = classes * (classes - 1) // 2, 2 * classes
    attributes = {
        "kernel_type": "RBF", "kernel_params": [0.3, 0.2, 2.0],
        "rho": normal(random, pairs).tolist(),
        "coefficients": normal(random, (classes - 1) * vectors).tolist(),
        "support_vectors": normal(random, 4 * vectors).tolist(),
        "vectors_per_class": [1, 3, 2][:classes] if classes == 3 else [1, 3],
        "classlabels_ints": [7, 5, 9][:classes],
    }  # fmt: skip
    if has_probabilities:
        attributes["prob_a"] = (-1 - random.random(pairs)).tolist()
        attributes["prob_b"] = normal(random, pairs).tolist()
    x = normal(random, 6, 4)
    for transform in ("NONE", "LOGISTIC", "SOFTMAX"):
        attributes["post_transform"] = transform
        check("SVMClassifier", [x], attributes, domain=ML, version=1, outputs=2)


def test_linear_support_vectors_of_classes():
    random = np.random.default_rng(0)
    attributes = {
        "coefficients": normal(random, 12).tolist(), "classlabels_strings": ["p", "q", "r"],
        "rho": [0.3], "kernel_type": "LINEAR", "kernel_params": [0.0, 0.0, 0.0],
    }  # fmt: skip
    check("SVMClassifier", [normal(random, 6, 4)], attributes, domain=ML, version=1, outputs=2)


def test_preparation_of_features():
    random = np.random.default_rng(0)
    x = normal(random, 5, 4)
    for norm in ("MAX", "L1", "L2"):
        check("Normalizer", [x], {"norm": norm}, domain=ML, version=1)
    check("Scaler", [x], {"scale": [2.0], "offset": [0.5]}, domain=ML, version=1)
    missing = np.where(x > 0.5, np.nan, x)
    imputed = {"imputed_value_floats": [1.0, 2.0, 3.0, 4.0], "replaced_value_float": np.nan}
    check("Imputer", [missing], imputed, domain=ML, version=1)
    check("ArrayFeatureExtractor", [x, np.array([2, 0])], domain=ML, version=1)
    kinds = {"cats_int64s": [1, 3, 5]}
    check("OneHotEncoder", [np.array([[1, 7], [5, 3]])], kinds, domain=ML, version=1)
    check("ZipMap", [x], {"classlabels_strings": [*"abcd"]}, domain=ML, version=1)


def test_labels():
    pairs = {"keys_strings": ["a", "b"], "values_int64s": [4, 5]}
    check("LabelEncoder", [np.array(["a", "c"], object)], pairs, domain=ML, version=2)
    pairs = {"keys_int64s": [1, 3], "values_strings": ["p", "q"]}
    check("LabelEncoder", [np.array([3, 2])], pairs, domain=ML, version=2)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", "a*a*a*a*a*b", "(a|a)*b", "(a{1,9}){1,9}", r"(a)\1", "(?=a)a", "[[:alpha:]]"],
)
def test_patterns_that_may_take_too_long(pattern):
    with pytest.raises(FormatError, match="too long"):
        check_pattern(pattern, 100)


def test_moving_strings():
    names = np.array([["a", "b", "c"], ["d", "e", "f"]], object)
    check("Reshape", [names, np.array([3, 2])])
    check("Transpose", [names], {"perm": [1, 0]})
    check("Gather", [names, np.array([2, 0])], {"axis": 1})


def test_patterns_that_may_not():
    check_pattern(r"(\W|^)[\w.\-]{0,25}@(yahoo|gmail)\.com(\W|$)", 40)
    check_pattern(r"www\.[\w.-]+\.\bcom\b", 100)


@pytest.mark.parametrize("unidirectional", [0, 1])
@pytest.mark.parametrize("mask", [None, [3, 2], [[1, 1, 1, 0], [1, 1, 0, 0]]])
def test_attention_of_bert(mask, unidirectional):
    random = np.random.default_rng(0)
    inputs = [normal(random, 2, 4, 8), normal(random, 8, 24), normal(random, 24)]
    if mask is not None:
        inputs.append(np.array(mask, np.int32))
    attributes = {"num_heads": 2, "unidirectional": unidirectional}
    check("Attention", inputs, attributes, domain=MS, version=1)


def test_fused_operators():
    random = np.random.default_rng(0)
    x, features = normal(random, 2, 3, 8), normal(random, 8)
    check("BiasGelu", [x, features], domain=MS, version=1)
    check("FastGelu", [x], domain=MS, version=1)
    inputs = [x, normal(random, 2, 3, 8), features, normal(random, 8), normal(random, 8)]
    check("SkipLayerNormalization", inputs, {"epsilon": 1e-3}, domain=MS, version=1, outputs=4)
    check("SkipSimplifiedLayerNormalization", inputs[:3], domain=MS, version=1)
    check("SimplifiedLayerNormalization", [x, features], version=17)
    mixed = {"alpha": 0.5, "transA": 1, "transB": 1, "transBatchA": 1}
    inputs = [normal(random, 4, 2, 3), normal(random, 2, 5, 4)]
    check("FusedMatMul", inputs, mixed, domain=MS, version=1)
    inputs = [normal(random, *shape) for shape in ((1, 2, 5, 5), (3, 2, 3, 3), (3,), (1, 3, 3, 3))]
    check("FusedConv", inputs, {"activation": "Relu"}, domain=MS, version=1, fixed=[1, 2])

"""Images resized, sampled, and pooled from boxes, beside onnxruntime."""

import itertools

import numpy as np
import pytest

from singa import autograd
from singa.sonnx import SONNXModel
from singa.tensor import Tensor
from tests.sonnx.beside import check, model_of

PLACES = [
    "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric",
    "tf_crop_and_resize",
]  # fmt: skip
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
BOXES = np.array([[0, 0, 6, 7], [1.3, 2.2, 5.1, 4.4], [-1, 3, 9, 12], [2, 2, 2.3, 2.4]], np.float32)
IMAGES = np.array([0, 1, 1, 0], np.int64)


def normal(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("number", range(12))
def test_resize(number):
    """Each mode with each way to find places, and one drawn choice of the rest."""
    random = np.random.default_rng(number)
    mode = ["nearest", "linear", "cubic"][number % 3]
    places = PLACES[number % 6] if number < 6 else PLACES[(number + number // 3) % 6]
    attributes = {"mode": mode, "coordinate_transformation_mode": places}
    roi = None
    if places == "tf_crop_and_resize":
        roi = np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 1.1], np.float32)
        attributes["extrapolation_value"] = 7.0
    if mode == "nearest":
        attributes["nearest_mode"] = str(random.choice(ROUNDINGS))
    else:
        attributes["antialias"] = int(roi is None and number % 2)
    if mode == "cubic":
        attributes |= {"cubic_coeff_a": -0.5, "exclude_outside": int(random.integers(2))}
    x = normal(random, 1, 2, *random.integers(2, 7, 2))
    if number % 2:
        inputs = [x, roi, None, np.array([1, 2, *random.integers(1, 9, 2)])]
    else:
        inputs = [x, roi, np.array([1, 1, *random.uniform(0.4, 2.5, 2)], np.float32)]
    fixed = [i for i in (1, 2, 3) if i < len(inputs) and inputs[i] is not None]
    check("Resize", inputs, attributes, fixed=fixed, version=19)


@pytest.mark.parametrize(
    "attributes",
    [
        {"axes": [3, 2], "keep_aspect_ratio_policy": "not_larger", "mode": "linear"},
        {"axes": [2, 3], "keep_aspect_ratio_policy": "not_smaller"},
    ],
)
def test_resize_of_some_axes(attributes):
    x = normal(np.random.default_rng(0), 1, 1, 5, 4)
    check("Resize", [x, None, None, np.array([7, 9])], attributes, fixed=[3], version=19)


def test_older_forms_of_resize():
    x, empty = normal(np.random.default_rng(0), 1, 1, 5, 4), np.zeros(0, np.float32)
    down = np.array([1, 1, 0.6, 2], np.float32)
    check("Resize", [x, down], {}, version=10, fixed=[1])
    check("Resize", [x, empty, down], {"mode": "linear"}, version=11, fixed=[1, 2])
    check("Upsample", [x], {"mode": "linear", "scales": [1.0, 1.0, 2.0, 1.5]}, version=7)
    bytes_ = np.arange(20, dtype=np.uint8).reshape(1, 1, 5, 4) * 12
    check("Resize", [bytes_, None, down], {"mode": "linear"}, version=19, fixed=[2], off=1)


def test_the_gradient_of_a_resized_image():
    """It is linear: the gradient of a sum is the sum of the weights, whose total is the size."""
    scales = np.array([1, 1, 2, 2], np.float32)
    x = Tensor(data=normal(np.random.default_rng(0), 1, 1, 3, 4), requires_grad=True)
    x.stores_grad = True
    attributes = {"mode": "cubic"}
    model = SONNXModel(model_of("Resize", [x.to_numpy(), None, scales], attributes, fixed=[2]))
    with autograd.enable_grad():
        total = autograd.reduce_sum(model.forward(x)[0])
        (gradient,) = [g.to_numpy() for tensor, g in autograd.backward(total) if tensor is x]
    np.testing.assert_allclose(gradient.sum(), 48, 1e-6)


@pytest.mark.parametrize(
    ("mode", "padding"),
    [*itertools.product(["bilinear", "nearest", "bicubic"], ["zeros", "border", "reflection"])],
)
def test_grid_sample(mode, padding):
    random = np.random.default_rng(0)
    grid = random.uniform(-1.6, 1.6, (2, 3, 3, 2)).astype(np.float32)
    corners = int(padding == "border" or mode == "bicubic")
    attributes = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    check("GridSample", [normal(random, 2, 2, 4, 5), grid], attributes, version=16)


def test_grid_sample_of_volumes():
    random = np.random.default_rng(0)
    grid = random.uniform(-1.6, 1.6, (1, 2, 3, 3, 3)).astype(np.float32)
    attributes = {"mode": "linear", "padding_mode": "reflection"}
    check("GridSample", [normal(random, 1, 2, 3, 4, 5), grid], attributes, version=20)


@pytest.mark.parametrize(
    ("mode", "ratio", "places"),
    [("avg", 0, "half_pixel"), ("avg", 2, "output_half_pixel"), ("max", 0, "output_half_pixel")],
)
def test_roi_align(mode, ratio, places):
    x = normal(np.random.default_rng(0), 2, 3, 8, 9)
    attributes = {
        "mode": mode, "sampling_ratio": ratio, "coordinate_transformation_mode": places,
        "output_height": 3, "output_width": 2, "spatial_scale": 0.7,
    }  # fmt: skip
    check("RoiAlign", [x, BOXES, IMAGES], attributes, version=16)


def test_max_roi_pool():
    x = normal(np.random.default_rng(0), 2, 3, 8, 9)
    boxes = np.concatenate([IMAGES[:, None].astype(np.float32), BOXES], 1)
    check("MaxRoiPool", [x, boxes], {"pooled_shape": [3, 2], "spatial_scale": 0.7}, version=7)


@pytest.mark.parametrize("centred", [0, 1])
def test_non_max_suppression(centred):
    random = np.random.default_rng(centred)
    boxes = random.uniform(0, 5, (2, 12, 4)).astype(np.float32)
    scores = random.uniform(0, 1, (2, 2, 12)).astype(np.float32)
    limits = [np.array([4]), np.array([0.2], np.float32), np.array([0.3], np.float32)]
    check("NonMaxSuppression", [boxes, scores, *limits], {"center_point_box": centred}, version=11)


def test_deform_conv():
    random = np.random.default_rng(0)
    inputs = [
        normal(random, *shape)
        for shape in ((2, 4, 7, 6), (4, 2, 3, 2), (2, 24, 4, 3), (4,), (2, 12, 4, 3))
    ]
    attributes = {"group": 2, "offset_group": 2, "strides": [2, 2], "pads": [1, 0, 1, 1]}
    check("DeformConv", inputs, attributes, version=19)

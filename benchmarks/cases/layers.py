from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.cases import IMAGES, Case, images

CHANNELS = [shape[1] for shape in IMAGES]
LINES = ((16, 32, 256), (32, 32, 1024), (64, 64, 1024))  # one axis of space
SHAPES = {1: LINES, 2: IMAGES}


def cases() -> dict[type, Case]:
    import torch
    from torch.nn import functional

    from singa import autograd as ops

    def convolved(rank: int, size: int) -> list[tuple[int, ...]]:
        shape = SHAPES[rank][size]
        return [shape, (shape[1], shape[1], *[3] * rank), (shape[1],)]

    def per_channel(size: int) -> list[tuple[int, ...]]:
        return [IMAGES[size], (CHANNELS[size],), (CHANNELS[size],)]

    def per_row(size: int) -> list[tuple[int, ...]]:
        return [(4 * IMAGES[size][0], 64, 128), (128,), (128,)]

    def frozen(size: int) -> list[object]:
        zeros, ones = (make(CHANNELS[size], np.float32) for make in (np.zeros, np.ones))
        return [*per_channel(size), zeros, ones]

    def lines(size: int) -> list[tuple[int, ...]]:
        return [LINES[size]]

    def pooled(size: int) -> list[object]:
        *batch, height, width = IMAGES[size]
        places = np.arange(height * width, dtype=np.int32).reshape(height, width)[::2, ::2]
        return [(*batch, *places.shape), np.tile(places, (*batch, 1, 1))]

    window = {"kernel_size": 3, "stride": 2, "padding": 1}
    mean = {**window, "count_include_pad": False}
    return {
        ops.Convolution2d: Case(
            partial(ops.conv2d, padding=1),
            partial(functional.conv2d, padding=1),
            partial(convolved, 2),
        ),
        ops.Convolution: Case(
            partial(ops.conv1d, padding=1),
            partial(functional.conv1d, padding=1),
            partial(convolved, 1),
        ),
        ops.ConvolutionTranspose: Case(
            partial(ops.conv_transpose, padding=1),
            partial(functional.conv_transpose2d, padding=1),
            partial(convolved, 2),
        ),
        ops.MaxPooling2d: Case(
            partial(ops.max_pool_2d, **window),
            partial(functional.max_pool2d, **window),
            images(),
        ),
        ops.MaxPooling: Case(
            partial(ops.max_pool_1d, **window), partial(functional.max_pool1d, **window), lines
        ),
        ops.MaxUnpooling: Case(
            lambda x, i: ops.max_unpool(x, i, 2),
            lambda x, i: functional.max_unpool2d(x, i.long(), 2),
            pooled,
        ),
        ops.AveragePooling2d: Case(
            partial(ops.avg_pool_2d, **window),
            partial(functional.avg_pool2d, **mean),
            images(),
        ),
        ops.AveragePooling: Case(
            partial(ops.avg_pool_1d, **window), partial(functional.avg_pool1d, **mean), lines
        ),
        ops.AdaptiveAveragePooling: Case(
            lambda x: ops.adaptive_avg_pool(x, 7),
            lambda x: functional.adaptive_avg_pool2d(x, 7),
            images(),
        ),
        ops.AdaptiveMaxPooling: Case(
            lambda x: ops.adaptive_max_pool(x, 7),
            lambda x: functional.adaptive_max_pool2d(x, 7),
            images(),
        ),
        ops.GlobalAveragePool: Case(
            ops.globalaveragepool, lambda x: x.mean((2, 3), keepdim=True), images()
        ),
        ops.Resize: Case(
            lambda x: ops.resize(x, (32, 32), "linear"),
            lambda x: functional.interpolate(x, (32, 32), mode="bilinear"),
            images(),
        ),
        ops.Interpolate: Case(
            lambda x: ops.resize(x, (32, 32), "cubic"),
            lambda x: functional.interpolate(x, (32, 32), mode="bicubic"),
            images(),
        ),
        ops.UpSample: Case(
            lambda x: ops.upsample(x, "nearest", (1, 1, 2, 2)),
            lambda x: functional.interpolate(x, scale_factor=2),
            images(),
        ),
        ops.BatchNormalization2d: Case(
            lambda *xs: ops.BatchNormalization2d(1e-5)(*xs)[0],
            lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
            per_channel,
        ),
        ops.FrozenBatchNormalization2d: Case(
            lambda *xs: ops.FrozenBatchNormalization2d(1e-5)(*xs)[0],
            lambda x, w, b, m, v: torch.batch_norm(x, w, b, m, v, False, 0.1, 1e-5, False),
            frozen,
        ),
        ops.GroupNormalization: Case(
            lambda x, w, b: ops.group_norm(x, 8, w, b),
            lambda x, w, b: functional.group_norm(x, 8, w, b),
            per_channel,
        ),
        ops.InstanceNormalization: Case(
            ops.instance_norm,
            lambda x, w, b: functional.instance_norm(x, weight=w, bias=b),
            per_channel,
        ),
        ops.LayerNormalization: Case(
            ops.layer_norm, lambda x, w, b: functional.layer_norm(x, (128,), w, b), per_row
        ),
        ops.RMSNormalization: Case(
            ops.rms_norm,
            lambda x, w, b: functional.rms_norm(x, (128,), w, 1e-5) + b,
            per_row,
        ),
    }

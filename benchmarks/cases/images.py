from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.cases import IMAGES, Case, images

CHANNELS = [shape[1] for shape in IMAGES]


def cases() -> dict[type, Case]:
    import torch
    from torch.nn import functional

    from singa import autograd as ops

    def convolved(size: int) -> list[tuple[int, ...]]:
        return [IMAGES[size], (CHANNELS[size], CHANNELS[size], 3, 3), (CHANNELS[size],)]

    def normalized(size: int) -> list[tuple[int, ...]]:
        return [IMAGES[size], (CHANNELS[size],), (CHANNELS[size],)]

    def frozen(size: int) -> list[object]:
        zeros, ones = (make(CHANNELS[size], np.float32) for make in (np.zeros, np.ones))
        return [*normalized(size), zeros, ones]

    return {
        ops.Convolution2d: Case(
            partial(ops.conv2d, padding=1), partial(functional.conv2d, padding=1), convolved
        ),
        ops.MaxPooling2d: Case(
            partial(ops.max_pool_2d, kernel_size=3, stride=2, padding=1),
            partial(functional.max_pool2d, kernel_size=3, stride=2, padding=1),
            images(),
        ),
        ops.AveragePooling2d: Case(
            partial(ops.avg_pool_2d, kernel_size=3, stride=2, padding=1),
            partial(
                functional.avg_pool2d, kernel_size=3, stride=2, padding=1, count_include_pad=False
            ),
            images(),
        ),
        ops.BatchNormalization2d: Case(
            lambda *xs: ops.BatchNormalization2d(1e-5)(*xs)[0],
            lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
            normalized,
        ),
        ops.FrozenBatchNormalization2d: Case(
            lambda *xs: ops.FrozenBatchNormalization2d(1e-5)(*xs)[0],
            lambda x, w, b, mean, var: torch.batch_norm(
                x, w, b, mean, var, False, 0.1, 1e-5, False
            ),
            frozen,
        ),
    }

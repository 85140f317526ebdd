from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.cases import IMAGES, Case, images, rows

# For images with all of their windows, 9 times as many numbers.
SMALL_IMAGES = ((4, 16, 28, 28), (16, 16, 28, 28), (16, 32, 56, 56))


def cases() -> dict[type, Case]:
    import torch
    from torch.nn import functional

    from singa import autograd as ops

    def columns(size: int) -> list[tuple[int, ...]]:
        n, c, h, w = SMALL_IMAGES[size]
        return [(n, 9 * c, h * w)]

    def sampled(size: int) -> list[object]:
        n, _, h, w = IMAGES[size]
        grid = np.random.default_rng(0).uniform(-1, 1, (n, h, w, 2)).astype(np.float32)
        return [IMAGES[size], grid]

    def folded(x: torch.Tensor) -> torch.Tensor:
        side = int(x.shape[2] ** 0.5)
        return functional.fold(x, (side, side), 3, padding=1)

    return {
        ops.Unfold: Case(
            partial(ops.unfold, kernel_size=3, padding=1),
            partial(functional.unfold, kernel_size=3, padding=1),
            lambda size: [SMALL_IMAGES[size]],
        ),
        ops.Fold: Case(
            lambda x: ops.fold(x, int(x.shape[2] ** 0.5), 3, padding=1), folded, columns
        ),
        ops.GridSample: Case(
            ops.grid_sample, partial(functional.grid_sample, align_corners=False), sampled
        ),
        ops.LocalResponseNormalization: Case(
            partial(ops.local_response_norm, size=5),
            partial(functional.local_response_norm, size=5),
            images(),
        ),
        ops.ChannelDropout: Case(ops.dropout2d, functional.dropout2d, images(), is_random=True),
        ops.ClipByNorm: Case(
            lambda x: ops.clip_by_norm(x, 9.0, 1), lambda x: torch.renorm(x, 2, 0, 9.0), rows()
        ),
        ops.Normalize: Case(ops.normalize, functional.normalize, rows()),
        ops.HardTanh: Case(
            partial(ops.hardtanh, max_val=0.5), partial(functional.hardtanh, max_val=0.5), rows()
        ),
        ops.Celu: Case(ops.celu, functional.celu, rows()),
    }

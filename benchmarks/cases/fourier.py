from __future__ import annotations

from functools import partial

from benchmarks.cases import ROWS, Case, rows

FRAME, HOP, FRAMES = 256, 64, 61  # a frame's length, the way to the next one, frames of a signal
LENGTH = FRAME + HOP * (FRAMES - 1)


def cases() -> dict[type, Case]:
    import torch
    from torch.nn import functional

    from singa import autograd as ops
    from singa import fft

    of_complex = partial(Case, is_complex=True)

    def half(size: int) -> list[tuple[int, ...]]:
        return [(ROWS[size], 129)]

    def signals(size: int) -> list[tuple[int, ...]]:
        return [(ROWS[size] // 64, LENGTH)]

    def frames(size: int) -> list[tuple[int, ...]]:
        return [(ROWS[size] // 64, FRAMES, FRAME)]

    def their_sum(x: torch.Tensor) -> torch.Tensor:  # as in torch.istft
        return functional.fold(x.mT, (1, LENGTH), (1, FRAME), stride=(1, HOP)).flatten(1)

    return {
        ops.FourierTransform: of_complex(fft.fft, torch.fft.fft, rows()),
        ops.InverseFourierTransform: of_complex(fft.ifft, torch.fft.ifft, rows()),
        ops.RealFourierTransform: Case(fft.rfft, torch.fft.rfft, rows()),
        ops.InverseRealFourierTransform: of_complex(fft.irfft, torch.fft.irfft, half),
        ops.Frames: Case(
            lambda x: ops.Frames(FRAME, HOP)(x)[0],
            lambda x: x.unfold(-1, FRAME, HOP).contiguous(),
            signals,
        ),
        ops.OverlapAdd: Case(lambda x: ops.OverlapAdd(FRAME, HOP)(x)[0], their_sum, frames),
    }

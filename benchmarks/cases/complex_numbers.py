from __future__ import annotations

from functools import partial

from benchmarks.cases import ROWS, Case, rows


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops

    of_complex = partial(Case, is_complex=True, inputs=rows())

    def parts(size: int) -> list[tuple[int, ...]]:
        return [(ROWS[size], 128, 2)]

    return {
        ops.Real: of_complex(ops.real, torch.real),
        ops.Imag: of_complex(ops.imag, torch.imag),
        ops.Conj: of_complex(ops.conj, torch.conj_physical),
        ops.Angle: of_complex(ops.angle, torch.angle, low=0.5),
        ops.ViewAsReal: of_complex(ops.view_as_real, torch.view_as_real),
        ops.ViewAsComplex: Case(ops.view_as_complex, torch.view_as_complex, parts),
        ops.Complex: Case(ops.complex, torch.complex, rows(2)),
        ops.Polar: Case(ops.polar, torch.polar, rows(2), low=0.5),
    }

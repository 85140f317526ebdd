from __future__ import annotations

from benchmarks.cases import Case, rows

WIDTHS = (128, 256, 512)


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops

    def product(size: int) -> list[tuple[int, ...]]:
        return [(4 * WIDTHS[size], WIDTHS[size]), (WIDTHS[size], WIDTHS[size])]

    def affine(size: int) -> list[tuple[int, ...]]:
        return [*product(size), (WIDTHS[size],)]

    def biased(size: int) -> list[tuple[int, ...]]:
        return [*rows()(size), (256,)]

    return {
        ops.Matmul: Case(ops.matmul, torch.matmul, product),
        ops.Affine: Case(ops.affine, lambda x, w, b: torch.addmm(b, x, w), affine),
        ops.AddBias: Case(ops.add_bias, torch.add, biased),
    }

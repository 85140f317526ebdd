from __future__ import annotations

from benchmarks.cases import Case, rows

WIDTHS = (128, 256, 512)
PLACES = (64, 128, 256)


def cases() -> dict[type, Case]:
    import torch
    from torch.nn import functional

    from singa import autograd as ops

    def product(size: int) -> list[tuple[int, ...]]:
        return [(4 * WIDTHS[size], WIDTHS[size]), (WIDTHS[size], WIDTHS[size])]

    def affine(size: int) -> list[tuple[int, ...]]:
        return [*product(size), (WIDTHS[size],)]

    def biased(size: int) -> list[tuple[int, ...]]:
        return [*rows()(size), (256,)]

    def attending(size: int) -> list[tuple[int, ...]]:
        return [(8, 4, PLACES[size], 32)] * 3

    return {
        ops.Matmul: Case(ops.matmul, torch.matmul, product),
        ops.Affine: Case(ops.affine, lambda x, w, b: torch.addmm(b, x, w), affine),
        ops.Gemm: Case(ops.gemm, lambda x, w, b: torch.addmm(b, x, w), affine),
        ops.Einsum: Case(
            lambda a, b: ops.einsum("ij,jk->ki", a, b),
            lambda a, b: torch.einsum("ij,jk->ki", a, b),
            product,
        ),
        ops.Cross: Case(ops.cross, torch.linalg.cross, lambda size: [(WIDTHS[size] ** 2, 3)] * 2),
        ops.PairDistances: Case(
            ops.cdist,
            lambda a, b: torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist"),
            lambda size: [(WIDTHS[size], 64), (WIDTHS[size], 64)],
        ),
        ops.AddBias: Case(ops.add_bias, torch.add, biased),
        ops.ScaledDotProductAttention: Case(
            ops.scaled_dot_product_attention, functional.scaled_dot_product_attention, attending
        ),
    }

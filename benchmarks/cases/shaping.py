from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cases import ROWS, Case, ids, rows


def cases() -> dict[type, Case]:
    import torch
    from torch.nn import functional

    from singa import autograd as ops

    one, two = rows(), rows(2)

    def picked(size: int) -> list[object]:
        return [(ROWS[size], 256), ids(ROWS[size] // 2, ROWS[size])]

    def put(size: int) -> list[object]:
        places = np.random.default_rng(0).permutation(ROWS[size])[: ROWS[size] // 2]
        return [(ROWS[size], 256), places, (len(places), 256)]

    def their_put(x: torch.Tensor, i: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return x.index_put((i,), v)

    def per_element(size: int) -> list[object]:
        return [(ROWS[size], 256), ids(ROWS[size] * 256, ROWS[size]).reshape(-1, 256)]

    def scattered(size: int) -> list[object]:
        # No element twice: what it would get is for neither library to say.
        order = np.random.default_rng(0).permuted(
            np.tile(np.arange(256, dtype=np.int32), (ROWS[size], 1)), axis=1
        )
        return [(ROWS[size], 256), order, (ROWS[size], 256)]

    def masked(size: int) -> list[object]:
        shape = (ROWS[size], 256)
        return [shape, np.random.default_rng(0).uniform(size=shape) < 0.5, shape]

    def parts(size: int) -> list[object]:
        return [(ROWS[size], 256), ids(ROWS[size], 64)]

    def segments(name: str, reduce: str | None = None) -> tuple[Callable[..., Any], ...]:
        def theirs(x: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
            into, places = torch.zeros(64, 256), i.long()[:, None].expand(-1, 256)
            return into.scatter_reduce(0, places, x, reduce or name, include_self=False)

        return lambda x, i: getattr(ops, f"segment_{name}")(x, i, 64), theirs

    def chosen(size: int) -> list[object]:
        return [ids(ROWS[size], 1000), (1000, 256)]

    def classes(size: int) -> list[object]:
        return [ids(ROWS[size], 256)]

    def sparse(size: int) -> list[object]:
        return [ids(ROWS[size] * 256, 2).reshape(-1, 256)]

    def a_shape(size: int) -> list[object]:
        return [np.array([ROWS[size], 256], np.int32)]

    def pixels(size: int) -> list[tuple[int, ...]]:
        return [(ROWS[size] // 32, 64, 16, 8)]

    def wide(size: int) -> list[tuple[int, ...]]:
        return [(ROWS[size], 1)]

    def unshuffled(x: torch.Tensor) -> torch.Tensor:
        # DCR: the block's place comes before the channel.
        n, c, h, w = x.shape
        y = x.reshape(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2)
        return y.reshape(n, c // 4, 2 * h, 2 * w)

    def shuffled(x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        y = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4)
        return y.reshape(n, 4 * c, h // 2, w // 2)

    return {
        ops.Reshape: Case(lambda x: ops.reshape(x, (-1, 64)), lambda x: x.reshape(-1, 64), one),
        ops.Flatten: Case(lambda x: ops.flatten(x, 0), lambda x: x.reshape(1, -1), one),
        ops.Squeeze: Case(lambda x: ops.squeeze(x, 1), lambda x: x.squeeze(1), wide),
        ops.Unsqueeze: Case(lambda x: ops.unsqueeze(x, 1), lambda x: x.unsqueeze(1), one),
        ops.Expand: Case(lambda x: ops.expand(x, (len(x), 256)), lambda x: x.expand(-1, 256), wide),
        ops.Transpose: Case(
            lambda x: ops.transpose(x, (1, 0)),
            lambda x: x.T.contiguous(),
            one,
        ),
        ops.Cast: Case(lambda x: ops.cast(x, "float64"), lambda x: x.double(), one),
        ops.Shape: Case(ops.shape, lambda x: torch.tensor(x.shape), one, differentiable=False),
        ops.ConstantOfShape: Case(
            ops.constant_of_shape,
            lambda s: torch.zeros(s.tolist()),
            a_shape,
            differentiable=False,
        ),
        ops.Concat: Case(
            lambda *xs: ops.cat(xs, 1),
            lambda *xs: torch.cat(xs, 1),
            two,
        ),
        ops.Stack: Case(
            lambda *xs: ops.stack(xs),
            lambda *xs: torch.stack(xs),
            two,
        ),
        ops.Unstack: Case(
            lambda x: ops.unstack(x)[0],
            lambda x: x.unbind()[0],
            one,
        ),
        ops.Split: Case(
            lambda x: ops.split(x, 1, (128, 128))[0],
            lambda x: x.split(128, 1)[0],
            one,
        ),
        ops.Tile: Case(lambda x: ops.tile(x, (1, 2)), lambda x: x.tile(1, 2), one),
        ops.Repeat: Case(lambda x: ops.repeat(x, 2, 1), lambda x: x.repeat_interleave(2, 1), one),
        ops.Pad: Case(
            lambda x: ops.pad(x, "constant", (0, 1, 0, 1)), lambda x: functional.pad(x, (1, 1)), one
        ),
        ops.Flip: Case(lambda x: ops.flip(x, 1), lambda x: x.flip(1), one),
        ops.Roll: Case(lambda x: ops.roll(x, 3, 1), lambda x: x.roll(3, 1), one),
        ops.Tril: Case(ops.tril, torch.tril, one),
        ops.Triu: Case(ops.triu, torch.triu, one),
        ops.DepthToSpace: Case(lambda x: ops.depth_to_space(x, 2), unshuffled, pixels),
        ops.SpaceToDepth: Case(lambda x: ops.space_to_depth(x, 2), shuffled, pixels),
        ops.Diagonal: Case(ops.diagonal, lambda x: x.diagonal(), one),
        ops.Diag: Case(ops.diag, torch.diag, lambda size: [(ROWS[size] // 8,)]),
        ops.GetItem: Case(lambda x, i: x[i], lambda x, i: x[i], picked),
        ops.SetItem: Case(lambda x, i, v: ops.setitem(x, i, v), their_put, put),
        ops.Slice: Case(lambda x: ops.slice(x, [1], [-1], [1], [2]), lambda x: x[:, 1:-1:2], one),
        ops.Gather: Case(
            lambda x, i: ops.gather(x, 0, i), lambda x, i: x.index_select(0, i), picked
        ),
        ops.GatherElements: Case(
            ops.gather_elements, lambda x, i: x.gather(0, i.long()), per_element
        ),
        ops.ScatterElements: Case(
            lambda x, i, u: ops.scatter_elements(x, i, u, 1),
            lambda x, i, u: x.scatter(1, i.long(), u),
            scattered,
        ),
        ops.ScatterAdd: Case(
            lambda x, i, u: ops.scatter_add(x, 1, i, u),
            lambda x, i, u: x.scatter_add(1, i.long(), u),
            scattered,
        ),
        ops.ScatterReduce: Case(
            lambda x, i, u: ops.scatter_reduce(x, 1, i, u, "amax"),
            lambda x, i, u: x.scatter_reduce(1, i.long(), u, "amax"),
            scattered,
        ),
        ops.AddItem: Case(
            lambda x, i, v: ops.index_put(x, (i,), v, True),
            lambda x, i, v: x.index_put((i,), v, True),
            put,
        ),
        ops.IndexAdd: Case(
            lambda x, i, v: ops.index_add(x, 0, i, v), lambda x, i, v: x.index_add(0, i, v), put
        ),
        ops.MaskedScatter: Case(ops.masked_scatter, lambda x, m, v: x.masked_scatter(m, v), masked),
        ops.SegmentSum: Case(*segments("sum"), parts),
        ops.SegmentMean: Case(*segments("mean"), parts),
        ops.SegmentMax: Case(*segments("max", "amax"), parts),
        ops.SegmentMin: Case(*segments("min", "amin"), parts),
        ops.SearchSorted: Case(
            lambda x: ops.searchsorted(ops.sort(x), x),
            lambda x: torch.searchsorted(x.sort()[0], x),
            one,
            differentiable=False,
        ),
        ops.Unique: Case(ops.unique, torch.unique, sparse, differentiable=False),
        ops.Embedding: Case(ops.embedding, functional.embedding, chosen),
        ops.OneHot: Case(
            lambda i: ops.onehot(-1, i, 256),
            lambda i: functional.one_hot(i.long(), 256).float(),
            classes,
            differentiable=False,
        ),
        ops.NonZero: Case(ops.nonzero, lambda x: x.nonzero().T, sparse, differentiable=False),
    }

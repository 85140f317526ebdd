from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.cases import ROWS, Case, ids, rows

CTC = ((20, 4, 10), (50, 16, 30), (100, 32, 60))  # steps, batch, labels


def cases() -> dict[type, Case]:
    import torch
    from torch.nn import functional

    from singa import autograd as ops

    two = rows(2)

    def labelled(size: int) -> list[object]:
        return [(ROWS[size], 256), ids(ROWS[size], 256)]

    def signed(size: int) -> list[object]:
        signs = 2 * ids(ROWS[size] * 256, 2).reshape(-1, 256) - 1
        return [(ROWS[size], 256), signs.astype(np.float32)]

    def signed_pairs(size: int) -> list[object]:
        x, signs = signed(size)
        return [x, x, signs]

    def pairs(size: int) -> list[object]:
        return [*two(size), (2 * ids(ROWS[size], 2) - 1).astype(np.float32)]

    def alike(size: int) -> list[object]:
        return [*two(size), ids(ROWS[size], 2).astype(np.float32)]

    def sequences(size: int) -> list[object]:
        steps, batch, labels = CTC[size]
        targets = 1 + ids(batch * (steps // 4), labels - 1).reshape(batch, -1)
        lengths = [np.full(batch, n, np.int32) for n in (steps, steps // 4)]
        return [(steps, batch, labels), targets, *lengths]

    def their_ctc(x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return functional.ctc_loss(x, *rest, reduction="sum") / x.shape[1]

    def contrastive(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        far = functional.pairwise_distance(a, b, eps=0)
        return (t * far**2 + (1 - t) * functional.relu(1 - far) ** 2).mean() / 2

    def their_focal(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        p, loss = x.sigmoid(), functional.binary_cross_entropy_with_logits(x, t, reduction="none")
        wrong = t * (1 - p) + (1 - t) * p
        return (loss * wrong**2 * (0.25 * t + 0.75 * (1 - t))).sum() / len(x)

    def negative_likelihood(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return functional.nll_loss(x, t.long())

    def rows_of(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy(x, t, reduction="sum") / len(x)

    def rows_of_logits(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(x, t, reduction="sum") / len(x)

    return {
        ops.SoftMaxCrossEntropy: Case(
            ops.softmax_cross_entropy,
            lambda x, t: functional.cross_entropy(x, t.long()),
            labelled,
        ),
        ops.CrossEntropy: Case(
            ops.cross_entropy,
            lambda x, t: functional.nll_loss(x.log(), t.long()),
            labelled,
            low=0.1,
        ),
        ops.NegativeLogLikelihood: Case(ops.nll_loss, negative_likelihood, labelled),
        ops.MeanSquareError: Case(ops.mse_loss, functional.mse_loss, two),
        ops.MeanAbsoluteError: Case(ops.l1_loss, functional.l1_loss, two),
        ops.Huber: Case(ops.huber_loss, functional.huber_loss, two),
        ops.BinaryCrossEntropy: Case(ops.binary_cross_entropy, rows_of, two, low=0.1, high=0.9),
        ops.BinaryCrossEntropyWithLogits: Case(
            ops.binary_cross_entropy_with_logits, rows_of_logits, two, low=0.1
        ),
        ops.KLDivergence: Case(
            ops.kl_div, lambda x, t: functional.kl_div(x, t, reduction="batchmean"), two, low=0.1
        ),
        ops.Hinge: Case(ops.hinge_loss, lambda x, t: functional.relu(1 - t * x).mean(), signed),
        ops.SoftMargin: Case(ops.soft_margin_loss, functional.soft_margin_loss, signed),
        ops.HingeEmbedding: Case(
            ops.hinge_embedding_loss,
            functional.hinge_embedding_loss,
            signed,
            low=0.1,
            high=1.9,
        ),
        ops.MultiMargin: Case(
            ops.multi_margin_loss,
            lambda x, t: functional.multi_margin_loss(x, t.long()),
            labelled,
        ),
        # A margin that is the difference of no two inputs: there the slope is either side's.
        ops.MarginRanking: Case(
            partial(ops.margin_ranking_loss, margin=0.1),
            partial(functional.margin_ranking_loss, margin=0.1),
            signed_pairs,
        ),
        ops.GaussianNegativeLogLikelihood: Case(
            ops.gaussian_nll_loss, functional.gaussian_nll_loss, rows(3), low=0.5
        ),
        ops.PoissonNegativeLogLikelihood: Case(
            ops.poisson_nll_loss, functional.poisson_nll_loss, two
        ),
        ops.SigmoidFocal: Case(ops.sigmoid_focal_loss, their_focal, two, low=0.1, high=0.9),
        ops.CTC: Case(
            lambda x, *rest: ops.ctc_loss(ops.log_softmax(x, 2), *rest),
            lambda x, *rest: their_ctc(x.log_softmax(2), *rest),
            sequences,
        ),
        ops.RankingLoss: Case(
            ops.ranking_loss, lambda a, b: functional.relu(0.2 - a + b).mean(), two
        ),
        ops.CosSim: Case(ops.cossim, functional.cosine_similarity, two),
        ops.CosineEmbedding: Case(
            ops.cosine_embedding_loss, functional.cosine_embedding_loss, pairs
        ),
        ops.Triplet: Case(
            ops.triplet_loss, functional.triplet_margin_loss, rows(3), low=-0.1, high=0.1
        ),
        ops.Contrastive: Case(ops.contrastive_loss, contrastive, alike, low=-0.02, high=0.02),
    }

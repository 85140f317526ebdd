from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import scipy.special

from benchmarks.cases import ROWS, Case, Inputs, rows

FEW = 16  # columns, for what is computed by series of many terms


def after(*fixed: float) -> Inputs:
    """A Tensor of each of these numbers, and a parameter."""
    return lambda size: [
        *[np.full((ROWS[size], FEW), number, np.float32) for number in fixed],
        (ROWS[size], FEW),
    ]


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops
    from singa import special, tensor

    theirs, one, two, few = torch.special, rows(), rows(2), rows(columns=FEW)

    def their_betaln(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)

    def their_density(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return (a - 1) * x.log() - x - torch.lgamma(a)

    def their_betainc(*xs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(scipy.special.betainc(*[x.detach().numpy() for x in xs]))

    def drawn(a: Any) -> Any:
        return ops.DrawLogGamma()(a, tensor.random_key(a.device))[0]

    found = {
        ops.LGamma: Case(special.lgamma, torch.lgamma, one, low=0.5, high=5),
        ops.Digamma: Case(special.digamma, theirs.digamma, one, low=0.5, high=5),
        ops.Polygamma: Case(
            partial(special.polygamma, 1), partial(theirs.polygamma, 1), one, low=0.5, high=5
        ),
        ops.BetaLn: Case(special.betaln, their_betaln, two, low=0.5, high=5),
        ops.LogGammaDensity: Case(
            lambda a, x: ops.LogGammaDensity()(a, x)[0], their_density, two, low=0.5, high=15
        ),
        # PyTorch has no gradient by the first input of these two.
        ops.GammaInc: Case(special.gammainc, theirs.gammainc, after(2.5), low=0.5, high=5),
        ops.GammaIncC: Case(special.gammaincc, theirs.gammaincc, after(2.5), low=0.5, high=5),
        # PyTorch does not have it: SciPy's, which has no gradient.
        ops.BetaInc: Case(
            special.betainc, their_betainc, after(2.5, 1.5), low=0.01, high=0.99,
            differentiable=False,
        ),
        # There is no formula for the gradient by its first input.
        ops.Zeta: Case(special.zeta, theirs.zeta, after(3), low=0.5, high=5),
        ops.DrawLogGamma: Case(
            drawn, lambda a: torch._standard_gamma(a).log(), few, low=0.5, high=5, is_random=True
        ),
        ops.XLogY: Case(special.xlogy, theirs.xlogy, two, low=0.5),
        ops.XLog1py: Case(special.xlog1py, theirs.xlog1py, two, low=-0.5),
        ops.Entr: Case(special.entr, theirs.entr, one, low=0.1),
        ops.ErfInv: Case(special.erfinv, theirs.erfinv, one, low=-0.9, high=0.9),
        ops.LogNdtr: Case(special.log_ndtr, theirs.log_ndtr, one, low=-3, high=3),
    }  # fmt: skip
    for name in ("i0", "i0e", "i1", "i1e", "erfc", "erfcx", "ndtr"):
        kind = getattr(ops, name.capitalize())
        found[kind] = Case(getattr(special, name), getattr(theirs, name), one, low=-3, high=3)
    for name in ("logit", "ndtri"):
        kind = getattr(ops, name.capitalize())
        found[kind] = Case(getattr(special, name), getattr(theirs, name), one, low=0.1, high=0.9)
    return found

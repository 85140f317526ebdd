"""Special functions: of gamma, beta, error and Bessel functions, of probabilities.

``from singa import special``. The functions work element by element, with broadcasting, and have
gradients; half precision is computed in float32, and integers too. The names are SciPy's, except
for ``lgamma``, which is its ``gammaln``; ``expit`` is :func:`singa.autograd.sigmoid`.
"""

from singa.operation.activation import sigmoid as expit
from singa.operation.bessel import i0, i0e, i1, i1e
from singa.operation.entropy import entr, logit, xlog1py, xlogy
from singa.operation.error_function import erfc, erfcx, erfinv, log_ndtr, ndtr, ndtri
from singa.operation.exponential import erf
from singa.operation.gamma import (
    betainc,
    betaln,
    digamma,
    gammainc,
    gammaincc,
    lgamma,
    polygamma,
    zeta,
)
from singa.operation.reduction import logsumexp
from singa.operation.trigonometric import sinc

__all__ = [
    "betainc", "betaln", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "expit", "gammainc",
    "gammaincc", "i0", "i0e", "i1", "i1e", "lgamma", "log_ndtr", "logit",
    "logsumexp", "ndtr", "ndtri", "polygamma", "sinc", "xlog1py", "xlogy", "zeta",
]  # fmt: skip

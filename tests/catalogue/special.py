import jax
import jax.numpy as jnp
from jax.scipy import special

from catalogue.row import ANY, POSITIVE, PROBABILITY, Row
from singa import autograd as ops


def plain_erfcx(x):
    return jnp.exp(x * x) * jax.lax.erfc(x)


def plain_betaln(a, b):
    return jax.lax.lgamma(a) + jax.lax.lgamma(b) - jax.lax.lgamma(a + b)


def log_gamma_density(a, x):
    return ops.LogGammaDensity()(a, x)[0]


def plain_log_gamma_density(a, x):
    return (a - 1) * jnp.log(x) - x - jax.lax.lgamma(a)


def plain_betainc(x):
    return special.betainc(jnp.full_like(x, 1.5), jnp.full_like(x, 2.5), x)


LARGE = (9.0, 12.0)
PAIR = [(2, 3), (3,)]

ROWS = {
    "lgamma": Row(ops.LGamma, ops.lgamma, jax.lax.lgamma, [(2, 3)], POSITIVE),
    "digamma": Row(ops.Digamma, ops.digamma, jax.lax.digamma, [(2, 3)], POSITIVE),
    "polygamma": Row(
        ops.Polygamma, lambda x: ops.polygamma(2, x), lambda x: special.polygamma(2, x), [(2, 3)],
        POSITIVE,
    ),
    "betaln": Row(ops.BetaLn, ops.betaln, plain_betaln, PAIR, POSITIVE),
    "betaln of large numbers": Row(ops.BetaLn, ops.betaln, plain_betaln, PAIR, LARGE),
    "betaln of one large number": Row(
        ops.BetaLn, lambda a: ops.betaln(a, 40.0), lambda a: plain_betaln(a, 40.0), [(2, 3)],
        POSITIVE,
    ),
    "log of a gamma density": Row(
        ops.LogGammaDensity, log_gamma_density, plain_log_gamma_density, PAIR, POSITIVE
    ),
    "log of a gamma density of large numbers": Row(
        ops.LogGammaDensity, log_gamma_density, plain_log_gamma_density, PAIR, LARGE
    ),
    "gammainc": Row(
        ops.GammaInc, ops.gammainc, jax.lax.igamma, [(2, 3), (2, 3)], POSITIVE, twice=False
    ),
    "gammaincc": Row(
        ops.GammaIncC, ops.gammaincc, jax.lax.igammac, [(2, 3), (2, 3)], POSITIVE, twice=False
    ),
    "betainc": Row(
        ops.BetaInc, lambda x: ops.betainc(1.5, 2.5, x), plain_betainc, [(2, 3)], PROBABILITY,
        wide=True,
    ),
    "zeta": Row(
        ops.Zeta, lambda q: ops.zeta(2.5, q), lambda q: special.zeta(2.5, q), [(2, 3)], POSITIVE
    ),
    "erfc": Row(ops.Erfc, ops.erfc, jax.lax.erfc, [(2, 3)]),
    "erfcx": Row(ops.Erfcx, ops.erfcx, plain_erfcx, [(2, 3)]),
    "erfinv": Row(ops.ErfInv, ops.erfinv, jax.lax.erf_inv, [(2, 3)], (-0.9, 0.9)),
    "ndtr": Row(ops.Ndtr, ops.ndtr, special.ndtr, [(2, 3)]),
    "log_ndtr": Row(ops.LogNdtr, ops.log_ndtr, special.log_ndtr, [(2, 3)]),
    "ndtri": Row(ops.Ndtri, ops.ndtri, special.ndtri, [(2, 3)], PROBABILITY),
    "i0": Row(ops.I0, ops.i0, special.i0, [(2, 3)]),
    "i0e": Row(ops.I0e, ops.i0e, special.i0e, [(2, 3)]),
    "i1": Row(ops.I1, ops.i1, special.i1, [(2, 3)]),
    "i1e": Row(ops.I1e, ops.i1e, special.i1e, [(2, 3)]),
    "xlogy": Row(ops.XLogY, ops.xlogy, special.xlogy, PAIR, POSITIVE),
    "xlog1py": Row(ops.XLog1py, ops.xlog1py, special.xlog1py, PAIR, POSITIVE),
    "entr": Row(ops.Entr, ops.entr, special.entr, [(2, 3)], POSITIVE),
    "logit": Row(ops.Logit, ops.logit, special.logit, [(2, 3)], PROBABILITY),
    "sinc": Row(ops.Sinc, ops.sinc, jnp.sinc, [(2, 3)], ANY),
}  # fmt: skip

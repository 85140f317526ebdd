"""How each operation is written as ONNX: a file for each family, as ``rules/`` for reading.

A form is a short function from an operation and its inputs to nodes. An operation without a form
is written by the primitives of jax that it consists of (``tracing.py``).
"""

from singa import operation as op
from singa.sonnx.forms import (
    attention,
    elementwise,
    linear,
    normalization,
    primitives_of_elements,
    primitives_of_places,
    primitives_of_shapes,
    primitives_of_sums,
    recurrent,
    reduction,
    selection,
    shaping,
    windows,
)

__all__ = [
    "OMITTED", "attention", "elementwise", "linear", "normalization",
    "primitives_of_elements", "primitives_of_places", "primitives_of_shapes", "primitives_of_sums",
    "recurrent", "reduction", "selection", "shaping", "windows",
]  # fmt: skip

_FACTORS = "ONNX has no operators that factor matrices"
_OF_VALUES = "the shape of its result depends on values, which the rest of a graph needs to know"
_COMPLEX = "ONNX has no operators for complex numbers"
_SPECIAL = "ONNX has no such function"
_RANDOM = "it draws random numbers from a key"

OMITTED: dict[type, str] = {
    op.Cholesky: _FACTORS,
    op.Inverse: _FACTORS,
    op.MatrixExponential: _FACTORS,
    op.MatrixPower: _FACTORS,
    op.OrthogonalTriangular: _FACTORS,
    op.PseudoInverse: _FACTORS,
    op.SingularValues: _FACTORS,
    op.Solve: _FACTORS,
    op.SolveTriangular: _FACTORS,
    op.SymmetricEigen: _FACTORS,
    op.ConstantOfShape: _OF_VALUES,
    op.NonZero: _OF_VALUES,
    op.Unique: _OF_VALUES,
    op.Polar: _COMPLEX,
    op.Complex: _COMPLEX,
    op.ViewAsReal: _COMPLEX,
    op.ViewAsComplex: _COMPLEX,
    op.Conj: _COMPLEX,
    op.Angle: _COMPLEX,
    op.Imag: _COMPLEX,
    op.Real: _COMPLEX,
    op.FourierTransform: _COMPLEX,
    op.InverseFourierTransform: _COMPLEX,
    op.RealFourierTransform: _COMPLEX,
    op.InverseRealFourierTransform: _COMPLEX,
    op.LGamma: _SPECIAL,
    op.Digamma: _SPECIAL,
    op.Polygamma: _SPECIAL,
    op.BetaLn: _SPECIAL,
    op.LogGammaDensity: _SPECIAL,
    op.GammaInc: _SPECIAL,
    op.GammaIncC: _SPECIAL,
    op.BetaInc: _SPECIAL,
    op.Zeta: _SPECIAL,
    op.ErfInv: _SPECIAL,
    op.I0: _SPECIAL,
    op.I0e: _SPECIAL,
    op.I1: _SPECIAL,
    op.I1e: _SPECIAL,
    op.DrawLogGamma: _RANDOM,
    op.ChannelDropout: f"{_RANDOM}; in evaluation it is not called",
    op.Dropout: f"{_RANDOM}; in evaluation it is not called",
}
"""The operations that cannot be written, with the reason."""

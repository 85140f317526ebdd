"""Why some operations are slower than PyTorch's, each sentence with its operations.

What holds for all: a compiled kernel takes 5 to 10 us to start where PyTorch's take 1 to 3, which
shows in small sizes; and XLA's second thread sleeps between operations, so that waking it takes
longer than its part of a medium one. So it is the large size that wants a reason.
"""

from __future__ import annotations

_REASONS = {
    "PyTorch returns a view. Arrays of XLA have none between programs; within a compiled step it "
    "costs nothing here either.": (
        "Concat Expand Flatten Reshape Slice Split Squeeze Stack Transpose Unsqueeze ReduceSum "
        "ReduceMean GetItem Unstack Real Imag Complex ViewAsReal ViewAsComplex "
        "Diagonal"
    ),
    "On its own it has to change the order of the channels, before and after. In a step with "
    "other operations on images this happens once.": (
        "BatchNormalization2d FrozenBatchNormalization2d Convolution2d ConvolutionTranspose "
        "MaxPooling MaxPooling2d AveragePooling2d Convolution"
    ),
    "XLA's formula for it is longer than that of the vector library which PyTorch calls.": (
        "Acos Asin Atanh Cos ErfInv Exp2 Gelu Log10 Log1p Log2 Pow SigmoidFocal Sin Sinh "
        "SoftMargin Tan"
    ),
    "It is computed in float64, in which products of whole quotients are exact.": "Fmod Remainder",
    "Each axis is a product with a matrix, of which most elements are 0.": "Interpolate",
    "XLA's transforms on CPUs are those of the library DUCC; PyTorch's are MKL's, which take half "
    "the time.": (
        "FourierTransform InverseFourierTransform RealFourierTransform InverseRealFourierTransform"
    ),
    "XLA gathers and scatters element by element.": "Diag Frames Gather GridSample IndexAdd",
    "Places are checked and numbered in a pass of their own, before a kernel writes.": "ScatterAdd",
    "Of several elements for one place only the last gets the gradient, and which it is has to be "
    "found; PyTorch gives it to all of them.": "MaxUnpooling ScatterElements SetItem",
    "The ids' rows are counted too, because those without any are 0; and ids that are no segment's "
    "are ignored.": "SegmentMax SegmentMean SegmentMin",
    "Its gradient goes through all pairs twice, once for each input, on one thread.": (
        "PairDistances"
    ),
    "There is a formula for each range of numbers, and all are computed for all numbers.": (
        "BetaLn Digamma LGamma Polygamma"
    ),
    "A series, or a draw by rejection, goes on for all numbers until the last of them is done; "
    "PyTorch's and SciPy's loops end for each number.": "BetaInc DrawLogGamma GammaInc GammaIncC",
    "LAPACK is SciPy's, and its matrices are put into another order and back; PyTorch calls MKL.": (
        "Cholesky Determinant Inverse LogDeterminant MatrixExponential OrthogonalTriangular "
        "PseudoInverse SingularValues Solve SolveTriangular SymmetricEigen"
    ),
    "Its products are XLA's, by the library Eigen; PyTorch calls MKL.": "MatrixPower",
    "XLA reads the data once for each sum in it, PyTorch's kernel once for all of them.": (
        "LayerNormalization GroupNormalization InstanceNormalization SoftMax LogSoftmax LogSumExp "
        "SoftMaxCrossEntropy "
        "CrossEntropy CosSim CosineEmbedding Triplet Contrastive Huber"
    ),
    "Partial products must neither overflow nor become 0: each number is split into one near 1 and "
    "a power of two.": "ReduceProd",
    "Whether squares overflow or become 0 is looked at before the norms are used.": (
        "ClipByNorm Norm Normalize Std"
    ),
    "PyTorch goes through the keys block by block, and never has all weights at once (flash "
    "attention); here they are written, read for each sum over them, and kept for the way back.": (
        "ScaledDotProductAttention"
    ),
    "Windows of uneven sizes are gathered element by element, one axis after the other.": (
        "AdaptiveAveragePooling AdaptiveMaxPooling"
    ),
    "The gradient is added up by a formula of slices, not by a kernel.": "UpSample",
    "One number of each row is read, which takes less time than the call.": "NegativeLogLikelihood",
    "The pieces are joined by a choice for each element, not copied one by one.": "Roll",
    "XLA's second thread sleeps between operations; waking it for a million elements takes as long "
    "as it saves. PyTorch's wait busily.": (
        "Abs Add AddBias Cast Ceil Clip Div Elu Exp Floor HardSwish Identity LeakyRelu Min Mul "
        "ReLU6 Reciprocal ReduceMax ReduceMin Rounde Square Trunc"
    ),
    "The shape of the result depends on values: it is computed on the host.": (
        "NonZero ConstantOfShape"
    ),
    "XLA reduces pairs of a number and its place, one after the other.": "ArgMax",
    "Nothing is computed; what it costs is the call.": "Shape",
}

REASONS = {name: reason for reason, names in _REASONS.items() for name in names.split()}

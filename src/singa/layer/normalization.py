from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from singa.core.tensor import Tensor
from singa.errors import ArgumentError, ShapeError
from singa.layer.base import Layer
from singa.layer.making import expect_features, parameter, positive, state
from singa.layer.older_forms import by_position
from singa.operation import batchnorm_2d, checks, group_norm, layer_norm, rms_norm
from singa.operation.batch_normalization import filled

_SHAPES = {2: "(N, C)", 3: "(N, C, W)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}


class _BatchNorm(Layer):
    """Base of the batch normalizations, for inputs of these numbers of axes."""

    ndims: tuple[int, ...]
    scale: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        *args: Any,
        momentum: float = 0.9,
        eps: float = 1e-5,
        affine: bool = True,
        track_running_stats: bool = True,
        unbiased: bool = False,
        synchronized: bool = True,
    ) -> None:
        name = type(self).__name__
        given = by_position(name, args, (), ("channels", "momentum"), momentum=momentum)
        momentum = given["momentum"]
        self.channels = positive(name, "channels", args[0]) if args else None
        self.momentum = checks.number(f"{name}: momentum", momentum)
        if not 0 <= self.momentum <= 1:
            raise ArgumentError(f"{name}: momentum must be from 0 to 1, got {momentum!r}")
        self.eps = checks.number(f"{name}: eps", eps)
        self.affine = bool(affine)
        self.track_running_stats = bool(track_running_stats)
        self.unbiased = bool(unbiased)
        self.synchronized = bool(synchronized)
        if not affine:
            self.scale = self.bias = None
        if not track_running_stats:
            self.running_mean = self.running_var = None

    def initialize(self, x: Tensor) -> None:
        if x.ndim not in self.ndims:
            shapes = " or ".join(_SHAPES[ndim] for ndim in self.ndims)
            raise ShapeError(
                f"{type(self).__name__}: the input must be {shapes}, got shape {x.shape}"
            )
        channels = x.shape[1]
        expect_features(type(self).__name__, "channels", x, channels, self.channels)
        self.channels = channels
        if self.affine:
            self.scale = parameter((channels,), x).set_value(1.0)
            self.bias = parameter((channels,), x)
        if self.track_running_stats:
            self.register_states(
                running_mean=state((channels,), x),
                running_var=state((channels,), x).set_value(1.0),
            )

    def forward(self, x: Tensor) -> Tensor:
        parameters, running = (self.scale, self.bias), (self.running_mean, self.running_var)
        return batchnorm_2d(
            x, *parameters, *running, self.momentum, self.eps, self.unbiased, self.synchronized
        )


class BatchNorm2d(_BatchNorm):
    """Batch normalization of each channel (Ioffe and Szegedy, 2015; ONNX BatchNormalization).

    ``BatchNorm2d()`` takes the number of channels from its first input; ``BatchNorm2d(channels)``
    and ``BatchNorm2d(channels, momentum)`` are SINGA's older form.

    Args:
        momentum: the weight of the old running value: running = momentum * running +
            (1 - momentum) * batch, as in ONNX. (In SINGA it is the weight of the batch's value.)
        eps: added to the variance.
        affine: whether there are a scale and a bias.
        track_running_stats: whether there are running values; without them the batch's own are
            used in evaluation too.
        unbiased: the running variance is of the unbiased variance, as in PyTorch.
        synchronized: on a mesh, whether the mean and the variance are those of the whole batch, as
            of PyTorch's ``SyncBatchNorm``. If not, each device uses those of its own part, which
            needs no exchange; the running values are of their averages over all parts. (Ranks that
            exchange by ``DistOpt`` use their own in any case.)

    Shapes:
        x, y: (N, C, H, W) or (N, C).

    Parameters:
        scale: (C,), initially 1.
        bias: (C,), initially 0.

    States:
        running_mean: (C,), initially 0.
        running_var: (C,), initially 1; of the biased variance, unless ``unbiased``.

    Example:
        >>> norm = layer.BatchNorm2d()
        >>> autograd.training = True
        >>> norm(Tensor(data=[[1.0], [3.0]])).to_numpy()
        array([[-1.],
               [ 1.]], dtype=float32)
        >>> autograd.training = False
        >>> norm.running_mean.to_numpy(), norm.running_var.to_numpy()
        (array([0.2], dtype=float32), array([1.], dtype=float32))
    """

    ndims = 2, 4


class BatchNorm1d(_BatchNorm):
    """Batch normalization of rows or sequences; see :class:`BatchNorm2d`.

    Shapes:
        x, y: (N, C) or (N, C, W).

    Example:
        >>> layer.BatchNorm1d()(Tensor((2, 3, 5))).shape
        (2, 3, 5)
    """

    ndims = 2, 3


class BatchNorm3d(_BatchNorm):
    """Batch normalization of volumes; see :class:`BatchNorm2d`.

    Shapes:
        x, y: (N, C, D, H, W).

    Example:
        >>> layer.BatchNorm3d()(Tensor((2, 3, 5, 5, 5))).shape
        (2, 3, 5, 5, 5)
    """

    ndims = (5,)


class BatchNorm(_BatchNorm):
    """Batch normalization of inputs of 2 to 5 axes; see :class:`BatchNorm2d`.

    Shapes:
        x, y: (N, C), (N, C, W), (N, C, H, W) or (N, C, D, H, W).

    Example:
        >>> layer.BatchNorm(affine=False)(Tensor((2, 3, 5))).shape
        (2, 3, 5)
    """

    ndims = 2, 3, 4, 5


class _OwnNorm(Layer):
    """Normalization of each example separately; it is the same in training and evaluation."""

    scale: Tensor | None

    def __init__(self, eps: float, bias: bool, affine: bool) -> None:
        self.eps = checks.number(f"{type(self).__name__}: eps", eps)
        self.affine = bool(affine)
        self.has_bias = bool(bias) and self.affine
        if not affine:
            self.scale = None
        self.bias: Tensor | None = None

    def make(self, shape: tuple[int, ...], x: Tensor) -> None:
        """Make scale and bias of this shape, on the device and of the float type of ``x``."""
        if self.affine:
            self.scale = parameter(shape, x).set_value(1.0)
        if self.has_bias:
            self.bias = parameter(shape, x)

    def factors(self, shape: tuple[int, ...], x: Tensor) -> Tensor:
        """The scale, or ones."""
        return filled(shape, x, 1) if self.scale is None else self.scale


class LayerNorm(_OwnNorm):
    """Normalization over the last axes (Ba et al., 2016; ONNX LayerNormalization).

    Args:
        normalized_shape: the sizes of the axes that are normalized over, and of scale and bias;
            the size of the first input's last axis if None.
        eps: added to the variance.
        bias: whether to add a bias.
        elementwise_affine: whether there are a scale and a bias.

    Shapes:
        x, y: any that ends in ``normalized_shape``.

    Parameters:
        scale: ``normalized_shape``, initially 1.
        bias: ``normalized_shape``, initially 0; absent with ``bias=False``.

    Example:
        >>> norm = layer.LayerNorm()
        >>> norm(Tensor(data=[[1.0, 3.0], [0.0, 8.0]])).to_numpy()
        array([[-1.,  1.],
               [-1.,  1.]], dtype=float32)
        >>> norm.scale.shape
        (2,)
    """

    normalize = staticmethod(layer_norm)

    def __init__(
        self,
        normalized_shape: int | Sequence[int] | None = None,
        eps: float = 1e-5,
        bias: bool = True,
        elementwise_affine: bool = True,
    ) -> None:
        super().__init__(eps, bias, elementwise_affine)
        name = type(self).__name__
        self.normalized_shape: tuple[int, ...] | None = None
        if normalized_shape is not None:
            sizes = checks.integers(f"{name}: normalized_shape", normalized_shape, 1)
            self.normalized_shape = sizes

    def initialize(self, x: Tensor) -> None:
        self.normalized_shape = self.normalized_shape or x.shape[-1:]
        self.make(self.normalized_shape, x)

    def forward(self, x: Tensor) -> Tensor:
        shape = self.normalized_shape or ()
        if x.shape[-len(shape) :] != shape:
            raise ShapeError(
                f"{type(self).__name__}: an input of shape (..., {', '.join(map(str, shape))}) "
                f"expected, got {x.shape}"
            )
        return self.normalize(x, self.factors(shape, x), self.bias, self.eps)


class RMSNorm(LayerNorm):
    """Division by the root of the mean square over the last axes (Zhang and Sennrich, 2019).

    Its arguments are those of :class:`LayerNorm`, but the default is no bias.

    Shapes:
        x, y: any that ends in ``normalized_shape``.

    Example:
        >>> layer.RMSNorm()(Tensor(data=[[1.0, 7.0]])).to_numpy()
        array([[0.2, 1.4]], dtype=float32)
    """

    normalize = staticmethod(rms_norm)

    def __init__(
        self,
        normalized_shape: int | Sequence[int] | None = None,
        eps: float = 1e-5,
        bias: bool = False,
        elementwise_affine: bool = True,
    ) -> None:
        super().__init__(normalized_shape, eps, bias, elementwise_affine)


class GroupNorm(_OwnNorm):
    """Normalization over groups of channels of each image (Wu and He, 2018).

    Args:
        num_groups: the number of groups; a divisor of the number of channels.
        num_channels: the number of channels; that of the first input if None.
        eps: added to the variance.
        bias: whether to add a bias.
        affine: whether there are a scale and a bias.

    Shapes:
        x, y: (N, C, ...).

    Parameters:
        scale: (C,), initially 1.
        bias: (C,), initially 0; absent with ``bias=False``.

    Example:
        >>> norm = layer.GroupNorm(2)
        >>> norm(Tensor((2, 6, 8, 8))).shape
        (2, 6, 8, 8)
        >>> norm.scale.shape
        (6,)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int | None = None,
        eps: float = 1e-5,
        bias: bool = True,
        affine: bool = True,
    ) -> None:
        super().__init__(eps, bias, affine)
        name = type(self).__name__
        self.num_groups = positive(name, "num_groups", num_groups)
        self.channels = None if num_channels is None else positive(name, "channels", num_channels)

    def initialize(self, x: Tensor) -> None:
        name = type(self).__name__
        if x.ndim() < 2:
            raise ShapeError(f"{name}: the input must be (N, C, ...), got shape {x.shape}")
        channels = x.shape[1]
        expect_features(name, "channels", x, channels, self.channels)
        if channels % self.num_groups:
            raise ShapeError(f"{name}: {channels} channels are not a multiple of {self.num_groups}")
        self.channels = channels
        self.make((channels,), x)

    def forward(self, x: Tensor) -> Tensor:
        expect_features(type(self).__name__, "channels", x, x.shape[1], self.channels)
        scale = self.factors(x.shape[1:2], x)
        return group_norm(x, self.num_groups, scale, self.bias, self.eps)


class InstanceNorm(GroupNorm):
    """Normalization of each channel of each image (Ulyanov et al., 2016).

    It is a :class:`GroupNorm` in which each channel is a group.

    Shapes:
        x, y: (N, C, ...).

    Example:
        >>> layer.InstanceNorm()(Tensor(data=[[[1.0, 3.0], [0.0, 8.0]]])).to_numpy()
        array([[[-1.,  1.],
                [-1.,  1.]]], dtype=float32)
    """

    def __init__(
        self,
        num_channels: int | None = None,
        eps: float = 1e-5,
        bias: bool = True,
        affine: bool = True,
    ) -> None:
        super().__init__(1, num_channels, eps, bias, affine)

    def initialize(self, x: Tensor) -> None:
        super().initialize(x)
        self.num_groups = x.shape[1]

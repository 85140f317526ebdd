"""What functions share that work element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor
from singa.engine.fusion import again
from singa.operation import checks
from singa.tape import Operation

Formula: TypeAlias = Callable[[CTensor], CTensor]


class Pointwise(Operation):
    """y = formula(x) for a float Tensor; its gradient is dy slope(x).

    The class states both: ``class Sin(Pointwise, formula=jnp.sin, slope=jnp.cos)``.
    """

    formula: ClassVar[Formula]
    slope: ClassVar[Formula]

    def __init_subclass__(
        cls, formula: Formula | None = None, slope: Formula | None = None, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if formula is not None and slope is not None:  # neither is for a further base class
            cls.formula, cls.slope = staticmethod(formula), staticmethod(slope)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x = x
        return type(self).formula(x)

    def backward(self, dy: CTensor) -> CTensor:
        return dy * type(self).slope(again(self.x))


class RealFunction(Pointwise):
    """A function of real numbers: the whole ones among them too, which are computed as float32."""

    def forward(self, x: CTensor) -> CTensor:
        return super().forward(checks.as_float(self, "its input", x))


def as_tensors(*xs: TensorLike) -> list[Tensor]:
    """All of them as Tensors; numbers are like the first Tensor, float32 if there is none."""
    like = next((x for x in xs if isinstance(x, Tensor)), None)
    if like is None:
        like = Tensor(data=xs[0], requires_grad=False)
    return [as_tensor(x, like) for x in xs]

"""Operations as layers."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from singa.core.tensor import Tensor
from singa.layer.base import Layer
from singa.tape import Operation


class Function(Layer):
    """An operation as a layer without parameters, so that a model can have it as an attribute.

    The class states the operation: ``class Tanh(Function, operation=operation.Tanh)``. The layer
    takes the operation's arguments and stores them as attributes; a call takes its inputs.

    Shapes:
        xs, y: those of the operation.

    Example:
        >>> class Cosine(layer.Function, operation=autograd.Cos):
        ...     pass
        >>> Cosine()(Tensor(data=[0.0])).to_numpy()
        array([1.], dtype=float32)
    """

    _operation: ClassVar[type[Operation]]
    _options: ClassVar[inspect.Signature]

    def __init_subclass__(cls, operation: type[Operation] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if operation is not None:
            _, *options = inspect.signature(operation.__init__).parameters.values()
            cls._operation, cls._options = operation, inspect.Signature(options)

    def __init__(self, *args: Any, **options: Any) -> None:
        try:
            given = self._options.bind(*args, **options)
        except TypeError as error:
            known = ", ".join(self._options.parameters) or "none"
            raise TypeError(f"{type(self).__name__}: {error}; its arguments are {known}") from None
        given.apply_defaults()
        for name, value in given.arguments.items():
            setattr(self, name, value)
        self._configured()  # raises immediately if they are wrong

    def forward(self, *xs: Tensor) -> Tensor:
        return self._configured()(*xs)[0]

    def _configured(self) -> Operation:
        return self._operation(**{name: getattr(self, name) for name in self._options.parameters})

    def settings(self) -> str:
        return ", ".join(
            f"{name}={value!r}"
            for name, parameter in self._options.parameters.items()
            if (value := getattr(self, name)) != parameter.default
        )

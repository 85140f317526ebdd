"""SINGA's forms of layers: arguments in which the input sizes come first, checks of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from singa.core.tensor import Tensor
from singa.core.watching import outside_capture
from singa.errors import DTypeError


def by_position(
    name: str, given: Sequence[Any], newer: Sequence[str], older: Sequence[str], **options: Any
) -> dict[str, Any]:
    """Positional arguments as a dict: by the newer form or, if it has too few, by the older one.

    Args:
        name: the layer's name, for messages.
        given: the positional arguments. If they are more than the newer form has, they are taken
            as the older form.
        newer, older: the names of the arguments in each form.
        options: the values of arguments that are not given by position.

    Raises:
        DTypeError: there are more arguments than the older form has.
    """
    if len(given) > len(older):
        raise DTypeError(
            f"{name}: ({', '.join(older)}) at most by position, got {len(given)} arguments"
        )
    names = newer if len(given) <= len(newer) else older
    return options | dict(zip(names, given, strict=False))


class OlderChecks:
    """The part of a layer that SINGA's layers call to check their inputs."""

    def device_check(self, *inputs: Tensor) -> None:
        """Move Tensors, in place, to the device of the first one.

        Shapes:
            inputs: any.

        Example:
            >>> linear = layer.Linear(2)
            >>> x = Tensor((1, 3))
            >>> _ = linear(x)
            >>> linear.device_check(x, linear.W, linear.b)
        """
        with outside_capture():
            for tensor in inputs[1:]:
                if tensor.device is not inputs[0].device:
                    tensor.to_device(inputs[0].device)

    def dtype_check(self, *inputs: Tensor) -> None:
        """Does nothing: operations take mixed types. SINGA gives all Tensors the first one's type.

        Shapes:
            inputs: any.

        Example:
            >>> linear = layer.Linear(2)
            >>> x = Tensor(data=[[1, 2, 3]])
            >>> _ = linear(x)
            >>> linear.dtype_check(x, linear.W)
            >>> linear.W.dtype
            dtype('float32')
        """

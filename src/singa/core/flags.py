"""A Tensor's flags, record and device; and how they are restored, together with its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import jax

from singa.core.guard import changed
from singa.core.watching import Handle, local
from singa.device import Device


class Flagged(Handle):
    """The part of a Tensor with its flags for gradients. It is restored if a step is undone."""

    __slots__ = ("_requires_grad", "_stores_grad", "creator", "device", "output_index")

    device: Device
    creator: Any  # the Record of the operation that computed it; None for a leaf
    output_index: int  # which of its creator's outputs it is
    _requires_grad: bool
    _stores_grad: bool

    @property
    def requires_grad(self) -> bool:
        """Whether gradients may flow through this Tensor. False freezes a parameter."""
        self._note_flags()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if bool(value) != self._requires_grad:
            self._will_change()
            self._requires_grad = bool(value)
            changed(self, "flags")

    @property
    def stores_grad(self) -> bool:
        """Whether ``backward`` yields this Tensor's gradient. Setting it sets requires_grad too.

        It is False for a frozen Tensor (requires_grad False), and True again when it is unfrozen.
        """
        self._note_flags()
        return self._stores_grad and self._requires_grad

    @stores_grad.setter
    def stores_grad(self, value: bool) -> None:
        if bool(value) != self.stores_grad:
            self._will_change()
            self._stores_grad = bool(value)
            self._requires_grad = self._requires_grad or self._stores_grad
            changed(self, "flags")

    def _note_flags(self) -> None:
        if local.guard is not None and not isinstance(self._data, jax.core.Tracer):
            local.guard.note(self, "flags")

    def _will_change(self) -> None:
        if local.journal is not None:
            local.journal.note(self)

    @property
    def is_parameter(self) -> bool:
        """Whether it was made to store its gradient, even if it is frozen now."""
        self._note_flags()
        return self._stores_grad

    def as_it_is(self) -> tuple[Any, ...]:
        """Everything that :meth:`be_again` restores.

        Example:
            >>> x = Tensor(data=[1.0, 2.0])
            >>> before = x.as_it_is()
            >>> _ = x.set_value(0.0)
            >>> x.be_again(before)
            >>> x.to_numpy()
            array([1., 2.], dtype=float32)
        """
        value = self._data if local.capture is None else local.capture.peek(self)
        flags = self._requires_grad, self._stores_grad
        return value, self.creator, self.output_index, self.device, *flags

    def be_again(self, before: tuple[Any, ...]) -> None:
        """Restore what :meth:`as_it_is` has returned: values, record, device and flags.

        Example:
            >>> x = Tensor(data=[1.0], stores_grad=True)
            >>> before = x.as_it_is()
            >>> x.stores_grad = False
            >>> x.be_again(before)
            >>> x.stores_grad
            True
        """
        value, *others = before
        if local.capture is None:
            self._data = value
        else:
            local.capture.put_back(self, value)
        self.be_again_but_for_its_value(others)

    def be_again_but_for_its_value(self, before: Sequence[Any]) -> None:
        """Restore record, device and flags.

        Example:
            >>> x = Tensor(data=[1.0], stores_grad=True)
            >>> _, *before = x.as_it_is()
            >>> x.stores_grad = False
            >>> x.be_again_but_for_its_value(before)
            >>> x.stores_grad
            True
        """
        self.creator, self.output_index, *flags = before
        self.set_flags(*flags)

    def set_flags(self, device: Device, requires_grad: bool, stores_grad: bool) -> None:
        """Set the device and the flags.

        Example:
            >>> x = Tensor((2,))
            >>> x.set_flags(x.device, requires_grad=True, stores_grad=True)
            >>> x.stores_grad
            True
        """
        if local.journal is not None:
            local.journal.note(self)
        self.device, self._requires_grad, self._stores_grad = device, requires_grad, stores_grad
        changed(self, "flags")
        changed(self, "device")

    def as_read(self, name: str) -> Any:
        """The part of a Tensor that a guard compares: its device or its flags, not its values.

        Example:
            >>> Tensor((2,), stores_grad=True).as_read("flags")
            (True, True)
        """
        return self.device if name == "device" else (self._requires_grad, self._stores_grad)

    def may_be_replaced_by(self, other: Self) -> bool:
        """Whether a compiled step may use the value of another Tensor in place of this one's.

        It may if both have the same shape, type, device and flags, and this one is no parameter.

        Example:
            >>> Tensor((2,)).may_be_replaced_by(Tensor((2,)))
            True
            >>> Tensor((2,)).may_be_replaced_by(Tensor((3,)))
            False
        """
        return (
            not self._stores_grad
            and jax.typeof(self._data) == jax.typeof(other._data)
            and self._data.sharding == other._data.sharding
            and self._requires_grad == other._requires_grad
            and self.device is other.device
        )

"""Journal: notes what a step makes and changes, so that it can be undone and its records freed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import ref

from singa.core.guard import ABSENT, changed, own
from singa.core.tensor import Tensor
from singa.core.watching import Listener, local


class Journal(Listener[Tensor]):
    """A block that is one step: it is undone if it fails, or on request.

    Tensors get back their arrays, records, devices and flags, and layers, models and optimizers
    their attributes. When the block ends, the Tensors that it has made or changed lose their
    records: a later backward pass does not go into this block, and no arrays are kept alive. It
    is the same after a compiled step: its results have no records.

    Example:
        >>> x = Tensor(data=[1.0, 2.0])
        >>> with Journal() as before:
        ...     _ = x.set_value(0.0)
        ...     before.restore()
        >>> x.to_numpy()
        array([1., 2.], dtype=float32)
    """

    def __init__(self) -> None:
        self.tensors: dict[Tensor, Any] = {}
        self.attributes: dict[tuple[int, str], tuple[Any, Any]] = {}
        self._made: list[ref[Tensor]] = []
        self._outer: Any = None

    # -- what it notes ------------------------------------------------------------------------

    def made(self, tensor: Tensor) -> None:
        """Note a Tensor that has just been made."""
        self._made.append(ref(tensor))

    def note(self, tensor: Tensor) -> None:
        """Save the state of a Tensor, before it is changed for the first time."""
        if tensor not in self.tensors:
            self.tensors[tensor] = tensor.as_it_is()
            if self._outer is not None:  # a block inside a step
                self._outer.note(tensor)

    def note_all(self, tensors: Iterable[Tensor]) -> None:
        """Save the states of Tensors, before they are changed for the first time."""
        known = self.tensors
        new = {tensor: tensor.as_it_is() for tensor in tensors if tensor not in known}
        known |= new
        if self._outer is not None:
            self._outer.note_all(new)

    def attribute(self, owner: Any, name: str) -> None:
        """Save an attribute, before it is changed for the first time."""
        key = id(owner), name
        if key not in self.attributes:
            self.attributes[key] = owner, own(owner).get(name, ABSENT)
            if self._outer is not None:
                self._outer.attribute(owner, name)

    # -- what it does -------------------------------------------------------------------------

    def __enter__(self) -> Journal:
        self._outer, local.journal = local.journal, self
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        local.journal = self._outer
        if kind is not None:
            self.restore()
        else:
            _cut(self.tensors)
        self._close()

    def restore(self) -> None:
        """Undo all changes so far to Tensors and attributes that existed before the block."""
        made = {id(tensor) for tensor in self.survivors()}
        for tensor, before in self.tensors.items():
            if id(tensor) not in made:
                tensor.be_again(before)
        self.restore_attributes()

    def restore_attributes(self) -> None:
        """Undo the changes of attributes of layers, models and optimizers."""
        for (_, name), (owner, value) in self.attributes.items():
            if value is ABSENT:
                own(owner).pop(name, None)
            else:
                own(owner)[name] = value
            changed(owner, name)
        self.attributes.clear()

    def undo(self) -> None:
        """Undo the changes of Python's objects; the capture keeps the Tensors' values."""
        for tensor, (_, *before) in self.tensors.items():
            tensor.be_again_but_for_its_value(before)
        self.restore_attributes()

    def forget(self) -> None:
        """Release what was saved of changed objects; still know which Tensors were made."""
        self.tensors.clear()
        self.attributes.clear()

    def _close(self) -> None:
        """Release what was saved, and the records of the Tensors that were made."""
        _cut(self.survivors())
        if self._outer is not None:
            self._outer.adopt(self._made)
        self._made = []
        self.forget()

    def survivors(self) -> Iterable[Tensor]:
        """The Tensors that the block has made and that are still referenced."""
        return [tensor for tensor in (made() for made in self._made) if tensor is not None]

    def adopt(self, made: Iterable[ref[Tensor]]) -> None:
        """Treat the Tensors that another block has made as made in this one."""
        self._made.extend(made)


def _cut(tensors: Iterable[Tensor]) -> None:
    """Make these Tensors leaves, without a record of how they were computed."""
    for tensor in tensors:
        tensor.creator, tensor.output_index = None, 0

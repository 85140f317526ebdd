"""What a step leaves: its result and its changes of Python objects, as templates for each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple
from weakref import ref

import jax

from singa.core.guard import (
    ABSENT,
    Kind,
    Part,
    Watched,
    assign_attribute,
    is_iterator,
    kind_of,
    own,
)
from singa.core.journal import Journal
from singa.core.tensor import Tensor, wrap
from singa.device import CTensor, Device


class Made(NamedTuple):
    """A Tensor that a step makes: all but its value."""

    device: Device
    requires_grad: bool
    stores_grad: bool
    name: str | None


def blank(kind: Made) -> Tensor:
    """A Tensor of this kind, whose value is set later."""
    device, requires_grad, stores_grad, name = kind
    nothing: Any = None
    tensor = wrap(nothing, device, requires_grad)
    if stores_grad or name is not None:
        tensor._stores_grad, tensor.name = stores_grad, name
    return tensor


class Given:
    """The values of one call that fill templates, and the objects that were made of them so far.

    Args:
        args: its arguments.
        made: the Tensors that it makes.

    Attributes:
        arrays: the arrays in results and effects outside of Tensors; set after the program has run.
    """

    __slots__ = ("args", "arrays", "made", "objects")

    def __init__(self, args: Sequence[Tensor], made: list[Tensor]) -> None:
        self.args, self.made = args, made
        self.arrays: Sequence[CTensor] = ()
        self.objects: dict[Any, Any] = {}


# A template is one of these, or a value that is the same in each call.


class _Argument(NamedTuple):
    number: int

    def fill(self, given: Given) -> Any:
        return given.args[self.number]


class _Tensor(NamedTuple):
    number: int

    def fill(self, given: Given) -> Any:
        return given.made[self.number]


class _Array(NamedTuple):
    number: int

    def fill(self, given: Given) -> Any:
        return given.arrays[self.number]


class _Outside:
    """A Tensor that existed before the step. Another one may replace it."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def fill(self, given: Given) -> Any:
        return self.tensor


class _Tuple:
    """A tuple with an element that differs from call to call."""

    __slots__ = ("elements", "kind")

    def __init__(self, kind: type, elements: list[Any]) -> None:
        self.kind, self.elements = kind, elements

    def fill(self, given: Given) -> Any:
        made = given.objects.get(self)
        if made is None:
            elements = [fill(element, given) for element in self.elements]
            made = given.objects[self] = tuple.__new__(self.kind, elements)
        return made


class _Object:
    """A list, dict or plain object that the step has made: each call makes exactly one."""

    __slots__ = ("_empty", "_kind", "elements")

    def __init__(self, empty: Any, kind: Kind) -> None:
        self._empty, self._kind = empty, kind
        self.elements: list[Any] = []

    def of(self, elements: list[Any]) -> None:
        self.elements = elements

    def fill(self, given: Given) -> Any:
        made = given.objects.get(self)
        if made is None:
            made = given.objects[self] = self._kind.empty(self._empty)
            assert self._kind.restore is not None
            self._kind.restore(made, tuple([fill(element, given) for element in self.elements]))
        return made


_TEMPLATES = (_Argument, _Tensor, _Array, _Outside, _Tuple, _Object)


def fill(template: Any, given: Given) -> Any:
    """The object that one call makes from a template."""
    return template.fill(given) if type(template) in _TEMPLATES else template


def filler(template: Any) -> Callable[[Given], Any]:
    """:func:`fill` for one template, made once for many calls; short for a tuple of Tensors."""
    if type(template) is _Tensor:
        return lambda given: given.made[template.number]
    if type(template) is _Tuple and template.kind is tuple:
        numbers = [each.number for each in template.elements if type(each) is _Tensor]
        if len(numbers) == len(template.elements) > 1:
            chosen = itemgetter(*numbers)
            return lambda given: given.objects.get(template) or chosen(given.made)
    return lambda given: fill(template, given)


def _has_arrays(template: Any, seen: set[Any]) -> bool:
    if type(template) is _Array:
        return True
    if type(template) not in (_Tuple, _Object) or template in seen:
        return False
    seen.add(template)
    return any(_has_arrays(element, seen) for element in template.elements)


class Effect(NamedTuple):
    """A change to an object that existed before.

    Attributes:
        target: a weak reference to the owner of an attribute; a Part of a guard; or the template
            of a Tensor whose flags change.
        name: of the attribute.
        template: the new value; ``ABSENT`` if the attribute was deleted.
        has_arrays: whether there are arrays in it outside of Tensors.
    """

    target: Any
    name: str | None
    template: Any
    has_arrays: bool

    @property
    def is_simple(self) -> bool:
        """Whether it sets an attribute to a value that is known before the program has run."""
        return self.name is not None and self.template is not ABSENT and not self.has_arrays

    def apply(self, given: Given) -> None:
        """Make the change."""
        value = fill(self.template, given)
        if isinstance(self.target, Part):
            self.target.become(value)
        elif isinstance(self.target, ref):
            owner = self.target()
            if owner is not None:
                assign_attribute(owner, str(self.name), value)
        else:
            fill(self.target, given).set_flags(*value)


class Leavings:
    """Makes templates of what one run of a step has left.

    Args:
        args: the step's arguments.
        made: the Tensors that it has made.
        value_of: the value that the step sees of a Tensor.
        was_there: whether an object existed before the step.

    Attributes:
        made, who: for each Tensor that a call has to make, its description, and a reference to the
            one of this run.
        of_made, arrays: the values of those; and arrays outside of Tensors.
        outside: the Tensors in the templates that existed before.
        is_for_once: whether there is something that another call cannot make: an iterator.
    """

    def __init__(
        self,
        args: Sequence[Tensor],
        made: set[Tensor],
        value_of: Callable[[Tensor], CTensor],
        was_there: Callable[[Any], bool],
    ) -> None:
        self.made: list[Made] = []
        self.who: list[ref[Tensor]] = []
        self.of_made: list[CTensor] = []
        self.arrays: list[CTensor] = []
        self.outside: list[_Outside] = []
        self.is_for_once = False
        self._value_of, self._was_there = value_of, was_there
        self._by_step = made
        self._tensors: dict[Tensor, Any] = {arg: _Argument(i) for i, arg in enumerate(args)}
        self._objects: dict[int, Any] = {}
        self._alive: list[Any] = []  # keeps objects alive, so that no id is used twice

    def template(self, value: Any) -> Any:
        """The template of a value; the value itself, if it is the same in each call."""
        if isinstance(value, Tensor):
            if value not in self._tensors:
                self._tensors[value] = self._tensor(value)
            return self._tensors[value]
        if id(value) in self._objects:
            return self._objects[id(value)]
        if isinstance(value, tuple):
            return self._tuple(value)
        if isinstance(value, jax.core.Tracer):
            return self._array(value)
        kind = None if isinstance(value, Watched) else kind_of(value)  # a layer is never copied
        if kind is None or kind.restore is None or self._was_there(value):
            self.is_for_once |= is_iterator(value)
            return value
        return self._object(value, kind)

    def _tensor(self, tensor: Tensor) -> Any:
        if tensor not in self._by_step and not isinstance(tensor._data, jax.core.Tracer):
            self.outside.append(_Outside(tensor))
            return self.outside[-1]
        flags = tensor._requires_grad, tensor._stores_grad
        self.made.append(Made(tensor.device, *flags, tensor.name))
        self.who.append(ref(tensor))
        self.of_made.append(self._value_of(tensor))
        return _Tensor(len(self.made) - 1)

    def _array(self, value: CTensor) -> _Array:
        found = self._objects[id(value)] = _Array(len(self.arrays))
        self.arrays.append(value)
        return found

    def _tuple(self, value: tuple[Any, ...]) -> Any:
        elements = [self.template(element) for element in value]
        if all(new is old for new, old in zip(elements, value, strict=True)):
            return value
        self._alive.append(value)
        found = self._objects[id(value)] = _Tuple(type(value), elements)
        return found

    def _object(self, value: Any, kind: Kind) -> _Object:
        contents = kind.contents(value)
        found = self._objects[id(value)] = _Object(kind.empty(value), kind)
        self._alive.append(value)
        found.of([self.template(element) for element in contents])
        return found

    def effect(self, target: Any, name: str | None, value: Any) -> Effect:
        """The effect that sets this target to this value."""
        template = self.template(value)
        return Effect(target, name, template, _has_arrays(template, set()))

    def of_flags(self, journal: Journal) -> Iterator[Effect]:
        """The effects on Tensors that existed before and whose flags have changed."""
        for tensor, (_, _, _, *before) in journal.tensors.items():
            now = (tensor.device, tensor._requires_grad, tensor._stores_grad)
            if now != tuple(before) and not isinstance(tensor._data, jax.core.Tracer):
                yield self.effect(self.template(tensor), None, now)

    def of_attributes(self, journal: Journal) -> Iterator[Effect]:
        """The effects on attributes that were assigned.

        Also those that got their old value again, because other code may change them between calls.
        An exception is an old container: in a later call another one may be in its place.
        """
        for (_, name), (owner, before) in journal.attributes.items():
            value = own(owner).get(name, ABSENT)
            if value is not before or not self._was_there(value):
                yield self.effect(ref(owner), name, value)

    def forget(self) -> None:
        """Release all that the step has made."""
        self._tensors.clear()
        self._objects.clear()
        self._alive.clear()
        self._by_step = set()

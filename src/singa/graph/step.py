"""Steps: functions of Tensors that are captured on first use, and again when needed."""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from types import MethodType
from typing import Any
from weakref import finalize, ref

from jax.tree_util import default_registry

from singa.core.exact import exact
from singa.core.guard import Part, kind_of
from singa.core.guard.contents import identical
from singa.core.tensor import Tensor
from singa.engine import native
from singa.errors import CaptureError, MeshWarning, RecompilationWarning, warn
from singa.graph.program import Program
from singa.placement import split_of
from singa.tape import mode

MOST_PROGRAMS = 32
"""The number of programs of one model that are kept; the least recently used one is dropped."""

_WARN_AT = {10, 100, 1000}  # captures


class Steps:
    """Functions of Tensors whose calls become compiled programs, one for each kind of call.

    The kind is all that can change the program: the function, the shapes, types and devices of
    the Tensors, the values of all other arguments, whether it is in training; and all that the
    function has read of Python's objects, see :class:`singa.core.guard.Guard`. A call of a new
    kind runs the function's Python again; a program is used only for calls of its kind. The
    :data:`MOST_PROGRAMS` programs that were used last are kept. If calls always have new kinds, a
    :class:`RecompilationWarning` says what changes.

    Attributes:
        captures: how often a function's Python has run.
        compilations: how often XLA has compiled the result.
        last: the program of the last call.

    Example:
        >>> def double(x):
        ...     return 2 * x
        >>> steps = graph.Steps()
        >>> for size in (2, 2, 3):
        ...     y = steps(double, (Tensor((size,)),), {}, sequential=False)
        >>> steps.captures, y.shape
        (2, (3,))
    """

    def __init__(self) -> None:
        # By the key of a call, programs that differ in what they have read; last used comes first.
        self._programs: dict[Any, list[Program]] = {}
        self._states = _Known()  # Tensors that a program uses without getting them as arguments
        self._owners: set[int] = set()  # the ids of objects whose methods the functions are
        self.captures = 0
        self.compilations = 0
        self.last: Program | None = None

    def __call__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        options: dict[str, Any],
        sequential: bool,
    ) -> Any:
        """``function(*args, **options)``, by the program that fits this call.

        Raises:
            CaptureError: an argument that is neither a Tensor nor hashable, or something in the
                function that a compiled step cannot do.
        """
        call = self._call(function, args, options, sequential)
        programs = self._programs.get(call.key, _NONE)
        # Most calls are of the kind of the last one, by the program that served it.
        if programs and self.last is programs[0] and self.last.is_as_it_was():
            program = self.last
        else:
            program = self._choose(call, programs)
        try:
            return program(call.tensors)
        except (TypeError, ValueError):
            # A Tensor of the state may have got another shape, type or device.
            if program.fits(call.tensors):
                raise
        return self._choose(call, [other for other in programs if other.fits(call.tensors)])(
            call.tensors
        )

    def _call(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        options: dict[str, Any],
        sequential: bool,
    ) -> _Call:
        leaves: list[Any] = []
        structure: list[Any] = []
        for value in (*args, *options.values()):
            if type(value) is Tensor:
                leaves.append(value)
                structure.append(None)
            else:
                structure.append(_structure(value, leaves))
        # The program's arguments: each Tensor once, even if it was passed several times. A Tensor
        # that the function also reaches without its arguments is not one of them: the program is
        # valid for this Tensor only.
        places: dict[Tensor, int] = {}
        key: list[Any] = [
            self._key_of_function(function),
            (len(args), *options, *structure),
            (*mode.switches(), native.here.exact, sequential),
        ]
        known = self._states.ids
        for leaf in leaves:
            if isinstance(leaf, Tensor):
                place: Any = places.setdefault(leaf, len(places))
                if leaf._stores_grad or (id(leaf) in known and leaf in self._states):
                    place = _Itself(leaf)
                key.append((place, leaf._data.aval, leaf.device, leaf._requires_grad))
            else:
                key.append(_key_of_argument(leaf))
        return _Call(function, (args, options), leaves, list(places), sequential, tuple(key))

    def _key_of_function(self, function: Callable[..., Any]) -> Any:
        if type(function) is not MethodType:
            return _key_of(function)
        owner = function.__self__  # only its id is in the key, which must not keep it alive
        if id(owner) not in self._owners:
            self._owners.add(id(owner))
            finalize(owner, self._forget, id(owner)).atexit = False
        return function.__func__, id(owner)

    def _forget(self, owner: int) -> None:
        """Drop the programs of a freed object's methods."""
        self._owners.discard(owner)
        for key in [
            key for key in self._programs if isinstance(key[0], tuple) and key[0][1] == owner
        ]:
            del self._programs[key]

    def _choose(self, call: _Call, programs: list[Program]) -> Program:
        """The program whose step has read the present state, or a new program."""
        for i, program in enumerate(programs):
            if program.holds(call.tensors):
                if i:
                    programs.remove(program)
                    programs.insert(0, program)
                if len(self._programs) > 1:
                    self._programs[call.key] = self._programs.pop(call.key)
                if program.guard.replaced:
                    self._states.add(program.guard.replaced.values())
                self.last = program
                return program
        return self._capture(call)

    def _capture(self, call: _Call) -> Program:
        programs = self._programs.get(call.key, [])
        self.captures += 1
        if self.captures in _WARN_AT:
            name = getattr(call.function, "__name__", repr(call.function))
            warn(
                f"{name} has now been captured {self.captures} times, which takes longer than an "
                f"eager step each time; the last time because {self._what_changed(call.key)}",
                RecompilationWarning,
            )
        if self.captures == 1 and call.tensors:  # later batches may be the last ones of an epoch
            _warn_of_undivided(call.tensors[0])
        program = Program(call.step(), call.tensors, call.sequential, programs, call.plain_values())
        self.compilations += program.is_compiled_anew
        self._states.add(program.states())
        shared = [t for t in call.tensors if t in program.guard.tensors]
        if shared:  # arguments that the function also reaches without its arguments
            self._states.add(shared)
            call = self._call(call.function, *call.arguments, call.sequential)
        self._programs.setdefault(call.key, []).insert(0, program)
        self._programs[call.key] = self._programs.pop(call.key)
        if sum(map(len, self._programs.values())) > MOST_PROGRAMS:
            oldest = next(iter(self._programs))
            self._programs[oldest].pop()
            if not self._programs[oldest]:
                del self._programs[oldest]
        self.last = program
        return program

    def _what_changed(self, key: Any) -> str:
        """How this kind of call differs from the last one of the same function."""
        if self._programs.get(key):
            reason = self._programs[key][0].guard.what_changed()
            return (
                f"{reason or 'the state is of another shape or type'}; numbers that change from "
                "step to step belong into Tensors, or arguments that are Tensors"
            )
        before = next((k for k in reversed(self._programs) if k[0] == key[0]), None)
        if before is None or before[1] != key[1] or len(before) != len(key):
            return "its arguments are of another structure"
        for i, (old, new) in enumerate(zip(before[_LEAVES:], key[_LEAVES:], strict=True)):
            if old != new:
                return (
                    f"argument {i} is {_describe(new)}, and was {_describe(old)} before; batches "
                    "of one size (padded, or without the last one) need one program"
                )
        return "the mode of training or execution was changed"


class _Call:
    """A call of a function: its arguments, and the key that says of which kind it is."""

    __slots__ = ("arguments", "function", "key", "leaves", "sequential", "tensors")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        leaves: list[Any],
        tensors: list[Tensor],
        sequential: bool,
        key: Any,
    ) -> None:
        self.function, self.arguments, self.leaves = function, arguments, leaves
        self.tensors, self.sequential, self.key = tensors, sequential, key

    def plain_values(self) -> list[Any]:
        """The function, and its arguments that are not Tensors."""
        return [self.function, *(leaf for leaf in self.leaves if not isinstance(leaf, Tensor))]

    def step(self) -> Callable[..., Any]:
        """The call as a function of its Tensors.

        Raises:
            CaptureError: it has changed a container that it was called with. Later calls have other
                containers, of which the program gets only the Tensors.
        """
        args, options = self.arguments

        def run(*_: Tensor) -> Any:
            containers: list[Part] = []
            for name, value in (*enumerate(args), *options.items()):
                _find_containers(value, f"argument {name}", containers)
            try:
                result = self.function(*args, **options)
            finally:
                changed = [part for part in containers if _has_changed(part)]
                for part in changed:
                    part.become(part.expected)
            if changed:
                kind = type(changed[0].source).__name__
                raise CaptureError(
                    f"{changed[0].path}: a compiled step cannot change a {kind} that it is called "
                    f"with. Return the new contents, or keep the {kind} on the model, or change a "
                    "copy of it"
                )
            return result

        return run


def _warn_of_undivided(batch: Tensor) -> None:
    """Warn if each device of a mesh has a whole batch, because it cannot be split."""
    device = batch.device
    if device.mesh is None or not batch.ndim or any(split_of(batch._data)):
        return
    parts = math.prod(device.axes[name] for name in device.batch)
    if batch.shape[0] % parts:
        warn(
            f"a batch of {batch.shape[0]} cannot be split into {parts} equal parts along "
            f"{' and '.join(map(repr, device.batch))} of {device.name}: each device computes all "
            f"of it. Use batches whose size {parts} divides, and drop_last=True",
            MeshWarning,
        )


_LEAVES = 3  # the index in a key at which the arguments begin


def _structure(value: Any, leaves: list[Any]) -> Any:
    """How an argument is nested, for a key; its elements are added to ``leaves``, in order."""
    children = None if isinstance(value, Tensor) else _children(value)
    if children is None:
        leaves.append(value)
        return None
    inside, kind = children
    return (*kind, *[_structure(child, leaves) for child in inside])


def _children(value: Any) -> tuple[Iterable[Any], tuple[Any, ...]] | None:
    """The elements of a container that jax knows, and its kind for a key; None for other values."""
    kind = type(value)
    if kind in (dict, OrderedDict, defaultdict):  # whose keys jax sorts
        default = getattr(value, "default_factory", None)
        return value.values(), (kind, default, exact(tuple(value)))
    found = default_registry.flatten_one_level(value)
    return None if found is None else (found[0], (kind, exact(found[1])))


def _has_changed(part: Part) -> bool:
    return not identical(part.kind.contents(part.source), part.expected)


def _find_containers(value: Any, path: str, found: list[Part]) -> None:
    """Find the containers in an argument that a step could change."""
    children = None if isinstance(value, Tensor) else _children(value)
    if children is None:
        return
    kind = kind_of(value)
    if kind is not None and kind.restore is not None:
        found.append(Part(value, kind, path))
    for child in children[0]:
        _find_containers(child, path, found)


def _key_of(value: Any) -> Any:
    """The key of an argument or a function: equal only if both compute the same."""
    if isinstance(value, partial):
        arguments = [*value.args, *value.keywords.values()]
        return (partial, _key_of(value.func), *value.keywords, *map(_key_of, arguments))
    return exact(value)


def _key_of_argument(value: Any) -> Any:
    try:
        return _key_of(value)
    except TypeError:
        raise CaptureError(
            "a compiled step takes Tensors, and plain values that can be hashed, not "
            f"{type(value).__name__}; tensor.from_numpy makes a Tensor of an array"
        ) from None


def _describe(part: Any) -> str:
    """A description, for messages, of an argument's part of a key."""
    match part:
        case (int(), aval, device, bool()):
            return f"a Tensor {aval.str_short()} on {device.name}"
        case (_Itself(), *_):
            return "another parameter or state"
        case (type() as kind, str() as value) if issubclass(kind, (float, complex)):
            return value
        case (type(), value):
            return repr(value)
    return "something else"


class _Itself:
    """An object as a part of a key: equal to itself only, and not kept alive."""

    __slots__ = ("_id", "_ref")

    def __init__(self, thing: Any) -> None:
        self._id = id(thing)
        self._ref = ref(thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other._id == self._id and other._ref() is self._ref()

    def __hash__(self) -> int:
        return self._id


_NONE: list[Program] = []


class _Known:
    """A set of Tensors that does not keep them alive: their ``ids``, and weak references."""

    def __init__(self) -> None:
        self.ids: dict[int, ref[Tensor]] = {}
        self._enough = 1000

    def add(self, tensors: Iterable[Tensor]) -> None:
        self.ids |= {id(tensor): ref(tensor) for tensor in tensors}
        if len(self.ids) > self._enough:
            self.ids = {key: found for key, found in self.ids.items() if found() is not None}
            self._enough = 1000 + 2 * len(self.ids)

    def __contains__(self, tensor: Tensor) -> bool:
        found = self.ids.get(id(tensor))
        return found is not None and found() is tensor

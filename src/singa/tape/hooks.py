"""Hooks: the user's functions that are called for each gradient or operation.

Usually there are none, and then they cost nothing: operations are called directly, and the backward
pass looks at one empty dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from weakref import finalize

from singa.core.guard import Watched, changed
from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.errors import DTypeError, GradientError, ShapeError

GradientHook: TypeAlias = Callable[[Tensor], Tensor | None]
PreHook: TypeAlias = Callable[[Any, tuple[Tensor, ...]], Sequence[Tensor] | None]
PostHook: TypeAlias = Callable[[Any, tuple[Tensor, ...], tuple[Tensor, ...]], None]
BackwardHook: TypeAlias = Callable[[Any, list[Tensor | None], list[Tensor | None]], None]


class Handle:
    """Removes a hook, by ``remove()`` or at the end of a ``with`` block."""

    def __init__(self, hooks: list[Any], hook: Any, removed: Callable[[], None]) -> None:
        self._hooks, self._hook, self._removed = hooks, hook, removed

    def remove(self) -> None:
        """Stop calling the hook. A second call of this method does nothing."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)
            self._removed()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


ByOutput: TypeAlias = dict[int, list[GradientHook]]

of_gradients: dict[int, ByOutput] = {}
"""Hooks of complete gradients, by the ``id`` of a leaf (and 0) or of a record (and its output).

An entry is removed when its owner is freed. (Tensors are compared by value, so they cannot be the
keys of a weak dictionary.)
"""

before: dict[type, list[PreHook]] = {}
after: dict[type, list[PostHook]] = {}
backward: dict[type, list[BackwardHook]] = {}
"""Hooks by class of operations; they are called for its subclasses too."""


class _Registry(Watched):
    """Notifies the guards that have looked for hooks when the hooks change."""

    def as_read(self, name: Any) -> Any:
        """The hooks of a leaf by its ``id``, or of a class of operations."""
        if isinstance(name, int):
            return tuple(of_gradients.get(name, {}).get(0, ()))
        return tuple([tuple(kind.get(name, ())) for kind in (before, after, backward)])


registry = _Registry()


def looked_for(name: int | type) -> None:
    """Note in the active guard that the running code depends on these hooks."""
    if local.guard is not None:
        local.guard.note(registry, name)


def register_hook(tensor: Tensor, hook: GradientHook) -> Handle:
    """Call ``hook(gradient)`` when this Tensor's gradient is complete, in each backward pass.

    If it returns a Tensor, this replaces the gradient from there on. If it returns None, the
    gradient is unchanged. In a compiled step the hook runs once, while the step is captured, and
    its operations on Tensors become a part of the step.

    Args:
        tensor: a leaf that stores its gradient, or a recorded result.
        hook: from a gradient of this Tensor's shape and type to another one, or None.

    Returns:
        A handle, whose ``remove()`` removes the hook.

    Raises:
        GradientError: this Tensor never gets a gradient.

    Example:
        >>> w = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> handle = w.register_hook(lambda gradient: gradient.clip(max=3.0))
        >>> autograd.training = True
        >>> autograd.gradients((w * w).sum())[w]
        Tensor([2., 3.], shape=(2,), dtype=float32, device=cpu)
        >>> handle.remove()
    """
    if not tensor.requires_grad or (tensor.creator is None and not tensor.stores_grad):
        raise GradientError(
            "register_hook: this Tensor has no gradient: it is a leaf without stores_grad=True, or "
            "nothing of it was recorded"
        )
    owner: Any = tensor if tensor.creator is None else tensor.creator
    if id(owner) not in of_gradients:
        of_gradients[id(owner)] = {}
        finalize(owner, of_gradients.pop, id(owner), None)
    hooks = of_gradients[id(owner)].setdefault(tensor.output_index, [])
    hooks.append(hook)

    def tell() -> None:
        changed(registry, id(owner))

    tell()
    return Handle(hooks, hook, tell)


def register(kind: dict[type, list[Any]], cls: type, hook: Any, chosen: Any) -> Handle:
    """Add a hook for a class of operations; ``chosen`` is called now and when it is removed."""
    hooks = kind.setdefault(cls, [])

    def removed() -> None:
        if not hooks:
            kind.pop(cls, None)
        changed(registry, cls)
        chosen()

    hooks.append(hook)
    changed(registry, cls)
    chosen()
    return Handle(hooks, hook, removed)


def for_class(kind: dict[type, list[Any]], cls: type) -> Sequence[Any]:
    """The hooks for a class: its own, and those of its base classes."""
    if not kind:
        return ()
    return [hook for above in cls.__mro__ for hook in kind.get(above, ())]


def hooked(hooks: Sequence[GradientHook], gradient: Tensor) -> Tensor:
    """The gradient after all hooks were called with it, one after the other."""
    for hook in hooks:
        result = hook(gradient)
        if result is None:
            continue
        if not isinstance(result, Tensor):
            raise DTypeError(
                f"register_hook: the hook returned {type(result).__name__}; a Tensor or None is "
                "expected"
            )
        if result.shape != gradient.shape or result.dtype != gradient.dtype:
            raise ShapeError(
                f"register_hook: the hook returned {result.dtype} of shape {result.shape} for a "
                f"gradient that is {gradient.dtype} of shape {gradient.shape}"
            )
        gradient = result
    return gradient

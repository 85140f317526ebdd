"""A ReLU that follows a native convolution becomes a part of it.

XLA fuses only what it compiles itself. It cannot see into a native kernel: a ReLU after one would
read the whole result and write it again. oneDNN can apply it while the result is still in the
cache. The recorded program shows whether this is possible: both operations are the library's own,
they compute what the kernel computes, and no other operation uses the value between them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from singa.operation.activation import ReLU
from singa.operation.convolution import Convolution2d

_CONVOLUTION = "singa_convolution"
_INNER = ("jaxpr", "call_jaxpr")  # the parameters in which equations keep the jaxpr that they call


def fuse(closed: ClosedJaxpr, owners: Sequence[type | None]) -> ClosedJaxpr:
    """The same program, with each ReLU fused into the native convolution before it if possible.

    Args:
        closed: a captured step.
        owners: for each of its equations, the class of the operation whose forward pass it is.
    """
    jaxpr: Any = closed.jaxpr
    uses = Counter(v for eqn in jaxpr.eqns for v in eqn.invars if not isinstance(v, Literal))
    uses.update(v for v in jaxpr.outvars if not isinstance(v, Literal))
    convolutions = {
        eqn.outvars[0]: i
        for i, eqn in enumerate(jaxpr.eqns)
        if owners[i] is Convolution2d and len(eqn.outvars) == 1 and _is_native(eqn)
    }
    eqns: list[Any] = list(jaxpr.eqns)
    for i, eqn in enumerate(jaxpr.eqns):
        if owners[i] is not ReLU or not _is_maximum_with_0(eqn):
            continue
        before = convolutions.get(eqn.invars[0])
        if before is not None and uses[eqn.invars[0]] == 1:
            fused = _with_relu(eqns[before])
            source = fused.source_info  # both names, so that profiles show both operations
            names = source.name_stack + eqn.source_info.name_stack
            eqns[before] = fused.replace(
                outvars=[eqn.outvars[0]],
                params=fused.params | {"name": "Convolution2d_ReLU"},
                source_info=source.replace(name_stack=names),
            )
            eqns[i] = None
    return ClosedJaxpr(jaxpr.replace(eqns=[eqn for eqn in eqns if eqn is not None]), closed.consts)


def _is_native(eqn: Any) -> bool:
    """Whether the equation's only result is that of a native convolution."""
    if eqn.primitive.name == "ffi_call":
        return bool(eqn.params["target_name"] == _CONVOLUTION)
    return len(eqn.outvars) == 1 and any(
        _is_native(last) for inner in _inner(eqn) if (last := _last(inner.jaxpr)) is not None
    )


def _is_maximum_with_0(eqn: Any) -> bool:
    """Whether an equation's only result is the larger one of its only input and 0."""
    programs = [inner.jaxpr for inner in _inner(eqn)]
    if [len(program.eqns) for program in programs] != [1] or len(eqn.invars) != 1:
        return False
    [program], [[last]] = programs, [program.eqns for program in programs]
    return (
        last.primitive is jax.lax.max_p
        and last.invars[0] is program.invars[0]
        and isinstance(last.invars[1], Literal)
        and last.invars[1].val == 0
        and program.outvars == last.outvars
    )


def _inner(eqn: Any) -> Iterable[Any]:
    """The inner programs of an equation; one of them gives its result."""
    if eqn.primitive.name == "cond":
        return eqn.params["branches"]
    return [eqn.params[name] for name in _INNER if name in eqn.params]


def _last(jaxpr: Any) -> Any:
    """The equation that makes the program's result."""
    return next((e for e in jaxpr.eqns if jaxpr.outvars[0] in e.outvars), None)


def _with_relu(eqn: Any) -> Any:
    """The equation with a ReLU on its result: set in the kernel's call, inside nested programs."""
    if eqn.primitive.name == "ffi_call":
        attributes = tuple(
            (name, True if name == "relu" else value) for name, value in eqn.params["attributes"]
        )
        return eqn.replace(params=eqn.params | {"attributes": attributes})
    if eqn.primitive.name == "cond":  # one branch for CPUs, one for all other devices
        branches = tuple(map(_program_with_relu, eqn.params["branches"]))
        return eqn.replace(params=eqn.params | {"branches": branches})
    [name] = [name for name in _INNER if name in eqn.params]
    return eqn.replace(params=eqn.params | {name: _program_with_relu(eqn.params[name])})


def _program_with_relu(closed: Any) -> Any:
    jaxpr = closed.jaxpr
    last = _last(jaxpr)
    if last is not None and _is_native(last):
        eqns = [_with_relu(eqn) if eqn is last else eqn for eqn in jaxpr.eqns]
        return closed.replace(jaxpr=jaxpr.replace(eqns=eqns))

    def with_relu(*xs: Any) -> Any:
        return jnp.maximum(jaxpr_as_fun(closed)(*xs)[0], 0)

    return jax.make_jaxpr(with_relu)(*closed.in_avals)

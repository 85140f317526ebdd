"""Operations without a form of their own: written by the primitives of jax that they consist of.

What an operation computes from constants alone is computed here, and becomes a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from singa.device import is_float
from singa.sonnx.forms.writer import Unfit, Value, Writer

Translation = Callable[..., Any]

PRIMITIVES: dict[str, Translation] = {}
"""How each primitive of jax is written: from a writer, inputs, and ``out`` and its parameters."""

LONGEST_LOOP = 256
"""A loop of more steps is not written step by step."""


class NoOperator(Exception):
    """ONNX has no operators for this primitive of jax."""


def primitive(*names: str) -> Callable[[Translation], Translation]:
    """Register how primitives are written.

    The function takes the writer, the inputs, ``out`` (the shape and type of the first output)
    and the primitive's parameters by name; it returns a :class:`Value`, or a list of them.
    """

    def register(function: Translation) -> Translation:
        for name in names:
            PRIMITIVES[name] = function
        return function

    return register


def write_primitives(
    writer: Writer, operation: Any, xs: Sequence[Value], outputs: Sequence[Any]
) -> list[Value]:
    """Write an operation by the primitives of its ``forward``.

    Args:
        outputs: what has the shapes and types of its outputs.

    Raises:
        NoOperator: of one of the primitives.
        Unfit: it is not compiled, but runs as Python.
    """
    if not operation.traceable:
        raise Unfit("it runs as Python, with what the inputs' values are")
    in_float32 = operation.arithmetic == "wide" and any(
        is_float(x.dtype) and x.dtype is not None and x.dtype.itemsize < 4 for x in xs
    )

    def forward(*arrays: Any) -> Any:
        return operation.copy().forward(*arrays)

    xs = [writer.cast(x, np.float32) if in_float32 and is_float(x.dtype) else x for x in xs]
    given = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in xs]
    closed = jax.make_jaxpr(forward)(*given)
    ys = inlined(writer, closed.jaxpr, closed.consts, xs)
    made = [_value(writer, y) for y in ys]
    return [writer.cast(y, out.dtype) for y, out in zip(made, outputs, strict=True)]


def inlined(writer: Writer, jaxpr: Any, consts: Sequence[Any], xs: Sequence[Any]) -> list[Any]:
    """Write a program of jax; its outputs are Values, or arrays if they are known."""
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    known.update(zip(jaxpr.invars, xs, strict=True))

    def read(atom: Any) -> Any:
        if isinstance(atom, Literal):
            aval: Any = atom.aval
            return np.asarray(atom.val, aval.dtype)
        return known[atom]

    for equation in jaxpr.eqns:
        ys = _equation(writer, equation, [read(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, ys, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _equation(writer: Writer, equation: Any, xs: list[Any]) -> list[Any]:
    name, parameters = equation.primitive.name, equation.params
    if name == "platform_index":
        return [_default_platform(parameters["platforms"])]
    inner = _program(name, parameters, xs)
    if inner is not None:
        program, xs = inner
        return inlined(writer, program.jaxpr, program.consts, xs)
    if name == "scan":
        return _loop(writer, parameters, xs)
    if name == "cond":
        return _chosen(writer, parameters["branches"], xs)
    if name == "dynamic_update_slice" and not any(isinstance(x, Value) for x in xs[2:]):
        return [_replaced(writer, _value(writer, xs[0]), _value(writer, xs[1]), xs[2:])]
    if all(variable.aval.size == 0 for variable in equation.outvars):
        return [np.zeros(each.aval.shape, each.aval.dtype) for each in equation.outvars]
    is_open = name == "iota" and writer.open_sizes
    if not is_open and not any(isinstance(x, Value) for x in xs):
        ys = equation.primitive.bind(*map(jax.numpy.asarray, xs), **parameters)
        return list(ys) if equation.primitive.multiple_results else [ys]
    return _written(writer, equation, xs)


def _written(writer: Writer, equation: Any, xs: list[Any]) -> list[Any]:
    name = equation.primitive.name
    if name not in PRIMITIVES:
        raise NoOperator(f"the primitive {name} of jax")
    outs = [variable.aval for variable in equation.outvars]
    values = [_value(writer, x) for x in xs]
    made = PRIMITIVES[name](writer, *values, out=outs[0], **equation.params)
    ys = made if isinstance(made, (list, tuple)) else [made]
    return [
        Value(y, out.shape, out.dtype) if isinstance(y, str) else y
        for y, out in zip(ys, outs, strict=True)
    ]


def _value(writer: Writer, x: Any) -> Value:
    return x if isinstance(x, Value) else writer.constant(np.asarray(x))


def _default_platform(platforms: Any) -> Any:
    """The branch that is for no platform in particular: the formula without native kernels."""
    place = next((i for i, each in enumerate(platforms) if each is None), len(platforms) - 1)
    return np.asarray(place, np.int32)


def _program(name: str, parameters: Any, xs: list[Any]) -> tuple[Any, list[Any]] | None:
    """The program inside a primitive that only runs it, and the program's inputs."""
    if name == "cond" and not isinstance(xs[0], Value):
        branch = int(np.clip(int(xs[0]), 0, len(parameters["branches"]) - 1))
        return parameters["branches"][branch], xs[1:]
    if name in ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint", "remat2"):
        return _closed(parameters["jaxpr"]), xs
    if name in ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"):
        found = parameters.get("call_jaxpr", parameters.get("fun_jaxpr"))
        return _closed(found), xs
    return None


def _closed(program: Any) -> Any:
    return program if hasattr(program, "consts") else ClosedJaxpr(program, ())


def _chosen(writer: Writer, branches: Sequence[Any], xs: list[Any]) -> list[Any]:
    """A choice by a value: the results of all branches are computed, and one is taken."""
    which, *given = xs
    if len(branches) == 2:  # bools can only be chosen by a bool; jax has clamped the number
        which = writer.cast(which, np.bool_)
    found = [inlined(writer, each.jaxpr, each.consts, given) for each in branches]
    ys = []
    for aval, *cases in zip(branches[0].out_avals, *found, strict=True):
        values = [_value(writer, case) for case in cases]
        y = PRIMITIVES["select_n"](writer, which, *values, out=aval)
        ys.append(Value(y, aval.shape, aval.dtype))
    return ys


def _replaced(writer: Writer, x: Value, part: Value, starts: Sequence[Any]) -> Value:
    """``x`` with ``part`` from these places on; one axis of it may be shorter."""
    shorter = [axis for axis in range(x.ndim) if part.shape[axis] != x.shape[axis]]
    if not shorter:
        return part
    if len(shorter) > 1:
        raise NoOperator("the primitive dynamic_update_slice of jax along several axes")
    (axis,), size = shorter, part.shape[shorter[0]]
    start = min(max(int(starts[axis]), 0), x.shape[axis] - size)
    pieces = [part]
    if start:
        pieces.insert(0, writer.slice(x, [0], [start], [axis]))
    if start + size < x.shape[axis]:
        pieces.append(writer.slice(x, [start + size], [x.shape[axis]], [axis]))
    return Value(writer.add("Concat", *pieces, axis=axis), x.shape, x.dtype)


def _loop(writer: Writer, parameters: Any, xs: list[Any]) -> list[Any]:
    """A loop over a known number of steps, written step by step."""
    steps, program = parameters["length"], parameters["jaxpr"]
    if steps > LONGEST_LOOP:
        raise NoOperator(f"a loop of {steps} steps")
    consts, carried = parameters["num_consts"], parameters["num_carry"]
    fixed, state = xs[:consts], xs[consts : consts + carried]
    stacked = xs[consts + carried :]
    order = reversed(range(steps)) if parameters["reverse"] else range(steps)
    rows: dict[int, list[Any]] = {}
    for step in order:
        at = [_row(writer, each, step) for each in stacked]
        ys = inlined(writer, program.jaxpr, program.consts, [*fixed, *state, *at])
        state, rows[step] = ys[:carried], ys[carried:]
    outputs = [
        _stacked(writer, [rows[step][i] for step in range(steps)]) for i in range(len(rows[0]))
    ]
    return [*state, *outputs]


def _row(writer: Writer, x: Any, step: int) -> Any:
    if not isinstance(x, Value):
        return np.asarray(x)[step]
    row = writer.add("Gather", x, writer.constant(np.int64(step)), axis=0)
    return Value(row, x.shape[1:], x.dtype)


def _stacked(writer: Writer, rows: list[Any]) -> Any:
    if not any(isinstance(row, Value) for row in rows):
        return np.stack(rows)
    values = [_value(writer, row) for row in rows]
    shape = values[0].shape
    made = [writer.reshape(value, (1, *shape)) for value in values]
    y = writer.add("Concat", *made, axis=0)
    return Value(y, (len(made), *shape), values[0].dtype)

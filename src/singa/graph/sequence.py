"""A captured step whose operations run one after the other, each compiled by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from singa.core.watching import Exchange
from singa.device import CTensor
from singa.distributed import EXCHANGE


def one_by_one(closed: ClosedJaxpr, communicator: Exchange | None) -> Callable[..., Any]:
    """The program as a function that runs its operations in the recorded order.

    Args:
        closed: the program, without constants of its own.
        communicator: by which all ranks run the operations in which they exchange something.
    """
    if communicator is None:
        run: Callable[..., Any] = jaxpr_as_fun(closed)
        return run
    jaxpr = closed.jaxpr
    calls = [_call(eqn, jaxpr, communicator) for eqn in jaxpr.eqns]
    # For each operation, the values that no later operation needs.
    finished: list[list[Any]] = [[] for _ in calls]
    needed = {x for x in jaxpr.outvars if not isinstance(x, Literal)}
    for place, eqn in reversed(list(enumerate(jaxpr.eqns))):
        names = {*_inputs(eqn), *eqn.outvars}
        finished[place] = list(names - needed)
        needed |= names

    def evaluate(*args: CTensor) -> list[CTensor]:
        values = dict(zip(jaxpr.invars, args, strict=True))
        for place, (eqn, call) in enumerate(zip(jaxpr.eqns, calls, strict=True)):
            results = call(*[values[x] for x in _inputs(eqn)])
            values |= dict(zip(eqn.outvars, results, strict=True))
            for x in finished[place]:
                values.pop(x, None)
        return [_value(x, values) for x in jaxpr.outvars]

    return evaluate


def _call(eqn: Any, jaxpr: Any, communicator: Exchange) -> Callable[..., Any]:
    """One operation as a function of :func:`_inputs`."""
    inputs = _inputs(eqn)
    alone = jaxpr.replace(
        invars=inputs,
        outvars=eqn.outvars,
        eqns=[eqn],
        debug_info=jaxpr.debug_info._replace(
            arg_names=("",) * len(inputs), result_paths=("",) * len(eqn.outvars)
        ),
    )
    call = jaxpr_as_fun(ClosedJaxpr(alone, []))
    return partial(communicator.run, call) if eqn.params.get("name") == EXCHANGE else call


def _inputs(eqn: Any) -> list[Any]:
    return list(dict.fromkeys(x for x in eqn.invars if not isinstance(x, Literal)))


def _value(x: Any, values: dict[Any, CTensor]) -> Any:
    return x.val if isinstance(x, Literal) else values[x]

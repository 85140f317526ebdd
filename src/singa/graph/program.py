"""Program: a captured step, compiled, with the Tensors that are its inputs and outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import chain, count, repeat, starmap
from sys import getrefcount
from typing import Any
from zlib import crc32

import jax
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun
from jax.sharding import Mesh

from singa.core.guard import ABSENT, Guard, changed, own
from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.device import CTensor
from singa.distributed import EXCHANGE
from singa.distributed.watch import exchanging
from singa.engine import memory
from singa.graph.capture import Capture, read_tensor, without_calls
from singa.graph.effects import Given, blank, fill, filler
from singa.graph.fusing import fuse
from singa.graph.interrupts import uninterrupted
from singa.graph.sequence import one_by_one
from singa.placement import part_bytes, put
from singa.tape.kernel import named

# The reference count of an array that only its Tensor holds, in a list of arrays: the references
# of the Tensor, of the list and of getrefcount's own argument.
_UNSHARED = 3

# Assign without any of Python's own steps in between, in which an interrupt could come.
_slots: Any = Tensor
_set_data: Callable[[Tensor, CTensor], None] = _slots._data.__set__
_set_creator: Callable[[Tensor, None], None] = _slots.creator.__set__


class Program:
    """A captured step that can be run on arguments of the captured shapes.

    It is a function from all that the step has read (Tensors' values and Python objects) to all
    that it has left. It is valid as long as its ``guard`` holds.

    The arrays of Tensors that it both reads and assigns are donated: XLA writes the new values
    into their memory. An array that is referenced from elsewhere too (a ``t.data`` that was kept, a
    second Tensor on it) is copied first. Nothing is donated to a program that checks conditions:
    if one is false, nothing may have changed.

    Args:
        function: the step: Tensors in, any nesting of Tensors out.
        args: Tensors of the shapes, types and devices that it is captured for.
        sequential: run the operations one by one, in recorded order, instead of compiled into
            one program.
        similar: programs for the same arguments. If one of them does the same, its compiled code
            is reused.
        read: what the step reads besides, such as the function that it calls, and its arguments.

    Example:
        >>> total, x = Tensor((2,), name="total"), Tensor(data=[1.0, 2.0])
        >>> def step(x):
        ...     total.data = (total + x).data
        ...     return 2 * x
        >>> program = graph.Program(step, [x])
        >>> program([x]).to_numpy(), total.to_numpy()
        (array([2., 4.], dtype=float32), array([1., 2.], dtype=float32))
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Tensor],
        sequential: bool = False,
        similar: Iterable[Program] = (),
        read: Iterable[Any] = (),
    ) -> None:
        self.guard = Guard()
        for value in read:
            self.guard.value(value, "an argument")
        self.capture = capture = Capture(function, args, self.guard)
        read = {t: i for i, t in enumerate(capture.inputs) if isinstance(t, Tensor)}
        # Tensors that are read and assigned come first in both inputs and outputs, in the same
        # order: so jax pairs each donated array with the new value of the same Tensor. If it were
        # paired with another Tensor of that shape, XLA would have to make copies.
        written = range(len(capture.written))
        self._order = sorted(written, key=lambda i: capture.written[i] not in read)
        self._written = [capture.written[i] for i in self._order]
        # The indices of the donated inputs, and of those that are only read.
        self._donated = [read[t] for t in self._written if t in read]
        self._kept = [i for i in range(len(capture.inputs)) if i not in set(self._donated)]
        self._donated_tensors: list[Any] = [capture.inputs[i] for i in self._donated]
        self._kept_inputs = [capture.inputs[i] for i in self._kept]
        self._recorded = [t for t in self._written if not t._stores_grad]
        self._expected = [_kind(t) for t in (*capture.inputs, *args)]
        self._simple = [effect for effect in capture.effects if effect.is_simple]
        self._others = [effect for effect in capture.effects if not effect.is_simple]
        self._consts = _on_one_mesh(capture.jaxpr.consts, (*args, *capture.inputs))
        self._direct: Callable[..., Sequence[CTensor]] | None = None
        those = [t for t in (*capture.inputs, *args) if isinstance(t, Tensor)]
        spans = any(t.device.spans_processes for t in those)
        self._spans = _in_words(capture.jaxpr, args) if spans else ""
        self._fill_result = filler(capture.result)
        self.arg_names = [arg.name for arg in args]
        self.arg_bytes = sum(part_bytes(arg._data) for arg in args)  # on each device
        numbered = _numbered(capture.jaxpr)
        opened = _opened(numbered if sequential else fuse(numbered, capture.owners()))
        self.is_compiled_anew = self.is_spent = self._is_new = False
        self._run: Callable[..., Sequence[CTensor]]
        self._function: Callable[..., list[CTensor]] = jaxpr_as_fun(opened)
        places = self._places_of_results(args)
        if sequential:
            self._function = one_by_one(opened, capture.communicator)
            self._run = partial(_put, places, self._evaluate) if places else self._evaluate
            return
        same = next((other for other in similar if other._does_the_same(self)), None)
        if same is not None:
            self._run, self._direct = same._run, same._compiled_call()
            return
        donated = () if capture.errors else (0,)
        step, inputs = self._evaluate, self._arrays(args)
        if capture.communicator is not None:
            step = capture.communicator.mapped(step)
            inputs = capture.communicator.everywhere(inputs)
        options: dict[str, Any] = {"out_shardings": places} if places else {}
        run = jax.jit(named(step, "step"), donate_argnums=donated, **options)
        self._run = run.lower(*inputs).compile()
        memory.return_unused()
        self.is_compiled_anew = self._is_new = True

    def __call__(self, args: Sequence[Tensor]) -> Any:
        """Run the step: assign the Tensors that it assigns, and return what it returns."""
        capture = self.capture
        given = Given(args, [blank(kind) for kind in capture.fresh])
        if capture.is_for_once:
            self.is_spent = True
            for i, tensor in capture.first.items():
                given.made[i] = tensor
        written = [args[i] for i in capture.written_args]
        targets = self._written + written + given.made
        if local.journal is not None:  # this may have to be undone
            for tensor in targets:
                local.journal.note(tensor)
        inputs = self._arrays(args)
        donated = inputs[0]
        if donated and max(map(getrefcount, donated)) > _UNSHARED:
            for i, references in enumerate([*map(getrefcount, donated)]):
                if references > _UNSHARED:
                    donated[i] = donated[i].copy()
        attributes = self._attributes_to_set(given) if self._simple else _NOTHING
        # From here to the end all is done, or nothing: donated arrays must be replaced.
        if self._direct is not None and not self._others:
            outputs: Iterator[CTensor] = chain.from_iterable(starmap(self._direct, (inputs,)))
            _run_out(self._assignments(targets, outputs, written, attributes))
            given.arrays = [*outputs] if capture.has_arrays else _NOTHING
            return self._fill_result(given)
        with uninterrupted():
            results = self._run_everywhere(*inputs)
            if self._is_new:
                self._is_new = False
                memory.return_unused()
            if capture.errors:
                self._check(results)
            outputs = iter(results)
            _run_out(self._assignments(targets, outputs, written, attributes))
            given.arrays = [*outputs]
            for effect in self._others:
                effect.apply(given)
        self._direct = self._compiled_call()
        return self._fill_result(given)

    def _assignments(
        self,
        targets: list[Tensor],
        outputs: Iterator[CTensor],
        written: list[Tensor],
        attributes: list[tuple[dict[str, Any], str, Any]],
    ) -> Iterator[Any]:
        return chain(
            map(_set_data, targets, outputs),
            map(_set_creator, self._recorded + written, repeat(None)),
            starmap(dict.__setitem__, attributes),
        )

    def _attributes_to_set(self, given: Given) -> list[tuple[dict[str, Any], str, Any]]:
        """The attribute dicts, names and values to set; journal and guards are notified here."""
        found = []
        for target, name, template, _ in self._simple:
            owner = target()
            if owner is None or name is None:
                continue
            value = fill(template, given)
            attributes = own(owner)
            if attributes.get(name, ABSENT) is not value:
                if local.journal is not None:
                    local.journal.attribute(owner, name)
                changed(owner, name)
                found.append((attributes, name, value))
        return found

    def _compiled_call(self) -> Callable[..., Sequence[CTensor]] | None:
        """Runs the program without Python code, available after its first run; else None."""
        if self.capture.errors or self.capture.communicator is not None or self._spans:
            return None
        return getattr(self.compiled, "_call", None)

    def _check(self, results: Sequence[CTensor]) -> None:
        """Raise the error of the first condition that did not hold."""
        errors = self.capture.errors
        for holds, error in zip(results[-len(errors) :], errors, strict=True):
            if not holds:
                raise error()

    def is_as_it_was(self) -> bool:
        """Whether nothing that the step reads is another object than it was in the last call."""
        return not self.is_spent and self.guard.has_seen_no_change()

    def holds(self, args: Sequence[Tensor]) -> bool:
        """Whether the step would still do the same on these arguments as when it was captured."""
        guard = self.guard
        if self.is_spent:
            return False
        if guard.has_seen_no_change():
            return True
        with uninterrupted():  # the guard and the program must refer to the same Tensors
            if not guard.holds(lambda tensor: self._is_free(tensor, args)):
                return False
            if guard.replaced:
                self._replace(guard.replaced)
            return True

    def _is_free(self, tensor: Tensor, args: Sequence[Tensor]) -> bool:
        """Whether a Tensor is not yet used by this program."""
        return all(tensor is not other for other in (*self.states(), *args))

    def states(self) -> list[Tensor]:
        """The Tensors that the step reads or assigns without getting them as arguments."""
        return [t for t in (*self.capture.inputs, *self._written) if isinstance(t, Tensor)]

    def _replace(self, replaced: dict[Tensor, Tensor]) -> None:
        """Use other Tensors in place of some that the step reads."""
        tables: tuple[list[Any], ...] = (
            self.capture.inputs, self.capture.written, self._written, self._donated_tensors,
            self._kept_inputs, self._recorded,
        )  # fmt: skip
        for table in tables:
            table[:] = [replaced.get(t, t) if isinstance(t, Tensor) else t for t in table]
        for place in self.capture.outside:
            place.tensor = replaced.get(place.tensor, place.tensor)

    @property
    def compiled(self) -> Any:
        """The compiled program, a ``jax.stages.Compiled``; None if operations run one by one."""
        return self._run if isinstance(self._run, jax.stages.Compiled) else None

    @property
    def mesh(self) -> Mesh | None:
        """The mesh that it runs on, or that of the ranks that exchange in it; None for neither."""
        if self.capture.communicator is not None:
            return self.capture.communicator.mesh
        meshes = (getattr(sharding, "mesh", None) for _, sharding in self._expected)
        return next((mesh for mesh in meshes if mesh is not None), None)

    def fits(self, args: Sequence[Tensor]) -> bool:
        """Whether the state still has the shapes, types and devices that were captured."""
        return [_kind(t) for t in (*self.capture.inputs, *args)] == self._expected

    def _arrays(self, args: Sequence[Tensor]) -> tuple[list[CTensor], ...]:
        return (
            [t._data for t in self._donated_tensors],
            [t._data if isinstance(t, Tensor) else t for t in self._kept_inputs],
            list(self._consts),
            [arg._data for arg in args],
        )

    def _run_everywhere(self, *inputs: list[CTensor]) -> Sequence[CTensor]:
        """Run the program; if ranks exchange data in it, all ranks run it together."""
        communicator = self.capture.communicator
        if communicator is None or self.compiled is None:
            if self._spans:
                exchanging(self._spans)
            return self._run(*inputs)
        exchanging(self._exchanged)
        results: Sequence[CTensor] = communicator.here(self._run(*communicator.everywhere(inputs)))
        return results

    @cached_property
    def _exchanged(self) -> str:
        """What the ranks exchange in it, for their comparison."""
        return " ".join(
            str(x.aval)
            for eqn in self.capture.jaxpr.jaxpr.eqns
            if eqn.params.get("name") == EXCHANGE
            for x in eqn.invars
        )

    def _evaluate(
        self,
        donated: list[CTensor],
        kept: list[CTensor],
        consts: list[CTensor],
        args: list[CTensor],
    ) -> list[CTensor]:
        """Run the recorded operations: traced, or one after the other."""
        inputs = dict(zip((*self._donated, *self._kept), (*donated, *kept), strict=True))
        outputs = self._function(*[inputs[i] for i in range(len(inputs))], *consts, *args)
        return [*[outputs[i] for i in self._order], *outputs[len(self._order) :]]

    def _places_of_results(self, args: Sequence[Tensor]) -> list[Any]:
        """On a mesh, where results go: what a Tensor is assigned is spread as it was before."""
        capture = self.capture
        if all(t.device.mesh is None for t in (*self._written, *args)):
            return []
        targets = [*self._written, *(args[i] for i in capture.written_args)]
        avals = capture.jaxpr.out_avals
        new = [*(avals[i] for i in self._order), *avals[len(self._order) :]]
        places = [
            t._data.sharding if not _is_traced(t) and t._data.shape == aval.shape else None
            for t, aval in zip(targets, new, strict=False)
        ]
        return [*places, *[None] * (len(new) - len(places))]

    def _does_the_same(self, other: Program) -> bool:
        return (
            self._expected == other._expected
            and self._donated == other._donated
            and self._order == other._order
            and _equal(self.capture.jaxpr, other.capture.jaxpr)
        )


def _in_words(closed: ClosedJaxpr, args: Sequence[Tensor]) -> str:
    """What ranks compare, if the whole step is one of all of them: the same text on each."""
    kinds = ", ".join(f"{t._data.dtype}{list(t._data.shape)}" for t in args)
    done = [
        (str(eqn.primitive), str(eqn.params.get("name")), [str(var.aval) for var in eqn.outvars])
        for eqn in closed.jaxpr.eqns
    ]
    return f"a step of {len(done)} operations ({crc32(repr(done).encode()):08x}) on {kinds}"


def _run_out(steps: Iterator[Any]) -> None:
    """Run an iterator to its end."""
    deque(steps, maxlen=0)


_NOTHING: list[Any] = []


def _kind(x: Tensor | CTensor) -> tuple[Any, Any]:
    array = x._data if isinstance(x, Tensor) else x
    return jax.typeof(array), array.sharding


def _on_one_mesh(arrays: Sequence[Any], those: Iterable[Any]) -> list[Any]:
    """A step's constants, on each device of the mesh that its Tensors are on, if they are."""
    homes = [t.device.home for t in those if isinstance(t, Tensor) and t.device.mesh is not None]
    return [put(array, homes[0]) for array in arrays] if homes else list(arrays)


def _put(
    places: Sequence[Any], run: Callable[..., Sequence[CTensor]], *inputs: list[CTensor]
) -> list[CTensor]:
    """Results of operations that ran one by one, put where they belong."""
    results = zip(run(*inputs), places, strict=True)
    return [result if place is None else jax.device_put(result, place) for result, place in results]


def _is_traced(tensor: Tensor) -> bool:
    return isinstance(tensor._data, jax.core.Tracer)


def _opened(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The program with inputs for the Tensors' values, its constants, and its arguments."""
    jaxpr = closed.jaxpr
    reads = [eqn.outvars[0] for eqn in jaxpr.eqns if eqn.primitive is read_tensor]
    inputs = [*reads, *jaxpr.constvars, *jaxpr.invars]
    opened = jaxpr.replace(
        constvars=[],
        invars=inputs,
        eqns=[eqn for eqn in jaxpr.eqns if eqn.primitive is not read_tensor],
        debug_info=jaxpr.debug_info._replace(arg_names=("",) * len(inputs)),
    )
    return ClosedJaxpr(opened, [])


def _numbered(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The same program with each operation's number in its name stack, for profiles."""
    places = count()
    eqns = []
    for eqn in closed.jaxpr.eqns:
        if eqn.primitive is not read_tensor:
            source = eqn.source_info
            name_stack = without_calls(source.name_stack).extend(f"op.{next(places)}")
            eqn = eqn.replace(source_info=source.replace(name_stack=name_stack))
        eqns.append(eqn)
    return ClosedJaxpr(closed.jaxpr.replace(eqns=eqns), closed.consts)


def _equal(a: Any, b: Any) -> bool:
    """Whether two closed jaxprs are the same program.

    Compiled kernels in them are the same only if they are the same object. They are, if the same
    operations were recorded, because a kernel is traced once.
    """
    if len(a.jaxpr.eqns) != len(b.jaxpr.eqns) or len(a.consts) != len(b.consts):
        return False
    names = dict(zip(_inputs(a.jaxpr), _inputs(b.jaxpr), strict=True))

    def same(x: Any, y: Any) -> bool:
        if isinstance(x, Literal) or isinstance(y, Literal):
            return type(x) is type(y) and str(x) == str(y) and x.aval == y.aval
        return names.get(x) is y

    for one, two in zip(a.jaxpr.eqns, b.jaxpr.eqns, strict=True):
        if (
            one.primitive is not two.primitive
            or one.params.keys() != two.params.keys()
            or not all(v is two.params[k] or v == two.params[k] for k, v in one.params.items())
            or len(one.invars) != len(two.invars)
            or not all(map(same, one.invars, two.invars))
        ):
            return False
        names.update(zip(one.outvars, two.outvars, strict=True))
    return len(a.jaxpr.outvars) == len(b.jaxpr.outvars) and all(
        map(same, a.jaxpr.outvars, b.jaxpr.outvars)
    )


def _inputs(jaxpr: Any) -> list[Any]:
    return [*jaxpr.constvars, *jaxpr.invars]

"""Random programs of the library's operations, compared with jax.grad of the same in plain jax.

A program has up to 30 operations with fan-out, shared and frozen leaves, several outputs, and
intermediate Tensors whose gradients are wanted. It is drawn from a number, so that one that fails
can be run again:

    python -m tests.tape.random_programs --first 4711 --count 1
    python -m tests.tape.random_programs --count 100000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import autograd
from singa.graph import Steps
from singa.tensor import Tensor

MOST = 30
WIDE, TALL, COLUMN, ROW, VECTOR, SCALAR = (3, 4), (4, 3), (3, 1), (1, 4), (4,), ()
MASK = np.array([[True, False, True, True], [False, False, True, False], [True, True, False, True]])
PICKED, SHRUNK = np.array([2, 0, 2], np.int32), np.array([[1.0], [0.9], [0.8]])


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of instruction: what it takes, and what it does in both worlds.

    Values stay between -3 or so and 3, whatever comes after what.
    """

    takes: tuple[tuple[int, ...], ...]
    ours: Callable[..., Any]
    plain: Callable[..., Any]


def unary(ours: Callable[..., Any], plain: Callable[..., Any]) -> list[Kind]:
    """The same for arrays of several shapes."""
    return [Kind((shape,), ours, plain) for shape in (WIDE, VECTOR)]


def layer_norm(x: Any, scale: Any, bias: Any) -> Any:
    centered = x - x.mean(-1, keepdims=True)
    y = centered / jnp.sqrt((centered**2).mean(-1, keepdims=True) + 1e-2)
    return y * scale + bias


def absolute(x: Any) -> Any:
    """|x| with slope 0 at 0, as here and in PyTorch; to jax it is 1 there. x - x is drawn, too."""
    return jnp.where(x == 0, jnp.zeros_like(x), jnp.abs(x))


def _pulled_back(plain: Callable[..., Any], xs: Sequence[Any], dys: Any) -> Any:
    return jax.vjp(plain, *xs)[1](dys)


KINDS = [
    *unary(autograd.tanh, jnp.tanh),
    *unary(autograd.sigmoid, jax.nn.sigmoid),
    *unary(autograd.sin, jnp.sin),
    *unary(lambda x: autograd.exp(autograd.tanh(x)), lambda x: jnp.exp(jnp.tanh(x))),
    # No two elements become equal, which is where largest and smallest have kinks.
    *unary(lambda x: autograd.relu(x) + 0.1 * x, lambda x: jax.nn.relu(x) + 0.1 * x),
    *unary(lambda x: autograd.softmax(x, -1), lambda x: jax.nn.softmax(x, -1)),
    *unary(lambda x: autograd.log(x * x + 1.0), lambda x: jnp.log(x * x + 1.0)),
    *unary(lambda x: autograd.gelu(x), lambda x: jax.nn.gelu(x, approximate=False)),
    *unary(lambda x: -x, lambda x: -x),
    *unary(lambda x: autograd.sqrt(autograd.abs(x) + 0.1), lambda x: jnp.sqrt(absolute(x) + 0.1)),
    *unary(lambda x: autograd.cumsum(x, -1) * 0.3, lambda x: jnp.cumsum(x, -1) * 0.3),
    *unary(lambda x: autograd.sort(x, -1), lambda x: jnp.sort(x, -1)),
    Kind((WIDE, WIDE), lambda a, b: (a + b) * 0.5, lambda a, b: (a + b) * 0.5),
    Kind((WIDE, WIDE), lambda a, b: a * autograd.tanh(b), lambda a, b: a * jnp.tanh(b)),
    Kind((WIDE, ROW), lambda a, b: (a - b) * 0.5, lambda a, b: (a - b) * 0.5),
    Kind((WIDE, VECTOR), lambda a, b: a * autograd.sin(b), lambda a, b: a * jnp.sin(b)),
    Kind((COLUMN, ROW), lambda a, b: a * autograd.sigmoid(b), lambda a, b: a * jax.nn.sigmoid(b)),
    Kind((WIDE, SCALAR), lambda a, s: a / (s * s + 1.0), lambda a, s: a / (s * s + 1.0)),
    Kind((WIDE, COLUMN), autograd.max, jnp.maximum),
    Kind((VECTOR, VECTOR), autograd.min, jnp.minimum),
    Kind((WIDE, TALL), lambda a, b: autograd.matmul(autograd.matmul(a, b) * 0.1, a),
         lambda a, b: (a @ b * 0.1) @ a),
    Kind((TALL, WIDE), lambda a, b: autograd.einsum("ij,jk,kl->il", a, b, a) * 0.1,
         lambda a, b: jnp.einsum("ij,jk,kl->il", a, b, a) * 0.1),
    Kind((WIDE,), lambda x: autograd.transpose(x, (1, 0)), lambda x: x.T),
    Kind((TALL,), lambda x: autograd.reshape(x, WIDE), lambda x: x.reshape(WIDE)),
    Kind((WIDE,), lambda x: autograd.reduce_mean(x, 1), lambda x: x.mean(1, keepdims=True)),
    Kind((WIDE,), lambda x: autograd.reduce_sum(x, 0, keepdims=0) * 0.4, lambda x: x.sum(0) * 0.4),
    Kind((TALL,), lambda x: x.max(0).mean(), lambda x: x.max(0).mean()),
    Kind((VECTOR,), lambda x: autograd.tanh(x).sum() * 0.5, lambda x: jnp.tanh(x).sum() * 0.5),
    Kind((WIDE,), lambda x: x[1], lambda x: x[1]),
    Kind((WIDE,), lambda x: x[PICKED] * SHRUNK, lambda x: x[PICKED] * SHRUNK),
    Kind((WIDE,), lambda x: autograd.split(x, 1, [1, 3]),
         lambda x: (x[:, :1], x[:, 1:])),
    Kind((WIDE, WIDE), lambda a, b: autograd.where(a, b, Tensor(data=MASK)),
         lambda a, b: jnp.where(MASK, a, b)),
    Kind((ROW, WIDE), lambda a, b: autograd.cat([b[1:], a, b[:1]], 0)[:3],
         lambda a, b: jnp.concatenate([b[1:], a, b[:1]])[:3]),
    Kind((WIDE, VECTOR, VECTOR), lambda x, s, b: autograd.layer_norm(x, s, b, 1e-2) * 0.5,
         lambda x, s, b: layer_norm(x, s, b) * 0.5),
    Kind((WIDE,), lambda x: autograd.topk(x, 2, 1)[0].sum(1, keepdims=True) * 0.5,
         lambda x: jax.lax.top_k(x, 2)[0].sum(1, keepdims=True) * 0.5),
]  # fmt: skip

# Compiled one by one, with jax's derivatives: each runs in some hundreds of programs.
PLAIN = {kind: jax.jit(kind.plain) for kind in KINDS}
PULLBACKS = {kind: jax.jit(partial(_pulled_back, kind.plain)) for kind in KINDS}


def _makes(kind: Kind) -> list[tuple[int, ...]]:
    made = jax.eval_shape(kind.plain, *[np.empty(shape) for shape in kind.takes])
    return [each.shape for each in (made if isinstance(made, tuple) else (made,))]


MAKES = {kind: _makes(kind) for kind in KINDS}
"""The shapes of what each kind of instruction makes."""


@dataclass
class Program:
    """Leaves, instructions on values by number, and what becomes of them.

    Attributes:
        leaves: arrays; the first values.
        frozen: which of the leaves are constants.
        steps: kinds of instructions, and the numbers of what they take.
        stored: the numbers of intermediate values whose gradients are wanted.
        outputs: the numbers of the results, and what their elements count in the sum of all.
        segment: the instructions from one up to another that are a checkpoint.
    """

    leaves: list[np.ndarray]
    frozen: list[bool]
    steps: list[tuple[Kind, tuple[int, ...]]] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)
    outputs: list[tuple[int, float]] = field(default_factory=list)
    segment: tuple[int, int] = (0, 0)


def draw(number: int) -> Program:
    """The program of that number."""
    rng = np.random.default_rng(number)
    shapes = [WIDE, TALL, COLUMN, ROW, VECTOR, SCALAR, WIDE]
    leaves = [rng.uniform(-1.5, 1.5, shape) for shape in shapes]
    program = Program(leaves, [bool(rng.random() < 0.2) for _ in leaves])
    program.frozen[int(rng.integers(len(leaves)))] = False
    places = [leaf.shape for leaf in leaves]
    learned = [not frozen for frozen in program.frozen]
    for _ in range(int(rng.integers(1, MOST + 1))):
        kind = KINDS[int(rng.integers(len(KINDS)))]
        # What was made last is taken more often, so that programs are deep as well as broad.
        chosen = []
        for shape in kind.takes:
            fitting = [i for i, place in enumerate(places) if place == shape]
            weights = 1.0 + 3.0 * (np.arange(len(fitting)) >= len(fitting) - 2)
            chosen.append(int(rng.choice(fitting, p=weights / weights.sum())))
        program.steps.append((kind, tuple(chosen)))
        for shape in MAKES[kind]:
            places.append(shape)
            learned.append(any(learned[i] for i in chosen))
            if learned[-1] and rng.random() < 0.15:
                program.stored.append(len(places) - 1)
    possible = [i for i, is_learned in enumerate(learned) if is_learned]
    latest = [i for i in possible if i >= len(leaves)] or possible
    for i in {latest[-1], *rng.choice(possible, int(rng.integers(0, 3))).tolist()}:
        program.outputs.append((i, float(rng.uniform(0.5, 1.5))))
    program.segment = tuple(sorted(rng.integers(0, len(program.steps) + 1, 2).tolist()))  # type: ignore
    return program


def in_jax(program: Program, leaves: Sequence[Any], moved: Sequence[Any]) -> Any:
    """The sum of all outputs; ``moved`` is added to the intermediate values of ``stored``."""
    values = list(leaves)
    for kind, inputs in program.steps:
        made = PLAIN[kind](*[values[i] for i in inputs])
        for each in made if isinstance(made, tuple) else (made,):
            if len(values) in program.stored:
                each = each + moved[program.stored.index(len(values))]
            values.append(each)
    return sum((values[i] * weight).sum() for i, weight in program.outputs)


def in_singa(
    program: Program, leaves: Sequence[Tensor], checkpointed: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """The same sum, and the intermediate Tensors of ``stored``, which store their gradients."""
    values: list[Tensor] = list(leaves)
    stored: dict[int, Tensor] = {}

    def run(first: int, last: int) -> None:
        for kind, inputs in program.steps[first:last]:
            made = kind.ours(*[values[i] for i in inputs])
            for each in made if isinstance(made, (tuple, list)) else (made,):
                if len(values) in program.stored:
                    each.stores_grad = True
                    stored[len(values)] = each
                values.append(each)

    first, last = program.segment if checkpointed else (0, 0)
    run(0, first)
    autograd.checkpoint(run, first, last)
    run(last, len(program.steps))
    sums = [(values[i] * weight).sum() for i, weight in program.outputs]
    return sum(sums[1:], start=sums[0]), [stored[i] for i in program.stored]


def expected(program: Program) -> list[np.ndarray]:
    """The gradients of leaves and stored values: each instruction's by jax, added up here.

    :func:`derived` has all of it from jax, and takes many times as long.
    """
    values: list[Any] = list(program.leaves)
    for kind, inputs in program.steps:
        made = PLAIN[kind](*[values[i] for i in inputs])
        values += made if isinstance(made, tuple) else (made,)
    sums = [np.zeros(np.shape(value)) for value in values]
    for i, weight in program.outputs:
        sums[i] = sums[i] + weight
    last = len(values)
    for kind, inputs in reversed(program.steps):
        dys = sums[last - len(MAKES[kind]) : last]
        last -= len(dys)
        dxs = PULLBACKS[kind]([values[i] for i in inputs], dys[0] if len(dys) == 1 else tuple(dys))
        for i, dx in zip(inputs, dxs, strict=True):
            sums[i] = sums[i] + np.asarray(dx)
    learned = [i for i, frozen in enumerate(program.frozen) if not frozen]
    return [sums[i] for i in (*learned, *program.stored)]


def derived(program: Program, directions: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """What :func:`expected` computes, by jax.grad alone; or that of the leaves' gradients' sum."""
    learned = [i for i, frozen in enumerate(program.frozen) if not frozen]

    def total(learned_leaves: Sequence[Any], moved: Sequence[Any]) -> Any:
        leaves: list[Any] = list(program.leaves)
        for i, leaf in zip(learned, learned_leaves, strict=True):
            leaves[i] = leaf
        return in_jax(program, leaves, moved)

    given = [jax.device_put(program.leaves[i]) for i in learned]
    moved = [jnp.zeros(shape) for shape in _shapes(program)]
    if directions is None:
        return [*jax.tree.leaves(jax.grad(total, (0, 1))(given, moved))]

    def slope(given: Sequence[Any]) -> Any:
        found = jax.grad(total)(given, moved)
        return sum((g * d).sum() for g, d in zip(found, directions, strict=True))

    return list(jax.grad(slope)(given))


def _shapes(program: Program) -> list[tuple[int, ...]]:
    """Of the stored values."""
    shapes = [leaf.shape for leaf in program.leaves]
    for kind, _ in program.steps:
        shapes += MAKES[kind]
    return [shapes[i] for i in program.stored]


def found(program: Program, checkpointed: bool = False) -> list[np.ndarray]:
    """The gradients of leaves and stored values; zeros where there is none."""
    leaves = _leaves(program)
    y, stored = in_singa(program, leaves, checkpointed)
    gradients = autograd.gradients(y)
    wanted = [*[leaf for leaf in leaves if leaf.stores_grad], *stored]
    return [gradients[x].to_numpy() if x in gradients else np.zeros(x.shape) for x in wanted]


def found_captured(program: Program, checkpointed: bool = False) -> list[np.ndarray]:
    """The same, in one compiled program."""
    leaves = _leaves(program)

    def step() -> list[Tensor]:
        y, stored = in_singa(program, leaves, checkpointed)
        wanted = [*[leaf for leaf in leaves if leaf.stores_grad], *stored]
        return autograd.grad(y, wanted)

    return [dx.to_numpy() for dx in Steps()(step, (), {}, False)]


def found_after_a_change(program: Program, number: int) -> tuple[str, list[np.ndarray]]:
    """What was changed, and the gradients of a step that was captured before, after it.

    One thing is changed that the step reads: of the program, of its leaves, or which Tensors
    these are. Each call after that is right, and runs the function's Python once more at most.

    Raises:
        AssertionError: a change led to more than one capture.
    """
    rng = np.random.default_rng(number)
    leaves, steps = _leaves(program), Steps()

    def step() -> list[Tensor]:
        y, stored = in_singa(program, leaves)
        wanted = [*[leaf for leaf in leaves if leaf.stores_grad], *stored]
        return autograd.grad(y, wanted)

    steps(step, (), {}, True)
    name = str(rng.choice(list(CHANGES)))
    CHANGES[name](program, leaves, rng)
    gradients = [dx.to_numpy() for dx in steps(step, (), {}, True)]
    again = [dx.to_numpy() for dx in steps(step, (), {}, True)]
    assert steps.captures <= 2, f"program {number}: {steps.captures} captures, changed: {name}"
    for dx, other in zip(gradients, again, strict=True):
        np.testing.assert_array_equal(dx, other)
    return name, gradients


def _other_values(program: Program, leaves: list[Tensor], rng: np.random.Generator) -> None:
    i = int(rng.integers(len(leaves)))
    program.leaves[i] = rng.uniform(-1.5, 1.5, leaves[i].shape)
    leaves[i].copy_from_numpy(program.leaves[i])


def _another_leaf(program: Program, leaves: list[Tensor], rng: np.random.Generator) -> None:
    i = int(rng.integers(len(leaves)))
    program.leaves[i] = rng.uniform(-1.5, 1.5, leaves[i].shape)
    leaves[i] = _leaves(program)[i]


def _frozen_or_not(program: Program, leaves: list[Tensor], rng: np.random.Generator) -> None:
    i = int(rng.integers(len(leaves)))
    program.frozen[i] = not program.frozen[i]
    if not all(_is_learned(program)[number] for number, _ in program.outputs):
        program.frozen[i] = not program.frozen[i]
    leaves[i].requires_grad = leaves[i].stores_grad = not program.frozen[i]
    learned = _is_learned(program)
    program.stored[:] = [number for number in program.stored if learned[number]]


def _another_weight(program: Program, leaves: list[Tensor], rng: np.random.Generator) -> None:
    i = int(rng.integers(len(program.outputs)))
    program.outputs[i] = (program.outputs[i][0], float(rng.uniform(0.5, 1.5)))


def _another_output(program: Program, leaves: list[Tensor], rng: np.random.Generator) -> None:
    possible = [number for number, learned in enumerate(_is_learned(program)) if learned]
    program.outputs.append((int(rng.choice(possible)), 1.0))


def _another_kind(program: Program, leaves: list[Tensor], rng: np.random.Generator) -> None:
    i = int(rng.integers(len(program.steps)))
    kind, inputs = program.steps[i]
    alike = [k for k in KINDS if (k.takes, MAKES[k]) == (kind.takes, MAKES[kind])]
    program.steps[i] = alike[int(rng.integers(len(alike)))], inputs


def _nothing_wanted(program: Program, leaves: list[Tensor], rng: np.random.Generator) -> None:
    program.stored.clear()


CHANGES = {
    "a leaf has other values": _other_values,
    "a leaf is another Tensor": _another_leaf,
    "a leaf is frozen, or not any more": _frozen_or_not,
    "an output counts another part": _another_weight,
    "there is one more output": _another_output,
    "an instruction is of another kind": _another_kind,
    "no intermediate gradients are wanted": _nothing_wanted,
}


def _is_learned(program: Program) -> list[bool]:
    """Whether each value depends on a leaf that is not frozen."""
    learned = [not frozen for frozen in program.frozen]
    for kind, inputs in program.steps:
        learned += [any(learned[i] for i in inputs)] * len(MAKES[kind])
    return learned


def found_twice(program: Program, directions: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The gradients of the sum of the leaves' gradients times directions."""
    leaves = _leaves(program)
    y, _ = in_singa(program, leaves)
    learned = [leaf for leaf in leaves if leaf.stores_grad]
    dxs = autograd.grad(y, learned, create_graph=True)
    with autograd.enable_grad():
        total = sum((dx * d).sum() for dx, d in zip(dxs, directions, strict=True))
        total = total + 0.0 * sum(leaf.sum() for leaf in learned)  # recorded in any case
    return [dx.to_numpy() for dx in autograd.grad(total, learned)]


def _leaves(program: Program) -> list[Tensor]:
    return [
        Tensor(data=leaf, requires_grad=not frozen, stores_grad=not frozen)
        for leaf, frozen in zip(program.leaves, program.frozen, strict=True)
    ]


def check(
    number: int,
    captured: bool = False,
    twice: bool = False,
    changed: bool = False,
    checkpointed: bool = True,
) -> None:
    """Compare a program eagerly, and in all ways that are asked for.

    Raises:
        AssertionError: with the program's number, if a gradient is another one.
    """
    program = draw(number)
    ways = {"eagerly": found(program)}
    if checkpointed:
        ways["checkpointed"] = found(program, checkpointed=True)
    if captured:
        ways["captured"] = found_captured(program)
        ways["captured and checkpointed"] = found_captured(program, checkpointed=True)
    right = expected(program)
    for way, gradients in ways.items():
        _compare(gradients, right, f"program {number}, {way}")
    if twice:
        rng = np.random.default_rng(number)
        directions = [
            rng.uniform(-1, 1, leaf.shape)
            for leaf, frozen in zip(program.leaves, program.frozen, strict=True)
            if not frozen
        ]
        _compare(right, derived(program), f"program {number}, jax.grad")
        right = derived(program, directions)
        _compare(found_twice(program, directions), right, f"program {number}, twice")
    if changed:
        name, gradients = found_after_a_change(program, number)
        _compare(gradients, expected(program), f"program {number}, captured; then {name}")


def _compare(gradients: Sequence[Any], right: Sequence[Any], what: str) -> None:
    for i, (ours, e) in enumerate(zip(gradients, right, strict=True)):
        scale = max(1.0, float(np.abs(e).max(initial=0)))
        message = f"{what}, gradient {i}"
        np.testing.assert_allclose(ours, e, rtol=1e-9, atol=1e-10 * scale, err_msg=message)


def main() -> None:
    from rich.progress import track

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--first", type=int, default=0, help="the first number (%(default)s)")
    parser.add_argument("--count", type=int, default=1000, help="how many (%(default)s)")
    parser.add_argument("--captured", type=int, default=500, help="every so many (%(default)s)")
    parser.add_argument("--twice", type=int, default=10, help="every so many (%(default)s)")
    parser.add_argument("--changed", type=int, default=1, help="every so many (%(default)s)")
    chosen = parser.parse_args()
    autograd.training = True
    numbers = range(chosen.first, chosen.first + chosen.count)
    for number in track(numbers, "Programs"):
        check(
            number,
            number % chosen.captured == 0,
            number % chosen.twice == 0,
            number % chosen.changed == 0,
        )
    print(f"{chosen.count} programs from {chosen.first} on: all gradients as jax.grad's")


if __name__ == "__main__":
    main()

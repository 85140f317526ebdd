"""Ensembles of decision trees: all trees go down one level at a time, for all samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import FormatError
from singa.sonnx.rules.rule import Call, formula, held

Known = np.ndarray[Any, Any]

MODES = (
    "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ",
    "BRANCH_MEMBER", "LEAF",
)  # fmt: skip
LEAF, MEMBER = MODES.index("LEAF"), MODES.index("BRANCH_MEMBER")


@dataclass(frozen=True)
class Trees:
    """The nodes of all trees, one after the other.

    Attributes:
        feature, split, mode, missing: which feature a node compares, with what and how, and whether
            NaN goes to the branch of true.
        yes, no: the next node.
        roots: the first node of each tree.
        leaves: (nodes, targets): what a leaf adds to each target.
        has: (nodes, targets): whether it says something about the target.
        members: (sets, values): the values of nodes that compare with a set, whose number is
            their split; filled with NaN.
        depth: of the deepest tree.
    """

    feature: Known
    split: Known
    mode: Known
    missing: Known
    yes: Known
    no: Known
    roots: Known
    leaves: Known
    has: Known
    members: Known
    depth: int

    @property
    def modes(self) -> tuple[int, ...]:
        return tuple(np.unique(self.mode).tolist())


def depth_of(roots: Known, yes: Known, no: Known, is_leaf: Known) -> int:
    """The depth of the deepest tree.

    Raises:
        FormatError: nodes are not there, or can be reached in two ways.
    """
    count = len(yes)
    seen = np.zeros(count, bool)
    level, depth = roots, 0
    while level.size:
        if level.min() < 0 or level.max() >= count:
            raise FormatError("the nodes of a tree refer to a node that is not there")
        unique = np.unique(level)
        if seen[unique].any() or len(unique) < len(level):
            raise FormatError("the nodes of a tree can be reached in several ways: it is no tree")
        seen[unique] = True
        level = unique[~is_leaf[unique]]
        level = np.concatenate([yes[level], no[level]])
        depth += 1
    return max(depth - 1, 0)


def of_attributes(call: Call, role: str, targets: int) -> Trees:
    """The trees of the older operators; role is "class" or "target"."""
    if "trees" not in call.node.made:
        call.node.made["trees"] = _of_attributes(call, role, targets)
    made: Trees = call.node.made["trees"]
    return made


def _of_attributes(call: Call, role: str, targets: int) -> Trees:
    trees, ids = call("nodes_treeids"), call("nodes_nodeids")
    number = {key: i for i, key in enumerate(zip(trees, ids, strict=True))}
    names = {name: i for i, name in enumerate(MODES)}
    try:
        mode = np.array([names[each] for each in call("nodes_modes")], np.int32)
    except KeyError as error:
        raise FormatError(f"a tree has no nodes {error}") from None
    is_leaf = mode == LEAF
    yes, no = (
        np.array(
            [
                number.get((tree, at), -1) if not leaf else 0
                for tree, at, leaf in zip(trees, call(name), is_leaf, strict=True)
            ],
            np.int32,
        )
        for name in ("nodes_truenodeids", "nodes_falsenodeids")
    )
    roots = _roots(trees, yes, no, is_leaf)
    given = call(f"{role}_weights_as_tensor")
    given = np.array(call(f"{role}_weights"), np.float32) if given is None else given
    leaves = np.zeros((len(mode), targets), given.dtype)
    has = np.zeros(leaves.shape, bool)
    for tree, at, target, weight in zip(
        call(f"{role}_treeids"), call(f"{role}_nodeids"), call(f"{role}_ids"), given, strict=True
    ):
        place = number.get((tree, at), -1)
        if place < 0 or not 0 <= target < targets:
            raise FormatError("a weight of a tree is for a node or a target that is not there")
        leaves[place, target] += weight
        has[place, target] = True
    splits = call("nodes_values_as_tensor")
    return Trees(
        np.array(call("nodes_featureids"), np.int32),
        np.array(call("nodes_values"), np.float32) if splits is None else splits,
        mode,
        np.array(call("nodes_missing_value_tracks_true") or [0] * len(mode), bool),
        yes, no, roots, leaves, has, np.zeros((1, 1), np.float32),
        depth_of(roots, yes, no, is_leaf),
    )  # fmt: skip


def _roots(trees: Sequence[int], yes: Known, no: Known, is_leaf: Known) -> Known:
    """The root of each tree: its first node, or else the one to which no other node leads."""
    children = {*yes[~is_leaf].tolist(), *no[~is_leaf].tolist()}
    first: dict[int, int] = {}
    free: dict[int, int] = {}
    for i, tree in enumerate(trees):
        first.setdefault(tree, i)
        if i not in children and not is_leaf[i]:
            free.setdefault(tree, i)
    return np.array([free.get(t, i) if i in children else i for t, i in first.items()], np.int32)


def of_ensemble(call: Call) -> Trees:
    """The trees of TreeEnsemble, in which leaves have numbers of their own."""
    if "trees" not in call.node.made:
        call.node.made["trees"] = _of_ensemble(call)
    made: Trees = call.node.made["trees"]
    return made


def _of_ensemble(call: Call) -> Trees:
    mode = call("nodes_modes").astype(np.int32)
    count = len(mode)
    weights, targets = call("leaf_weights"), np.array(call("leaf_targetids"), np.int64)
    extra = len(weights)

    def after(kind: str) -> Known:
        ids = np.array(call(f"nodes_{kind}nodeids"), np.int32)
        return np.where(np.array(call(f"nodes_{kind}leafs"), bool), ids + count, ids)

    def longer(x: Known) -> Known:
        return np.concatenate([x, np.zeros(extra, x.dtype)])

    splits = call("nodes_splits")
    mode = np.concatenate([mode, np.full(extra, LEAF, np.int32)])
    members, sets = _members(call("membership_values"), mode, splits.dtype)
    yes, no = longer(after("true")), longer(after("false"))
    if targets.size and not 0 <= targets.min() <= targets.max() < call("n_targets"):
        raise FormatError("TreeEnsemble: a leaf is for a target that is not there")
    # A single leaf is written as a node whose branches are the same leaf.
    same = (yes == no) & (mode != LEAF)
    leaves = np.zeros((count + extra, call("n_targets")), weights.dtype)
    leaves[count + np.arange(extra), targets] = weights
    has = np.zeros(leaves.shape, bool)
    has[count + np.arange(extra), targets] = True
    leaves[same], has[same] = leaves[yes[same]], has[yes[same]]
    mode = np.where(same, LEAF, mode)
    roots = np.array(call("tree_roots"), np.int32)
    missing = np.array(call("nodes_missing_value_tracks_true") or [0] * count, bool)
    return Trees(
        longer(np.array(call("nodes_featureids"), np.int32)),
        np.where(mode == MEMBER, sets, longer(splits)).astype(splits.dtype),
        mode, longer(missing), yes, no, roots, leaves, has, members,
        depth_of(roots, yes, no, mode == LEAF),
    )  # fmt: skip


def _members(values: Any, mode: Known, dtype: Any) -> tuple[Known, Known]:
    """The sets of values, which NaN ends in the file, and the number of each node's set."""
    sets: list[list[float]] = [[]]
    for value in [] if values is None else values.tolist():
        if np.isnan(value):
            sets.append([])
        else:
            sets[-1].append(value)
    members = np.full((len(sets), max(1, *map(len, sets), 0)), np.nan, dtype)
    for row, found in zip(members, sets, strict=True):
        row[: len(found)] = found
    return members, np.maximum(np.cumsum(mode == MEMBER) - 1, 0)


def summed(trees: Trees, x: Tensor, aggregate: str = "SUM") -> Tensor:
    """What the trees say about each target: (samples, targets).

    Args:
        trees: the ensemble.
        x: (samples, features).
        aggregate: SUM, AVERAGE, MIN or MAX over the trees.
    """
    arrays = (
        trees.feature, trees.split, trees.mode, trees.missing, trees.yes, trees.no, trees.roots,
        trees.leaves, trees.has, trees.members,
    )  # fmt: skip
    return formula(
        _summed, x, *[held(each, x.device) for each in arrays], depth=trees.depth,
        modes=trees.modes, aggregate=aggregate, largest=int(trees.feature.max(initial=0)),
    )  # fmt: skip


def _summed(
    x: CTensor, feature: CTensor, split: CTensor, mode: CTensor, missing: CTensor, yes: CTensor,
    no: CTensor, roots: CTensor, leaves: CTensor, has: CTensor, members: CTensor, *, depth: int,
    modes: Sequence[int], aggregate: str, largest: int,
) -> CTensor:  # fmt: skip
    if x.ndim != 2 or largest >= x.shape[1]:
        raise FormatError(
            f"trees: the input must be (samples, features) with more than {largest} features, "
            f"got shape {x.shape}"
        )
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))

    def down(_: Any, at: CTensor) -> CTensor:
        value = jnp.take_along_axis(x, feature[at], 1)
        goes = _compared(value, split[at], mode[at], modes, members)
        goes |= jnp.isnan(value) & missing[at]
        return jnp.where(mode[at] == LEAF, at, jnp.where(goes, yes[at], no[at]))

    start = jnp.broadcast_to(roots, (x.shape[0], roots.size))
    found = jax.lax.fori_loop(0, depth, down, start)
    weights, says = leaves[found], has[found]
    if aggregate in ("SUM", "AVERAGE"):
        total = weights.sum(1)
        return total / roots.size if aggregate == "AVERAGE" else total
    edge = -jnp.inf if aggregate == "MAX" else jnp.inf
    known = jnp.where(says, weights, edge)
    most = known.max(1) if aggregate == "MAX" else known.min(1)
    return jnp.where(says.any(1), most, 0)


def _compared(
    value: CTensor, split: CTensor, mode: CTensor, modes: Sequence[int], members: CTensor
) -> CTensor:
    """Whether the branch of true is taken, in those of the modes that there are."""
    ways: list[Any] = [
        jnp.less_equal, jnp.less, jnp.greater_equal, jnp.greater, jnp.equal, jnp.not_equal,
        lambda a, b: (a[..., None] == members[b.astype(jnp.int32)]).any(-1),
    ]  # fmt: skip
    goes = jnp.zeros(value.shape, bool)
    for i in modes:
        if i != LEAF:
            goes = jnp.where(mode == i, ways[i](value, split), goes)
    return goes

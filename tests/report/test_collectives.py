"""What a compiled program exchanges, from its text; tests/mesh compares real ones."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from jax.sharding import AbstractMesh

from singa.errors import ReportError
from singa.report.collectives import found_in, size_of
from singa.report.hlo import Instructions

HEAD = """HloModule jit_step, is_scheduled=true

ENTRY %main (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
"""


def found(line, mesh):
    return found_in(mesh, [], Instructions(f"{HEAD}  {line}\n}}\n")).rows


@st.composite
def grouped(draw):
    """A mesh, some of its axes, and the groups of devices along them in each of XLA's forms."""
    sizes = draw(st.lists(st.integers(2, 4), min_size=1, max_size=3))
    names = tuple("abc"[: len(sizes)])
    chosen = sorted(draw(st.sets(st.sampled_from(range(len(sizes))), min_size=1)))
    others = [i for i in range(len(sizes)) if i not in chosen]
    count = math.prod(sizes[i] for i in chosen)
    order = [*others, *chosen]
    groups = np.arange(math.prod(sizes)).reshape(sizes).transpose(order).reshape(-1, count)
    explicit = "},{".join(",".join(map(str, group)) for group in groups)
    turned = "" if order == sorted(order) else f"T({','.join(map(str, order))})"
    axes = ",".join(f"'axis_{i}'={size}" for i, size in enumerate(sizes))
    texts = [
        f"{{{{{explicit}}}}}",
        f"[{len(groups)},{count}]<=[{','.join(map(str, sizes))}]{turned}",
        f"mesh[{axes}] {{{','.join(repr(f'axis_{i}') for i in chosen)}}}",
    ]
    mesh = AbstractMesh(tuple(sizes), names)
    return mesh, tuple(names[i] for i in chosen), count, draw(st.permutations(texts))


@given(grouped())
def test_groups_are_along_axes(case):
    mesh, axes, count, texts = case
    for groups in texts:
        line = (
            f"%r = f32[4]{{0}} all-reduce(%p), channel_id=1, replica_groups={groups}, to_apply=%add"
        )
        [row] = found(line, mesh)
        assert (row.kind, row.axes, row.devices, row.bytes) == ("all-reduce", axes, count, 16)
        assert row.sent == 2 * (count - 1) / count * 16


def test_kinds():
    mesh = AbstractMesh((2, 4), ("x", "y"))
    whole = "%r = f32[32]{0} all-gather-start(%p), replica_groups={}, dimensions={0}"
    [row] = found(whole, mesh)
    assert (row.kind, row.axes, row.bytes, row.sent) == ("all-gather", ("x", "y"), 128, 112)
    passed = "%r = f32[4]{0} collective-permute(%p), source_target_pairs={{0,1},{1,0}}"
    [row] = found(passed, mesh)
    assert (row.axes, row.bytes, row.sent, row.where) == (("y",), 16, 16, "over y")
    half = "mesh['axis_0'=2,'axis_1'=4] {'axis_1':(1)2}"  # a part of an axis
    [row] = found(f"%r = f32[4]{{0}} reduce-scatter(%p), replica_groups={half}", mesh)
    assert (row.axes, row.devices, row.where, row.sent) == ((), 2, "among 2", 8)
    for order in ("[2,4]T(1,0)", "[8]<=[2,4]T(1,0)", "0,4,1,5,2,6,3,7"):
        numbered = f"mesh['a'=4,'b'=2], device_ids=({order}) {{'b'}}"
        [row] = found(f"%r = f32[4]{{0}} all-to-all(%p), replica_groups={numbered}", mesh)
        assert row.axes == ("x",)
    with pytest.raises(ReportError, match="in a new form"):
        found("%r = f32[4]{0} all-reduce(%p), replica_groups=everyone", mesh)


def test_loops_count_each_time():
    config = '{"known_trip_count":{"n":"5"}}'
    text = f"""{HEAD}  %w = f32[4]{{0}} while(%p), body=%b, backend_config={config}
}}

%b (q: f32[4]) -> f32[4] {{
  %q = f32[4]{{0}} parameter(0)
  %r = f32[4]{{0}} all-reduce(%q), replica_groups=[1,2]<=[2], to_apply=%add
}}
"""
    [row] = found_in(AbstractMesh((2,), ("x",)), [], Instructions(text)).rows
    assert (row.times, row.sent) == (5, 80)


def test_sizes():
    assert size_of("(pred[3]{0}, s4[3], f8e4m3fn[2,2]{1,0}, c64[2])") == 3 + 2 + 4 + 16

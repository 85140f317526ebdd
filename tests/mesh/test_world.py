"""A mesh of the devices of two processes: training on it is training on one device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh import world
from singa import Tensor, distributed
from singa.device import get_default_device
from singa.errors import DistributedError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def four_devices() -> Iterator[None]:
    """Processes that are started have four simulated devices each."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", flags.strip())
        yield


@pytest.fixture(scope="module")
def found(folder, four_devices) -> list[dict[str, Any]]:
    """What each of two processes saw."""
    return distributed.launch(world.all_of_it, 2, str(folder))


def near(found: Any, expected: Any, rtol: float = 1e-4) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = [*found.values()], [*expected.values()]
    if isinstance(expected, (list, tuple)):
        for one, other in zip(found, expected, strict=True):
            near(one, other, rtol)
    else:
        np.testing.assert_allclose(found, expected, rtol, 1e-5)


def test_steps_are_those_of_one_device(found):
    for rank in found:
        steps = dict(rank["steps"])
        expected = steps.pop("expected")
        assert sorted(steps) == ["across", "by process", "eager", "finer"]
        for name, values in steps.items():
            near(values, expected)
            np.testing.assert_equal(values, found[0]["steps"][name])  # the same on both ranks


def test_arrays_are_those_of_one_device(found):
    for rank in found:
        seen = rank["arrays"]
        assert seen["same"]
        near(*seen["drawn"])
        np.testing.assert_array_equal(seen["drawn"][0][0], seen["drawn"][1][0])
        placement, values, text = seen["spread"]
        assert placement == ("model", "data")
        np.testing.assert_array_equal(values, world.samples()[0])
        np.testing.assert_array_equal(seen["moved"], values)
        assert "device=cpu[data=2, model=4]" in text
        assert not seen["small"]
        assert seen["heard"] == found[0]["arrays"]["heard"]
        assert seen["heard"][0].startswith("an array float32(3, 2) of the checksum ")
        assert seen["name"] == ("cpu[data=2, model=4]", True)


def test_each_process_makes_what_its_devices_need(found):
    x, y = world.samples()
    for number, rank in enumerate(found):
        for name, (made, placements, xs, ys) in rank["batches"].items():
            halves = [{*range(6), 12, 13}, {*range(6, 12), 14, 15}]
            whole = {"across": [{*range(16)}] * 2, "finer": halves, "by process": halves}
            assert {*made} == whole[name][number], name
            assert placements == ["data", "data"]
            np.testing.assert_array_equal(xs, x)
            np.testing.assert_array_equal(ys, y)


def test_checkpoints_go_anywhere_bit_for_bit(found, folder):
    assert (folder / "net.zip").exists()
    for rank in found:
        seen = rank["checkpoints"]
        for name in ("other", "one"):
            np.testing.assert_equal(seen[name], seen["saved"])
            near(seen[f"{name} goes on"], seen["goes on"])


def test_the_checkpoint_before_is_there_until_the_next_is_complete(tmp_path, four_devices):
    pytest.importorskip("orbax", reason="orbax-checkpoint is not installed")
    with pytest.raises(DistributedError, match="rank 1 ended with status 7"):
        distributed.launch(world.killed_while_saving, 2, str(tmp_path))
    net, _ = world.compiled(get_default_device())
    for step in (0, 2):
        assert net.load_states(tmp_path / "net")["step"].item() == step
        with np.load(tmp_path / "expected.npz") as expected:
            np.testing.assert_equal(world.values(net), dict(expected))
        net.save_states(tmp_path / "net", {"step": Tensor(data=2)}, sharded=True, overwrite=True)


def test_fit_is_that_of_one_device(found, folder):
    names = {path.name for path in folder.iterdir()}
    assert names - {"parts", "fit parts"} == {"net.zip", "fit.zip", "fit.csv", "run"}
    assert {"best.zip", "run.json", "graph.svg"} < {
        each.name for each in (folder / "run").iterdir()
    }
    for rank in found:
        seen = rank["fits"]
        near(seen["mesh"], seen["one"])
        np.testing.assert_equal(seen["again"], seen["mesh"])
        near(*seen["evaluated"])
        assert seen["predicted"] == (10, world.CLASSES)


def test_a_single_process_goes_on_from_the_parts_of_two(found, folder):
    pytest.importorskip("orbax", reason="orbax-checkpoint is not installed")
    again = world.fitted(get_default_device(), resume=folder / "fit parts")
    np.testing.assert_equal(again[:3], found[0]["fits"]["mesh"])


def test_what_cannot_be_is_refused(found):
    for rank in found:
        size, loader, dist = rank["refusals"]
        assert "data=3 x model=2 is 6 devices, and there are 4" in size
        assert "give the DataLoader device= the mesh" in loader
        assert "without DistOpt" in dist

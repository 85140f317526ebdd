"""Several devices of one process: training on a mesh is training on one device.

The number of simulated devices is an option of XLA, which reads its options once in a process. So
one more process, with eight devices, runs all checks of eight.py.
"""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("eight.py")
AXES = ("one axis", "two axes")
# Without importing it here: the meshes that it makes need eight devices.
NAMES = [n.replace("_", " ") for n in re.findall(r"@check\ndef (\w+)", SOURCE.read_text())]
NAMES += [
    f"{what} on {axes}" for what in ("layers", "optimizers") for axes in ("one axis", "two axes")
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh")
    tests = SOURCE.parents[1]
    paths = [tests.parent / "src", tests, tests.parent, os.environ.get("PYTHONPATH", "")]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "XLA_FLAGS": flags.strip(),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    run = subprocess.run(
        [sys.executable, str(SOURCE), str(folder)],
        env=env, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-4000:]
    return pickle.loads((folder / "found.pickle").read_bytes())


def test_all_checks_are_here(found):
    assert sorted(NAMES) == sorted(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_training_on_a_mesh(found, name):
    assert found[name] is None, found[name]

"""pyproject.toml agrees with the code. (``make package`` tests the archives built from it.)"""

import re
import tomllib
from pathlib import Path

import singa

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = sorted((ROOT / "src" / "singa").rglob("*.py"))


def test_the_version_is_the_packages():
    assert PROJECT["version"] == singa.__version__


def test_the_kernels_are_released_under_the_same_version():
    kernels = tomllib.loads((ROOT / "kernels" / "pyproject.toml").read_text(encoding="utf-8"))
    assert kernels["project"]["version"] == PROJECT["version"]
    assert kernels["project"]["license-files"] == ["LICENSE"]
    licences = [(folder / "LICENSE").read_text() for folder in (ROOT, ROOT / "kernels")]
    assert licences[0] == licences[1]


def test_the_package_has_types():
    assert (ROOT / "src" / "singa" / "py.typed").exists()
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_extras_that_messages_name_exist():
    named = {
        extra
        for path in SOURCES
        for extra in re.findall(r"singa-xla\[(\w+)\]", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= PROJECT["optional-dependencies"].keys()


def test_the_lowest_python_is_among_the_classifiers():
    lowest = PROJECT["requires-python"].removeprefix(">=")
    versions = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if ":: 3." in c]
    assert versions[0] == lowest

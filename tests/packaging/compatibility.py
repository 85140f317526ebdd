"""``make compatibility`` runs this: a part of the tests at both limits of pyproject.toml.

That is the lowest versions of all dependencies with the lowest allowed Python, and the newest ones
with the newest installed Python. A Python is searched among pyenv's, and on PATH, as
``python3.11``; if it is missing it is skipped, with a message. ``--keep FOLDER`` keeps the
environments.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if ":: 3." in c]

TOOLS = ("hypothesis", "pillow", "pytest", "safetensors", "scipy")
"""What the tests need, of the extra dev."""

TESTS = (
    "tests/tensor/test_tensor.py", "tests/tape/test_backward.py", "tests/tape/test_operation.py",
    "tests/layer/test_layers.py", "tests/opt/test_options.py", "tests/graph/test_hazards.py",
    "tests/report/test_drawing.py", "tests/model/test_model.py", "tests/model/test_checkpoint.py",
    "tests/formats/test_weights.py", "tests/data/test_digits.py", "tests/data/test_loader.py",
    "tests/distributed/test_distributed.py",
)  # fmt: skip


def requirements(end: str) -> list[str]:
    """What to ask pip for: the package's own dependencies, and the tests'."""
    extra = map(Requirement, PROJECT["optional-dependencies"]["dev"])
    wanted = [*map(Requirement, PROJECT["dependencies"]), *(r for r in extra if r.name in TOOLS)]
    if end == "newest":
        return [str(each) for each in wanted]
    lowest = {each.name: _lower_bound(each) for each in wanted}
    return [f"{name}=={version}" for name, version in (lowest | {"jaxlib": lowest["jax"]}).items()]


def _lower_bound(requirement: Requirement) -> Version:
    [bound] = [each.version for each in requirement.specifier if each.operator == ">="]
    return Version(bound)


def find_python(version: str) -> str | None:
    """The path of a Python of this version, which runs."""
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [*installed.glob(f"{version}.*/bin/python"), shutil.which(f"python{version}")]
    for place in filter(None, places):
        told = subprocess.run([place, "--version"], capture_output=True, text=True, check=False)
        if re.match(rf"Python {re.escape(version)}\.", told.stdout):
            return str(place)
    return None


def check(end: str, python: str, folder: Path) -> None:
    """Make an environment, and run the tests in it."""
    own = folder / end / "bin" / "python"
    if not own.exists():
        _run(python, "-m", "venv", folder / end)
    pip = (own, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    _run(*pip, "--upgrade", "--upgrade-strategy=eager", ROOT, *requirements(end))
    names = "jax", "jaxlib", "numpy", "rich", "typer", *TOOLS
    told = f"import sys; from importlib.metadata import version as v; print('{end}: Python', "
    told += "sys.version.split()[0], *(f'{n} {v(n)}' for n in sys.argv[1:]), sep=', ', flush=True)"
    _run(own, "-c", told, *names)
    _run(own.with_name("singa"), "--help")
    _run(own.with_name("singa"), "train", "mlp", "--epochs", "1")
    _run(own, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)
    _run(own, ROOT / "tests" / "packaging" / "user_program.py")


def _run(*command: str | Path) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Tests at both ends of the versions allowed")
    parser.add_argument("ends", nargs="*", default=["lowest", "newest"], metavar="lowest|newest")
    parser.add_argument("--python", help="one to use, in place of those that are looked for")
    parser.add_argument("--keep", type=Path, help="a folder for the environments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="singa-compatibility-") as made:
        for end in options.ends:
            versions = PYTHONS[:1] if end == "lowest" else PYTHONS[::-1]
            found = (options.python, *map(find_python, versions))
            python = next(filter(None, found), None)
            if python is None:
                print(f"{end}: passed over, no Python {' or '.join(versions)} is here")
                continue
            check(end, python, options.keep or Path(made))


if __name__ == "__main__":
    sys.exit(main())

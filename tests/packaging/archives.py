"""The contents of a release's archives."""

from __future__ import annotations

import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "singa"


def wanted_files() -> set[str]:
    """The package's files in the working tree, by their names in a wheel."""
    return {
        path.relative_to(SOURCE.parent).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


LICENCES = ("LICENSE", "NOTICE", "src/singa/board/vendor/uplot/LICENSE")


def check_wheel(path: Path) -> None:
    """The wheel holds the package, all of it, the licences, and nothing else."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        [about] = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(about).decode())
    info = about.removesuffix("METADATA")
    wanted = wanted_files()
    for name in ("singa/py.typed", "singa/data/optdigits/images-idx3-ubyte.gz"):
        assert name in wanted, f"{name} is not in the working tree"
    licences = {f"{info}licenses/{name}" for name in LICENCES}
    metadata_files = {
        f"{info}{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
    }
    missing = (wanted | licences | metadata_files) - names
    assert not missing, f"{path.name} lacks {sorted(missing)}"
    more = names - wanted - licences - metadata_files
    assert not more, f"{path.name} also holds {sorted(more)}"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Project-URL"], "no URLs"
    print(f"{path.name}: {len(names)} files, {path.stat().st_size / 1024:.0f} KiB")


def check_sdist(path: Path) -> None:
    """The sdist holds what the wheel is built from, and nothing that was made here."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = {"pyproject.toml", "LICENSE", "NOTICE", "README.md", "PKG-INFO"} - names
    missing |= {f"src/{name}" for name in wanted_files()} - names
    assert not missing, f"{path.name} lacks {sorted(missing)}"
    made = [n for n in names if n.startswith((".venv", "dist", "build", "kernels/build"))]
    assert not made, f"{path.name} also holds {sorted(made)}"
    print(f"{path.name}: {len(names)} files, {path.stat().st_size / 1024:.0f} KiB")


def check_kernels(dist: Path) -> None:
    """The kernels' sdist, and their wheel where one could be built."""
    [sdist] = dist.glob("singa_xla_kernels-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("CMakeLists.txt", "pyproject.toml", "LICENSE"):
        assert name in names, f"{sdist.name} lacks {name}"
    print(f"{sdist.name}: {len(names)} files")
    for wheel in dist.glob("singa_xla_kernels-*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
        assert any(name.endswith(".so") for name in names), f"{wheel.name} lacks its library"
        assert any("/licenses/" in name for name in names), f"{wheel.name} lacks its licence"
        print(f"{wheel.name}: {len(names)} files")

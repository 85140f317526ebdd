"""``make package`` runs this: it checks the archives in dist/, installs them, and uses them.

``python -m tests.packaging.check dist`` makes a virtual environment with the wheel and its
dependencies, in the versions of constraints.txt, and with nothing else.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.packaging import archives

HERE, ROOT = Path(__file__).parent, archives.ROOT


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command that has to succeed."""
    shown = [part.name if isinstance(part, Path) else part for part in command]
    print("$", *shown, flush=True)
    subprocess.run(command, cwd=cwd, check=True)


def refused(words: str, *command: str | Path, cwd: Path) -> None:
    """Run a command that has to fail, saying these words."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode, f"{command}: it did not fail"
    assert words in done.stderr, f"{command}: {done.stderr!r}"
    print(done.stderr.strip())


def main(dist: Path) -> None:
    [wheel], [sdist] = dist.glob("singa_xla-*.whl"), dist.glob("singa_xla-*.tar.gz")
    archives.check_wheel(wheel)
    archives.check_sdist(sdist)
    archives.check_kernels(dist)
    with tempfile.TemporaryDirectory(prefix="singa-package-") as made:
        folder = Path(made)
        venv.create(folder / "venv", with_pip=True)
        bin = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
        pip = (bin / "python", "-m", "pip", "--disable-pip-version-check")
        run(*pip, "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
        run(*pip, "check", cwd=folder)
        run(bin / "singa", "info", cwd=folder)
        train = (bin / "singa", "train", "mlp", "--epochs", "1")
        run(*train, cwd=folder)
        refused("singa-xla[demo]", *train, "--plot", "plot.png", cwd=folder)
        refused("singa-xla[tensorboard]", *train, "--tensorboard", "logs", cwd=folder)
        run(bin / "python", HERE / "user_program.py", cwd=folder)
        run(bin / "python", HERE / "without_extras.py", cwd=folder)
        mypy = (sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-incremental")
        run(*mypy, "--python-executable", bin / "python", HERE / "user_program.py", cwd=folder)
    print("package: all is well")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

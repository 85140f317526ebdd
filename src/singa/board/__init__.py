"""Pages about trainings, made from their run folders.

- ``run.py``, ``table.py``, ``svg.py``: read a run folder, which may be damaged or untrusted.
- ``report.py``, ``overview.py``: the pages of one run and of all runs.
- ``page.py``, ``markup.py``, ``assets/``, ``vendor/``: the parts of pages.
- ``serving.py``: a server that makes pages when they are requested.
"""

from __future__ import annotations

import os
from pathlib import Path

from singa.board.overview import back, overview
from singa.board.report import report
from singa.board.run import find_runs, read_details, read_run
from singa.board.serving import Server
from singa.formats.files import writing

__all__ = ["Server", "write_board", "write_report"]

PathLike = str | os.PathLike[str]


def write_report(run: PathLike, path: PathLike) -> None:
    """Write one HTML page about a run: curves, samples, graph, times, memory, settings.

    It is self-contained, so that it can be sent and archived. The page leaves out what the folder
    does not have, and lists damaged files.

    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> history = train.fit(mlp, data.load_digits(), 2, run="runs/mlp", progress=False)
    >>> write_report("runs/mlp", "report.html")

    Args:
        run: the folder of a training.
        path: the page; an existing file is replaced.

    Raises:
        DataError: there is no ``run.json`` in the folder.
        OSError: it cannot be written.
    """
    folder = Path(run)
    _write(Path(path), report(read_run(folder), read_details(folder)))


def write_board(runs: PathLike, output: PathLike) -> Path:
    """Write pages about all runs in a folder: ``index.html``, and one for each in ``run``.

    >>> from singa import data, models, opt, train
    >>> for rate in (0.05, 0.1):
    ...     mlp = models.MLP()
    ...     mlp.set_optimizer(opt.SGD(rate))
    ...     history = train.fit(mlp, data.load_digits(), 2, run=f"runs/{rate}", progress=False)
    >>> write_board("runs", "pages").as_posix()
    'pages/index.html'

    Args:
        runs: a folder that contains run folders, at any depth, or is one.
        output: the folder of the pages; it is made if necessary, and existing pages are replaced.

    Returns:
        The page of all runs.

    Raises:
        DataError: there are no runs.
        OSError: a page cannot be written.
    """
    folder, target = Path(runs), Path(output)
    found = [read_run(path, key) for key, path in find_runs(folder).items()]
    for run in found:
        page = report(run, read_details(run.folder), back(run.key))
        _write(target / "run" / f"{run.key}.html", page)
    index = target / "index.html"
    _write(index, overview(found, folder.resolve().name))
    return index


def _write(path: Path, page: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as file:
        file.write(page.encode())

"""A look at trainings: pages of what they left in their run folders."""

from __future__ import annotations

import os
from pathlib import Path

from singa.board.report import report
from singa.board.run import read_details, read_run
from singa.files import writing

__all__ = ["write_report"]


def write_report(run: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Write one HTML page about a run: curves, samples, graph, times, memory, settings.

    It has all in it and asks for nothing else, so that it can be sent and kept. What the folder
    does not have, the page leaves out; what is damaged there, it names.

    Args:
        run: the folder of a training.
        path: the page; one that is there is replaced.

    Raises:
        DataError: there is no ``run.json`` in the folder.
        OSError: it cannot be written.
    """
    folder = Path(run)
    page = report(read_run(folder), read_details(folder))
    with writing(path) as file:
        file.write(page.encode())

"""``singa launch``: runs a script in several processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from singa.cli.app import app, examples, misuse
from singa.distributed.scripts import Scripts


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples(
        "singa launch --ranks 4 train.py --epochs 10",
        "singa launch --ranks 4 --restarts 3 train.py",
    ),
)
def launch(
    script: Annotated[Path, typer.Argument(help="A Python script.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="The script's own arguments.")
    ] = None,
    ranks: Annotated[int, typer.Option(min=1, help="How many processes.")] = os.cpu_count() or 1,
    restarts: Annotated[
        int, typer.Option(min=0, help="How often all are started again after one has failed.")
    ] = 0,
) -> None:
    """Run a script in several connected processes on this machine, the ranks.

    Each finds the others by distributed.initialize(), or by opt.DistOpt. They have the environment
    variables that torchrun sets: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT and others.
    Each line of their output begins with the rank's number.

    If one rank fails, all are ended, and the status is that of the first that has failed. After a
    restart TORCHELASTIC_RESTART_COUNT is the number of restarts, and the script goes on from its
    last checkpoint.
    """
    if not script.is_file():
        raise misuse("SCRIPT", f"there is no file {script}")
    status = Scripts([sys.executable, str(script), *(arguments or [])], ranks, restarts).run()
    raise typer.Exit(status)

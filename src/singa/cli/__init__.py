"""The command line: a file of ``singa.cli`` for each command.

Their common parts are in ``app.py``; ``task.py`` has the description in a checkpoint, so that
``evaluate`` and ``predict`` need no more.
"""

from __future__ import annotations

import sys

import typer

from singa.cli import bench, evaluate, info, launch, onnx, predict, summary, train
from singa.cli.app import app, examples
from singa.cli.board import board
from singa.errors import SingaError

__all__ = ["app", "main"]

# Modules that add commands to the app.
_COMMANDS = (train, evaluate, predict, summary, bench, info, onnx, launch)

app.command(
    epilog=examples(
        "singa board runs", "singa board runs/cnn --open", "singa board runs --output site"
    )
)(board)


def main() -> None:
    """Run the command line.

    Exits with 2 for wrong usage, 1 for failures, 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        app(prog_name="singa")
    except (SingaError, OSError) as error:
        typer.echo(f"singa: {error}", err=True)
        sys.exit(1)

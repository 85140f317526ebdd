"""The command line: ``singa train`` and ``singa info``."""

from __future__ import annotations

import sys

import typer

from singa.cli.commands import app
from singa.errors import SingaError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line. Exits with 2 for misuse, 1 for failures, 130 after Ctrl-C."""
    try:
        app(prog_name="singa")
    except (SingaError, OSError) as error:
        typer.echo(f"singa: {error}", err=True)
        sys.exit(1)

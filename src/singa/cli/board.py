"""``singa board``: shows trainings in a browser."""

from __future__ import annotations

import errno
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from singa.board import Server, write_board

_PORT = 8420


def board(
    runs: Annotated[Path, typer.Argument(help="A folder that contains run folders, or is one.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port of the server; 0 picks a free one.")
    ] = _PORT,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="A folder to write the pages to, instead of serving them."),
    ] = None,
) -> None:
    """Show trainings in the browser: curves, samples, graphs, times, memory.

    The pages are served to this machine only, and are updated while trainings run. With
    --output they are written as files that need no server.
    """
    if output is not None:
        index = write_board(runs, output)
        typer.echo(f"wrote {index}")
        if open_browser:
            webbrowser.open(index.resolve().as_uri())
        return
    with _server(runs, port) as server:
        typer.echo(f"{server.url} shows {runs}; Ctrl-C ends it")
        if open_browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo()


def _server(runs: Path, port: int) -> Server:
    try:
        return Server(runs, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise typer.BadParameter(
            f"{port} is taken; --port 0 picks a free one", param_hint="--port"
        ) from None

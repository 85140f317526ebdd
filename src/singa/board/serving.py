"""The board as a web server for this machine: it makes pages from run folders on request."""

from __future__ import annotations

import os
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote_to_bytes

from singa.board.overview import back, overview
from singa.board.report import report
from singa.board.run import find_runs, read_details, read_run
from singa.errors import DataError

HOST = "127.0.0.1"


class Server(ThreadingHTTPServer):
    """Serves the pages of all runs in a folder, to this machine only.

    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> history = train.fit(mlp, data.load_digits(), 1, run="runs/mlp", progress=False)
    >>> with Server("runs") as server:  # server.serve_forever() goes on until it is interrupted
    ...     server.url.rpartition(":")[0]
    'http://127.0.0.1'

    Args:
        folder: it contains runs, or is one; it is searched at each request.
        port: 0 picks a free one.

    Attributes:
        url: of the page of all runs.

    Raises:
        DataError: there are no runs.
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, folder: str | os.PathLike[str], port: int = 0) -> None:
        self.folder = Path(folder)
        find_runs(self.folder)
        super().__init__((HOST, port), _Handler)
        self.url = f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        # Another site's page, whose host name resolves to this machine, must not read these pages.
        host = self.headers.get("Host", "").partition(":")[0]
        if host not in (HOST, "localhost"):
            self._answer(HTTPStatus.FORBIDDEN, f"This is {self.server.url}")
            return
        path = os.fsdecode(unquote_to_bytes(self.path.partition("?")[0]))
        try:
            page = self._page(path)
        except DataError as error:
            self._answer(HTTPStatus.NOT_FOUND, str(error))
            return
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, f"There is no page {path}")
        else:
            self._answer(HTTPStatus.OK, page, "text/html")

    def _page(self, path: str) -> str | None:
        runs = find_runs(self.server.folder)
        if path in ("/", "/index.html"):
            found = [read_run(folder, key) for key, folder in runs.items()]
            return overview(found, self.server.folder.resolve().name, is_live=True)
        key = path.removeprefix("/run/").removesuffix(".html")
        if path != f"/run/{key}.html" or key not in runs:
            return None
        run = read_run(runs[key], key)
        return report(run, read_details(run.folder), back(key), is_live=True)

    def _answer(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        body = text.encode(errors="replace")
        with suppress(ConnectionError):  # the browser may have closed the connection
            self._send(status, kind, body)

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with suppress(ConnectionError):  # also while it still asks
            super().handle()

    def finish(self) -> None:
        with suppress(ConnectionError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: a live page sends a request every few seconds."""

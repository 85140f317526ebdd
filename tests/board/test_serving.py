"""The board's server, and the command that starts it."""

import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from urllib.request import urlopen

import pytest

from singa import board, cli
from singa.errors import DataError


@pytest.fixture
def server(run_folder):
    with board.Server(run_folder.parent) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server, path, host=None):
    """The status, the kind and the text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()
    finally:
        connection.close()


def live(page):
    return re.search(r'<main data-live="(\w*)">', page)[1]


def test_a_client_that_goes_away_disturbs_nobody(server, monkeypatch, capfd):
    monkeypatch.setattr("singa.board.serving.overview", lambda *args, **options: "x" * 2**24)
    reset = struct.pack("ii", 1, 0)  # closing sends a reset
    for request in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HT", b""):
        client = socket.create_connection(("127.0.0.1", server.server_port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        client.send(request)
        if request.endswith(b"\n\n"):
            assert client.recv(100).startswith(b"HTTP/1.1 200")  # the rest is still on the way
        client.close()

    assert get(server, "/run/first.html")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_pages_are_made_when_they_are_asked_for(server, write_run, tmp_path):
    status, kind, page = get(server, "/")
    assert (status, kind, live(page)) == (200, "text/html; charset=utf-8", "all")
    assert get(server, "/index.html")[2] == page
    assert live(get(server, "/run/first.html")[2]) == ""  # it is completed

    write_run(tmp_path / "runs/a b", epochs=2, status="running")
    assert 'href="run/a%20b.html"' in get(server, "/")[2]
    status, _, page = get(server, "/run/a%20b.html?x=1")
    assert (status, live(page)) == (200, "run")
    write_run(tmp_path / "runs/a b", epochs=3)
    assert live(get(server, "/run/a%20b.html")[2]) == ""


@pytest.mark.parametrize(
    "path", ["/run/none.html", "/run/first", "/first.html", "/run/../first/run.json", "/%ff"]
)
def test_there_is_nothing_else(server, path):
    status, kind, text = get(server, path)
    assert (status, kind) == (404, "text/plain; charset=utf-8")
    assert text.startswith("There is no page")


def test_runs_that_have_gone_are_told(server, run_folder):
    (run_folder / "run.json").unlink()
    status, _, text = get(server, "/")
    assert status == 404
    assert "no run in" in text


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "", "[::1"])
def test_names_of_others_that_lead_here_are_refused(server, host):
    assert get(server, "/", host=host or "x")[0] == 403


def test_this_machine_alone_is_served(server):
    assert server.server_address[0] == "127.0.0.1"
    assert get(server, "/", host="localhost:1234")[0] == 200


def test_a_folder_without_runs_is_not_served(tmp_path):
    with pytest.raises(DataError, match="no run in"):
        board.Server(tmp_path)


# -- the command --------------------------------------------------------------------------------


@pytest.fixture
def singa(monkeypatch, capsys, tmp_path):
    """Run the command line: its exit status, and what it wrote where."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["singa", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        captured = capsys.readouterr()
        return exited.value.code or 0, captured.out, captured.err

    return run


def test_pages_are_written(singa, run_folder, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    assert singa("board", "runs", "--output", "pages") == (0, "wrote pages/index.html\n", "")
    assert (tmp_path / "pages/run/first.html").exists()
    assert opened == []
    singa("board", "runs", "--output", "pages", "--open")
    assert opened == [(tmp_path / "pages/index.html").as_uri()]


def test_no_runs_and_ports_that_are_taken(singa, run_folder, tmp_path):
    (tmp_path / "empty").mkdir()
    status, out, err = singa("board", "empty")
    assert (status, out) == (1, "")
    assert err.startswith("singa: board: no run in empty: none of its folders has a run.json")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = singa("board", "runs", "--port", port)
    assert (status, out) == (2, "")
    assert f"{port} is taken; --port 0 picks a free one" in " ".join(err.replace("│", "").split())


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent")
def test_it_serves_until_interrupted(run_folder):
    command = [sys.executable, "-c", "from singa import cli; cli.main()"]
    arguments = ["board", str(run_folder.parent), "--port", "0"]
    process = subprocess.Popen(
        command + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        with urlopen(line.split()[0], timeout=30) as answer:
            page = answer.read().decode()
        data = re.search(r'id="data">(.*?)</script>', page)[1]
        assert [run["key"] for run in json.loads(data)["runs"]] == ["first"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out.strip(), err) == (0, "", "")

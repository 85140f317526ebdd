"""A worker process: makes batches and sends them back, until its input ends.

It is run as a script. It sends its answers through the pipe of its standard output; printed text
goes to standard error. When the process at the other end has ended, in any way, both pipes are
closed and the worker ends.

A worker needs NumPy and the dataset. ``import singa`` would import all of jax; so the packages are
empty at first, and their contents are imported when they are needed.
"""

from __future__ import annotations

import importlib.util
import io
import os
import pickle
import signal
import struct
import sys
import traceback
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from multiprocessing import spawn
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

_NUMBER = struct.Struct("<Q")


def send(stream: BinaryIO, value: Any) -> None:
    """Write ``value``; arrays are written without a copy."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    for number in (len(parts), *(part.nbytes for part in parts)):
        stream.write(_NUMBER.pack(number))
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: BinaryIO, unpickler: type[pickle.Unpickler] = pickle.Unpickler) -> Any:
    """Read a value that :func:`send` wrote at the other end of a pipe between trusted processes.

    Raises:
        EOFError: the other end is closed.
    """
    (count,) = _NUMBER.unpack(_read(stream, _NUMBER.size))
    sizes = [_NUMBER.unpack(_read(stream, _NUMBER.size))[0] for _ in range(count)]
    head, *buffers = [_read(stream, size) for size in sizes]
    return unpickler(io.BytesIO(head), buffers=buffers).load()


def _read(stream: Any, size: int) -> memoryview:
    content = np.empty(size, np.uint8).data  # not a bytearray, which would be filled with zeros
    filled = 0
    while filled < size:
        count = stream.readinto(content[filled:])
        if not count:
            raise EOFError
        filled += count
    return content


def main() -> None:
    """Answer each request, ``(epoch, rows)``, with ``(None, batch)`` or ``(error, None)``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that trains handles Ctrl-C
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    preparation = receive(requests)
    spawn.prepare({name: preparation[name] for name in ("sys_path", "sys_argv")})
    _empty_packages()
    _Unpickler.preparation = preparation
    try:
        make = receive(requests, _Unpickler)
    except Exception as error:
        send(answers, (_portable(error), None))
        return
    while True:
        request = receive(requests)
        try:
            send(answers, (None, make(*request)))
        except BrokenPipeError:
            raise
        except Exception as error:
            send(answers, (_portable(error), None))


def _portable(error: Exception) -> Exception:
    """An error that can be raised at the other end, with its traceback as a note."""
    note = "in a worker:\n" + "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        # Imported here, because a script belongs to no package when it starts.
        worker_error = importlib.import_module("singa.errors").WorkerError
        error = worker_error(f"{type(error).__name__}: {error}")
    error.add_note(note)
    return error


class _Unpickler(pickle.Unpickler):
    """Runs the user's script, as ``multiprocessing`` does, but only if it is needed."""

    preparation: dict[str, Any]

    def find_class(self, module: str, name: str, /) -> Any:
        if module == "__main__":
            spawn.prepare({k: v for k, v in self.preparation.items() if k.startswith("init_main")})
        return super().find_class(module, name)


# -- packages without contents --------------------------------------------------------------------

_PACKAGES = ("singa", "singa.data")
_WITHOUT_JAX = ("singa.data", "singa.errors", "singa.formats.reading", "singa.image_tool")
_FORMATS = "singa.formats"  # the package itself, which imports nothing
_WITH_JAX = ("singa.data.loader", "singa.data.image_batch_iter")


class _EmptyPackage(ModuleType):
    """A package whose ``__init__`` runs when a missing attribute is needed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _fill_packages()
        return getattr(self, name)


class _Finder(MetaPathFinder, Loader):
    """Fills the packages before a module is imported that needs their contents."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        counts_on_them = name.startswith("singa.") and (
            name in _WITH_JAX or not (name.startswith(_WITHOUT_JAX) or name == _FORMATS)
        )
        if not counts_on_them or not isinstance(sys.modules["singa"], _EmptyPackage):
            return None
        _fill_packages()
        # It may have been imported with the others, and must not be executed again.
        found = sys.modules[name].__spec__ if name in sys.modules else None
        if found is not None:
            found.loader = self
        return found

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """It was executed when the packages were filled."""


def _empty_packages() -> None:
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        package = sys.modules[name] = importlib.util.module_from_spec(spec)
        package.__class__ = _EmptyPackage
    sys.meta_path.insert(0, _Finder())


def _fill_packages() -> None:
    packages = [sys.modules[name] for name in _PACKAGES]
    for package in packages:
        package.__class__ = ModuleType
    for package in packages:
        spec = package.__spec__
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(package)


if __name__ == "__main__":
    try:
        main()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the other process has ended

"""A Model's files, and what is in them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Self
from weakref import ref

import jax
import numpy as np

from singa import distributed, tensor
from singa.core.journal import Journal
from singa.core.tensor import Tensor, random_key
from singa.device import get_default_device
from singa.errors import CheckpointError
from singa.formats import checkpoint
from singa.formats import sharded as parts
from singa.formats.background import Background
from singa.layer import Layer
from singa.layer.base import named_states
from singa.opt import DistOpt, Optimizer, stored
from singa.placement import Place, as_parameter


class Saved(Layer):
    """The part of a Model that writes and reads checkpoints."""

    _stream: Tensor | None = None  # the random stream of the thread that trains
    _first: ref[Tensor] | None = None
    _lock: threading.RLock  # held while a step runs, and while its results are read
    _writer: Background

    def __new__(cls, *args: Any, **options: Any) -> Self:
        model = super().__new__(cls)
        object.__setattr__(model, "_lock", threading.RLock())
        object.__setattr__(model, "_writer", Background())
        return model

    def between_steps(self) -> AbstractContextManager[Any]:
        """A block in which no other thread runs a step of this model, and it stays as it is.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((2, 1, 8, 8))])
            >>> with mlp.between_steps():
            ...     copies = {name: t.clone() for name, t in mlp.get_states().items()}
        """
        return self._lock

    def optimizers(self) -> dict[str, Optimizer | DistOpt]:
        """The optimizers of the model and of the layers inside it, each once, by their paths.

        They are found among the attributes, as layers are, also in lists, tuples and dicts.

        Example:
            >>> net = model.Model()
            >>> net.blocks = [layer.Linear(2), layer.Linear(2)]
            >>> net.blocks[1].optimizer = opt.SGD(0.1)
            >>> net.rates = {"slow": opt.SGD(0.01)}
            >>> list(net.optimizers())
            ['rates.slow', 'blocks.1.optimizer']
        """
        found: dict[Optimizer | DistOpt, str] = {}
        for path, each in (("", self), *((f"{path}.", each) for path, each in self.sublayers())):
            for name, value in _flat(path, vars(each)):
                if isinstance(value, (Optimizer, DistOpt)):
                    found.setdefault(value, name)
        return {name: optimizer for optimizer, name in found.items()}

    def save_states(
        self,
        fpath: str | os.PathLike[str],
        aux_states: Mapping[str, Tensor] | None = None,
        overwrite: bool = False,
        background: bool = False,
        sharded: bool = False,
    ) -> None:
        """Write a checkpoint: all that is needed to resume training, or to use the model.

        That is the parameters and states, the optimizers' state, the random stream that the model
        was trained with, and ``aux_states``. The file is written completely or not at all. Any
        thread may call this while another one trains: it waits for the end of a step.

        If the model is on a mesh of several processes, all of them call this, because it gathers
        the parts, and the first one writes the file.

        In the background only the file is written: its values are copied before this returns, into
        as much memory as they take. Until :meth:`wait_until_saved` returns, there is the old file
        or none. The next save waits for it, and so do :meth:`load_states` and the end of the
        process. An error is raised there; when the process ends it is printed.

        Args:
            fpath: the file's path; SINGA's format, a zip (see :mod:`singa.formats.checkpoint`).
            aux_states: the caller's own Tensors, by name.
            overwrite: whether an existing file may be replaced.
            background: whether to return before the file is written.
            sharded: write a folder, to which each process writes the parts that its devices hold,
                by the package orbax-checkpoint; all processes call this. In it is another folder
                with a number; ``overwrite`` makes the next one, and then the one before goes. (The
                default is one file, with whole arrays.)

        Raises:
            FileExistsError: it exists and ``overwrite`` is false.
            CheckpointError: an aux state has the name of one of the model's.
            OSError: it cannot be written, or the file before that was written in the background;
                then this one is not written.
            DependencyError: ``sharded``, and the package orbax-checkpoint is not installed.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((32, 1, 8, 8))])
            >>> mlp.save_states("mlp.zip", aux_states={"epoch": Tensor(data=3)})
        """
        self._writer.wait()
        with self.between_steps():
            states = self.states_to_save(aux_states or {}, sharded)
            if sharded:
                write = parts.write(fpath, states, overwrite)
            elif self._random_key().device.spans_processes and distributed.rank() != 0:
                return
            else:
                write = checkpoint.prepared(fpath, states, overwrite)
        if background:
            self._writer.run(write, os.fspath(fpath))
        else:
            write()

    def wait_until_saved(self) -> None:
        """Wait until the file that is written in the background is there.

        Raises:
            OSError: it cannot be written.

        Example:
            >>> from singa.models import MLP
            >>> mlp = MLP()
            >>> mlp.compile([Tensor((32, 1, 8, 8))])
            >>> mlp.save_states("mlp.zip", background=True)
            >>> mlp.wait_until_saved()
        """
        self._writer.wait()

    def states_to_save(
        self,
        aux_states: Mapping[str, Tensor],
        sharded: bool = False,
        states: Mapping[str, Tensor] | None = None,
    ) -> dict[int, dict[str, Any]]:
        """What :meth:`save_states` writes, by its kind in :mod:`singa.formats.checkpoint`.

        All of it is of the same moment between two steps, whichever thread asks.

        Args:
            aux_states: the caller's own Tensors.
            sharded: give arrays on a mesh as they are, in parts, instead of NumPy's.
            states: other states for the model than the present ones.
        """
        arrays = _parts if sharded else _values
        with self.between_steps():
            return {
                checkpoint.MODEL: arrays(named_states(self) | dict(states or {})),
                checkpoint.AUX: arrays(aux_states),
                checkpoint.TRAINING: arrays(self._training_states(self._stream)),
            }

    def load_states(
        self, fpath: str | os.PathLike[str], resume: bool = True, aux: bool = True
    ) -> dict[str, Tensor]:
        """Read a checkpoint into this model, which must have been compiled.

        Args:
            fpath: the file, or a folder that was written with ``sharded=True``, also by ``fit``. Of
                a folder each process reads the parts that its devices hold here.
            resume: also load the optimizers' state and the random stream, so that training
                continues bit for bit. An optimizer that is not in the file is not changed. A state
                that only the file's optimizer keeps for each parameter, such as a momentum, is
                left out with a :class:`singa.errors.CheckpointWarning`.
            aux: whether to read the aux states too; those of ``fit`` are its history, and the best
                epoch's parameters.

        Returns:
            The aux states; none if they are not read.

        Raises:
            CheckpointError: the file is damaged, not a checkpoint, of another model, or its
                optimizer is of another algorithm. Nothing has changed then.

        Example:
            >>> from singa.models import MLP
            >>> old, new = MLP(), MLP()
            >>> for mlp in (old, new):
            ...     mlp.compile([Tensor((32, 1, 8, 8))], is_train=False)
            >>> old.save_states("old.zip", aux_states={"epoch": Tensor(data=3)})
            >>> new.load_states("old.zip")["epoch"].item()
            3
            >>> x = Tensor((32, 1, 8, 8)).set_value(1.0)
            >>> bool((new(x).to_numpy() == old(x).to_numpy()).all())
            True
        """
        self._writer.wait()
        states = named_states(self)
        if not states:
            raise CheckpointError(
                f"{type(self).__name__} has no states yet: compile it before load_states"
            )
        with self._reader(fpath) as reader:
            reader.expect(
                checkpoint.MODEL, {name: (t.shape, t.dtype) for name, t in states.items()}
            )
            kinds = [checkpoint.MODEL, checkpoint.AUX] if aux else [checkpoint.MODEL]
            if resume:
                self._expect_training_states(reader)
                kinds.append(checkpoint.TRAINING)
            arrays = reader.read(*kinds)
            own = reader.named(checkpoint.AUX) if aux else {}
        optimizers = self.optimizers() if resume else {}
        resumed = {n: a for n, a in arrays.items() if n in reader.named(checkpoint.TRAINING)}
        # Arrays of a folder are where they belong already.
        placed = {name: array for name, array in arrays.items() if isinstance(array, jax.Array)}
        resumed |= {
            n: np.broadcast_to(np.zeros((), a.dtype), a.shape)
            for n, a in placed.items()
            if n in resumed
        }
        with self._lock, Journal():
            stored.assign_numbers(resumed, optimizers)  # they decide which states there are
            training = stored.fitting(reader.path, resumed, optimizers, self._names())
            self.set_states({name: arrays[name] for name in states if name not in placed})
            found = {name: tensor.from_numpy(arrays[name]) for name in own}
            if _RANDOM in arrays:
                for stream in (self._random_key(), self._stream):  # this thread's, the trainer's
                    if stream is not None:
                        stream.copy_from_numpy(arrays[_RANDOM])
            for owner, each in training.states.items():
                optimizers[owner].set_states(each, self._names())
            taken = {f"{owner}/{n}" for owner, each in training.states.items() for n in each}
            live = states | stored.states(optimizers, self._names())
            for name, array in placed.items():
                if name in states or name in taken:
                    live[name].assign(array)
        training.warn()
        return found

    def _reader(self, fpath: str | os.PathLike[str]) -> checkpoint.Reader | parts.Reader:
        states = self.get_states()
        params: dict[str, Tensor] = {
            f"{owner}/{name}": p
            for owner in self.optimizers()
            for name, p in self.get_params().items()
        }

        def place(name: str, kind: checkpoint.Kind) -> Place | None:
            if name in states:
                return states[name]._data.sharding
            of = name.rpartition(":")[0]
            param = None if kind.dtype.kind in "iu" else params.get(of)  # not the turns
            return None if param is None else as_parameter(kind.shape, param._data)

        return parts.opened(fpath, place)

    def _names(self) -> dict[Tensor, str]:
        return {t: name for name, t in self.get_params().items()}

    def _random_key(self) -> Tensor:
        """The random stream of this thread on the model's device, which is its first Tensor's."""
        first = None if self._first is None else self._first()
        if first is None:  # looked for once: each eager step asks
            first = next((tensor for _, tensor, _ in self._tensors()), None)
            self._first = None if first is None else ref(first)
        return random_key(get_default_device() if first is None else first.device)

    def _training_states(self, stream: Tensor | None = None) -> dict[str, Tensor]:
        states = {_RANDOM: self._random_key() if stream is None else stream}
        return states | stored.states(self.optimizers(), self._names())

    def _expect_training_states(self, reader: checkpoint.Reader | parts.Reader) -> None:
        """Check that the file's training states fit this model, before they are read."""
        found = {
            name: (kind.shape, kind.dtype)
            for name, kind in reader.named(checkpoint.TRAINING).items()
        }
        wanted = stored.acceptable(found, self.optimizers(), self._names())
        if _RANDOM in found:
            wanted[_RANDOM] = (2,), np.dtype(np.uint32)
        reader.expect(checkpoint.TRAINING, wanted)


_RANDOM = "random_key"


def _values(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: t.to_numpy() for name, t in tensors.items()}


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arrays on meshes as they are, which all processes have; others as NumPy's."""
    return {n: t.to_numpy() if t.device.mesh is None else t._data for n, t in tensors.items()}


def _flat(prefix: str, values: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The elements of (nested) dicts, lists and tuples, by their paths."""
    for key, value in values.items():
        if isinstance(value, (list, tuple)):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value

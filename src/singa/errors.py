"""The package's own exceptions.

Each derives from :class:`SingaError` and from the built-in that a Python user would catch, so
that ``except ValueError`` works as well as ``except singa.errors.ShapeError``.
"""

from __future__ import annotations

import os
import sys
import warnings
from types import FrameType

__all__ = [
    "ArgumentError", "BoundsError", "CaptureError", "CheckpointError", "CheckpointWarning",
    "DTypeError", "DataError", "DependencyError", "DeviceError", "DistributedError",
    "FormatWarning", "GradientError", "MeshWarning", "NumericalError", "RecompilationWarning",
    "ReportError", "ShapeError", "SingaError", "SlowPrecisionWarning", "TrainingWarning",
    "WorkerError",
]  # fmt: skip


class SingaError(Exception):
    """Base of every exception that this package raises on purpose."""


class ShapeError(SingaError, ValueError):
    """Shapes that do not fit an operation, a layer or a Tensor.

    Example:
        >>> Tensor((2, 3)) + Tensor((2, 4))
        Traceback (most recent call last):
            ...
        singa.errors.ShapeError: Add: shapes (2, 3) and (2, 4) do not broadcast together: ...
    """


class DTypeError(SingaError, TypeError):
    """A data type that an operation cannot work with, or an argument of the wrong type.

    Example:
        >>> layer.Linear("ten")
        Traceback (most recent call last):
            ...
        singa.errors.DTypeError: Linear: out_features must be an integer, got 'ten'
    """


class ArgumentError(SingaError, ValueError):
    """An argument outside of what the callee accepts.

    Example:
        >>> opt.SGD(-0.1)
        Traceback (most recent call last):
            ...
        singa.errors.ArgumentError: SGD: lr must be at least 0, got -0.1
    """


class BoundsError(SingaError, IndexError):
    """An index beyond the end of an axis.

    Example:
        >>> Tensor((3,))[5]
        Traceback (most recent call last):
            ...
        singa.errors.BoundsError: Tensor[...]: index 5 is out of bounds for axis 0 of size 3
    """


class DeviceError(SingaError, RuntimeError):
    """A device that does not exist here, or Tensors on different devices."""


class DistributedError(SingaError, RuntimeError):
    """Ranks that cannot connect, have failed, or disagree on values that must be the same."""


class GradientError(SingaError, RuntimeError):
    """A backward pass that cannot be done: nothing recorded, a missing or misshapen gradient.

    Example:
        >>> list(autograd.backward(Tensor((2,))))
        Traceback (most recent call last):
            ...
        singa.errors.GradientError: backward: nothing was recorded for this Tensor: ...
    """


class NumericalError(SingaError, ArithmeticError):
    """A NaN or an infinity, found by :func:`singa.autograd.detect_anomaly`.

    Example:
        >>> autograd.training = True
        >>> with autograd.detect_anomaly():
        ...     autograd.log(Tensor(data=[-1.0]))
        Traceback (most recent call last):
            ...
        singa.errors.NumericalError: detect_anomaly: the first NaN or infinity was made in ...
    """


class CaptureError(SingaError, RuntimeError):
    """Something that a step compiled into one program cannot do, such as reading a value.

    Example:
        >>> class Peeks(model.Model):
        ...     def forward(self, x):
        ...         return x * x.to_numpy()
        >>> Peeks().compile([Tensor((2,))], use_graph=True)
        Traceback (most recent call last):
            ...
        singa.errors.CaptureError: to_numpy: this Tensor has no value yet: its step is being ...
    """


class ReportError(SingaError, RuntimeError):
    """A report about a step that has not run, was not compiled, or cannot be timed now.

    Example:
        >>> model.Model().memory_report()
        Traceback (most recent call last):
            ...
        singa.errors.ReportError: memory_report: no step has been compiled yet: compile the ...
    """


class CheckpointError(SingaError, ValueError):
    """A checkpoint that is damaged, unsafe, of another format, or of another model.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("no.zip").write_text("not a checkpoint")
        >>> checkpoint.Reader("no.zip")
        Traceback (most recent call last):
            ...
        singa.errors.CheckpointError: no.zip: damaged or cut short: File is not a zip file
    """


class DataError(SingaError, ValueError):
    """A data file that is missing, damaged or not of the expected format.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("no.idx").write_text("not an IDX file")
        >>> data.read_idx("no.idx")
        Traceback (most recent call last):
            ...
        singa.errors.DataError: no.idx: not an IDX file, it begins with the bytes '6e 6f 74 20'
    """


class FormatError(SingaError, ValueError):
    """A model file of another library that is damaged, or has what cannot be read here."""


class WorkerError(SingaError, RuntimeError):
    """A process that makes batches has died, or raised an exception that cannot be raised here."""


class DependencyError(SingaError, ImportError):
    """An optional package that is needed and not installed."""


class CheckpointWarning(UserWarning):
    """A part of a checkpoint was ignored: the optimizer here keeps no such state."""


class FormatWarning(UserWarning):
    """A model file of another library that other tools would refuse; its meaning is plain."""


class MeshWarning(UserWarning):
    """A batch that cannot be split over a mesh: each of the devices computes all of it."""


class RecompilationWarning(UserWarning):
    """A step that is compiled again and again, and so runs slower than it would eagerly."""


class SlowPrecisionWarning(UserWarning):
    """A short type that saves no time on this processor."""


class TrainingWarning(UserWarning):
    """A first step in training that has changed no parameter: the optimizer was not called."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the user's code that led here: not in this package, nor in jax."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_ours_or_jaxs(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def users_line() -> str:
    """The line of the user's code that led here: not in this package, nor in jax."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours_or_jaxs(frame):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


_PACKAGE = os.path.dirname(__file__) + os.sep


def _is_ours_or_jaxs(frame: FrameType) -> bool:
    # jax traces our steps: its frames are between ours.
    return frame.f_code.co_filename.startswith(_PACKAGE) or (
        frame.f_globals.get("__name__", "").partition(".")[0] == "jax"
    )

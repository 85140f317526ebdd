"""The package's own exceptions.

Each derives from :class:`SingaError` and from the built-in that a Python person would catch, so
that ``except ValueError`` works as well as ``except singa.errors.ShapeError``.
"""

from __future__ import annotations

import os
import sys
import warnings


class SingaError(Exception):
    """Base of every exception that this package raises on purpose."""


class ShapeError(SingaError, ValueError):
    """Shapes that do not fit an operation, a layer or a Tensor."""


class DTypeError(SingaError, TypeError):
    """A data type that an operation cannot work with, or an argument of the wrong type."""


class ArgumentError(SingaError, ValueError):
    """An argument outside of what the callee accepts."""


class BoundsError(SingaError, IndexError):
    """An index beyond the end of an axis."""


class DeviceError(SingaError, RuntimeError):
    """A device that does not exist here, or Tensors on different devices."""


class GradientError(SingaError, RuntimeError):
    """A backward pass that cannot be done: nothing recorded, a missing or misshapen gradient."""


class NumericalError(SingaError, ArithmeticError):
    """A NaN or an infinity, where :func:`singa.autograd.detect_anomaly` looks for them."""


class CaptureError(SingaError, RuntimeError):
    """Something that a step compiled into one program cannot do, such as reading a value."""


class ReportError(SingaError, RuntimeError):
    """A report about a step that has not run, was not compiled, or cannot be timed now."""


class CheckpointError(SingaError, ValueError):
    """A checkpoint that is damaged, foreign, unsafe, or of another model."""


class DataError(SingaError, ValueError):
    """A data file that is missing, damaged or not of the expected format."""


class WorkerError(SingaError, RuntimeError):
    """A process that makes batches has died, or raised what cannot be raised here."""


class DependencyError(SingaError, ImportError):
    """An optional package that is asked for and not installed."""


class RecompilationWarning(UserWarning):
    """A step that is compiled again and again, and so runs slower than it would eagerly."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the caller's code that led here: the nearest one outside this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def users_line() -> str:
    """The line of the caller's code that led here: the nearest one outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


_PACKAGE = os.path.dirname(__file__) + os.sep

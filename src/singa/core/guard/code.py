"""Whose code something is, and which globals it reads."""

from __future__ import annotations

import dis
import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

_LIBRARY = tuple(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))
_FIXED = {"singa", "jax", "jaxlib", "numpy", "ml_dtypes", *sys.stdlib_module_names} - {"__main__"}

_ASSIGNING = ("STORE_GLOBAL", "DELETE_GLOBAL")


@cache
def is_users(module: str | None, installed: bool = False) -> bool:
    """Whether a module is the user's own code, and not of an installed package.

    Args:
        module: its name.
        installed: whether to include other installed packages, but not this library, Python's
            own modules, jax and NumPy.
    """
    if module is None:
        return False
    top = module.partition(".")[0]
    if top in _FIXED:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return installed or file is None or not any(map(Path(file).is_relative_to, _LIBRARY))


def is_ours(module: str) -> bool:
    """Whether a module is one of this package."""
    return module.partition(".")[0] == "singa"


@cache
def global_names(code: CodeType) -> frozenset[str]:
    """The globals that code reads, including those of the functions inside it."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return frozenset(own.union(*map(global_names, _inner(code))))


@cache
def assigned_names(code: CodeType) -> frozenset[str]:
    """The globals that code assigns or deletes, including those of the functions inside it."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname in _ASSIGNING}
    return frozenset(own.union(*map(assigned_names, _inner(code))))


@cache
def imported_names(code: CodeType) -> frozenset[str]:
    """The modules that code imports, including those of the functions inside it."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname == "IMPORT_NAME"}
    return frozenset(own.union(*map(imported_names, _inner(code))))


@cache
def all_names(code: CodeType) -> frozenset[str]:
    """The globals and attributes that code names, including those of the functions inside it."""
    return frozenset({*code.co_names}.union(*map(all_names, _inner(code))))


def _inner(code: CodeType) -> list[CodeType]:
    return [const for const in code.co_consts if isinstance(const, CodeType)]


def functions_of(value: Any) -> list[Any]:
    """The functions that an attribute of a class consists of."""
    if isinstance(value, property):
        return [f for f in (value.fget, value.fset, value.fdel) if f is not None]
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    return [users_function(value)] if isinstance(value, FunctionType) else []


def users_function(function: FunctionType) -> Any:
    """The function itself, or the user's method around which this package has put something."""
    is_around = is_ours(function.__globals__.get("__name__", "")) and "__wrapped__" in vars(
        function
    )
    return function.__wrapped__ if is_around else function  # type: ignore[attr-defined]


def is_data(name: str, value: Any) -> bool:
    """Whether an attribute of a class is neither a method nor one that Python itself uses."""
    if name[:2] == "__" or name == "_abc_impl" or functions_of(value):
        return False
    return not hasattr(type(value), "__get__")

"""Everything public has a docstring, with its shapes and an example that runs.

Examples can use ``np``, ``jax``, ``jnp``, ``Tensor``, the modules of ``FACES``, and the names of
their own module. Each docstring begins in an empty folder, with the random stream seeded with 0 and
``autograd.training`` off. Arrays are shown with four digits.
"""

import ast
import doctest
import inspect
import re
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd, device
from singa.layer import Layer
from singa.tape import Operation
from singa.tensor import Tensor

FACES = {
    name: import_module(f"singa.{name}")
    for name in (
        "autograd", "tensor", "linalg", "special", "random", "distributions", "layer", "opt",
        "metric", "initializer", "model", "data", "device", "image_tool", "train", "board", "graph",
        "report", "checkpoint", "weights", "errors", "fft", "singa_wrap", "sonnx",
    )
}  # fmt: skip
"""What users import from."""

NAMES = {"np": np, "jax": jax, "jnp": jnp, "Tensor": Tensor, **FACES}

SHAPES = re.compile(
    r"shape|scalar|broadcast|element by element|(each|every) element|in place|itself|see :func:"
    r"|\((\.\.\.|[\w*]+),[^()]*(?<!\d{4})\)",  # (N, C, H, W) and (N,), but not (Misra, 2019)
    re.IGNORECASE,
)
"""How a docstring may say of which shapes its Tensors are."""


def _exported(face):
    """The public names of a module: its ``__all__``, or what it defines or imports ``as`` such."""
    if hasattr(face, "__all__"):
        return face.__all__
    names = {name for name, item in vars(face).items() if _module(item) == face.__name__}
    for node in ast.walk(ast.parse(inspect.getsource(face))):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names if alias.asname == alias.name}
    return sorted(name for name in names if not name.startswith("_"))


def _module(item):
    return getattr(item, "__module__", None) or ""


def _public():
    """All functions and classes of the faces, by the module that defines them and by name."""
    found = {}
    for face in FACES.values():
        for name in _exported(face):
            item = getattr(face, name)
            if callable(item) and _module(item).startswith("singa."):
                found.setdefault(_module(item), {})[item.__name__] = item
    return {module: found[module] for module in sorted(found)}


PUBLIC = _public()


def _is_operation(item):
    return inspect.isclass(item) and issubclass(item, Operation) and item is not Operation


def _members(cls):
    """The public methods and properties of a class, each with its name and its docstring.

    A method may leave its docstring to the class above. Those of operations are not for users.
    """
    if not inspect.isclass(cls) or _is_operation(cls):
        return
    for name, member in inspect.getmembers(cls):
        function = member.fget if isinstance(member, property) else member
        ours = inspect.isroutine(function) and _module(function).startswith("singa.")
        if ours and not name.startswith("_"):
            yield f"{cls.__name__}.{name}", member, inspect.getdoc(member) or ""


def _faults(item, neighbours):
    doc = inspect.getdoc(item) if inspect.isroutine(item) else item.__doc__
    by_function = _is_operation(item) and any(
        inspect.isfunction(function) and item.__name__ in function.__code__.co_names
        for function in neighbours
    )
    is_error = inspect.isclass(item) and issubclass(item, Exception)
    with_shapes = issubclass(item, Layer) if inspect.isclass(item) else _of_tensors(item)
    yield from _missing(item.__name__, doc, not by_function and not is_error, with_shapes)
    for name, member, doc in _members(item):
        by_example = item is Tensor and not isinstance(member, property)
        yield from _missing(name, doc, by_example, by_example and _of_tensors(member))


def _of_tensors(function):
    types = getattr(function, "__annotations__", {})
    return any("Tensor" in str(type) for type in types.values())


def _missing(name, doc, example, shapes):
    if not doc:
        yield f"{name} has no docstring"
        return
    if example and ">>>" not in doc:
        yield f"{name} has no example"
    if shapes and not SHAPES.search(doc.partition(">>>")[0]):
        yield f"{name} says nothing of shapes"


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_documented_with_shapes_and_an_example(module):
    items = PUBLIC[module].values()
    faults = [fault for item in items for fault in _faults(item, items)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("module", PUBLIC)
def test_examples_run(module, monkeypatch, tmp_path):
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards
    docs = {}
    for name, item in PUBLIC[module].items():
        docs[inspect.getdoc(item) or ""] = name
        docs |= {doc: name for name, _, doc in _members(item)}
    names = vars(import_module(module)) | NAMES
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report = []
    with np.printoptions(precision=4, suppress=True):
        for number, (doc, name) in enumerate(docs.items()):
            folder = tmp_path / str(number)
            folder.mkdir()
            monkeypatch.chdir(folder)
            example = doctest.DocTestParser().get_doctest(doc, dict(names), name, module, 0)
            autograd.training = False
            device.get_default_device().set_rand_seed(0)
            runner.run(example, out=report.append)
    assert not runner.failures, "".join(report)

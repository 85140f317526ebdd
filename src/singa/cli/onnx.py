"""``singa onnx``: look into ONNX files, run them, compare them with onnxruntime, and write them."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import typer

from singa.cli.app import (
    CheckpointArgument,
    DeviceOption,
    JsonOption,
    app,
    columns,
    examples,
    misuse,
    place,
    print_json,
)
from singa.cli.task import Task
from singa.core.tensor import Tensor
from singa.errors import DependencyError

onnx = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="ONNX files: what is in them, what they compute, and models as such files.",
)
app.add_typer(onnx, name="onnx")

FileArgument: TypeAlias = Annotated[
    Path, typer.Argument(help="An ONNX file.", exists=True, dir_okay=False)
]
SizeOption: TypeAlias = Annotated[
    int, typer.Option(min=1, help="The size of axes that the file does not say.")
]
BelowOption: TypeAlias = Annotated[
    int, typer.Option(min=1, help="Random integers are less than this.")
]


def _sonnx() -> Any:
    """The package, which is imported by the commands that need it: it needs the package onnx."""
    return import_module("singa.sonnx")


@onnx.command(epilog=examples("singa onnx info model.onnx", "singa onnx info model.onnx --json"))
def info(file: FileArgument, as_json: JsonOption = False) -> None:
    """Show inputs, outputs, parameters, operators, and those that are not here."""
    sonnx = _sonnx()
    graph = sonnx.reading.read(file)
    roles = sonnx.roles.roles_of(graph)
    kinds = Counter(f"{n.domain}.{n.kind}".lstrip(".") for n in graph.all_nodes())
    missing = [str(node) for node in sonnx.running.missing_operators(graph)]
    sizes = {name: int(array.size) for name, array in roles.parameters.items()}
    versions = {node.domain or "ai.onnx": node.version for node in graph.all_nodes()}
    if as_json:
        values = {
            what: [{"name": v.name, "type": str(v.dtype), "shape": v.shape} for v in found]
            for what, found in (("inputs", graph.inputs), ("outputs", graph.outputs))
        }
        numbers = {"parameters": sum(sizes.values()), "operators": kinds, "missing": missing}
        print_json({"name": graph.name, "opsets": versions, **values, **numbers})
        return
    rows = [
        [what, v.name, f"{v.dtype or '?'}{_shape(v.shape)}"]
        for what, found in (("input", graph.inputs), ("output", graph.outputs))
        for v in found
    ]
    typer.echo(columns(rows, left=3))
    typer.echo(f"\n{sum(sizes.values()):,} parameters in {len(sizes)} tensors")
    opsets = ", ".join(f"{domain} {version}" for domain, version in versions.items())
    typer.echo(f"{len(graph.nodes)} nodes of the operators {opsets}\n")
    typer.echo(columns([[kind, str(count)] for kind, count in kinds.most_common()]))
    if missing:
        typer.echo(f"\nnot here: {', '.join(missing)}")


def _shape(shape: Any) -> str:
    return "" if shape is None else str([size if size is not None else "?" for size in shape])


@onnx.command(
    epilog=examples(
        "singa onnx run model.onnx",
        "singa onnx run model.onnx --inputs batch.npz --outputs predictions.npz",
    )
)
def run(
    file: FileArgument,
    inputs: Annotated[
        Path | None, typer.Option(help="Arrays by the inputs' names, .npz. [default: random]")
    ] = None,
    outputs: Annotated[Path | None, typer.Option(help="Where to write the results, .npz.")] = None,
    size: SizeOption = 1,
    below: BelowOption = 2,
    device_name: DeviceOption = "cpu",
) -> None:
    """Run a file, and show the shapes and the ranges of its results."""
    model = _sonnx().SONNXModel(file, place(device_name))
    arrays = _arrays(model, inputs, size, below)
    found = _results(model, arrays)
    rows = []
    for name, y in found.items():
        is_ranged = isinstance(y, np.ndarray) and y.size and y.dtype.kind in "biuf"
        ends = f"{y.min():.6g} to {y.max():.6g}" if is_ranged else ""
        rows.append([name, _what(y), ends])
    typer.echo(columns(rows, left=3))
    if outputs is not None:
        np.savez(outputs, **found)


@onnx.command(epilog=examples("singa onnx check model.onnx"))
def check(
    file: FileArgument,
    inputs: Annotated[
        Path | None, typer.Option(help="Arrays by the inputs' names, .npz. [default: random]")
    ] = None,
    size: SizeOption = 1,
    below: BelowOption = 2,
    tolerance: Annotated[float, typer.Option(min=0, help="The largest difference.")] = 1e-3,
) -> None:
    """Compare what a file computes here with what onnxruntime computes; exit with 1 if it differs.

    The difference is that of the largest elements, in units of the largest one. Inputs that the
    model is not made for may make rounding large: give some with --inputs, or integers --below.
    """
    try:
        runtime = import_module("onnxruntime")
    except ImportError:
        raise DependencyError(
            "singa onnx check needs onnxruntime: pip install onnxruntime"
        ) from None
    model = _sonnx().SONNXModel(file)
    arrays = _arrays(model, inputs, size, below)
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    expected = session.run(None, arrays)
    rows, is_equal = [], True
    for (name, y), e in zip(_results(model, arrays).items(), expected, strict=True):
        difference = _difference(y, e)
        is_equal &= difference <= tolerance and getattr(y, "dtype", None) == getattr(
            e, "dtype", None
        )
        rows.append([name, _what(y), f"difference {difference:.1e}"])
    typer.echo(columns(rows, left=3))
    if not is_equal:
        typer.echo(f"the results differ, by more than {tolerance:g}", err=True)
        raise typer.Exit(1)


@onnx.command(epilog=examples("singa onnx export runs/cnn/best.zip cnn.onnx"))
def export(
    checkpoint: CheckpointArgument,
    file: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    opset: Annotated[int | None, typer.Option(help="[default: the lowest that it needs]")] = None,
    training: Annotated[bool, typer.Option("--training", help="Keep dropout in it.")] = False,
) -> None:
    """Write the model of a checkpoint as an ONNX file, whose axis of batches has any size."""
    checkpoint = Task.file(checkpoint)
    task = Task.read(checkpoint)
    model = task.load(checkpoint, place("cpu"))
    example = Tensor(data=np.zeros((2, *task.shape), np.float32))
    model.export(file, [example], opset=opset, dynamic=("batch",), training=training)
    typer.echo(f"wrote {file}")


def _arrays(model: Any, inputs: Path | None, size: int, below: int) -> dict[str, Any]:
    """The inputs of a model: from a file, or random ones."""
    wanted = model.onnx_graph.inputs
    if inputs is not None:
        with np.load(inputs, allow_pickle=False) as found:
            if missing := [v.name for v in wanted if v.name not in found]:
                raise misuse("--inputs", f"{inputs} does not have {', '.join(missing)}")
            return {v.name: found[v.name] for v in wanted}
    rng = np.random.default_rng(0)
    arrays = {}
    for value in wanted:
        if value.dtype is None or value.shape is None:
            raise misuse("--inputs", f"the file does not say what {value.name} is; give it")
        shape = [each if isinstance(each, int) and each else size for each in value.shape]
        is_float = value.dtype.kind in "fV"
        drawn = rng.normal(size=shape) if is_float else rng.integers(0, below, shape)
        arrays[value.name] = drawn.astype(value.dtype)
    return arrays


def _results(model: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    """The outputs by name: arrays, or lists of what classifiers give."""
    model.eval()
    names = [each.name for each in model.onnx_graph.outputs]
    ys = model.forward(*arrays.values())
    return {name: _plain(y) for name, y in zip(names, ys, strict=True)}


def _plain(y: Any) -> Any:
    if isinstance(y, dict):
        return {key: _plain(value) for key, value in y.items()}
    return [*map(_plain, y)] if isinstance(y, list) else np.asarray(y)


def _what(y: Any) -> str:
    """The type and the shape of a result."""
    return f"list of {len(y)}" if isinstance(y, list) else f"{y.dtype}{_shape(y.shape)}"


def _difference(y: Any, e: Any) -> float:
    """The largest difference, in units of the largest element; infinite if they are not alike."""
    if isinstance(e, dict) and isinstance(y, dict) and y.keys() == e.keys():
        return max((_difference(y[key], e[key]) for key in e), default=0.0)
    if isinstance(e, list) and isinstance(y, list) and len(y) == len(e):
        return max(map(_difference, y, e), default=0.0)
    if isinstance(e, (list, dict)) or isinstance(y, (list, dict)):
        return np.inf
    y, e = np.asarray(y), np.asarray(e)
    if y.shape != e.shape or y.dtype.kind != e.dtype.kind:
        return np.inf
    if e.dtype.kind in "OSU":
        return 0.0 if (y == e).all() else np.inf
    y, e = y.astype(np.float64), e.astype(np.float64)
    off = np.abs(np.where((y == e) | (np.isnan(y) & np.isnan(e)), 0, y - e)).max(initial=0)
    found = off / max(float(np.abs(e).max(initial=0)), 1e-30)
    return np.inf if np.isnan(found) else float(found)

"""What no training step goes below: its convolutions and matrix products, and nothing else.

They are done by PyTorch: convolutions by oneDNN on images in channels-last order, products by
oneDNN or a BLAS, whichever is faster at it; on a GPU by cuDNN and cuBLAS. A library with better
kernels than theirs can be below this limit.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.contenders import Step
from benchmarks.contenders.pytorch import prepared, use_channels_last
from benchmarks.workloads import Workload

aten = torch.ops.aten
WHOLE = {aten.convolution.default, aten.convolution_backward.default, aten.bmm.default}


class Recorder(TorchDispatchMode):
    """Notes every convolution and product that runs under it, with its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Callable[[], Any]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in WHOLE:
            self.calls.append(lambda: function(*args))
        elif function in (aten.mm.default, aten.addmm.default):
            self.calls.append(_product(*args[-2:]))  # without the bias
        return function(*args, **(kwargs or {}))


def alone(workload: Workload, device: str) -> Step:
    model, x, t = prepared(workload, device)
    if workload.has_images:
        model, x = use_channels_last(model, x)
    if hasattr(workload.code, "PRODUCTS"):
        # Those of one shape share their factors, as the steps of a sequence share the weights.
        shapes = workload.code.PRODUCTS
        made = {shape: _random_product(*shape, device) for shape in set(shapes)}
        calls = [made[shape] for shape in shapes]
    else:
        # Attention in one piece would hide its products.
        with Recorder() as recorder, sdpa_kernel(SDPBackend.MATH):
            torch.nn.functional.cross_entropy(model(x), t).backward()
        calls = recorder.calls

    def step() -> float:
        with torch.no_grad():
            for call in calls:
                call()
        if device == "cuda":
            torch.cuda.synchronize()
        return 0.0

    return step


def _random_product(rows: int, inner: int, columns: int, device: str) -> Callable[[], Any]:
    return _product(
        torch.rand(rows, inner, device=device), torch.rand(inner, columns, device=device)
    )


def _product(a: torch.Tensor, b: torch.Tensor) -> Callable[[], Any]:
    """The faster of two ways to the matrix product."""
    ways: list[Callable[[], Any]] = [partial(torch.mm, a, b)]
    if a.device.type == "cpu" and torch.backends.mkldnn.is_available():
        # The second factor is put into the order that oneDNN likes best; that is not counted.
        packed = torch.ops.mkldnn._reorder_linear_weight(b.T.contiguous(), len(a))
        one_dnn = torch.ops.mkldnn._linear_pointwise
        ways.append(partial(one_dnn, a, packed, None, "none", [], ""))

    def seconds(way: Callable[[], Any]) -> float:
        with torch.no_grad():
            return min(timeit.repeat(way, number=1, repeat=10))

    return min(ways, key=seconds)

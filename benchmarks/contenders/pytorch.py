"""PyTorch as its users write it: torch.nn modules, torch.optim and torch.autocast."""

from __future__ import annotations

import torch

from benchmarks.contenders import (
    ADAMW_DECAY,
    ADAMW_LR,
    DECAY,
    LR,
    MOMENTUM,
    THREADS,
    Step,
)
from benchmarks.workloads import Workload


def eager(workload: Workload, device: str) -> Step:
    return step_of(workload, *prepared(workload, device))


def channels_last(workload: Workload, device: str) -> Step:
    model, x, t = prepared(workload, device)
    return step_of(workload, *use_channels_last(model, x), t)


def compiled(workload: Workload, device: str) -> Step:
    model, x, t = prepared(workload, device)
    return step_of(workload, torch.compile(model), x, t)


def cuda_graph(workload: Workload, device: str) -> Step:
    """The whole step recorded once and replayed, which spares it all of Python's time."""
    model, x, t = prepared(workload, device)
    optimizer = _optimizer(workload, model, capturable=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = _loss(workload, model, x, t)
        loss.backward()
        optimizer.step()
        return loss.detach()

    # As PyTorch's documentation has it: a few steps on another stream before the recording ...
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    # ... which are undone here, in place, so that training starts where everybody else's does.
    model.load_state_dict(before)
    for kept in optimizer.state.values():
        for value in kept.values():
            value.zero_()

    def run() -> float:
        graph.replay()
        return loss.item()

    return run


def prepared(workload: Workload, device: str) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """The model with the workload's parameters, and the batch."""
    torch.set_num_threads(THREADS)
    if device == "cuda":
        # Matrix products in TF32, as jax has them; convolutions are in both by default.
        torch.set_float32_matmul_precision("high")
    model = workload.code.in_torch()
    own = dict(model.named_parameters())
    assert own.keys() == workload.params.keys(), own.keys() ^ workload.params.keys()
    with torch.no_grad():
        for name, value in workload.params.items():
            is_matrix = value.ndim == 2 and not workload.is_table(name)
            own[name].copy_(torch.from_numpy(value.T if is_matrix else value))
    x, t = torch.from_numpy(workload.x), torch.from_numpy(workload.t).long()
    x = x.long() if workload.has_ids else x
    return model.to(device).train(), x.to(device), t.to(device)


def use_channels_last(
    model: torch.nn.Module, x: torch.Tensor
) -> tuple[torch.nn.Module, torch.Tensor]:
    return model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)


def _optimizer(
    workload: Workload, model: torch.nn.Module, capturable: bool = False
) -> torch.optim.Optimizer:
    if workload.has_ids:
        return torch.optim.AdamW(
            model.parameters(), ADAMW_LR, weight_decay=ADAMW_DECAY, capturable=capturable
        )
    return torch.optim.SGD(model.parameters(), LR, momentum=MOMENTUM, weight_decay=DECAY)


def _loss(
    workload: Workload, model: torch.nn.Module, x: torch.Tensor, t: torch.Tensor
) -> torch.Tensor:
    mixed = workload.precision != "float32"
    with torch.autocast(x.device.type, torch.bfloat16, enabled=mixed):
        return torch.nn.functional.cross_entropy(model(x), t)


def step_of(workload: Workload, model: torch.nn.Module, x: torch.Tensor, t: torch.Tensor) -> Step:
    """The training step of a prepared model."""
    """The training step of a prepared model."""
    optimizer = _optimizer(workload, model)

    def step() -> float:
        optimizer.zero_grad()
        loss = _loss(workload, model, x, t)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step

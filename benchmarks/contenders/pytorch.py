"""PyTorch as its users write it: torch.nn modules and torch.optim.SGD."""

from __future__ import annotations

import torch

from benchmarks.contenders import DECAY, LR, MOMENTUM, THREADS, Step
from benchmarks.workloads import Workload


def eager(workload: Workload, device: str) -> Step:
    return _step(*prepared(workload, device))


def channels_last(workload: Workload, device: str) -> Step:
    model, x, t = prepared(workload, device)
    return _step(*use_channels_last(model, x), t)


def compiled(workload: Workload, device: str) -> Step:
    model, x, t = prepared(workload, device)
    return _step(torch.compile(model), x, t)


def cuda_graph(workload: Workload, device: str) -> Step:
    """The whole step recorded once and replayed, which spares it all of Python's time."""
    model, x, t = prepared(workload, device)
    sgd = torch.optim.SGD(model.parameters(), LR, momentum=MOMENTUM, weight_decay=DECAY)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def step() -> torch.Tensor:
        sgd.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), t)
        loss.backward()
        sgd.step()
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
    for kept in sgd.state.values():
        kept["momentum_buffer"].zero_()

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
            own[name].copy_(torch.from_numpy(value.T if value.ndim == 2 else value))
    x, t = torch.from_numpy(workload.x), torch.from_numpy(workload.t).long()
    return model.to(device).train(), x.to(device), t.to(device)


def use_channels_last(
    model: torch.nn.Module, x: torch.Tensor
) -> tuple[torch.nn.Module, torch.Tensor]:
    return model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)


def _step(model: torch.nn.Module, x: torch.Tensor, t: torch.Tensor) -> Step:
    sgd = torch.optim.SGD(model.parameters(), LR, momentum=MOMENTUM, weight_decay=DECAY)

    def step() -> float:
        sgd.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), t)
        loss.backward()
        sgd.step()
        return loss.item()

    return step

"""This library: the same model compiled and eager."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.contenders import ADAMW_DECAY, ADAMW_LR, DECAY, LR, MOMENTUM, Step
from benchmarks.workloads import Workload
from singa import autograd, model, opt
from singa.device import Device, device_named
from singa.tensor import Tensor


class Trained(model.Model):
    """Base of the models here; they define ``forward``."""

    def train_one_batch(self, x: Tensor, t: Tensor) -> Tensor:
        loss = autograd.softmax_cross_entropy(self.forward(x), t)
        self.optimizer(loss)
        return loss


def compiled(
    workload: Workload,
    device: str | Device,
    use_graph: bool = True,
    wrap: Callable[[opt.Optimizer], opt.Optimizer | opt.DistOpt] = lambda optimizer: optimizer,
) -> Step:
    net, x, t = prepared(workload, device, use_graph)
    net.optimizer = wrap(net.optimizer)
    return lambda: float(net(x, t))


def prepared(
    workload: Workload, device: str | Device, use_graph: bool = True
) -> tuple[Trained, Tensor, Tensor]:
    """The model with the workload's parameters and its optimizer, and the batch."""
    place = device_named(device) if isinstance(device, str) else device
    x, t = Tensor(data=workload.x, device=place), Tensor(data=workload.t, device=place)
    net = workload.code.in_singa()
    net.compile([x], use_graph=use_graph, precision=workload.precision)
    net.set_params({name: workload.params[_common(name)] for name in net.get_params()})
    assert len(net.get_params()) == len(workload.params)
    if workload.has_ids:
        net.optimizer = opt.AdamW(ADAMW_LR, weight_decay=ADAMW_DECAY)
    else:
        net.optimizer = opt.SGD(LR, momentum=MOMENTUM, weight_decay=DECAY)
    return net, x, t


eager = partial(compiled, use_graph=False)


def _common(name: str) -> str:
    """The name that the workload has for one of our parameters."""
    owner, _, own = name.rpartition(".")
    own = {"W": "weight", "scale": "weight", "b": "bias"}.get(own, own)
    return f"{owner}.{own}"

"""model.memory_report(): the memory of a compiled step."""

import dataclasses

import numpy as np
import pytest

from singa import layer, model, models, opt
from singa.errors import ReportError, SingaError
from singa.report.memory import readable
from singa.tensor import Tensor

X = np.linspace(-1, 1, 4 * 64, dtype=np.float32).reshape(4, 1, 8, 8)
Y = np.arange(4, dtype=np.int32)


def compiled(net, momentum=0.9, **options):
    net.set_optimizer(opt.SGD(0.1, momentum=momentum))
    net.compile([Tensor(data=X)], is_train=True, **options)
    return net


def batch():
    return Tensor(data=X), Tensor(data=Y)


def size(tensors):
    return sum(t.to_numpy().nbytes for t in tensors)


@pytest.mark.parametrize("make", [models.MLP, models.CNN])
def test_it_agrees_with_the_sizes_of_the_parameters_and_of_the_batch(make):
    net = compiled(make(), use_graph=True)
    net(*batch())
    net(*batch())

    report = net.memory_report()

    params = net.get_params()
    others = [t for name, t in net.get_states().items() if name not in params]
    assert report.parameters == size(params.values())
    # Also the step counter, the learning rate and the momentum, of 4 bytes each, and the turns.
    assert report.states == size(others) + report.parameters + 12 + 64 * 2 * 4
    assert report.arguments == X.nbytes + Y.nbytes
    assert report.donated >= size(params.values()) * 2  # parameters and their momentum
    assert report.results >= 4 * 10 * 4 + 4  # logits and loss
    assert report.scratch > 0
    inputs = report.parameters + report.states + report.constants + report.arguments
    assert report.peak == pytest.approx(inputs + report.results + report.scratch, rel=1e-3)
    assert report.device == "cpu"


def test_momentum_is_what_it_costs():
    reports = []
    for momentum in (0.0, 0.9):
        net = compiled(models.MLP(), momentum, use_graph=True)
        net(*batch())
        net(*batch())
        reports.append(net.memory_report())

    without, with_momentum = reports
    assert with_momentum.states - without.states == without.parameters + 4


def test_it_is_about_the_step_that_ran_last():
    net = compiled(models.MLP(), use_graph=True)
    net(*batch())
    net(*batch())
    training = net.memory_report()
    net.eval()
    net(Tensor(data=X))

    evaluation = net.memory_report()

    assert evaluation.parameters == training.parameters
    assert (evaluation.states, evaluation.donated) == (0, 0)
    assert evaluation.arguments == X.nbytes


def test_as_text_it_is_a_table():
    net = compiled(models.CNN(), use_graph=True)
    net(*batch())

    report = net.memory_report()
    text = str(report)

    assert text.startswith("Memory of one step on cpu\n")
    for field in dataclasses.fields(report):
        if not field.name.startswith("device"):
            assert readable(getattr(report, field.name)) in text, field.name
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.peak = 0


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1048575, "1.0 MiB"), (2**41, "2048.0 GiB")],
)
def test_sizes_are_readable(bytes_, text):
    assert readable(bytes_) == text


def test_a_step_without_tensors():
    class Twice(model.Model):
        def forward(self, x):
            return x + x

    net = Twice()
    net.compile([Tensor(data=X)], is_train=False, use_graph=True)
    net(Tensor(data=X))

    report = net.memory_report()

    assert (report.parameters, report.states, report.device) == (0, 0, "")
    assert report.arguments == report.results == X.nbytes
    assert str(report).startswith("Memory of one step\n")


@pytest.mark.parametrize("eager", [True, False])
def test_no_step_has_been_compiled(eager):
    net = compiled(models.MLP(), use_graph=not eager)
    if eager:
        net(*batch())
    with pytest.raises(ReportError, match=r"no step has been compiled yet.*call it once"):
        net.memory_report()
    with pytest.raises(SingaError):
        model.Model().memory_report()
    assert isinstance(ReportError("x"), RuntimeError)


def test_a_sequential_step_is_not_compiled():
    net = compiled(models.MLP(), use_graph=True, sequential=True)
    net(*batch())
    with pytest.raises(ReportError, match=r"one by one.*model.graph\(True\)"):
        net.memory_report()


def test_a_layer_has_no_memory_report():
    assert not hasattr(layer.Linear(3), "memory_report")

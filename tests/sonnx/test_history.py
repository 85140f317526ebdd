"""Tensors that were computed in training as ONNX models: ``to_onnx([x], [y])``, SINGA's form."""

import gc

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession

from singa import autograd, layer, opt, sonnx
from singa.errors import ArgumentError, FormatError
from singa.sonnx.history import history
from singa.tape import operation
from singa.tensor import Tensor

RNG = np.random.default_rng(0)

pytestmark = pytest.mark.usefixtures("recording")


def floats(*shape):
    return Tensor(data=RNG.normal(size=shape).astype(np.float32))


def outputs(made, *xs):
    onnx.checker.check_model(made, full_check=True)
    session = InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {each.name: x.to_numpy() for each, x in zip(made.graph.input, xs, strict=True)}
    return session.run(None, feeds)


def test_operations_since_the_inputs_are_written_with_the_present_parameters():
    x, linear, sgd = floats(2, 3), layer.Linear(4), opt.SGD(0.1)
    h = autograd.relu(x * 2)
    y = linear(h)
    sgd(autograd.mse_loss(y, floats(2, 4)))
    made = sonnx.to_onnx([x, (2, 4)], [y, h])
    assert [node.op_type for node in made.graph.node] == ["Mul", "Relu", "Gemm"]
    expected = np.maximum(2 * x.to_numpy(), 0)
    found = outputs(made, x)
    np.testing.assert_allclose(found[1], expected)
    np.testing.assert_allclose(
        found[0], expected @ linear.W.to_numpy() + linear.b.to_numpy(), rtol=1e-5, atol=1e-6
    )
    copied = sonnx.to_onnx([x], [autograd.relu(x.clone())])
    np.testing.assert_allclose(outputs(copied, x)[0], np.maximum(x.to_numpy(), 0))
    from_h = sonnx.to_onnx([h], y)  # an input may itself be a result
    assert [node.op_type for node in from_h.graph.node] == ["Gemm"]


def test_it_is_written_for_prediction():
    x, norm = floats(4, 3), layer.BatchNorm2d()
    y = autograd.dropout(norm(x), 0.5)
    made = sonnx.to_onnx([x], [y])
    assert [node.op_type for node in made.graph.node] == ["BatchNormalization"]
    autograd.training = False
    np.testing.assert_allclose(outputs(made, x)[0], norm(x).to_numpy(), rtol=1e-5, atol=1e-6)


def test_a_representation_in_graph_form_is_trained():
    x, t = floats(2, 3), floats(2, 1)
    rep = sonnx.prepare(sonnx.to_onnx([x], [layer.Linear(1)(x)]))
    rep.is_graph, sgd, losses = True, opt.SGD(0.1), []
    for _ in range(3):
        losses.append(autograd.mse_loss(rep.run([x])[0], t))
        for parameter, gradient in autograd.backward(losses[-1]):
            sgd.apply(parameter.name, parameter, gradient)
        sgd.step()
    assert losses[-1].item() < losses[0].item()
    (node, compute), *_ = rep.layers
    assert node.kind == "Gemm"
    assert compute(x, *rep.states.values())[0].shape == (2, 1)


def test_what_is_not_known_is_said():
    x = floats(2, 3)
    autograd.training = False
    y = autograd.relu(x)
    autograd.training = True
    with pytest.raises(ArgumentError, match=r"output 0 .*training = True"):
        sonnx.to_onnx([x], [y])
    with pytest.raises(ArgumentError, match="dynamic"):
        sonnx.to_onnx([x], [autograd.relu(x)], dynamic="batch")
    with pytest.raises(FormatError, match="input 1"):
        sonnx.to_onnx([x, floats(2)], [autograd.relu(x)])
    y = x.sum() * floats(200, 100)
    gc.collect()
    with pytest.raises(FormatError, match="no longer there"):
        sonnx.to_onnx([x], [y])


def test_nothing_is_kept_when_the_results_are_gone():
    x = floats(2, 3)
    gc.collect()
    before = len(history._made)
    y = autograd.exp(autograd.relu(x))
    assert len(history._made) == before + 1  # the one that y refers to
    del y
    gc.collect()
    assert len(history._made) == before


def test_calls_are_not_noted_unless_training_was_turned_on():
    noted = autograd.Operation.__call__
    autograd.training = False
    assert autograd.Operation.__call__ is operation._call
    x = Tensor(data=[1.0], stores_grad=True)
    with autograd.enable_grad():
        y = x * 2
    assert history.of(y) is None
    autograd.training = True
    assert autograd.Operation.__call__ is noted
    assert history.of(x * 2) is not None

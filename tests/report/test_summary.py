"""A model's summary, its text, and its HTML in a notebook."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from singa import layer, model, models, tensor
from singa.engine import native
from singa.errors import CaptureError, ReportError
from singa.tensor import Tensor


class Net(model.Model):
    """Layers in lists, one that is called twice, one that is never called, one made in the call."""

    def __init__(self):
        super().__init__()
        self.blocks = [layer.Sequential(layer.Linear(16), layer.ReLU()) for _ in range(2)]
        self.attention = layer.MultiHeadAttention(16, 2)
        self.unused = layer.Tanh()
        self.head = layer.Linear(3, bias=False)

    def forward(self, x):
        for block in [*self.blocks, self.blocks[1]]:
            x = block(x)
        x = layer.Identity()(self.attention(x)) @ Tensor((16, 16))
        return self.head(x)


def rows(summary):
    return {row.path: row for row in summary.rows}


def test_every_layer_has_a_row_and_columns_add_up():
    summary = Net().summary([Tensor((2, 5, 8))])
    found = rows(summary)
    assert list(found) == [
        "", "blocks.0", "blocks.0.0", "blocks.0.1", "blocks.1", "blocks.1.0", "blocks.1.1",
        "attention", "attention.out_proj", "unused", "head",
    ]  # fmt: skip
    assert [row.depth for row in summary.rows] == [0, 1, 2, 2, 1, 2, 2, 1, 2, 1, 1]
    assert found["blocks.1.0"].name == "0"
    assert found["blocks.1.0"].calls == 2
    assert found["unused"].calls == 0
    assert found["head"].outputs == [(2, 5, 3)]
    assert found["head"].parameters == 48
    assert summary.total("parameters") == 8 * 16 + 16 + 16 * 16 + 16 + 4 * (16 * 16 + 16) + 48
    assert summary.total("bytes") == 4 * summary.total("parameters")
    assert found["blocks.1.0"].output_bytes == 2 * 2 * 5 * 16 * 4


def test_multiply_adds_are_those_of_the_innermost_layer():
    found = rows(Net().summary([Tensor((2, 5, 8))]))
    work = {path: row.multiply_adds for path, row in found.items() if row.multiply_adds}
    assert work == {
        "": 10 * 16 * 16,
        "blocks.0.0": 10 * 8 * 16,
        "blocks.1.0": 2 * 10 * 16 * 16,
        "attention": 10 * 16 * 48 + 2 * (2 * 2 * 5 * 5 * 8),
        "attention.out_proj": 10 * 16 * 16,
        "head": 10 * 16 * 3,
    }


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize(
    ("make", "x", "work"),
    [
        (lambda: layer.Conv2d(6, 3, padding=1), (2, 4, 8, 8), 2 * 6 * 64 * 4 * 9),
        (lambda: layer.Conv2d(6, 3, padding=1, group=2), (2, 4, 8, 8), 2 * 6 * 64 * 2 * 9),
        (lambda: layer.Conv1d(6, 3), (2, 4, 8), 2 * 6 * 6 * 4 * 3),
        (lambda: layer.GRU(3, 4), (5, 2, 3), 5 * 2 * (3 + 4) * 12),
        (lambda: layer.Linear(7), (2, 5, 3), 2 * 5 * 3 * 7),
        (lambda: layer.ReLU(), (2, 5), 0),
    ],
    ids=["conv", "groups", "conv1d", "gru", "linear", "relu"],
)
def test_multiply_adds_by_hand(monkeypatch, kernels, make, x, work):
    if not kernels:
        monkeypatch.setattr(native, "handle", None)

    class Alone(model.Model):
        def __init__(self):
            super().__init__()
            self.inner = make()

        def forward(self, x):
            y = self.inner(x)
            return y[0] if isinstance(y, tuple) else y

    assert Alone().summary([Tensor(x)]).total("multiply_adds") == work


def test_the_inputs_of_compile_are_remembered_and_nothing_is_captured_anew():
    net = models.MLP()
    with pytest.raises(ReportError, match=r"compile the model, or call summary\(\[tx\]\)"):
        net.summary()
    net.compile([Tensor((4, 1, 8, 8))], is_train=False, use_graph=True)
    net(Tensor((4, 1, 8, 8)))
    net.linear1.freeze()
    net(Tensor((4, 1, 8, 8)))
    captures = net.captures
    summary = net.summary()
    net(Tensor((4, 1, 8, 8)))
    assert net.captures == captures
    assert summary.inputs == [(4, 1, 8, 8)]
    assert summary.total("frozen") == 6500


def test_the_table():
    net = models.MLP()
    net.compile([Tensor((4, 1, 8, 8))])
    net.linear1.freeze()
    assert str(net.summary()) == TABLE
    table = parsed(net.summary()._repr_html_())
    assert table.find("pre").text == TABLE
    assert json.loads(json.dumps(net.summary().as_dict()))["layers"][2]["multiply_adds"] == 25600


TABLE = """\
inputs (4, 1, 8, 8)

layer                                         outputs       parameters    memory  multiply-adds
-----------------------------------------------------------------------------------------------
MLP                                           (4, 10)
  softmax_cross_entropy: SoftMaxCrossEntropy  not called
  linear1: Linear                             (4, 100)    6,500 frozen  25.4 KiB         25,600
  relu: ReLU                                  (4, 100)
  linear2: Linear                             (4, 10)            1,010   3.9 KiB          4,000
-----------------------------------------------------------------------------------------------
parameters     7,510, 6,500 of them frozen
other states   0
memory         29.3 KiB for parameters and states
multiply-adds  29,600 in one forward pass"""


def test_a_failing_forward_leaves_nothing_behind():
    class Reading(model.Model):
        def forward(self, x):
            return x * x.sum().item()

    net = Reading()
    with pytest.raises(CaptureError, match="item"):
        net.summary([Tensor((2, 3))])
    assert net(Tensor((2, 3))).shape == (2, 3)


# -- text and HTML --------------------------------------------------------------------------------


def test_a_layer_shows_what_it_is_made_of():
    net = Net()
    net.compile([Tensor((2, 5, 8))])
    assert repr(net) == (
        "Net()\n"
        "  blocks.0: Sequential()\n"
        "    0: Linear(in_features=8, out_features=16)\n"
        "    1: ReLU()\n"
        "  blocks.1: Sequential()\n"
        "    0: Linear(in_features=16, out_features=16)\n"
        "    1: ReLU()\n"
        "  attention: MultiHeadAttention(embed_dim=16, num_heads=2)\n"
        "    out_proj: Linear(in_features=16, out_features=16)\n"
        "  unused: Tanh()\n"
        "  head: Linear(in_features=16, out_features=3, bias=False)"
    )


def parsed(html):
    return ElementTree.fromstring(f"<div>{html}</div>")


def test_a_notebook_gets_a_tree_of_layers():
    tree = parsed(Net()._repr_html_())
    assert len(tree.findall(".//code")) == 11
    assert len(tree.findall(".//details")) == 4  # the model, two blocks, the attention
    assert tree.find("details/summary/code").text == "Net()"


@pytest.mark.parametrize("shape", [(5,), (3, 4), (30, 20), (2, 3, 4), (), (0, 3)])
def test_a_notebook_gets_a_table_of_values(shape):
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = parsed(Tensor(data=values, name="<x>")._repr_html_())
    assert "shape=" in found.find("div/code").text
    assert "name='<x>'" in found.find("div/code").text
    if len(shape) in (1, 2) and values.size:
        cells = [[cell.text for cell in row] for row in found.findall("table/tr")]
        assert len(cells) == min(len(values) if len(shape) == 2 else 1, 13)
        assert float(cells[0][0]) == pytest.approx(values.ravel()[0], abs=1e-6)
        assert float(cells[-1][-1]) == pytest.approx(values.ravel()[-1], abs=1e-6)
    else:
        assert found.find("pre") is not None


def test_in_a_captured_step_there_are_no_values_to_show():
    seen = []

    class Looking(model.Model):
        def forward(self, x):
            seen.append((x._repr_html_(), repr(x)))
            return x

    looking, x = Looking(), Tensor((2, 3), dtype=tensor.float32)
    looking.compile([x], is_train=False, use_graph=True)
    looking(x)
    [(html, text)] = seen
    assert html is None
    assert text.startswith("Tensor(<computed in the step being compiled>, shape=(2, 3)")

"""A program of a user who has only the wheel: it is run, and its types are checked strictly."""

import numpy as np

from singa import autograd, data, layer, metric, model, opt
from singa.tensor import CTensor, Tensor


class Net(model.Model):
    def __init__(self) -> None:
        super().__init__()
        self.linear = layer.Linear(10)
        self.loss = layer.SoftMaxCrossEntropy()
        self.optimizer = opt.SGD(0.5, momentum=0.9)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y

    def train_one_batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        out = self.forward(x)
        loss: Tensor = self.loss(out, y)
        self.optimizer(loss)
        return out, loss


class Double(autograd.Operation):
    def forward(self, x: CTensor) -> CTensor:
        return 2 * x


def train() -> float:
    digits = data.load_digits()
    net = Net()
    images, labels = Tensor(data=digits.train_images), Tensor(data=digits.train_labels)
    net.compile([images], is_train=True, use_graph=True)
    for _ in range(30):
        net(images, labels)
    net.eval()
    return float(metric.accuracy(net(Tensor(data=digits.test_images)), digits.test_labels))


def gradient() -> float:
    autograd.training = True
    x = Tensor(data=np.array([3.0]), stores_grad=True)
    (y,) = Double()(x)
    shape: tuple[int, ...] = y.shape
    assert shape == (1,)
    return sum(g.item() for _, g in autograd.backward(y * y))


if __name__ == "__main__":
    assert gradient() == 24.0
    accuracy = train()
    assert accuracy > 0.9, accuracy
    print(f"a program of a user's: {accuracy:.1%} of the test images are read rightly")

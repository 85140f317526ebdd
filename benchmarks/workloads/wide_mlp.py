"""An MLP with enough to compute for two processes: the small one's step takes a tenth of a ms."""

TITLE = "MLP 784-1024-1024-10, batch 256"
INPUT = (256, 784)
PARAMS = {
    "linear1.weight": (784, 1024), "linear1.bias": (1024,),
    "linear2.weight": (1024, 1024), "linear2.bias": (1024,),
    "linear3.weight": (1024, 10), "linear3.bias": (10,),
}  # fmt: skip


def in_singa():
    from benchmarks.contenders.ours import Trained
    from singa import autograd, layer

    class Net(Trained):
        def __init__(self):
            self.linear1, self.linear2 = layer.Linear(1024), layer.Linear(1024)
            self.linear3 = layer.Linear(10)

        def forward(self, x):
            y = autograd.relu(self.linear2(autograd.relu(self.linear1(x))))
            return self.linear3(y)

    return Net()


def in_torch():
    from torch import nn
    from torch.nn.functional import relu

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear1, self.linear2 = nn.Linear(784, 1024), nn.Linear(1024, 1024)
            self.linear3 = nn.Linear(1024, 10)

        def forward(self, x):
            return self.linear3(relu(self.linear2(relu(self.linear1(x)))))

    return Net()

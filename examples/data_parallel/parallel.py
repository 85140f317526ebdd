"""What each rank does: train on its part of every batch, and measure how far that got."""

import numpy as np

from singa import data, device, distributed, models, opt
from singa.tensor import Tensor

WAYS = {
    "all gradients": ("backward_and_update", {}),
    "as float16": ("backward_and_update_half", {}),
    "the largest twentieth": ("backward_and_sparse_update", {"spars": 0.05, "topK": True}),
    "parameters in turns": ("backward_and_partial_update", {"threshold": 2000}),
}


class Net(models.MLP):
    """An MLP whose gradients travel in one of these ways."""

    def __init__(self, way):
        super().__init__()
        self.update, self.options = WAYS[way]

    def train_one_batch(self, x, y):
        out = self.forward(x)
        loss = self.softmax_cross_entropy(out, y)
        getattr(self.optimizer, self.update)(loss, **self.options)
        return loss


def all_ways(*options):
    """What each of the ways leads to, one after another."""
    return {way: train(way, *options) for way in WAYS}


def train(way, epochs, batch_size, lr, seed):
    """The mean loss of each epoch over all ranks, the accuracy of this one, and its weights."""
    rank, ranks = distributed.rank(), distributed.world_size()
    digits = data.load_digits()
    images, labels = digits.train_images[rank::ranks], digits.train_labels[rank::ranks]
    steps = len(digits.train_images) // batch_size  # the same on all ranks
    part = batch_size // ranks

    device.get_default_device().set_rand_seed(seed)  # all begin with the same parameters
    net = Net(way)
    net.set_optimizer(opt.DistOpt(opt.SGD(lr, momentum=0.9)))
    net.compile([Tensor((part, 1, 8, 8))], is_train=True, use_graph=True)
    rng, losses = np.random.default_rng(seed), []
    for _ in range(epochs):
        order = rng.permutation(len(images))
        total = Tensor(())
        for i in range(steps):
            rows = order[i * part : (i + 1) * part]
            total += net(Tensor(data=images[rows]), Tensor(data=labels[rows]))
        losses.append(net.optimizer.all_reduce(total).item() / ranks / steps)

    net.eval()
    guesses = net(Tensor(data=digits.test_images)).to_numpy().argmax(1)
    accuracy = float((guesses == digits.test_labels).mean())
    return losses, accuracy, {name: p.to_numpy() for name, p in net.get_params().items()}

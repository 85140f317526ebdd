"""A multi-layer perceptron by the Model API: compiled steps, checkpoints, handwritten digits."""

import argparse
import os

import numpy as np

from singa import data, device, layer, model, opt, tensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--checkpoint", default="checkpoint.zip", help="loaded if it exists, saved to")
options = parser.parse_args()

dev = device.get_default_device()
dev.set_rand_seed(0)
digits = data.load_digits()
batch_size, num_classes, IMG_SIZE = 32, 10, 8
one_hot = np.eye(num_classes, dtype=np.int32)


class MLP(model.Model):  # the model is a subclass of Model
    def __init__(self, perceptron_size=100, num_classes=10):
        super().__init__()

        # init the operators, layers and other objects
        self.relu = layer.ReLU()
        self.linear1 = layer.Linear(perceptron_size)
        self.linear2 = layer.Linear(num_classes)
        self.softmax_cross_entropy = layer.SoftMaxCrossEntropy()

    def forward(self, inputs):  # define the forward function
        y = self.linear1(inputs)
        y = self.relu(y)
        y = self.linear2(y)
        return y

    def train_one_batch(self, x, y):
        out = self.forward(x)
        loss = self.softmax_cross_entropy(out, y)
        self.optimizer(loss)
        return out, loss

    def set_optimizer(self, optimizer):  # attach an optimizer
        self.optimizer = optimizer


# create a model instance
mlp = MLP()

# initialize optimizer and attach it to the model
sgd = opt.SGD(lr=0.02, momentum=0.9, weight_decay=1e-5)
mlp.set_optimizer(sgd)

# input and target placeholders for the model
tx = tensor.Tensor((batch_size, 1, IMG_SIZE, IMG_SIZE), dev, tensor.float32)
ty = tensor.Tensor((batch_size, num_classes), dev, tensor.int32)

# compile the model before training
mlp.compile([tx], is_train=True, use_graph=True, sequential=False)

# load a checkpoint
if os.path.exists(options.checkpoint):
    mlp.load_states(fpath=options.checkpoint)
    print(f"loaded {options.checkpoint}")

# train the model iteratively
batches = data.DataLoader(digits.train, batch_size, shuffle=True, drop_last=True)
for epoch in range(options.epochs):
    total = 0.0
    for x, y in batches:
        # Copy the data into input tensors
        tx.copy_from_numpy(x)
        ty.copy_from_numpy(one_hot[y])

        # Training with one batch
        out, loss = mlp(tx, ty)
        total += loss.item()
    if epoch in (0, options.epochs - 1):
        print(f"epoch {epoch + 1}: loss {total / len(batches):.4f}")

# evaluate it
mlp.eval()
out = mlp(tensor.Tensor(data=digits.test_images, device=dev))
print(f"test accuracy {(out.to_numpy().argmax(1) == digits.test_labels).mean():.2%}")

# save a checkpoint
mlp.save_states(fpath=options.checkpoint, overwrite=True)
print(f"saved {options.checkpoint}")

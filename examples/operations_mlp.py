"""A multi-layer perceptron of operations alone, trained on handwritten digits."""

import argparse

from singa import autograd, data, device, opt
from singa.tensor import Tensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=200, help="steps on all images at once")
epochs = parser.parse_args().epochs

device.get_default_device().set_rand_seed(0)
digits = data.load_digits()

# Parameters
w0 = Tensor(shape=(64, 100), requires_grad=True, stores_grad=True)
w0.gaussian(0.0, 0.1)
b0 = Tensor(shape=(1, 100), requires_grad=True, stores_grad=True)
b0.set_value(0.0)

w1 = Tensor(shape=(100, 10), requires_grad=True, stores_grad=True)
w1.gaussian(0.0, 0.1)
b1 = Tensor(shape=(1, 10), requires_grad=True, stores_grad=True)
b1.set_value(0.0)


def forward(x):
    x = autograd.flatten(x)
    x = autograd.matmul(x, w0)  # matrix multiplication
    x = autograd.add_bias(x, b0)  # add the bias vector
    x = autograd.relu(x)  # ReLU activation operation
    x = autograd.matmul(x, w1)
    x = autograd.add_bias(x, b1)
    return x


# Training
inputs = Tensor(data=digits.train_images)  # data matrix
target = Tensor(data=digits.train_labels)  # label vector

autograd.training = True  # for training
sgd = opt.SGD(0.1, momentum=0.9)  # optimizer

for i in range(epochs):
    x = forward(inputs)
    loss = autograd.softmax_cross_entropy(x, target)
    for p, g in autograd.backward(loss):
        sgd.update(p, g)
    if i in (0, epochs - 1):
        print(f"epoch {i + 1}: loss {loss.item():.4f}")

# Evaluation
autograd.training = False
predicted = forward(Tensor(data=digits.test_images)).to_numpy().argmax(1)
print(f"test accuracy {(predicted == digits.test_labels).mean():.2%}")

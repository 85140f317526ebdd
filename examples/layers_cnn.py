"""A convolutional network of layers and operations, trained on handwritten digits."""

import argparse

from singa import autograd, data, device, opt, tensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=5)
epochs = parser.parse_args().epochs

dev = device.get_default_device()
dev.set_rand_seed(0)
digits = data.load_digits()
batch_sz = 64

# Layers
conv1 = autograd.Conv2d(1, 32, 3, padding=1, bias=False)
bn1 = autograd.BatchNorm2d(32)
pooling1 = autograd.MaxPool2d(3, 1, padding=1)
conv21 = autograd.Conv2d(32, 16, 3, padding=1)
conv22 = autograd.Conv2d(32, 16, 3, padding=1)
bn2 = autograd.BatchNorm2d(32)
linear = autograd.Linear(32 * 8 * 8, 10)
pooling2 = autograd.AvgPool2d(3, 1, padding=1)


def forward(x, t):
    # x is the input data (a batch of images)
    # t is the label vector (a batch of integers)
    y = conv1(x)  # Conv layer
    y = autograd.relu(y)  # ReLU operation
    y = bn1(y)  # BN layer
    y = pooling1(y)  # Pooling Layer

    # two parallel convolution layers
    y1 = conv21(y)
    y2 = conv22(y)
    y = autograd.cat((y1, y2), 1)  # cat operation
    y = autograd.relu(y)  # ReLU operation
    y = bn2(y)
    y = pooling2(y)

    y = autograd.flatten(y)  # flatten operation
    y = linear(y)  # Linear layer
    loss = autograd.softmax_cross_entropy(y, t)  # operation
    return loss, y


# Training
sgd = opt.SGD(0.02, momentum=0.9, weight_decay=1e-4)
batches = data.DataLoader(digits.train, batch_sz, shuffle=True, drop_last=True)

autograd.training = True
for epoch in range(epochs):
    total = 0.0
    for x, t in batches:
        inputs = tensor.Tensor(device=dev, data=x, stores_grad=False)
        targets = tensor.Tensor(device=dev, data=t, requires_grad=False, stores_grad=False)

        loss, y = forward(inputs, targets)  # forward the net

        for p, gp in autograd.backward(loss):  # auto backward
            sgd.update(p, gp)
        total += loss.item()
    print(f"epoch {epoch + 1}: loss {total / len(batches):.4f}")

# Evaluation
autograd.training = False
inputs = tensor.Tensor(device=dev, data=digits.test_images)
targets = tensor.Tensor(device=dev, data=digits.test_labels)
loss, y = forward(inputs, targets)
print(f"test accuracy {(y.to_numpy().argmax(1) == digits.test_labels).mean():.2%}")

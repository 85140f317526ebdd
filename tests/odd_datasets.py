"""Datasets and functions that workers import; they cannot import them from a test."""

import os
import signal
import sys
import time

import numpy as np

from singa.image_tool import ImageTool


class Numbers:
    """The numbers up to ``length``, and what each one is made of besides."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return index, os.getpid(), "jax" in sys.modules


class Fails(Numbers):
    def __init__(self, length, error):
        super().__init__(length)
        self.error = error

    def __getitem__(self, index):
        if index == 7:
            raise self.error
        return index


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")
        self.lock = None


class EndsItself(Numbers):
    def __init__(self, length, how):
        super().__init__(length)
        self.how = how

    def __getitem__(self, index):
        if index == 7:
            if self.how == "exit":
                os._exit(3)
            os.kill(os.getpid(), signal.SIGKILL)
        return index


class Slow(Numbers):
    def __getitem__(self, index):
        time.sleep(60 if index else 0)
        return os.getpid()


class Chatty(Numbers):
    def __getitem__(self, index):
        print("hello from", index)
        return index


class UsesTensors(Numbers):
    def __getitem__(self, index):
        from singa.tensor import Tensor

        # Defined for Tensors by another storey: there only if the whole package is.
        return (Tensor(data=np.array([1.0])) + index).to_numpy()


class NotThere(Numbers):
    def __setstate__(self, state):
        raise RuntimeError("cannot be unpacked")


def noisy(number, pid, has_jax, random):
    return number, random.random()


def listed(samples):
    return [number for number, *_ in samples]


def raise_unpicklable(samples):
    raise Unpicklable(1, 2)


def as_it_is(path):
    return ImageTool().load(path).get()


def five_crops(path):
    return ImageTool().load(path).crop5((4, 4), 5).get()


def uneven(path):
    return as_it_is(path) * (2 if "07" in path else 1)


def dies_at_7(path):
    if "07" in path:
        os._exit(3)
    return as_it_is(path)

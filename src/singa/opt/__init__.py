"""Optimizers, and schedules for their hyper-parameters."""

from singa.opt.optimizer import Optimizer
from singa.opt.schedule import Constant, DecayScheduler, ExponentialDecay
from singa.opt.sgd import SGD

__all__ = ["SGD", "Constant", "DecayScheduler", "ExponentialDecay", "Optimizer"]

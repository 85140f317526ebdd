"""Optimizers, and schedules for their hyper-parameters."""

from singa.opt.adam import LAMB, Adam, Adamax, AdamW, NAdam, RAdam
from singa.opt.adaptive import Adadelta, Adafactor, AdaGrad, RMSProp, Rprop
from singa.opt.composition import LinearWarmup, PerEpoch, Sequential
from singa.opt.distributed import DistOpt
from singa.opt.hyperparameter import Hyperparameter
from singa.opt.lbfgs import LBFGS
from singa.opt.muon import Muon
from singa.opt.optimizer import Optimizer
from singa.opt.schedule import (
    Constant,
    CosineDecay,
    DecayScheduler,
    ExponentialDecay,
    MultiStep,
    OneCycle,
    PolynomialDecay,
    StepDecay,
)
from singa.opt.sgd import SGD, Lion

__all__ = [
    "LAMB", "LBFGS", "SGD", "AdaGrad", "Adadelta", "Adafactor", "Adam", "AdamW", "Adamax",
    "Constant", "CosineDecay", "DecayScheduler", "DistOpt", "ExponentialDecay", "Hyperparameter",
    "LinearWarmup", "Lion", "MultiStep", "Muon", "NAdam", "OneCycle", "Optimizer", "PerEpoch",
    "PolynomialDecay", "RAdam", "RMSProp", "Rprop", "Sequential", "StepDecay",
]  # fmt: skip

"""Optimizers, and schedules for their hyper-parameters."""

from singa.opt.adam import LAMB, Adam, AdamW, NAdam
from singa.opt.adaptive import Adafactor, AdaGrad, RMSProp
from singa.opt.composition import LinearWarmup, PerEpoch, Sequential
from singa.opt.distributed import DistOpt
from singa.opt.hyperparameter import Hyperparameter
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
    "LAMB", "SGD", "AdaGrad", "Adafactor", "Adam", "AdamW", "Constant", "CosineDecay",
    "DecayScheduler", "DistOpt", "ExponentialDecay", "Hyperparameter", "LinearWarmup", "Lion",
    "MultiStep", "NAdam", "OneCycle", "Optimizer", "PerEpoch", "PolynomialDecay", "RMSProp",
    "Sequential", "StepDecay",
]  # fmt: skip

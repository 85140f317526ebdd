"""Probability distributions: what they draw, how probable it is, and how far they are apart.

``from singa import distributions``. A distribution is a plain object made of Tensors, or a batch of
distributions: its parameters broadcast to its ``batch_shape``. What it draws is of shape
``(*shape, *batch_shape, *event_shape)``; the event of most is a number, (), and of those of vectors
(n,). All is made of recorded operations: gradients flow to the parameters, eagerly and in compiled
steps. Parameters are checked eagerly, and in compiled steps under ``autograd.detect_anomaly``.

- ``base.py``: Distribution, and what all of them share.
- ``location_scale.py``: Normal, Uniform, Laplace, Gumbel.
- ``positive.py``: Exponential, Gamma, Beta.
- ``discrete.py``: Bernoulli, Categorical, Poisson.
- ``vectors.py``: Dirichlet, MultivariateNormal.
"""

from singa.distributions.base import Distribution, kl
from singa.distributions.discrete import Bernoulli, Categorical, Poisson
from singa.distributions.location_scale import Gumbel, Laplace, Normal, Uniform
from singa.distributions.positive import Beta, Exponential, Gamma
from singa.distributions.vectors import Dirichlet, MultivariateNormal

__all__ = [
    "Bernoulli", "Beta", "Categorical", "Dirichlet", "Distribution", "Exponential", "Gamma",
    "Gumbel", "Laplace", "MultivariateNormal", "Normal", "Poisson", "Uniform", "kl",
]  # fmt: skip

import pytest

from singa import autograd


@pytest.fixture(autouse=True)
def _recording():
    autograd.training = True
    yield
    autograd.training = False

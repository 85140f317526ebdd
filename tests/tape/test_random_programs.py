"""Hundreds of random programs have the gradients that jax derives; see random_programs.py."""

import pytest

from singa import autograd
from tape.random_programs import MAKES, check, draw

COUNT, CHUNK = 400, 100

pytestmark = pytest.mark.usefixtures("many_kernels")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, COUNT, CHUNK))
def test_gradients_are_those_of_jax(first, monkeypatch):
    monkeypatch.setattr(autograd, "training", True)  # put back afterwards
    for number in range(first, first + CHUNK):
        check(
            number,
            captured=number % 50 == 0,
            twice=number % 20 == 0,
            changed=number % 3 == 0,
            checkpointed=number % 2 == 0,
        )


def test_the_programs_have_all_that_they_are_to_have():
    programs = [draw(number) for number in range(200)]
    assert {kind for program in programs for kind, _ in program.steps} == MAKES.keys()
    assert max(len(program.steps) for program in programs) == 30
    assert any(sum(program.frozen) > 2 for program in programs)
    assert any(len(program.stored) > 3 for program in programs)
    assert any(len(program.outputs) > 2 for program in programs)
    uses = [
        [i for _, inputs in program.steps for i in inputs if i < len(program.leaves)]
        for program in programs
    ]
    assert any(len(used) > len(set(used)) for used in uses)  # shared parameters

"""``fit`` on two ranks, beside ``fit`` in this process: the same training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distributed import trainings
from singa import distributed


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return distributed.launch(trainings.all_of_it, 2, str(folder))


def test_two_ranks_train_as_one_process_does(found):
    alone = trainings.plain()
    for rank in found:
        own = rank["plain"]
        assert own.keys() == alone.keys()
        for name, value in alone.items():
            if name == "steps f1":  # the mean of F1 of the parts is not that of the batch
                assert len(own[name]) == len(value)
            elif name == "states":
                for each, array in value.items():
                    np.testing.assert_allclose(own[name][each], array, rtol=1e-4, atol=1e-6)
            elif isinstance(value, list):
                np.testing.assert_allclose(own[name], value, rtol=1e-5, err_msg=name)
            else:
                assert own[name] == value, name


def test_all_ranks_have_the_same_numbers_bit_for_bit(found):
    first, second = (rank["plain"] for rank in found)
    np.testing.assert_equal(first, second)
    np.testing.assert_equal(*(rank["interrupted"]["states"] for rank in found))


def test_the_first_rank_writes_the_files(found, folder):
    assert {path.name for path in folder.iterdir()} == {"run", "log.csv", "net.zip"}
    assert len(list((folder / "run" / "samples").iterdir())) == trainings.EPOCHS
    rows = (folder / "log.csv").read_text().splitlines()
    assert len(rows) == 1 + trainings.EPOCHS


def test_ctrl_c_on_one_rank_ends_all_after_the_same_step_and_they_go_on_from_there(found):
    first, second = (rank["interrupted"] for rank in found)
    assert first["interrupted"] == second["interrupted"]
    status, stopped, steps = first["interrupted"]
    assert (status, stopped) == ("interrupted", "interrupted by Ctrl-C")
    assert 3 <= steps < 40
    for each in (first, second):
        assert not each["other"]
        assert not each["differing"]


def test_what_one_rank_sees_ends_all(found):
    for rank in found:
        assert rank["nan"] == ("diverged", "the loss is nan after step 4", 2)
        assert rank["ended"] == ("rank 1 has seen enough", 2)


def test_parts_of_other_sizes_count_by_their_samples(found):
    for rank in found:
        for kind in ("together", "validation"):
            assert rank["own"][kind] == pytest.approx(rank["own"]["whole"], rel=1e-6), kind


def test_what_cannot_be_shared_is_refused_on_all_ranks(found):
    words = (
        "fit divides the data itself",
        "batches of 7 samples cannot be divided by 2",
        "'seed' is not the same",
        "the last batch of 5 samples cannot",
        "1 samples in batches of 8 cannot be shared",
    )
    for rank in found:
        for said, expected in zip(rank["refused"], words, strict=True):
            assert expected in said

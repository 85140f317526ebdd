"""Two processes that train one model, compared with one process that does the same work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from distributed import ranks
from singa import Tensor, autograd, distributed, opt
from singa.device import get_default_device
from singa.distributed import world
from singa.errors import ArgumentError, DistributedError, DTypeError, ShapeError

RANKS = 2


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[dict[str, Any]]:
    """What each of two ranks saw."""
    return distributed.launch(ranks.all_of_it, RANKS, str(tmp_path_factory.mktemp("ranks")))


@pytest.mark.skipif(sys.platform != "linux", reason="the policy is Linux's")
def test_threads_of_collectives_do_not_interrupt_those_that_compute(found):
    for seen in found:
        assert seen["policies"] == (os.SCHED_OTHER, {os.SCHED_OTHER, os.SCHED_BATCH})


# -- training -----------------------------------------------------------------------------------

Gradients = list[dict[str, np.ndarray]]


def mean(grads: Gradients, _: Any) -> Gradients:
    return [{name: (grads[0][name] + grads[1][name]) / 2 for name in grads[0]}] * 2


def half_mean(grads: Gradients, _: Any) -> Gradients:
    short = [
        {name: (np.clip(g, -2, 2) / 2).astype(np.float16) for name, g in own.items()}
        for own in grads
    ]
    return [{name: (short[0][name] + short[1][name]).astype(np.float32) for name in grads[0]}] * 2


def sparse(keeps: bool) -> Callable[[Gradients, Any], Gradients]:
    def exchange(grads: Gradients, left: list[dict[str, np.ndarray]]) -> Gradients:
        total = {name: np.zeros_like(g) for name, g in grads[0].items()}
        for own, rest in zip(grads, left, strict=True):
            for name, g in own.items():
                g = g + rest.get(name, 0)
                sent = np.where(np.abs(g) >= np.float32(0.05), g, 0)
                total[name] += sent
                if keeps:
                    rest[name] = g - sent
        return [{name: t / 2 for name, t in total.items()}] * 2

    return exchange


def sparse_top(grads: Gradients, left: list[dict[str, np.ndarray]]) -> Gradients:
    """By the order of gradients: the large weights alone, the small parameters together."""
    names = list(grads[0])
    groups = [[n] for n in names if grads[0][n].size > 16]
    small = [n for n in names if grads[0][n].size <= 16]
    groups += [small] if small else []
    total = {name: np.zeros_like(g) for name, g in grads[0].items()}
    for own, rest in zip(grads, left, strict=True):
        for group in groups:
            flat = np.concatenate([(own[n] + rest.get(n, 0)).ravel() for n in group])
            top = np.argsort(-np.abs(flat), kind="stable")[: max(1, round(0.3 * flat.size))]
            sent = np.zeros_like(flat)
            sent[top] = flat[top]
            start = 0
            for n in group:
                end = start + own[n].size
                total[n] += sent[start:end].reshape(own[n].shape)
                rest[n] = (flat - sent)[start:end].reshape(own[n].shape)
                start = end
    return [{name: t / 2 for name, t in total.items()}] * 2


EXCHANGES: dict[str, Callable[[Gradients, Any], Gradients]] = {
    "backward_and_update": mean,
    "backward_and_update_half": half_mean,
    "backward_and_sparse_update": sparse(keeps=True),
    "backward_and_sparse_update top": sparse_top,
    "backward_and_sparse_update forgetful": sparse(keeps=False),
    "backward_and_partial_update": lambda grads, _: grads,
}


@cache
def in_one_process(way: str) -> list[tuple[list[float], dict[str, np.ndarray]]]:
    """Both ranks' losses and weights, computed here, with the exchange in NumPy."""
    nets = []
    for _ in range(RANKS):
        get_default_device().set_rand_seed(0)
        net = ranks.Net(ranks.momentum())
        net.compile([ranks.batches(0, RANKS)[0][0]], is_train=True, use_graph=False)
        nets.append(net)
    losses: list[list[float]] = [[] for _ in nets]
    left: list[dict[str, np.ndarray]] = [{} for _ in nets]
    parts = [ranks.batches(rank, RANKS) for rank in range(RANKS)]
    for step in range(ranks.STEPS):
        grads = []
        for rank, net in enumerate(nets):
            names = {p: name for name, p in net.get_params().items()}
            x, y = parts[rank][step]
            loss = autograd.softmax_cross_entropy(net.forward(x), y)
            losses[rank].append(loss.item())
            grads.append({names[p]: g.to_numpy() for p, g in autograd.backward(loss)})
        for net, update in zip(nets, EXCHANGES[way](grads, left), strict=True):
            params = net.get_params()
            net.optimizer.update_all([(params[n], Tensor(data=g)) for n, g in update.items()])
        if way == "backward_and_partial_update":
            average_a_part(nets, list(grads[0]), step)
    return [(loss, ranks.weights(net)) for loss, net in zip(losses, nets, strict=True)]


def average_a_part(nets: list[ranks.Net], names: list[str], step: int) -> None:
    sizes = {name: p.size() for name, p in nets[0].get_params().items()}
    parts: list[list[str]] = []
    small: list[str] = []
    for name in names:
        if sizes[name] > 16:
            parts.append([name])
        elif small and sum(sizes[n] for n in small) + sizes[name] <= 16:
            small.append(name)
        else:
            small = [name]
            parts.append(small)
    for name in parts[step % len(parts)]:
        both = [net.get_params()[name] for net in nets]
        average = (both[0].to_numpy() + both[1].to_numpy()) / 2
        for p in both:
            p.copy_from_numpy(average)


@pytest.mark.parametrize("mode", list(ranks.MODES))
@pytest.mark.parametrize("way", list(ranks.WAYS))
@pytest.mark.slow
def test_two_ranks_do_what_one_process_does_for_both(found, way, mode):
    autograd.training = True
    tolerance = {"rtol": 2e-4, "atol": 2e-6} if "half" not in way else {"rtol": 5e-3, "atol": 5e-4}
    for rank, (losses, weights) in enumerate(in_one_process(way)):
        theirs, their_weights = found[rank]["training"][way][mode]
        np.testing.assert_allclose(theirs, losses, **tolerance)
        for name, weight in weights.items():
            np.testing.assert_allclose(their_weights[name], weight, err_msg=name, **tolerance)


@pytest.mark.parametrize("way", [way for way in ranks.WAYS if "partial" not in way])
@pytest.mark.slow
def test_all_ranks_end_with_the_same_bits(found, way):
    for mode in ranks.MODES:
        first, second = (rank["training"][way][mode][1] for rank in found)
        for name, weight in first.items():
            np.testing.assert_array_equal(weight, second[name])


@pytest.mark.slow
def test_halves_of_a_batch_make_up_the_whole(found):
    net = ranks.Net(ranks.momentum())
    ranks.train(net)
    for name, weight in ranks.weights(net).items():
        theirs = found[0]["training"]["backward_and_update"]["compiled"][1][name]
        np.testing.assert_allclose(theirs, weight, rtol=1e-4, atol=1e-6)


# -- what they exchange -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_parts_of_distopt(found):
    for rank, seen in enumerate(each["exchanges"] for each in found):
        assert seen["who"] == (rank, rank, RANKS)
        np.testing.assert_array_equal(seen["all_reduce"], [3, 6, 9])
        third = np.float16(np.float16(1 / 3) * 2)
        np.testing.assert_array_equal(seen["all_reduce_half"], [np.float32(third)])
        assert seen["put off"][0] == 0
        np.testing.assert_array_equal(seen["put off"][1], np.array([1, 2, 3]) * (rank + 1))
        np.testing.assert_array_equal(seen["fused"][0], [3, 6, 9])
        np.testing.assert_array_equal(seen["fused"][1], np.ones((2, 2)))


@pytest.mark.slow
def test_only_what_is_large_is_sent_and_the_rest_is_kept(found):
    for rank, seen in enumerate(each["exchanges"] for each in found):
        # Rank 1's third element, 1.2 + 0.5, is large; rank 0's is not.
        np.testing.assert_allclose(seen["large"][0], [6, 0, 1.7, -7])
        np.testing.assert_allclose(seen["large"][1], [0, -0.1, 0 if rank else 0.7, 0], atol=1e-7)
        # One of four elements is sent by each.
        np.testing.assert_allclose(seen["top"][0], [3, 0, 0, -8])
        left = [4, -0.1, 0.2, 0] if rank else [0, -0.1, 0.2, 0]
        np.testing.assert_allclose(seen["top"][1], left, rtol=1e-6)


@pytest.mark.slow
def test_a_broadcast_keeps_every_bit(found):
    for seen in (each["exchanges"] for each in found):
        floats, flags, short = seen["broadcast"]
        np.testing.assert_array_equal(floats, [0.0, np.nan, 1])
        assert np.signbit(floats[0])
        assert flags.tolist() == [True]
        assert short.dtype == np.float16
        assert short == 1
        np.testing.assert_array_equal(seen["all_gather"], [[1, 2, 3], [2, 4, 6]])
        assert seen["are_equal"] == [False, True, True]


@pytest.mark.slow
def test_an_overflow_on_one_rank_makes_all_leave_the_step_out(found):
    for scale, scale_after, changed in (each["half"] for each in found):
        assert scale_after == scale / 2
        assert changed == 0


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("way", list(ranks.SCALED_WAYS))
@pytest.mark.slow
def test_a_scaled_loss_changes_nothing_but_that_an_overflow_is_left_out(found, way, compiled):
    for seen in (each["scaled"][way] for each in found):
        plain, short = seen["float32", False], seen["float16", compiled]
        for when in ("before", "after"):
            for name in ("w", "w:residual", "w:momentum", "step_counter", "turn"):
                if name in plain[when]:
                    np.testing.assert_array_equal(short[when][name], plain[when][name], name)
        changed = {
            name for name, was in short["before"].items() if (short["overflown"][name] != was).any()
        }
        assert changed == {"loss_scale", "good_steps"}
        assert short["overflown"]["loss_scale"] == 2.0**14
        assert ("w:residual" in plain["after"]) == ("sparse" in way)


@pytest.mark.slow
def test_ranks_that_go_on_with_different_things_are_told_so_and_can_go_on(found):
    for rank, said in enumerate(each["sets"] for each in found):
        for first in (0, 5, 10):
            alike = [message for i in (0, 2, 4) if (message := said[first + i])]
            assert alike == []
            for message in (said[first + 1], said[first + 3]):
                assert f"rank {rank} updates" in message
                assert "train the same model" in message
        frozen, shapes, alike, unlike, more = said[15:]
        assert "train the same model" in frozen
        assert "exchange Tensors of the same shapes" in shapes
        assert "exchange Tensors of the same shapes" in more
        assert alike == ""
        assert unlike


@pytest.mark.slow
def test_a_checkpoint_resumes_with_what_was_not_sent_yet(found):
    for straight, again in (each["resumed"] for each in found):
        for name, weight in straight.items():
            np.testing.assert_array_equal(again[name], weight)


# -- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.slow
def test_parameters_that_differ_are_found_at_once_and_a_broadcast_mends_it(found):
    for message, value in (each["beginnings"] for each in found):
        assert "the parameter w is not the same on all ranks" in message
        assert "distributed.broadcast" in message
        assert value == 0


@pytest.mark.slow
def test_models_that_differ_are_found_at_once(found):
    assert all("all ranks have to train the same model" in each["models"] for each in found)


def test_a_rank_that_fails_ends_all():
    with pytest.raises(DistributedError, match="rank 1 failed") as raised:
        distributed.launch(ranks.fail_on_rank_1, RANKS)
    assert "rank 1 has had enough" in str(raised.value)


def test_joining_too_late_says_what_to_do():
    Tensor((2,)).to_numpy()
    with pytest.raises(DistributedError, match="before any Tensor"):
        distributed.initialize("127.0.0.1:1", 0, 2)


@pytest.mark.parametrize("size", [0, -1, 1.0, True])
def test_a_number_of_processes_is_one(size):
    with pytest.raises(ArgumentError, match="number of processes"):
        distributed.launch(distributed.rank, size)


# -- one rank alone -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(ranks.MODES))
def test_the_only_rank_trains_as_without(mode):
    compiled, sequential = ranks.MODES[mode]
    plain, alone = ranks.Net(ranks.momentum()), ranks.Net(opt.DistOpt(ranks.momentum()))
    assert ranks.train(alone, compiled, sequential) == ranks.train(plain, compiled, sequential)
    for name, weight in ranks.weights(plain).items():
        np.testing.assert_array_equal(ranks.weights(alone)[name], weight)
    assert alone.optimizer.lr_value.item() == plain.optimizer.lr_value.item()


def test_its_hyperparameters_are_the_inner_optimizers():
    inner = opt.SGD(0.1, momentum=0.9)
    outer = opt.DistOpt(inner)
    outer.lr = 0.5
    assert inner.lr_value.item() == outer.lr_value.item() == 0.5
    assert outer.momentum is inner.momentum


def test_a_checkpoint_fits_the_inner_optimizer_too(tmp_path):
    net = ranks.Net(opt.DistOpt(ranks.momentum()))
    ranks.train(net)
    net.save_states(tmp_path / "net.zip")
    plain = ranks.Net(ranks.momentum())
    plain.compile([ranks.batches()[0][0]], is_train=True, use_graph=True)
    plain.load_states(tmp_path / "net.zip")
    assert plain.optimizer.step_counter.item() == ranks.STEPS


def test_a_compiled_step_communicates_without_running_again():
    net = ranks.Net(opt.DistOpt(ranks.momentum()), "backward_and_partial_update", threshold=16)
    ranks.train(net)
    assert net.captures <= 2
    assert net.optimizer.turn.item() == ranks.STEPS


def test_update_takes_the_sum_of_gradients():
    w = Tensor(data=[3.0], stores_grad=True)
    autograd.training = True
    sgd = opt.DistOpt(opt.SGD(0.25))
    for p, g in autograd.backward(w * w):
        sgd.update(p, sgd.all_reduce(g))
    assert w.item() == 1.5


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: opt.DistOpt(0.1), DTypeError, "an optimizer is expected"),
        (lambda: opt.DistOpt(buffSize=0), ArgumentError, "buffSize"),
        (lambda: opt.DistOpt(world_size=2), ArgumentError, "world_size 2 .* rank 0"),
        (lambda: opt.DistOpt(opt.SGD(), "127.0.0.1:1", 0), ArgumentError, "is an address"),
        (lambda: opt.DistOpt(opt.SGD(), object(), 0, 2), ArgumentError, "is an address"),
        (lambda: sgd().all_reduce(Tensor((2,)).data), DTypeError, r"leave out the `\.data`"),
        (lambda: sgd().fused_all_reduce([3.0]), DTypeError, "a Tensor is expected"),
        (lambda: sgd().sparsification(Tensor((2,)), None, 0.0, True), ArgumentError, "spars"),
        (lambda: sgd().sparsification(Tensor((2,)), Tensor((3,)), 1.0, False), ShapeError, "2"),
        (lambda: sgd().fused_sparsification([Tensor((2,)), Tensor((2,), dtype="float16")], None,
                                            1.0, False), DTypeError, "float32, float16"),
        (lambda: sgd().backward_and_update(loss(), -1), ArgumentError, "threshold"),
        (lambda: sgd().backward_and_sparse_update(loss(), spars=-1), ArgumentError, "spars"),
        (lambda: distributed.communicator(get_default_device()).broadcast([], 1), ArgumentError,
         "no rank 1"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(call, error, words):
    autograd.training = True
    with pytest.raises(error, match=words):
        call()


def test_nothing_to_exchange_is_no_error():
    assert sgd().fused_all_reduce([]) == []
    assert sgd().fused_sparsification([], None, 0.5, True) == []


def sgd() -> opt.DistOpt:
    return opt.DistOpt(opt.SGD(0.1))


def loss() -> Tensor:
    w = Tensor(data=[3.0], stores_grad=True)
    return w * w


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "MASTER_PORT", "LOCAL_RANK"])
def test_an_environment_variable_that_is_no_integer_is_named(name, monkeypatch):
    right = {"MASTER_ADDR": "localhost", "MASTER_PORT": "1", "RANK": "0", "WORLD_SIZE": "1"}
    for each, value in (right | {name: "first"}).items():
        monkeypatch.setenv(each, value)
    with pytest.raises(ArgumentError, match=f"variable {name} must be an integer, got 'first'"):
        distributed.initialize()


@pytest.mark.parametrize(
    ("rank", "size"),
    [
        ("RANK", "WORLD_SIZE"),
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
        ("PMI_RANK", "PMI_SIZE"),
    ],
)
def test_the_place_that_mpirun_gives_is_found(rank, size, monkeypatch):
    monkeypatch.setenv(rank, "2")
    monkeypatch.setenv(size, "3")
    assert distributed.announced_size() == 3  # so that a DistOpt does not train alone
    assert world._from_environment(None, None, None) == (None, None, None)
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    assert world._from_environment(None, None, None) == ("10.0.0.1:29500", 2, 3)
    monkeypatch.setenv("RANK", "0")  # what starts ranks under mpirun itself
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert world._from_environment(None, None, None) == ("10.0.0.1:29500", 0, 1)

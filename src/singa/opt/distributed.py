"""DistOpt: an optimizer for several ranks, which train one model together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa import distributed
from singa.core.guard import own
from singa.core.tensor import Tensor, wrap
from singa.core.watching import outside_capture, unless_still
from singa.device import CTensor, Device, float16, int32, is_complex
from singa.distributed import communicator
from singa.errors import ArgumentError, DistributedError, DTypeError
from singa.opt.all_reduce import THRESHOLD, AllReduce, check_share, check_size, groups_of
from singa.opt.compiled import Pairs
from singa.opt.exchange import agreed, averaged, grouped, partly_averaged, sparsely_averaged
from singa.opt.optimizer import Optimizer
from singa.opt.sgd import SGD
from singa.opt.state import RESIDUAL, Kind, check_fits, placed

TURN = "turn"
"""The state with the number of the part that is averaged next. It is not a parameter's turn."""


class DistOpt(AllReduce):
    """An optimizer for several ranks: each computes the gradients of its part of a batch.

    ``optimizer(loss)`` averages the gradients over all ranks and then updates the parameters, so
    that these stay the same on all ranks. In a compiled step the exchange is a part of its program.
    The other ``backward_and_...`` methods can send less data.

    All ranks have to begin with the same parameters: set the same seed, load the same file, or call
    :func:`singa.distributed.broadcast`. This is checked when parameters are first updated.

    Hyper-parameters, groups and moving averages are those of the inner optimizer.

    Args:
        opt: the optimizer; ``SGD()`` if None.
        nccl_id: the address of rank 0, ``host:port`` (:func:`singa.distributed.free_address`, or
            ``singa_wrap.NcclIdHolder()``). It is given together with the next two arguments; this
            process then connects to the others, as with :func:`singa.distributed.initialize`. A
            process that is connected already, as by :func:`singa.distributed.launch`, stays so.
        local_rank: the number of this rank, where all ranks are on one machine.
        world_size: the number of ranks.
        buffSize: small arrays are sent together, in messages of at most this many elements.

    Attributes:
        opt: the inner optimizer.
        world_size, global_rank, local_rank: the number of ranks, the number of this rank, and its
            number on its machine.
        turn: which parameters :meth:`backward_and_partial_update` averages next: int32 ().

    Raises:
        DTypeError: ``opt`` is not an optimizer.
        ArgumentError: numbers are invalid.
        DistributedError: it is too late to connect, or the other ranks did not connect.

    Source: SINGA's ``DistOpt``. Residuals: Strom, 2015; Lin et al., "Deep Gradient Compression",
    2018.

    Example:
        >>> w = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> autograd.training = True
        >>> sgd = opt.DistOpt(opt.SGD(0.5))
        >>> sgd((w * w).sum())
        >>> sgd.world_size, w.to_numpy()
        (1, array([0., 0.], dtype=float32))
    """

    def __init__(
        self,
        opt: Optimizer | None = None,
        nccl_id: str | None = None,
        local_rank: int | None = None,
        world_size: int | None = None,
        buffSize: int = 4_194_304,
    ) -> None:
        opt = SGD() if opt is None else opt
        if not isinstance(opt, Optimizer):
            raise DTypeError(f"DistOpt: an optimizer is expected, got {type(opt).__name__}")
        super().__init__(buffSize)
        if nccl_id is not None and world_size != 1:
            if local_rank is None or world_size is None or not isinstance(nccl_id, str):
                raise ArgumentError(
                    "DistOpt: nccl_id is an address, host:port, with a local_rank and a "
                    f"world_size; got {nccl_id!r}, {local_rank!r} and {world_size!r}"
                )
            distributed.initialize(nccl_id, local_rank, world_size, local_rank)
        elif distributed.announced_size() > 1:
            distributed.initialize()
        self._expect_world(local_rank, world_size)
        self.opt = opt
        self.turn = Tensor((), dtype=int32, requires_grad=False)
        self._residuals: dict[Tensor, Tensor] = {}
        self._known: set[Tensor] = set()  # parameters whose first values were equal on all ranks

    def _expect_world(self, local_rank: int | None, world_size: int | None) -> None:
        """Raise if this process has another place in the world than these numbers say."""
        if local_rank in (None, self.local_rank) and world_size in (None, self.world_size):
            return
        raise ArgumentError(
            f"DistOpt: local_rank {local_rank!r} and world_size {world_size!r} were given, but "
            f"this process is rank {self.local_rank} on its machine, of {self.world_size}; "
            "nccl_id, an address, connects processes, and so does distributed.launch"
        )

    def __getattr__(self, name: str) -> Any:
        inner = own(self).get("opt")
        if inner is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        inner = own(self).get("opt")
        if inner is not None and name in (*inner._hyperparameters, *inner._plain):
            setattr(inner, name, value)
        else:
            super().__setattr__(name, value)

    # -- a step -------------------------------------------------------------------------------

    def __call__(self, loss: Tensor) -> None:
        """``backward_and_update(loss)``."""
        self.backward_and_update(loss)

    def call(self, loss: Tensor) -> None:
        """``backward_and_update(loss)``."""
        self.backward_and_update(loss)

    @unless_still
    def backward_and_update(self, loss: Tensor, threshold: int = THRESHOLD) -> None:
        """Run the backward pass from ``loss``, average the gradients over all ranks, and update.

        Args:
            loss: the loss of this rank's part of the batch.
            threshold: gradients of more elements are sent alone, the others together.

        Raises:
            DistributedError: the ranks have begun with different parameters.
            ArgumentError: the threshold is below 0.
        """
        self._update_averaged(*self._backward(loss), threshold)

    @unless_still
    def backward_and_update_half(
        self,
        loss: Tensor,
        threshold: int = THRESHOLD,
        clipping: bool = False,
        clip_Value: float = 100,
    ) -> None:
        """:meth:`backward_and_update`, but gradients are sent as float16: half as much data.

        Args:
            loss, threshold: see :meth:`backward_and_update`.
            clipping: whether to clip the gradients' elements before they are sent.
            clip_Value: they are clipped to between minus and plus this.
        """
        most = clip_Value if clipping else None
        self._update_averaged(*self._backward(loss), threshold, half=True, most=most)

    @unless_still
    def backward_and_partial_update(self, loss: Tensor, threshold: int = THRESHOLD) -> None:
        """Update with this rank's own gradients, and average one part of the parameters.

        A part is one parameter of more than ``threshold`` elements, or several others that have at
        most ``threshold`` elements together. Each step averages the next part, so that the
        parameters of the ranks stay close to each other.
        """
        check_size("DistOpt: threshold", threshold, 0)
        pairs, is_scaled = self._backward(loss)
        is_good = None
        if is_scaled:
            grads = [grad.data for _, grad in pairs]
            grads, is_good = self._run(pairs, agreed, grads, is_scaled=True)
            pairs = _with(pairs, grads)
        self.opt._update_all(pairs, is_scaled, is_good)
        if not pairs:
            return
        params = [param for param, _ in pairs]
        arrays = [param.data for param in params]
        run = partly_averaged(grouped(arrays, threshold, threshold))
        turn = placed(self.turn, params[0].device)
        arrays, next_turn = self._communicator(params).run(run, arrays, turn.data, is_good)
        Tensor.assign_all([*params, turn], [*arrays, next_turn])

    @unless_still
    def backward_and_sparse_update(
        self,
        loss: Tensor,
        threshold: int = THRESHOLD,
        spars: float = 0.05,
        topK: bool = False,
        corr: bool = True,
    ) -> None:
        """Average only the gradients' large elements over all ranks, and update with those.

        Args:
            loss: see :meth:`backward_and_update`.
            threshold: gradients of more elements are compared and sent alone, the others together.
            spars: the least absolute value of the elements that are sent; with ``topK``, the
                fraction of all elements that is sent, the largest ones.
            topK: only with this less data is sent. Without it, the number of elements is not known
                beforehand, and whole arrays are sent.
            corr: keep the elements that are not sent on this rank, and add them to the gradients of
                the next step.
        """
        check_share(spars, topK)
        pairs, is_scaled = self._backward(loss)
        grads = [grad.data for _, grad in pairs]
        residuals = [self._residual(param) for param, _ in pairs] if corr else []
        left = [t.data for t in residuals] if corr else [jnp.zeros_like(g) for g in grads]
        groups = groups_of(grads, threshold, self.buffSize)
        run = sparsely_averaged(groups, float(spars), bool(topK))
        means, left, is_good = self._run(pairs, run, grads, left, is_scaled=is_scaled)
        Tensor.assign_all(residuals, left if corr else [])
        self.opt._update_all(_with(pairs, means), is_scaled, is_good)

    @unless_still
    def update_all(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """A whole step with these gradients, averaged over all ranks."""
        pairs = list(pairs)
        for param, grad in pairs:
            self.opt._check(param, grad)
        self._expect_same_beginning([param for param, _ in pairs], self.opt.step_counter.device)
        self._update_averaged(pairs, False, THRESHOLD)

    @unless_still
    def update(self, param: Tensor, grad: Tensor) -> None:
        """Update one parameter with a gradient that is already the sum over all ranks.

        ::

            for p, g in autograd.backward(loss):
                sgd.update(p, sgd.all_reduce(g))
        """
        self.opt._check(param, grad)
        self._expect_same_beginning([param], param.device)
        self.opt.update(param, grad / float(self.world_size))

    def apply(self, name: str, value: Tensor, grad: Tensor) -> None:
        """``update(value, grad)``; the name is not needed."""
        self.update(value, grad)

    def _backward(self, loss: Tensor) -> tuple[Pairs, bool]:
        pairs, is_scaled = self.opt._backward(loss)
        self._expect_same_beginning([param for param, _ in pairs], loss.device)
        return pairs, is_scaled

    def _update_averaged(
        self,
        pairs: Pairs,
        is_scaled: bool,
        threshold: int,
        half: bool = False,
        most: float | None = None,
    ) -> None:
        grads = [grad.data for _, grad in pairs]
        groups = groups_of(grads, threshold, self.buffSize)
        run = averaged(groups, float16 if half else None, most)
        means, is_good = self._run(pairs, run, grads, is_scaled=is_scaled)
        self.opt._update_all(_with(pairs, means), is_scaled, is_good)

    def _run(self, pairs: Pairs, run: Callable[..., Any], *args: Any, is_scaled: bool) -> Any:
        """Run a function on all ranks together, with the gradients and, if there is one, the scale.

        Without gradients nothing is sent.
        """
        params = [param for param, _ in pairs]
        for param in params:
            if is_complex(param.dtype):
                raise DTypeError(
                    f"DistOpt: the gradients of real parameters can be averaged, and "
                    f"{param.name or 'one'} is {param.dtype}"
                )
        ours = self._communicator(params or [self.opt.step_counter])
        scaling = [placed(self.opt.loss_scale, param.device).data for param in params[:1]]
        return ours.run(run, *args, scaling if is_scaled else [])

    def _residual(self, param: Tensor) -> Tensor:
        residual = self._residuals.get(param)
        if residual is None:
            with outside_capture():
                residual = self._residuals[param] = Tensor(
                    param.shape, param.device, param.dtype, requires_grad=False
                )
        if (residual.shape, residual.dtype) != (param.shape, param.dtype):
            raise self.opt._misfit(param)
        return placed(residual, param.device)

    def _expect_same_beginning(self, params: Sequence[Tensor], device: Device) -> None:
        """Check that all ranks update the same parameters, and that new ones have equal values."""
        new = [param for param in params if param not in self._known]
        self._expect_same(
            [(param.shape, str(param.dtype)) for param in params],
            [param in self._known for param in params],
            device,
            f"updates {len(params)} parameters "
            f"({', '.join(str(p.name or p.shape) for p in params[:1])}, ...), and others update "
            "other ones: all ranks have to train the same model",
        )
        if not new:
            return
        with outside_capture():
            same = communicator(device).are_equal([param.data for param in new])
        for param, is_same in zip(new, same, strict=True):
            if not is_same:
                raise DistributedError(
                    f"DistOpt: the parameter {param.name or param.shape} is not the same on "
                    "all ranks. Set the same seed on all, load the same file, or call "
                    "distributed.broadcast(model.get_states().values())"
                )
        self._known.update(new)

    # -- its state ----------------------------------------------------------------------------

    def state_kinds(self, names: Mapping[Tensor, str]) -> dict[str, Kind]:
        """The shapes and types of everything that :meth:`set_states` takes, by name."""
        residuals = {f"{name}:{RESIDUAL}": (p.shape, p.dtype) for p, name in names.items()}
        return self.opt.state_kinds(names) | residuals | {TURN: ((), int32)}

    def tensors(self) -> list[Tensor]:
        """All Tensors of the state, including those of the inner optimizer."""
        return [*self.opt.tensors(), self.turn, *self._residuals.values()]

    def get_states(self, names: Mapping[Tensor, str] | None = None) -> dict[str, Tensor]:
        """The inner optimizer's state, and this one's: ``turn``, and ``parameter:residual``.

        Each rank has residuals of its own. Other ranks lose theirs if they continue from this
        rank's checkpoint.

        Args:
            names: the names of the parameters; see :meth:`Optimizer.get_states`.
        """
        states = self.opt.get_states(names)
        names = self.opt._numbered() if names is None else names
        states[TURN] = self.turn
        for param, tensor in self._residuals.items():
            if param in names:
                states[f"{names[param]}:{RESIDUAL}"] = tensor
        return states

    def set_states(
        self,
        states: Mapping[str, Tensor | np.ndarray[Any, Any]],
        names: Mapping[Tensor, str] | None = None,
    ) -> None:
        """Set the state to what :meth:`get_states` returned. State that is missing starts anew.

        Raises:
            ShapeError: a name belongs to no parameter, or an array has another shape.
            DTypeError: an array has another kind of numbers.
        """
        names = self.opt._numbered() if names is None else names
        kinds = self.state_kinds(names)
        own = {k: v for k, v in states.items() if k == TURN or k.endswith(f":{RESIDUAL}")}
        for key, value in own.items():
            check_fits(f"DistOpt: {key!r}", value, kinds.get(key))
        self.opt.set_states({k: v for k, v in states.items() if k not in own}, names)
        self.turn.copy_from_numpy(np.asarray(own.get(TURN, 0)))
        self._residuals.clear()
        for param, name in names.items():
            if f"{name}:{RESIDUAL}" in own:
                value = np.asarray(own[f"{name}:{RESIDUAL}"])
                self._residual(param).copy_from_numpy(value)


def _with(pairs: Pairs, grads: Sequence[CTensor]) -> Pairs:
    """The same parameters with other gradients."""
    return [
        (param, wrap(grad, param.device)) for (param, _), grad in zip(pairs, grads, strict=True)
    ]

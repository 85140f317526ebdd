"""Several processes that train one model: how they connect, and how they exchange arrays.

Each process is a *rank*: it has a device of its own, runs the same program as all others on its own
part of the data, and holds its own copy of the parameters. All ranks take part in every exchange,
in the same order. XLA moves the data: by NCCL between GPUs, by Gloo between CPUs.

A process that has not joined any others is the only rank of a world of one. Programs for many ranks
run there unchanged.

- ``world.py``: which rank this process is, and how it connects to the others.
- ``exchange.py``: the exchange of arrays.
- ``spreading.py``: the parameters of one process, in parts on several devices.
- ``comparison.py``: whether all ranks exchange the same, in the same order.
- ``hub.py``, ``watch.py``: who has failed; what each rank does about it.
- ``group.py``, ``launching.py``, ``scripts.py``: the processes of ranks on this machine; those that
  run a function; those that run a script.
"""

from singa.distributed.exchange import AXIS, EXCHANGE, Communicator, broadcast, communicator
from singa.distributed.launching import launch
from singa.distributed.spreading import (
    fully_sharded,
    place,
    placement,
    shard,
    tensor_parallel,
)
from singa.distributed.world import (
    World,
    announced_size,
    free_address,
    initialize,
    local_rank,
    rank,
    world_size,
)

__all__ = [
    "AXIS",
    "EXCHANGE",
    "Communicator",
    "World",
    "announced_size",
    "broadcast",
    "communicator",
    "free_address",
    "fully_sharded",
    "initialize",
    "launch",
    "local_rank",
    "place",
    "placement",
    "rank",
    "shard",
    "tensor_parallel",
    "world_size",
]

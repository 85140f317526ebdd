"""How training scales: ``python -m benchmarks.scaling``.

- Weak scaling: two processes, each on a core of its own with one thread and a batch of its own,
  that exchange gradients (``DistOpt``), beside two independent ones, and beside PyTorch's
  DistributedDataParallel over Gloo. The efficiency is the independent ones' time divided by that.
- The memory of each of eight simulated devices, with parameters and state in parts.
- On paper: bytes and seconds of the collectives of a step on 8 to 4,096 GPUs (on_paper.py).

It takes about four minutes on a quiet machine with two cores. PyTorch is left out if it is not
installed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import chart, machine, on_paper
from benchmarks.goals import Goal
from benchmarks.ranks import Ranks
from benchmarks.report import Section, as_json, table
from benchmarks.timing import Run, take_turns
from benchmarks.worker import Worker
from benchmarks.workloads import Workload

RESULTS = Path("benchmarks/results/scaling.json")
CHART = Path("docs/images/scaling.png")
TIMED, SPREAD = ("wide_mlp", "cnn", "transformer"), ("wide_mlp", "cnn", "transformer", "gpt")
OURS, INDEPENDENT = "singa, 2 ranks", "singa, 2 independent processes"
DDP, TORCH = "PyTorch DDP, 2 ranks", "PyTorch, 2 independent processes"
WHO = {
    OURS: ("singa", True), INDEPENDENT: ("singa", False),
    DDP: ("torch", True), TORCH: ("torch", False),
}  # fmt: skip
GOALS = {Goal(name, OURS, peer, least, least): least for name in TIMED
         for peer, least in ((INDEPENDENT, 0.9), (DDP, 1.2))}  # fmt: skip
SHARE = 1.1 / 8  # the most of parameters and state that each of eight devices holds
WAYS = {
    "data parallel": {"data": 8},
    "fully sharded": {"data": 8},
    "tensor parallel": {"data": 2, "model": 4},
}


# -- two processes --------------------------------------------------------------------------------


def measure(name: str, rounds: int, done: Callable[[], object]) -> Section:
    """The times of a workload's step. All have the same losses."""
    who = [each for each, (how, _) in WHO.items() if find_spec(how) is not None]
    section = Section(name, Workload(name).title, "ms", OURS)
    with ExitStack() as stack:
        runs: dict[str, Run] = {}
        for each in who:
            how, connected = WHO[each]
            group = stack.enter_context(Ranks(how, name, 2, connected))
            section.losses[each] = group.run(5)[1]
            np.testing.assert_allclose(
                section.losses[each], section.losses[who[0]], rtol=1e-3, err_msg=each
            )
            runs[each] = lambda count, group=group: group.run(count)[0]
        section.values = take_turns(runs, rounds, done=done)
    return section


# -- eight simulated devices ----------------------------------------------------------------------


def spread(name: str) -> Callable[[], dict[str, Any]]:
    """For a worker: what a device holds, and what devices exchange, in each of the ways."""
    return lambda: {way: _spread(name, way) for way in WAYS if way in ways_of(name)}


def ways_of(name: str) -> tuple[str, ...]:
    """The ways of spreading a workload that make sense."""
    return tuple(WAYS) if name in ("transformer", "gpt") else tuple(WAYS)[:2]


def _spread(name: str, way: str) -> dict[str, Any]:
    from benchmarks.contenders import ours
    from singa import device, distributed

    net, x, t = ours.prepared(Workload(name), device.create_mesh(WAYS[way]))
    if way == "fully sharded":
        distributed.shard(net, distributed.fully_sharded())
    elif way == "tensor parallel":
        distributed.shard(net, distributed.tensor_parallel())
    net(x, t)
    report = net.memory_report()
    return {
        "axes": WAYS[way],
        "parameters and state": report.parameters + report.states,
        "peak": report.peak,
        "collectives": [
            {"kind": row.kind, "axes": row.axes, "devices": row.devices, "bytes": row.bytes,
             "times": row.times}
            for row in net.collectives().rows
        ],
    }  # fmt: skip


def measure_spread(name: str) -> dict[str, Any]:
    """The same, in a process with eight devices."""
    flags = "--xla_force_host_platform_device_count=8"
    with Worker("benchmarks.scaling:spread", name, XLA_FLAGS=flags, JAX_PLATFORMS="cpu") as worker:
        found: Any = worker.run(1)[1][0]
        return dict(found)


# -- tables ---------------------------------------------------------------------------------------


def table_of_memory(found: dict[str, dict[str, Any]]) -> Table:
    shown = Table(
        "", "parameters and state", "in parts", "share", "goal", "peak", "in parts",
        title="Memory of each of 8 devices, MiB",
    )  # fmt: skip
    for name, ways in found.items():
        whole, parts = (ways[way] for way in ("data parallel", "fully sharded"))
        share = parts["parameters and state"] / whole["parameters and state"]
        cells = [each[what] for what in ("parameters and state", "peak") for each in (whole, parts)]
        mib = [f"{cell / 2**20:.2f}" for cell in cells]
        mark = f"≤ {SHARE:.3f} {'[green]✓[/]' if share <= SHARE else '[red]✗[/]'}"
        shown.add_row(Workload(name).title, *mib[:2], f"{share:.3f}", mark, *mib[2:])
    return shown


def paper(found: dict[str, dict[str, Any]], network: on_paper.Network) -> list[dict[str, Any]]:
    """Bytes and seconds of collectives, for each workload, way and number of GPUs."""
    return [
        {"what": name, "way": way, "gpus": count, "bytes sent by each": sent, "seconds": time}
        for name, ways in found.items()
        for way, each in ways.items()
        for count in on_paper.COUNTS
        for sent, time in [
            on_paper.step(on_paper.as_rows(each["collectives"]), each["axes"], count, network)
        ]
    ]


def table_on_paper(rows: list[dict[str, Any]]) -> Table:
    counts = [f"{count:,}" for count in on_paper.COUNTS]
    shown = Table(
        "", "", *counts, title="On paper: MB that each of so many GPUs sends in a step, and ms"
    )
    for first in range(0, len(rows), len(counts)):
        group = rows[first : first + len(counts)]
        cells = [f"{r['bytes sent by each'] / 1e6:.2f} {r['seconds'] * 1e3:.2f}" for r in group]
        shown.add_row(Workload(group[0]["what"]).title, group[0]["way"], *cells)
    return shown


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=7, help="measurements of each (%(default)s)")
    add("--only", nargs="+", choices=SPREAD, metavar="WHAT", help=f"of {', '.join(SPREAD)}")
    add("--parts", nargs="+", choices=("ranks", "devices"), default=("ranks", "devices"),
        help="two processes; eight devices and the table on paper")  # fmt: skip
    network = on_paper.Network()
    add("--inside", type=float, default=network.inside, help="bytes a second in a node")
    add("--between", type=float, default=network.between, help="bytes a second between nodes")
    add("--latency", type=float, default=network.latency, help="seconds of a message")
    add("--node", type=int, default=network.node, help="GPUs in a node (%(default)s)")
    add("--json", type=Path, metavar="FILE", nargs="?", const=RESULTS, help=f"write it ({RESULTS})")
    add("--chart", type=Path, metavar="FILE", nargs="?", const=CHART, help=f"draw it ({CHART})")
    return parser.parse_args()


def main() -> None:
    chosen = options()
    console = Console()
    machine.confine("cpu", 2)
    neighbours = machine.Neighbours()
    timed = [name for name in TIMED if name in (chosen.only or TIMED) and "ranks" in chosen.parts]
    simulated = [n for n in SPREAD if n in (chosen.only or SPREAD) and "devices" in chosen.parts]
    # Drawn between the measurements only: a thread that draws would disturb them.
    with Progress(console=console, transient=True, auto_refresh=False) as progress:
        total = len(timed) * len(WHO) * (chosen.rounds + 1) + len(simulated)
        task = progress.add_task("Scaling", total=total)

        def done() -> None:
            progress.advance(task)
            progress.refresh()

        sections = [measure(name, chosen.rounds, done) for name in timed]
        busy = neighbours.busy()
        devices = {}
        for name in simulated:
            devices[name] = measure_spread(name)
            done()
    network = on_paper.Network(chosen.inside, chosen.between, chosen.latency, chosen.node)
    rows = paper(devices, network)
    if sections:
        console.print(table(sections, GOALS, "Two processes, a core and a batch for each"))
        if busy is not None and busy > 0.1:
            console.print(f"[yellow]Other programs kept {busy:.1f} cores busy meanwhile.[/]")
    if devices:
        console.print(table_of_memory(devices), table_on_paper(rows))
    about = machine.describe("cpu", 1) | {"rounds": chosen.rounds, "cores of others": busy}
    if chosen.json:
        found = as_json(sections, about, GOALS)
        found |= {"devices": devices, "network": vars(network), "on paper": rows}
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
        console.print(f"All numbers: {chosen.json}")
    if chosen.chart:
        chart.draw(sections, chosen.chart, machine.in_a_line(about), f"Times as long as {OURS}")


if __name__ == "__main__":
    main()

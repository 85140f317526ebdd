"""Times whole training steps of this and other libraries in one run: ``make bench``.

Every contender gets the same parameters and the same batch, and has to compute the same losses
over five steps before it is timed. Then they run in turns, on two threads; the table shows medians,
and those of the others divided by ours. Libraries that are not installed are left out. Measurements
that need a fresh process (importing, compiling, memory) come at the end. All of it takes about
twenty minutes, half of them for torch.compile and ResNet-18.

Each contender has a process of its own, as its users run it (worker.py); they still run in turns.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import chart, contenders, goals, machine, processes, workloads
from benchmarks.contenders import MADE, Contender
from benchmarks.report import Section, as_json, sections_of, table
from benchmarks.timing import Run, take_turns
from benchmarks.worker import Worker

RESULTS, CHART = Path("benchmarks/results/steps.json"), Path("docs/images/benchmark.png")
WITHOUT = "singa compiled, no native kernels"
PROCESSES = "processes"
CHECKED = 5  # steps whose losses must be the same for all contenders


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [contender.name for contender in contenders.ALL]
    add = parser.add_argument
    add("--rounds", type=int, default=20, help="measurements of each contender (%(default)s)")
    add("--quick", action="store_true", help="3 rounds, and nothing that takes minutes")
    what = (*workloads.NAMES, PROCESSES)
    add("--only", nargs="+", choices=what, metavar="WHAT", help=f"of {', '.join(what)}")
    add("--contenders", nargs="+", choices=names, metavar="WHO", help=f"of {', '.join(names)}")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--precision", choices=workloads.PRECISIONS, default="float32", help="(%(default)s)")
    add("--json", type=Path, metavar="FILE", nargs="?", const=RESULTS, help=f"write it ({RESULTS})")
    add("--chart", type=Path, metavar="FILE", nargs="?", const=CHART, help=f"draw it ({CHART})")
    chosen = parser.parse_args()
    chosen.rounds = 3 if chosen.quick else chosen.rounds
    if not chosen.only:
        left_out = {PROCESSES} if chosen.quick or chosen.device != "cpu" else set()
        left_out |= set(workloads.ON_GPUS_ONLY) if chosen.device == "cpu" else set()
        chosen.only = [each for each in what if each not in left_out]
    chosen.contenders = chosen.contenders or names
    return chosen


def main() -> None:
    chosen = options()
    machine.confine(chosen.device, contenders.THREADS)
    console = Console(width=None if sys.stdout.isatty() else 130)  # the table's, for a file
    taking_part = who_takes_part(chosen, console)
    neighbours = machine.Neighbours()
    sections = []
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    # Drawn between the measurements only: a thread that draws would disturb them.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        for name in workloads.NAMES:
            if name in chosen.only:
                workload = workloads.Workload(name, chosen.precision)
                section = measure(workload, taking_part, chosen.device, chosen.rounds, bar)
                sections += [section] if section.values else []
        if PROCESSES in chosen.only:
            sections += measure_processes(taking_part, chosen.device, bar)
    busy = neighbours.busy()
    wanted = goals.for_here(chosen.device, machine.natively())
    console.print(table(sections, wanted))
    if busy is not None and busy > 0.1:
        console.print(
            f"[yellow]Other programs kept {busy:.1f} cores busy meanwhile. Do not trust these "
            "numbers: PyTorch's threads wait for each other, and suffer most.[/]"
        )
    about = machine.describe(chosen.device, contenders.THREADS)
    about |= {"device": chosen.device, "rounds": chosen.rounds, "cores of others": busy}
    if chosen.json:
        if chosen.json.exists():  # results that were not measured now are kept
            old = sections_of(json.loads(chosen.json.read_text())["results"])
            new = {section.what: section for section in sections}
            kept = [new.pop(section.what, section) for section in old]
            sections = [*kept, *new.values()]
        chosen.json.write_text(json.dumps(as_json(sections, about, wanted), indent=2) + "\n")
        console.print(f"All numbers: {chosen.json}")
    if chosen.chart:
        chart.draw(sections, chosen.chart, machine.in_a_line(about))
        console.print(f"As a picture: {chosen.chart}")


def who_takes_part(chosen: argparse.Namespace, console: Console) -> list[Contender]:
    """The contenders that were chosen, run on this device, and are installed."""
    found = []
    for contender in contenders.ALL:
        asked_for = contender.name in chosen.contenders and chosen.device in contender.devices
        if not asked_for or (contender.is_slow and chosen.quick):
            continue
        missing = contender.what_is_missing(chosen.device)
        if missing is None:
            found.append(contender)
        else:
            console.print(f"{contender.title} does not take part: no {missing} here")
    return found


def measure(
    workload: workloads.Workload,
    taking_part: list[Contender],
    device: str,
    rounds: int,
    bar: Progress,
) -> Section:
    """One workload with every contender: checked, then timed, then asked for its peak memory."""
    what = workload.name if workload.precision == "float32" else f"{workload.name} in bfloat16"
    section = Section(what, workload.title, "ms")
    with ExitStack() as workers:
        runs: dict[str, Run] = {}
        started: dict[str, Worker] = {}
        about_it = [
            (contender.title, contender, {})
            for contender in taking_part
            if contender.is_about(workload)
        ]
        if machine.natively() and contenders.OURS in taking_part:
            about_it.append((WITHOUT, contenders.OURS, {"SINGA_NATIVE": "0"}))
        task = bar.add_task(workload.title, total=len(about_it) * (rounds + 2))
        for title, contender, setting in about_it:  # they get ready side by side
            arguments = workload.name, contender.name, device, workload.precision
            started[title] = workers.enter_context(Worker(MADE, *arguments, **setting))
        for title, contender, _ in about_it:
            bar.update(task, description=f"{workload.title}: checking {title}")
            worker = started[title]
            losses = worker.run(CHECKED)[1]
            if contender.trains:
                section.losses[title] = losses
            runs[title] = lambda count, worker=worker: worker.run(count)[0]
            bar.advance(task)
        check(section, device, workload.precision)
        bar.update(task, description=workload.title)
        section.values = take_turns(runs, rounds, done=lambda: bar.advance(task))
        section.memory = {title: worker.peak_memory() for title, worker in started.items()}
    bar.remove_task(task)
    return section


def measure_processes(taking_part: list[Contender], device: str, bar: Progress) -> list[Section]:
    task = bar.add_task("In processes of their own", total=None)
    bar.refresh()
    found: dict[str, Section] = {}
    for section, who in processes.sections(device, taking_part):
        found[section.what] = section
        bar.update(task, description=f"{section.title}: {who}", refresh=True)
    bar.remove_task(task)
    return list(found.values())


def check(section: Section, device: str, precision: str) -> None:
    """All contenders do the same work: their losses agree over the first steps."""
    # On GPUs products and convolutions are rounded to TF32, which has 10 bits; bfloat16 has 7, and
    # libraries choose differently what they compute in it.
    tolerance = 1e-1 if precision == "bfloat16" else 2e-3 if device == "cpu" else 2e-2
    first = next(iter(section.losses), None)
    for who, losses in section.losses.items():
        differ = f"{section.title}: losses of {who}, and of {first}"
        np.testing.assert_allclose(losses, section.losses[first], rtol=tolerance, err_msg=differ)


if __name__ == "__main__":
    main()

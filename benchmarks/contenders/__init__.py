"""Who takes part: one file for each library, and here the list of them.

Every contender makes the same training step: forward, mean softmax cross entropy, backward and
SGD with momentum and weight decay (AdamW for language models), on one batch; in float32, or mixed
with bfloat16. A step returns its loss, so that it waits for its own end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from shutil import which

from benchmarks.workloads import Workload

Step = Callable[[], float]

LR, MOMENTUM, DECAY = 0.005, 0.9, 1e-5
ADAMW_LR, ADAMW_DECAY = 3e-4, 0.01
THREADS = 2


@dataclass(frozen=True)
class Contender:
    """A way of making the step.

    Attributes:
        name: what the command line calls it.
        title: what the table calls it.
        package: what has to be installed.
        maker: the module of this package, and its function, that make the step.
        framework: the way in which the workload is written: ``in_<framework>``.
        only: the workloads it is about; all if empty.
        devices: where it runs.
        is_mixed: whether it can compute in bfloat16 while parameters stay float32.
        trains: whether its step is the whole training step, with a loss to check.
        is_slow: whether it takes minutes to get ready.
    """

    name: str
    title: str
    package: str
    maker: str
    framework: str
    only: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")
    is_mixed: bool = False
    trains: bool = True
    is_slow: bool = False

    def is_about(self, workload: Workload) -> bool:
        """Whether this workload is written for this library, and worth a row for it."""
        wanted = not self.only or workload.name in self.only
        wanted = wanted and (self.is_mixed or workload.precision == "float32")
        return wanted and workload.is_written_in(self.framework)

    def what_is_missing(self, device: str) -> str | None:
        """What would have to be there, if anything."""
        try:
            found = find_spec(self.package)
        except ModuleNotFoundError:  # a package inside of one that is not there
            found = None
        if found is None:
            return self.package.partition(".")[0]
        if device == "cuda" and not _sees_gpu(self.package):
            return f"GPU that {self.package} sees"
        if self.name == "torch-compile" and not any(map(which, ("c++", "g++", "clang++"))):
            return "C++ compiler"
        return None

    def step(self, workload: Workload, device: str) -> Step:
        """The step, with parameters of its own. Whatever it compiles it compiles when called."""
        module, function = self.maker.split(":")
        make = getattr(import_module(f"benchmarks.contenders.{module}"), function)
        return make(workload, device)


def _sees_gpu(package: str) -> bool:
    library = import_module("jax" if package in ("singa", "flax") else package)
    if package == "torch":
        return library.cuda.is_available()
    if package == "mlx.core":
        return library.is_available(library.gpu)
    return any(place.platform == "gpu" for place in library.devices())


IMAGES = ("cnn", "resnet", "vgg", "resnet50")

OURS = Contender("singa", "singa compiled", "singa", "ours:compiled", "singa", is_mixed=True)

ALL = (
    OURS,
    Contender("singa-eager", "singa eager", "singa", "ours:eager", "singa", is_mixed=True),
    Contender("jax", "jax.jit of jax.grad", "jax", "plain_jax:jitted", "jax"),
    Contender("torch", "PyTorch eager", "torch", "pytorch:eager", "torch", is_mixed=True),
    Contender(
        "torch-channels-last", "PyTorch eager, channels last", "torch", "pytorch:channels_last",
        "torch", IMAGES, is_mixed=True,
    ),
    Contender(
        "torch-compile", "torch.compile", "torch", "pytorch:compiled",
        "torch", ("mlp", *IMAGES, "transformer", "gpt"),  # it leaves LSTMs as they are
        is_mixed=True, is_slow=True,
    ),
    Contender(
        "torch-cuda-graph", "PyTorch, CUDA graph", "torch", "pytorch:cuda_graph",
        "torch", devices=("cuda",), is_mixed=True,
    ),
    Contender("flax", "Flax nnx.jit", "flax", "flax_nnx:jitted", "flax"),
    Contender("mlx", "MLX compiled", "mlx.core", "mlx_compiled:compiled", "mlx"),
    Contender(
        "limit", "limit: convolutions and products alone", "torch", "limits:alone",
        "torch", trains=False,
    ),
)  # fmt: skip


def made(workload: str, contender: str, device: str, precision: str = "float32") -> Step:
    """The step of the contender of this name, on the workload of this name."""
    chosen = next(each for each in ALL if each.name == contender)
    return chosen.step(Workload(workload, precision), device)


MADE = f"{__name__}:{made.__name__}"
"""What a worker is told to make."""

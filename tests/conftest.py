import gc
import os
import signal
import tempfile

import jax
import pytest
from hypothesis import settings
from jax._src import compiler
from jax._src.interpreters import mlir

# Before singa is imported: the user's cache is left alone. The processes of a run share one of
# their own, for many tests compile the same.
if "PYTEST_XDIST_WORKER" not in os.environ:
    compiled = tempfile.TemporaryDirectory(prefix="singa-tests-")
    os.environ["SINGA_CACHE_DIR"] = compiled.name

# A run in the background ignores interrupts, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: whichever example compiles a kernel first takes a hundred times longer than the
# next. In CI the examples are the same in every run, so that a red run is about its change.
settings.register_profile("singa", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("singa")

# Most of the tests' time goes into compiling what is computed once. Without LLVM's optimizations
# it takes half as long, and with the emitters that XLA had before its present ones half of that.
# Rooms about what is compiled, and about numbers at the ends of their types, compile as users do.
# XLA's flags are those of a process, so what differs between rooms is told with each program.
UNOPTIMIZED = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") != "0"
jax.config.update("jax_disable_most_optimizations", UNOPTIMIZED)
QUICKLY_COMPILED = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
told = dict(QUICKLY_COMPILED) if UNOPTIMIZED else {}
compile_options = compiler.get_compile_options


def _with_what_is_told(*args, env_options_overrides=None, **more):
    given = told | (env_options_overrides or {})
    return compile_options(*args, env_options_overrides=given, **more)


compiler.get_compile_options = _with_what_is_told

# A context of MLIR takes 5 ms to make, as long as all else of lowering a small kernel. jax makes
# one for each program; here one serves all of a module. A program that is needed while another one
# is lowered has a context of its own: in the same one it would become a part of the other.
make_ir_context = mlir.make_ir_context
contexts = []


def _shared_ir_context():
    if mlir.ir.Context.current is not None:
        return make_ir_context()
    if not contexts:
        contexts.append(make_ir_context())
    return contexts[0]


mlir.make_ir_context = _shared_ir_context

from singa.engine import memory  # noqa: E402
from singa.tape.kernel import table  # noqa: E402


def pytest_collection_finish():
    """What was imported stays: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _what_was_compiled_goes():
    """Each module starts without kernels: a worker that kept them all would need 5 GiB."""
    yield
    table.kernels.clear()
    table.held = 0
    jax.clear_caches()
    contexts.clear()
    gc.collect()
    memory.return_unused()


@pytest.fixture(scope="module")
def optimized(_what_was_compiled_goes):
    """XLA and LLVM optimize as for users."""
    before = dict(told)
    jax.config.update("jax_disable_most_optimizations", False)
    told.clear()
    yield
    jax.config.update("jax_disable_most_optimizations", UNOPTIMIZED)
    told.update(before)


@pytest.fixture(scope="module")
def many_kernels():
    """For tests that draw the same shapes again and again, out of many."""
    before = table.least, table.limit
    table.least = table.limit = 1000
    yield
    table.least, table.limit = before

import gc
import os
import signal
import tempfile

import jax
import pytest
from hypothesis import settings

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
# it takes half as long; rooms about what is compiled, and about numbers at the ends of their types,
# turn them on again.
UNOPTIMIZED = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") != "0"
jax.config.update("jax_disable_most_optimizations", UNOPTIMIZED)

from singa.engine import memory  # noqa: E402
from singa.tape.kernel import table  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _what_was_compiled_goes():
    """Each module starts without kernels: a worker that kept them all would need 5 GiB."""
    yield
    table.kernels.clear()
    table.held = 0
    jax.clear_caches()
    gc.collect()
    memory.return_unused()


@pytest.fixture(scope="module")
def optimized(_what_was_compiled_goes):
    """XLA and LLVM optimize as for users."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", UNOPTIMIZED)


@pytest.fixture(scope="module")
def many_kernels():
    """For tests that draw the same shapes again and again, out of many."""
    before = table.least, table.limit
    table.least = table.limit = 1000
    yield
    table.least, table.limit = before

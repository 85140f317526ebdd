import gc
import os
import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import jax
import jaxlib.version
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax._src import compiler
from jax._src.interpreters import mlir

# What the tests make anew if it is not there. SINGA_TESTS_CACHE moves it; `make clean` removes it.
MADE = Path(os.environ.get("SINGA_TESTS_CACHE", Path(__file__).parents[1] / "build" / "tests"))
MUCH = 2**30  # bytes on disk
LARGE = 900 * 2**20  # bytes of memory of a worker, of which 500 MiB are for what it has imported

# Before singa is imported: the user's cache is left alone. The processes of a run, and the next
# runs, share one of their own, for they compile the same: half of the time goes into that. A
# program is found by all that it is, so what has changed since is compiled. Nothing drops old
# programs one by one, so when they are too many all of them go.
COMPILED = MADE / "compiled"
if "PYTEST_XDIST_WORKER" not in os.environ:
    if sum(file.stat().st_size for file in COMPILED.rglob("*-cache")) > MUCH:
        shutil.rmtree(COMPILED)
    os.environ["SINGA_CACHE_DIR"] = str(COMPILED)

# Where Python is told to write no bytecode, each process that a test starts would compile all that
# it imports, which takes as long as all else of its start.
if sys.dont_write_bytecode:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(MADE / "bytecode")
    sys.dont_write_bytecode = False

# The threads of NumPy's OpenBLAS wait busily, and each core has a worker already. The processes
# that are started from here follow: workers, and what tests start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A run in the background ignores interrupts, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: whichever example compiles a kernel first takes a hundred times longer than the
# next. In CI the examples are the same in every run, so that a red run is about its change.
settings.register_profile("singa", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("singa")

# Most of the tests' time goes into compiling what is computed once. Without LLVM's optimizations
# it takes half as long, and with the emitters that XLA had before its present ones half of that.
# The processes that tests start do the same. Rooms about what is compiled, and about numbers at the
# ends of their types, compile as users do.
UNOPTIMIZED = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") != "0"
jax.config.update("jax_disable_most_optimizations", UNOPTIMIZED)
FLAGS = {"xla_cpu_parallel_codegen_split_count": (1, 32)}  # here, and for users
# From jaxlib 0.11 on there are no older emitters, and XLA ends a process for a flag it lacks.
if jaxlib.version.__version_info__ < (0, 11):
    FLAGS["xla_cpu_use_fusion_emitters"] = (False, True)
CHEAP = " ".join(f"--{name}={str(here).lower()}" for name, (here, _) in FLAGS.items())
if UNOPTIMIZED and "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {CHEAP}".strip()

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

QUICK = 3
"""So many tests of each module run with --quick."""

from singa import tape  # noqa: E402 (after the flags)
from singa.engine import memory  # noqa: E402 (after the flags)
from singa.tape.kernel import table  # noqa: E402 (after the flags)


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="run a few quick tests of each module")


@settings(max_examples=1, database=None)
@given(st.none())
def _draw_once(_):
    """Hypothesis makes its generator of random numbers, and checks that something refers to it.

    It does not see what is frozen: of a module's dict it would warn, which is an error.
    """


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is imported stays: the collector need not look through it again and again.

    And tracing makes many objects that stay for as long: it looks seldom.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        _draw_once()
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 10)
        memory.return_unused()


def _place(item, modules, rows):
    """Where a test stands: in its module's place, and there in that of its row, if it has one."""
    module = modules.setdefault(item.path, len(modules))
    mark = item.get_closest_marker("row_by_row")
    row = item.callspec.params.get(mark.args[0]) if mark and hasattr(item, "callspec") else None
    return module, rows.setdefault((module, row), len(rows)) if row is not None else -1


def pytest_collection_modifyitems(config, items):
    """Tests of a table run row by row: the kernels of a row are kept until its last test.

    Where two workers share a table, neither compiles for rows of the other one. With --quick,
    three tests of each module are left, far apart, and none that is slow.
    """
    modules, rows = {}, {}
    items.sort(key=lambda item: _place(item, modules, rows))
    if not config.getoption("quick"):
        return
    modules = {}
    for item in items:
        if item.get_closest_marker("slow") is None:
            modules.setdefault(item.path, []).append(item)
    kept = {
        tests[i * (len(tests) - 1) // (QUICK - 1)]
        for tests in modules.values()
        for i in range(QUICK)
    }
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def _forget_what_was_compiled():
    table.kernels.clear()
    table.held = 0
    jax.clear_caches()
    contexts.clear()
    gc.collect()
    memory.return_unused()


def _resident():
    """The memory of this process; without Linux's /proc, more than it may have."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return LARGE
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module", autouse=True)
def _what_was_compiled_goes():
    """What is compiled stays for the next modules, which need the same small kernels again.

    A worker that kept all of it would need 5 GiB: when there is much, all goes.
    """
    yield
    if _resident() >= LARGE:
        _forget_what_was_compiled()


@pytest.fixture(scope="module")
def only_its_own(_what_was_compiled_goes):
    """For a module that must not use what other modules have compiled, and they not its own."""
    _forget_what_was_compiled()
    yield
    _forget_what_was_compiled()


@contextmanager
def _as_for_users():
    """XLA and LLVM optimize as for users.

    XLA reads its flags once in a process, so those of a room are told with each program.
    """
    as_for_users = {name: for_users for name, (_, for_users) in FLAGS.items()}
    get = compiler.get_compile_options

    def compile_options(*args, env_options_overrides=None, **more):
        options = as_for_users | (env_options_overrides or {})
        return get(*args, env_options_overrides=options, **more)

    with pytest.MonkeyPatch.context() as patched:
        if CHEAP in os.environ["XLA_FLAGS"]:
            patched.setattr(compiler, "get_compile_options", compile_options)
            patched.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"].replace(CHEAP, ""))
        jax.config.update("jax_disable_most_optimizations", False)
        yield
        jax.config.update("jax_disable_most_optimizations", UNOPTIMIZED)


@pytest.fixture(scope="module")
def optimized(only_its_own):
    """For all that a module compiles."""
    with _as_for_users():
        yield


@pytest.fixture
def optimized_once(only_its_own):
    """For what one test compiles, except kernels that its module has compiled already."""
    with _as_for_users():
        yield


@pytest.fixture(scope="module")
def many_kernels(only_its_own):
    """For tests that draw the same shapes again and again, out of many."""
    before = table.least, table.limit
    table.least = table.limit = 1000
    yield
    table.least, table.limit = before


@pytest.fixture
def recording():
    """autograd.training is on."""
    tape.mode.training = True
    yield
    tape.mode.training = False

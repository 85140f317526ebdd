import os
import pickle
import subprocess
import sys
from pkgutil import ModuleInfo

import jax
import pytest

from singa import device
from singa.engine import gpus, memory
from singa.errors import ArgumentError, DeviceError, DTypeError

HAS_GPU = device.get_num_gpus() > 0
without_gpu = pytest.mark.skipif(HAS_GPU, reason="there is a GPU here")
with_gpu = pytest.mark.skipif(not HAS_GPU, reason="there is no GPU here")


def test_there_is_one_cpu_and_it_is_the_default():
    cpu = device.create_cpu_device()
    assert cpu is device.get_default_device() is device.device_named("cpu") is cpu.host()
    assert (cpu.id(), cpu.name, repr(cpu)) == (-1, "cpu", "<Device cpu>")
    cpu.sync()
    cpu.Sync()


def test_a_pickled_device_is_the_same_device():
    cpu = device.create_cpu_device()
    assert pickle.loads(pickle.dumps(cpu)) is cpu


@without_gpu
@pytest.mark.parametrize(
    "create",
    [
        device.create_cuda_gpu,
        lambda: device.create_cuda_gpu_on(0),
        lambda: device.create_cuda_gpus(2),
        lambda: device.create_cuda_gpus_on([0, 1]),
        lambda: device.device_named("cuda:0"),
        lambda: device.get_gpu_mem_size(0),
        lambda: device.device_query(0),
    ],
    ids=["one", "on", "many", "many_on", "named", "memory", "query"],
)
def test_without_a_gpu_the_error_says_so_and_what_to_install(create):
    with pytest.raises(DeviceError, match=r"jax sees no GPU here.*singa-xla\[cuda\]"):
        create()


@without_gpu
def test_without_a_gpu_the_counts_are_zero():
    assert (device.get_num_gpus(), device.get_gpu_ids()) == (0, [])


@with_gpu
def test_gpus_are_found_by_number():
    first = device.create_cuda_gpu()
    assert first is device.create_cuda_gpu_on(first.id()) is device.device_named(first.name)
    free, total = device.get_gpu_mem_size(first.id())
    assert 0 <= free <= total
    assert str(first.id()) in device.device_query(first.id(), verbose=True)


def test_gpus_are_expected_where_the_driver_has_files_for_them(tmp_path, monkeypatch):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(gpus, "FILES", tmp_path)
    monkeypatch.setattr(gpus, "iter_modules", lambda places: [ModuleInfo(None, "xla_cuda12", True)])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    platforms = jax.config.jax_platforms
    jax.config.update("jax_platforms", None)
    try:
        assert [number for number in range(-1, 4) if gpus.is_expected(number)] == [0, 1]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
        assert [number for number in range(4) if gpus.is_expected(number)] == [0]
    finally:
        jax.config.update("jax_platforms", platforms)


def test_unknown_names_numbers_and_types_are_refused_with_words():
    with pytest.raises(DeviceError, match="no device is named 'tpu'; cpu, cuda or cuda:N"):
        device.device_named("tpu")
    with pytest.raises(ArgumentError, match="at least 1 GPU must be asked for, got 0"):
        device.create_cuda_gpus(0)
    with pytest.raises(DTypeError, match=r"an integer is expected, got 1\.5"):
        device.get_default_device().set_rand_seed(1.5)
    with pytest.raises(ArgumentError, match="does not fit into 64 bits"):
        device.get_default_device().set_rand_seed(2**70)
    with pytest.raises(DTypeError, match="unknown data type 'int128'"):
        device.as_dtype("int128")


def test_the_allocator_and_threads_can_be_left_alone():
    script = (
        "from singa.engine import dispatch, memory; import jax\n"
        "print(memory.status, dispatch.status, jax.config.read('jax_cpu_enable_async_dispatch'))"
    )
    environment = {**os.environ, "SINGA_MALLOC": "0", "SINGA_ASYNC": "1"}
    run = [sys.executable, "-c", script]
    said = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "off (SINGA_MALLOC=0) in another thread (SINGA_ASYNC=1) True"


_LARGE = """
from resource import RUSAGE_SELF, getrusage
import jax
import jax.numpy as jnp
import singa
def step(x):
    return sum(jnp.sort(jnp.roll(x, i, 1), 1)[:, ::-1] * x for i in range(2)).sum()
step, x = jax.jit(step), jnp.ones((2**21, 4))  # 32 MiB, and several of that size inside
for _ in range(2):
    step(x).block_until_ready()
before = getrusage(RUSAGE_SELF).ru_minflt
step(x).block_until_ready()
print(getrusage(RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not memory.status.startswith("on"), reason="for glibc")
def test_a_large_program_needs_no_new_memory():
    # In a process of its own: here other tests have left their own holes in the heap.
    run = subprocess.run([sys.executable, "-c", _LARGE], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 2000  # pages; 32 MiB are 8,192


_COMPILES = """
from singa import autograd
from singa.tensor import Tensor
import jax
jax.jit(lambda x: x * 2 + 1)(jax.numpy.arange(3.0)).block_until_ready()
x = Tensor((2, 3), requires_grad=True, stores_grad=True)
for autograd.training in (False, True): y = autograd.nan_to_num(x)
autograd.gradients(y.sum())
"""


def _cache_status(work=_COMPILES, **environment):
    script = f"from singa.engine import compilation_cache\n{work}\nprint(compilation_cache.status)"
    run = [sys.executable, "-c", script]
    environment = os.environ | environment
    return subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout


def test_what_is_compiled_is_kept_on_disk_for_the_next_process(tmp_path):
    assert _cache_status(SINGA_CACHE="0", SINGA_CACHE_DIR=str(tmp_path)) == "off (SINGA_CACHE=0)\n"
    assert not list(tmp_path.iterdir())

    status = _cache_status(SINGA_CACHE="1", SINGA_CACHE_DIR=str(tmp_path))

    [folder] = tmp_path.iterdir()
    assert status == f"on ({folder})\n"
    assert folder.stat().st_mode & 0o077 == 0  # what is in it is run: it is this user's alone
    compiled = {path.name for path in folder.iterdir() if path.name.endswith("-cache")}
    assert any("lambda" in name for name in compiled)
    _cache_status(SINGA_CACHE="1", SINGA_CACHE_DIR=str(tmp_path))
    assert {path.name for path in folder.iterdir() if path.name.endswith("-cache")} == compiled


def test_the_cache_does_without_a_folder_and_leaves_jaxs_own_setting_alone(tmp_path):
    (tmp_path / "file").touch()
    again = (  # in the same process, which takes a second to start
        "import os, jax; print(compilation_cache.status)\n"
        f"os.environ['SINGA_CACHE_DIR'] = {str(tmp_path / 'file')!r}\n"
        "jax.config.update('jax_compilation_cache_dir', None)\n"
        "compilation_cache.status = compilation_cache.keep_on_disk()"
    )
    found = _cache_status(again, SINGA_CACHE="1", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "jax"))
    as_set, without = found.splitlines()
    assert as_set == f"as set for jax ({tmp_path / 'jax'})"
    assert without.startswith("off (")


def test_importing_leaves_the_garbage_collector_as_it_was():
    code = (
        "import gc, importlib, singa; print(gc.isenabled())\n"
        "gc.disable(); importlib.reload(singa); print(gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_what_an_import_makes_is_old_for_the_garbage_collector_and_not_exempt_from_it():
    code = """
import gc

young = [0]


def note(phase, info):
    if phase == "start":
        young.append(len(gc.get_objects(generation=0)))


gc.callbacks.append(note)
import singa

kept = [[] for _ in range(2000)]
print(max(young), gc.get_freeze_count())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    young, exempt = map(int, done.stdout.split())
    assert young < 10_000  # an import makes a hundred thousand
    assert exempt == 0


def test_there_is_no_opencl():
    assert device.get_num_opencl_platforms() == device.get_num_opencl_devices() == 0
    with pytest.raises(DeviceError, match="no OpenCL"):
        device.create_opencl_device()


def test_the_default_device_has_a_name_in_the_module():
    assert device.default_device is device.get_default_device()
    with pytest.raises(AttributeError, match="no attribute 'default_devices'"):
        _ = device.default_devices

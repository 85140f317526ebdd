"""Devices: the CPU, GPUs, and meshes of several; and the data types of :mod:`singa.dtypes`.

- ``device.py``: Device, with its random stream, and the CPU.
- ``gpus.py``: GPUs, by number.
- ``mesh.py``: several devices as one.
- ``names.py``: devices by their names, which are how they are pickled, too.
- ``switches.py``: settings that are not a device's.
"""

import jax

from singa.device.device import Device as Device
from singa.device.device import create_cpu_device as create_cpu_device
from singa.device.device import get_default_device as get_default_device
from singa.device.device import timed_devices as timed_devices
from singa.device.gpus import create_cuda_gpu as create_cuda_gpu
from singa.device.gpus import create_cuda_gpu_on as create_cuda_gpu_on
from singa.device.gpus import create_cuda_gpus as create_cuda_gpus
from singa.device.gpus import create_cuda_gpus_on as create_cuda_gpus_on
from singa.device.gpus import create_opencl_device as create_opencl_device
from singa.device.gpus import device_query as device_query
from singa.device.gpus import get_gpu_ids as get_gpu_ids
from singa.device.gpus import get_gpu_mem_size as get_gpu_mem_size
from singa.device.gpus import get_num_gpus as get_num_gpus
from singa.device.gpus import get_num_opencl_devices as get_num_opencl_devices
from singa.device.gpus import get_num_opencl_platforms as get_num_opencl_platforms
from singa.device.mesh import create_mesh as create_mesh
from singa.device.names import as_device as as_device
from singa.device.names import device_named as device_named
from singa.device.switches import enable_lazy_alloc as enable_lazy_alloc
from singa.device.switches import exact_convolutions as exact_convolutions
from singa.dtypes import DTYPES as DTYPES
from singa.dtypes import CTensor as CTensor
from singa.dtypes import DType as DType
from singa.dtypes import as_dtype as as_dtype
from singa.dtypes import bfloat16 as bfloat16
from singa.dtypes import bool_ as bool_
from singa.dtypes import complex64 as complex64
from singa.dtypes import complex128 as complex128
from singa.dtypes import complex_type as complex_type
from singa.dtypes import float16 as float16
from singa.dtypes import float32 as float32
from singa.dtypes import float64 as float64
from singa.dtypes import has_gradients as has_gradients
from singa.dtypes import int8 as int8
from singa.dtypes import int16 as int16
from singa.dtypes import int32 as int32
from singa.dtypes import int64 as int64
from singa.dtypes import is_complex as is_complex
from singa.dtypes import is_float as is_float
from singa.dtypes import real_type as real_type
from singa.dtypes import uint8 as uint8

# These imports set up the process before the first array is made.
from singa.engine import compilation_cache as compilation_cache
from singa.engine import compiler as compiler
from singa.engine import dispatch as dispatch
from singa.engine import memory as memory

# float64 and int64 exist only in this mode. Kernels state their dtypes, so that it changes
# nothing for other types; a test searches every operation for unintended 64-bit values.
jax.config.update("jax_enable_x64", True)


def __getattr__(name: str) -> Device:
    # Not made at import: processes that train together have to connect before.
    if name == "default_device":
        return get_default_device()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

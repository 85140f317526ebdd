"""Settings of XLA and the memory allocator, and native kernels; no Tensors or operations.

- ``compiler.py``: the flags that XLA is started with.
- ``compilation_cache.py``: compiled programs on disk.
- ``memory.py``: the memory allocator of the process.
- ``dispatch.py``: on which thread programs run.
- ``fusion.py``: keeps XLA from computing something twice.
- ``gpus.py``: which GPUs there are, without starting jax.
- ``native/``: kernels of our own for CPUs, if they are installed.

Imports nothing of ours.
"""

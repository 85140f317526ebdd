"""What XLA and this machine are told: nothing here knows of Tensors or operations.

- ``compiler.py``: the flags that XLA is started with.
- ``compilation_cache.py``: compiled programs on disk.
- ``memory.py``: the allocator of the process, and what it has used.
- ``fusion.py``: where XLA must not compute something a second time.
- ``native/``: kernels of our own for CPUs, if they are installed.

Imports nothing of ours.
"""

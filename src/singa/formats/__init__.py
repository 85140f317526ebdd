"""Files: written completely or not at all, and read with limits.

- ``checkpoint.py``: the checkpoint, from which a training is resumed.
- ``sharded.py``: the same in parts, each written by the process whose devices hold it.
- ``kinds.py``: what both have: arrays by name, each of a known kind, shape and type.
- ``weights.py``: weights for other people and libraries.
- ``files.py``: writing a file completely or not at all.
- ``background.py``: writing files while the program goes on.
- ``process.py``: whether the process that has written something is still there.
- ``reading.py``, ``archive.py``: reading untrusted files and archives with limits.

Untrusted files cannot run code. Imports from the storeys below; from its own storey only
:mod:`singa.layer`, because other libraries use other names for the layers' weights.
"""

"""Files: how they are written whole or not at all, and read within bounds.

- ``checkpoint.py``: the checkpoint, from which a training goes on.
- ``weights.py``: weights for other people and libraries.
- ``files.py``: writing whole or not at all.
- ``reading.py``, ``archive.py``: reading the files of strangers within bounds, archives too.

Files of strangers run no code. Imports from storeys below, and of its own storey layers only,
whose weights have other names elsewhere.
"""

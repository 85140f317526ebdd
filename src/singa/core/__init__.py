"""The Tensor, and who is told of what happens to it.

- ``tensor.py``: the class Tensor, a handle on an array; ``recorded.py`` declares its recorded half.
- ``arrays.py``, ``random.py``: arrays from what users give, on devices; random numbers.
- ``watching.py``: what a thread is in the middle of, and who listens.
- ``guard/``: what code has read, and whether it is still what it was.
- ``journal.py``: what a step has changed, and how it is undone.
- ``exact.py``: whether two values are the same in every bit and type.
- ``notebook.py``: how objects look in a notebook.

Imports from the storey below only: :mod:`singa.errors`, :mod:`singa.engine`, :mod:`singa.device`.
"""

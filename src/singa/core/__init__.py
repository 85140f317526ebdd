"""The Tensor, and the objects that are notified when it is made, read or changed.

- ``tensor.py``: the class Tensor, a handle on an array; ``values.py`` and ``flags.py`` are parts of
  it, and ``recorded.py`` declares those of its methods that are recorded.
- ``arrays.py``, ``random.py``: arrays on devices, from the user's data; random numbers.
- ``watching.py``: the state of each thread (capture, journal, guard, modes), and the listeners.
- ``guard/``: what code has read, and whether it is unchanged.
- ``holding.py``: which Tensor has an array, for SINGA's functions that change ``t.data``.
- ``journal.py``: what a step has changed, and how it is undone.
- ``exact.py``: whether two values are the same in every bit and type.
- ``notebook.py``: how objects look in a notebook.
- ``hints.py``: what errors say about names of other libraries.

Imports from the storey below only: :mod:`singa.errors`, :mod:`singa.engine`, :mod:`singa.device`.
"""

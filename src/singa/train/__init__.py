"""Training: :func:`fit`, its options and its results.

::

    history = train.fit(model, (images, labels), epochs=10, metrics="accuracy")

- ``fitting.py``: fit; ``outputs.py``: the files that it is asked for.
- ``training.py``: the loop; ``steps.py``: the results of its steps; ``interrupts.py``: Ctrl-C.
- ``feeding.py``: batches from all kinds of data.
- ``measuring.py``, ``evaluation.py``: metrics; evaluation and prediction.
- ``history.py``: the numbers.
- callbacks: ``stopping.py`` (what to do without improvement, by a monitor of ``monitor.py``),
  ``saving.py`` (checkpoints), ``run.py`` (the run folder), ``logs.py``, ``progress.py``.
"""

from singa.formats.table import Table
from singa.train.evaluation import evaluate, predict
from singa.train.fitting import fit
from singa.train.history import History
from singa.train.logs import CsvLog, TensorBoardLog
from singa.train.monitor import Monitor
from singa.train.progress import ProgressBar
from singa.train.run import RunFolder
from singa.train.saving import Checkpoint, read_about
from singa.train.stopping import EarlyStopping, ReduceLROnPlateau
from singa.train.training import Callback, Training

__all__ = [
    "Callback",
    "Checkpoint",
    "CsvLog",
    "EarlyStopping",
    "History",
    "Monitor",
    "ProgressBar",
    "ReduceLROnPlateau",
    "RunFolder",
    "Table",
    "TensorBoardLog",
    "Training",
    "evaluate",
    "fit",
    "predict",
    "read_about",
]

import numpy as np

from catalogue.row import Row
from singa import autograd as ops

IDS = np.array([2, 0, 3], np.int32)


ROWS = {
    "getitem": Row(ops.GetItem, lambda x: x[1, ::-2], lambda x: x[1, ::-2], [(2, 5)]),
    "getitem by array": Row(ops.GetItem, lambda x: x[IDS, None], lambda x: x[IDS, None], [(4, 2)]),
}  # fmt: skip

"""How each operator of ONNX is computed: a file for each family, as the operations' own.

A rule is a short function from a node's inputs to our operations; :func:`rule` registers it.
"""

from singa.sonnx.rules import elementwise as elementwise
from singa.sonnx.rules import linear as linear
from singa.sonnx.rules import logic as logic
from singa.sonnx.rules import reduction as reduction
from singa.sonnx.rules import shaping as shaping

#!/usr/bin/env bash
# torch 2.13.0: the norm of representable vectors is infinite, 0, or wrong in its second digit.
#
# The 2-norm is the root of the sum of squares, in float32, without scaling. A square overflows from
# 1.9e19 on and is rounded to a multiple of 1.4e-45 below 1e-19. So the norm of (3e19, 4e19) is inf
# and not 5e19, that of (3e-23, 4e-23) is 5.29e-23, and that of (1e-30, 0) is 0; no error, no warning.
# What is made of norms follows: normalize gives the zero vector for (3e19, 4e19), and
# clip_grad_norm_ sets finite gradients of that size to 0 where it should shorten them (its
# error_if_nonfinite is for gradients that are not finite, and False by default): the step is lost.
#
# Seen with Python 3.11, torch 2.13.0 on a CPU (x86-64):
#
#     norm of (3e19, 4e19):    inf, its slope [0.0, 0.0], normalized [0.0, 0.0]
#     norm of (3e-23, 4e-23):  5.294e-23, its slope [0.57, 0.76]
#     norm of (1e-30, 0):      0.0, its slope [0.0, 0.0]
#     gradients (3e19, 4e19) clipped to norm 1: [0.0, 0.0]
#
# The right slope is (0.6, 0.8) in the first two cases, (1, 0) in the third. LAPACK's nrm2 divides by
# the largest element first, and has none of this.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6

cat > "$folder/norms.py" <<'PYTHON'
import math

import torch


def norm_of(*values):
    x = torch.tensor(values, requires_grad=True)
    norm = torch.linalg.vector_norm(x)
    norm.backward()
    return norm.item(), [round(slope, 2) for slope in x.grad.tolist()]


large, slope_of_large = norm_of(3e19, 4e19)
normalized = torch.nn.functional.normalize(torch.tensor([3e19, 4e19]), dim=0).tolist()
small, slope_of_small = norm_of(3e-23, 4e-23)
least, slope_of_least = norm_of(1e-30, 0.0)
param = torch.nn.Parameter(torch.zeros(2))
param.grad = torch.tensor([3e19, 4e19])
torch.nn.utils.clip_grad_norm_([param], 1.0)
clipped = param.grad.tolist()

print(f"norm of (3e19, 4e19):    {large}, its slope {slope_of_large}, normalized {normalized}")
print(f"norm of (3e-23, 4e-23):  {small:.4g}, its slope {slope_of_small}")
print(f"norm of (1e-30, 0):      {least}, its slope {slope_of_least}")
print(f"gradients (3e19, 4e19) clipped to norm 1: {clipped}")
assert math.isinf(large) and slope_of_large == normalized == clipped == [0.0, 0.0]
assert abs(small / 5e-23 - 1) > 0.05 and slope_of_small != [0.6, 0.8]
assert (least, slope_of_least) == (0.0, [0.0, 0.0])
PYTHON

"$folder/venv/bin/python" "$folder/norms.py"

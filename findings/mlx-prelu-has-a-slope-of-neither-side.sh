#!/usr/bin/env bash
# mlx 0.32.4: the slope of prelu at 0 is that of neither side, nor between them.
#
# PReLU with a = 0.25 has slope 0.25 below 0 and slope 1 above. At 0 a library may choose, and all
# choose 0.25 or 1; MLX gives 1.25, their sum. It computes maximum(0, x) + a * minimum(0, x), and at a
# tie its maximum and its minimum give the whole gradient to the second argument: so 0 counts as
# positive and as negative. Zeros are not rare before a PReLU: padding, or what follows a ReLU or a
# dropout. For the same reason the order of arguments matters: the slope of maximum(x, 0) at 0 is 0,
# that of maximum(0, x) is 1.
#
# Seen with Python 3.11, mlx 0.32.4 and mlx-cpu 0.32.4, on a CPU (x86-64):
#
#     prelu at -1, 0, 1:       [0.25, 1.25, 1.0]
#     leaky_relu at -1, 0, 1:  [0.25, 1.0, 1.0]
#     maximum(x, 0) at 0: 0.0, maximum(0, x) at 0: 1.0
#
# Source: prelu in mlx/nn/layers/activations.py. jax, PyTorch and tinygrad share the gradient of a tie
# in halves, so that such a formula has slope 0.625 there.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "mlx[cpu]==0.32.4; sys_platform == 'linux'" "mlx==0.32.4"

cat > "$folder/slopes.py" <<'PYTHON'
import mlx.core as mx
import mlx.nn as nn

mx.set_default_device(mx.cpu)


def slopes(function, *points):
    return mx.grad(lambda x: function(x).sum())(mx.array(points)).tolist()


prelu = slopes(lambda x: nn.prelu(x, mx.array([0.25])), -1.0, 0.0, 1.0)
leaky = slopes(lambda x: nn.leaky_relu(x, 0.25), -1.0, 0.0, 1.0)
first, second = slopes(lambda x: mx.maximum(x, 0), 0.0), slopes(lambda x: mx.maximum(0, x), 0.0)
print(f"prelu at -1, 0, 1:       {prelu}")
print(f"leaky_relu at -1, 0, 1:  {leaky}")
print(f"maximum(x, 0) at 0: {first[0]}, maximum(0, x) at 0: {second[0]}")
assert prelu == [0.25, 1.25, 1.0], "the slope at 0 is another one now"
assert leaky == [0.25, 1.0, 1.0]
assert (first, second) == ([0.0], [1.0])
PYTHON

"$folder/venv/bin/python" "$folder/slopes.py"

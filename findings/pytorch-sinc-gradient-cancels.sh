#!/usr/bin/env bash
# PyTorch 2.13.0: the gradient of torch.sinc in float32 loses all digits near 0.
#
# The derivative of sin(pi x) / (pi x) is near 0 about -pi^2 x / 3. PyTorch computes
# (pi x cos(pi x) - sin(pi x)) / (pi x^2), a difference of two numbers that are nearly equal: at 0.001
# the gradient is wrong by 1.4 %, and at 0.00003 it is 0. In float64 it has five digits left there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6
"$folder/env/bin/python" - << 'EOF'
import math

import torch

found = {}
for dtype in (torch.float32, torch.float64):
    x = torch.tensor([1e-1, 1e-3, 3e-5], dtype=dtype, requires_grad=True)
    torch.sinc(x).sum().backward()
    found[dtype] = x.grad.tolist()
    print(dtype, found[dtype])
series = [-(math.pi**2) * x / 3 + math.pi**4 * x**3 / 30 for x in (1e-3, 3e-5)]
print("series", series)
short, wide = found[torch.float32], found[torch.float64]
assert abs(short[1] / series[0] - 1) > 0.01, "the gradient at 0.001 is right now"
assert short[2] == 0, "the gradient at 0.00003 is no longer 0"
assert abs(wide[1] / series[0] - 1) < 1e-7
assert abs(wide[2] / series[1] - 1) < 1e-5
EOF
# Seen:
# torch.float32 [-0.3257506787776947, -0.0033350526355206966, 0.0]
# torch.float64 [-0.3257512678831239, -0.0032898648867414845, -9.86960458246297e-05]
# series [-0.003289864886726752, -9.86960439232254e-05]

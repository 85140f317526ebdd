#!/usr/bin/env bash
# jax 0.10.2: on a mesh of two axes the filters' gradient of a grouped convolution is too large, by
# the size of the axis along which nothing is split.
#
# Four simulated CPU devices, in a grid ("data", "model"); the batch is split along "data", the
# filters are whole everywhere. Where a gradient is computed and how it is put together is up to
# XLA, so the numbers should be those of one device. They are for 4 x 1 and 1 x 4 devices; for 2 x 2
# every element is twice as large, without a word: the parts are summed over "model", too, where
# all devices have the same. Without groups the gradient is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=4
"$folder/env/bin/python" - << 'EOF'
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def gradient(x, w, groups):
    def total(w):
        y = jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", feature_group_count=groups)
        return y.sum()

    return jax.grad(total)(w)


compiled = jax.jit(gradient, static_argnums=2)
x = np.arange(4 * 4 * 3 * 3, dtype=np.float32).reshape(4, 4, 3, 3) / 100
print(jax.__version__)
found = {}
for groups in (1, 2):
    w = np.ones((4, 4 // groups, 2, 2), np.float32)
    alone = np.asarray(compiled(x, w, groups))
    for shape in ((4, 1), (2, 2), (1, 4)):
        mesh = Mesh(np.array(jax.devices()).reshape(shape), ("data", "model"))
        spread = compiled(
            jax.device_put(x, NamedSharding(mesh, PartitionSpec("data"))),
            jax.device_put(w, NamedSharding(mesh, PartitionSpec())),
            groups,
        )
        ratio = np.unique(np.round(np.asarray(spread) / alone, 3))
        print(f"groups {groups}, mesh {shape}: times the gradient of one device: {ratio}")
        found[groups, shape] = ratio.tolist()
wrong = {key: ratio for key, ratio in found.items() if ratio != [1.0]}
assert wrong == {(2, (2, 2)): [2.0]}, f"the behaviour has changed: {found}"
EOF
# Seen: groups 2, mesh (2, 2): times the gradient of one device: [2.]; all others [1.]

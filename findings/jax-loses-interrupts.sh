#!/usr/bin/env bash
# jax 0.10.2 loses Ctrl-C when it comes while Python collects garbage.
#
# `import jax` appends a Python function to `gc.callbacks`, which runs before and after every
# collection. Python calls signal handlers between the instructions of a function, so that a
# KeyboardInterrupt may be raised inside of this one; and what a callback of the collector raises is
# printed ("Exception ignored in: _xla_gc_callback") and dropped. The program goes on as if nobody had
# pressed Ctrl-C. Without jax no interrupt is lost.
#
# Seen with Python 3.11, jax 0.10.2, jaxlib 0.10.2 (in a loop that does nothing but collect, so that
# the callback takes a large part of the time):
#
#     with jax:    interrupts: 2000, seen: 477, lost: 1523, in {'_xla_gc_callback'}
#     without jax: interrupts: 2000, seen: 2000, lost: 0, in {}
#
# Source: the callback is at the end of the imports in jax/_src/lib/__init__.py. A long training that
# is to save when it is interrupted should not rely on one interrupt only.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2

cat > "$folder/interrupts.py" <<'PYTHON'
import gc
import random
import signal
import sys
import time

with_jax = sys.argv[1] == "with"
if with_jax:
    import jax.numpy as jnp

    jnp.ones(2).block_until_ready()

dropped = []
sys.unraisablehook = lambda event: dropped.append(event.object.__name__)
random.seed(0)
signal.signal(signal.SIGALRM, signal.default_int_handler)  # the alarm is a Ctrl-C
seen = lost = 0
for _ in range(2000):
    before = len(dropped)
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 5e-4))
        end = time.perf_counter() + 0.01
        while time.perf_counter() < end and len(dropped) == before:
            gc.collect(0)
        lost += 1
    except KeyboardInterrupt:
        seen += 1
print(f"{sys.argv[1]} jax: interrupts: 2000, seen: {seen}, lost: {lost}, in {set(dropped) or '{}'}")
if with_jax:
    assert lost >= 20, "jax does not lose interrupts any more"
    assert set(dropped) == {"_xla_gc_callback"}
else:
    assert lost == 0
PYTHON

"$folder/venv/bin/python" "$folder/interrupts.py" with
"$folder/venv/bin/python" "$folder/interrupts.py" without

#!/usr/bin/env bash
# All that needs a GPU, in one run of at most eight minutes: the tests of devices, then training
# steps beside PyTorch's (eager, channels last, CUDA graphs, torch.compile) in float32 and bfloat16,
# with the peak memory of the GPU. It installs nothing, and leaves out libraries that are not there.
#
#     benchmarks/gpu.sh [FOLDER]          results, FOLDER/steps.json, and what was printed
#
# PYTHON: the Python to use. DEVICE=cpu: a trial run on a computer without a GPU. LIMIT: seconds.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} device=${DEVICE:-cuda} limit=${LIMIT:-480}
folder=$(realpath --canonicalize-missing "${1:-gpu-results}")
mkdir -p "$folder"
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}"

left() { echo $((limit - SECONDS)); }

# What it prints is also in a file of its name; nothing starts when the time is up.
part() { # NAME SECONDS COMMAND...
    local name=$1 seconds=$2
    shift 2
    if [ "$(left)" -lt 20 ]; then
        echo "left out, for want of time: $name" | tee -a "$folder/left-out.txt"
        return
    fi
    [ "$seconds" -gt "$(left)" ] && seconds=$(left)
    echo "== $name ($(left) s left)"
    timeout "$seconds" "$@" 2>&1 | tee "$folder/$name.txt" | tail -n 40
    [ "${PIPESTATUS[0]}" = 0 ] || echo "failed: $name" | tee -a "$folder/failed.txt"
}

steps() { # NAME PRECISION WORKLOAD CONTENDER...
    local name=$1 precision=$2 workload=$3
    shift 3
    part "$name" 150 "$python" -m benchmarks.steps --device "$device" --precision "$precision" \
        --rounds 5 --only "$workload" --contenders "$@" --json "$folder/steps.json"
}

rm -f "$folder/failed.txt" "$folder/left-out.txt"
"$python" -c 'import jax; print(jax.__version__, jax.devices())' | tee "$folder/devices.txt"
part tests 90 "$python" -m pytest --quick -q -p no:cacheprovider tests/device tests/tape

workloads="mlp cnn resnet transformer gpt resnet50"
[ "$device" = cpu ] && workloads="mlp transformer"  # the others take minutes there
for precision in float32 bfloat16; do
    for workload in $workloads; do
        steps "$workload-$precision" $precision "$workload" \
            singa jax torch torch-channels-last torch-cuda-graph
    done
done
for precision in float32 bfloat16; do  # last, because torch.compile takes longest to get ready
    for workload in $workloads; do
        steps "$workload-$precision-compiled" $precision "$workload" singa torch-compile
    done
done
echo "$SECONDS s; results are in $folder"
[ ! -e "$folder/failed.txt" ]

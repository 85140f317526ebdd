"""Puts the committed results into the README: ``python -m benchmarks.readme``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RESULTS, README = Path("benchmarks/results/steps.json"), Path("README.md")
PEERS = {
    "PyTorch eager": "PyTorch",
    "PyTorch eager, channels last": "channels last",
    "torch.compile": "torch.compile",
    "jax.jit of jax.grad": "jax.jit",
    "Flax nnx.jit": "Flax",
    "MLX compiled": "MLX",
    "singa eager": "here, eager",
}
UNITS = {"seconds": (1e3, "ms"), "bytes": (2**-20, "MiB")}


def table(results: dict[str, Any]) -> str:
    """The training steps of a results file in Markdown."""
    rows = [["training step", "here", *PEERS.values()], ["---", *["--:"] * (1 + len(PEERS))]]
    for section in results.values():
        contenders = section["contenders"]
        if "singa compiled" not in contenders:
            continue
        factor, unit = UNITS[section["unit"]]
        ours = contenders["singa compiled"]["median"] * factor
        ratios = [contenders.get(peer, {}).get("ratio") for peer in PEERS]
        cells = ["" if ratio is None else f"{ratio:.2g}" for ratio in ratios]
        rows.append([section["title"], f"{ours:.3g} {unit}", *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def with_table(readme: str, results: dict[str, Any]) -> str:
    """The README with this table between its marks."""
    begin, end = "<!-- benchmark -->\n", "\n<!-- end of benchmark -->"
    inside = re.compile(re.escape(begin) + ".*" + re.escape(end), re.DOTALL)
    return inside.sub(lambda _: begin + table(results) + end, readme)


if __name__ == "__main__":
    found = json.loads(RESULTS.read_text())["results"]
    README.write_text(with_table(README.read_text(), found))

"""The compiler's flags: ours are in effect, and the user's are kept."""

import os
import subprocess
import sys

import pytest

from singa.engine import compiler

OURS = "--xla_backend_extra_options=xla_cpu_disable_tiled_emitter"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", OURS),
        ("--xla_cpu_enable_fast_math=false", f"--xla_cpu_enable_fast_math=false {OURS}"),
        ("--xla_backend_extra_options=other", "--xla_backend_extra_options=other"),
    ],
)
def test_our_flags_come_after_the_users_or_not_at_all(given, expected):
    assert compiler.with_our_flags(given) == expected


def test_xla_gets_the_flags_and_compiles_without_the_stack(tmp_path):
    program = "from singa.tensor import ones; ones((4096, 64)) + ones((4096, 64))"
    # Newer versions of XLA write down LLVM's code only of the emitters that they are told.
    flags = f"--xla_dump_to={tmp_path} --xla_dump_emitter_re=.*"
    # A program that is found on disk is not compiled.
    environment = os.environ | {"XLA_FLAGS": flags, "SINGA_CACHE": "0"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    additions = [f.read_text() for f in tmp_path.glob("*Add*ir-with-opt.ll")]
    assert additions
    assert not any("alloca" in code for code in additions)

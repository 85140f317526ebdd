#!/usr/bin/env bash
# One custom call that was compiled for a newer jaxlib takes jax 0.10.2's CPU away, once. After that
# the CPU is there, and custom calls that were registered after that one are not.
#
# A library with handlers of XLA's foreign function interface carries the version of the headers that
# it was compiled with. pip compiles such a package with the newest jaxlib, in an environment of its
# own, and what is installed may be older. `jax.ffi.register_ffi_target` takes the handler without a
# word, and XLA refuses it when jax makes its first array: whatever that array is for, the program
# ends with "Unable to initialize backend 'cpu'", and a hint at plugins, of which there are none.
#
# A program that catches the error and tries again finds a CPU. Only that the handlers behind the
# refused one, which fit, are never registered.
#
# Seen with Python 3.11 and g++ 12, jax 0.10.2, jaxlib 0.10.2, and the headers of jaxlib 0.12.0.1:
#
#     registered: ('fits', None)
#     second: [1. 1.]
#     the handler that fits: [1. 1.]
#
#     registered: ('newer', None) ('fits', None)
#     first:  RuntimeError: Unable to initialize backend 'cpu': INVALID_ARGUMENT: XLA FFI handler
#             registration for newer on platform Host (canonical host) failed because the handler's
#             API version (0.5) is incompatible with the framework's API version (0.3). Minimum
#             supported API version is (0.1). (you may need to uninstall the failing plugin package,
#             or set JAX_PLATFORMS=cpu to skip this backend.)
#     second: [1. 1.]
#     the handler that fits: NOT_FOUND: No FFI handler registered for fits on a platform Host
#             (canonical host)
#
# jax 0.11.2 does the same. Source: register_custom_call_handler in jaxlib/xla_client.py, the same in
# 0.12.0.1, notes the platform's handler first and then registers what has waited for it; when one is
# refused, the rest is left, and the next time the platform counts as done.
#
# Needs a C++ compiler. A package with handlers should compare the version that it was compiled with to
# that in the header below `jax.ffi.include_dir()`, before it registers any.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --python-version 3.12 --dest "$folder" jaxlib==0.12.0.1
"$python" -m zipfile -e "$folder"/jaxlib-0.12.0.1-*.whl "$folder/newer"

cat > "$folder/handler.cc" <<'CPP'
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    Ones, +[](ffi::Result<ffi::Buffer<ffi::F32>> y) {
      for (size_t i = 0; i < y->element_count(); ++i) y->typed_data()[i] = 1;
      return ffi::Error::Success();
    },
    ffi::Ffi::Bind().Ret<ffi::Buffer<ffi::F32>>());
CPP
own=$("$python" -c 'import jax; print(jax.ffi.include_dir())')
c++ -std=c++17 -shared -fPIC -w -I "$own" -o "$folder/fits.so" "$folder/handler.cc"
c++ -std=c++17 -shared -fPIC -w -I "$folder/newer/jaxlib/include" -o "$folder/newer.so" \
    "$folder/handler.cc"

cat > "$folder/program.py" <<'PYTHON'
import ctypes
import sys

import jax
import jax.numpy as jnp

folder, *names = sys.argv[1:]
libraries = [ctypes.CDLL(f"{folder}/{name}.so") for name in names]
answers = [
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(library.Ones), platform="cpu")
    for name, library in zip(names, libraries)
]
print("registered:", *zip(names, answers))
if "newer" in names:
    try:
        jnp.ones(2)
        raise SystemExit("jax does not lose the CPU any more")
    except RuntimeError as error:
        print("first:  RuntimeError:", error)
        assert "Unable to initialize backend 'cpu'" in str(error)
print("second:", jnp.ones(2))
call = jax.ffi.ffi_call("fits", jax.ShapeDtypeStruct((2,), jnp.float32))
try:
    print("the handler that fits:", call())
    assert "newer" not in names, "the handler that fits is registered"
except jax.errors.JaxRuntimeError as error:
    print("the handler that fits:", error)
    assert "No FFI handler registered for fits" in str(error)
PYTHON
"$python" "$folder/program.py" "$folder" fits  # alone it does what it should
"$python" "$folder/program.py" "$folder" newer fits

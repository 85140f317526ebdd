// What the kernels that walk over images share: images are float32, (N, C, H, W), and lie in
// memory as (N, H, W, C).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "xla/ffi/api/ffi.h"

namespace singa {

using Image = xla::ffi::Buffer<xla::ffi::F32, 4>;
using Bytes = xla::ffi::Buffer<xla::ffi::U8, 4>;
using Vector = xla::ffi::Buffer<xla::ffi::F32, 1>;
using Numbers = xla::ffi::Span<const int64_t>;

inline void Require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

// Runs the body of a handler; what it throws becomes XLA's error.
template <typename Body>
xla::ffi::Error Guarded(const char* name, Body&& body) {
  try {
    body();
    return xla::ffi::Error::Success();
  } catch (const std::invalid_argument& error) {
    return xla::ffi::Error::InvalidArgument(std::string(name) + ": " + error.what());
  } catch (const std::exception& error) {
    return xla::ffi::Error::Internal(std::string(name) + ": " + error.what());
  }
}

}  // namespace singa

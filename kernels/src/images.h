// What the kernels that walk over images share: images are (N, C, H, W), and lie in memory as
// (N, H, W, C).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "bfloat16.h"
#include "xla/ffi/api/ffi.h"

namespace singa {

using Numbers = xla::ffi::Span<const int64_t>;
using Some = xla::ffi::AnyBuffer;  // of float32 or of bfloat16
using Image = xla::ffi::Buffer<xla::ffi::F32, 4>;
using Bytes = xla::ffi::Buffer<xla::ffi::U8, 4>;
using Vector = xla::ffi::Buffer<xla::ffi::F32, 1>;

inline void Require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

inline bool IsShort(const Some& x) {
  const auto type = x.element_type();
  Require(type == xla::ffi::F32 || type == xla::ffi::BF16, "the numbers are of an unknown type");
  return type == xla::ffi::BF16;
}

// The numbers of a buffer, which has to be of this type.
template <typename Number>
Number* Data(const Some& x) {
  Require(IsShort(x) == (sizeof(Number) == sizeof(Bfloat16)), "the types differ");
  return static_cast<Number*>(x.untyped_data());
}

// The address of one of a buffer's numbers, whatever their type.
inline char* Place(const Some& x, int64_t number) {
  return static_cast<char*>(x.untyped_data()) + number * (IsShort(x) ? 2 : 4);
}

// Calls the body with a number of the buffer's type.
template <typename Body>
void WithTypeOf(const Some& x, const Body& body) {
  if (IsShort(x))
    body(Bfloat16{});
  else
    body(float{});
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

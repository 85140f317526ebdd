// Calls with a value of a buffer's type, for kernels that take several.
#pragma once

#include <cstdint>
#include <type_traits>

#include "images.h"

namespace singa {

// Calls the body with a zero of the type: numbers of 32 or 64 bits.
template <typename Body>
void WithNumber(xla::ffi::DataType type, const Body& body) {
  switch (type) {
    case xla::ffi::F32: return body(float{});
    case xla::ffi::F64: return body(double{});
    case xla::ffi::S32: return body(int32_t{});
    case xla::ffi::S64: return body(int64_t{});
    default: Require(false, "the numbers are of an unknown type");
  }
}

struct Sixteen {
  uint64_t halves[2];
};

// Calls the body with a value of this size in bytes, for what only copies.
template <typename Body>
void WithBytes(size_t bytes, const Body& body) {
  switch (bytes) {
    case 1: return body(uint8_t{});
    case 2: return body(uint16_t{});
    case 4: return body(uint32_t{});
    case 8: return body(uint64_t{});
    case 16: return body(Sixteen{});
    default: Require(false, "the numbers are of an unknown size");
  }
}

// Sums and products of integers wrap around, which C++ says of unsigned ones only.
template <typename Number, typename = void>
struct Wrapping {
  using Type = Number;
};
template <typename Number>
struct Wrapping<Number, std::enable_if_t<std::is_integral<Number>::value>> {
  using Type = std::make_unsigned_t<Number>;
};

// The type in which sums and products are kept: float64 of float32.
template <typename Number>
using Total = typename std::conditional_t<std::is_same<Number, float>::value, Wrapping<double>,
                                          Wrapping<Number>>::Type;

// The product of all sizes but the last `kept`.
inline int64_t Leading(xla::ffi::Span<const int64_t> sizes, size_t kept) {
  Require(sizes.size() >= kept, "there are too few axes");
  int64_t product = 1;
  for (size_t i = 0; i + kept < sizes.size(); ++i) product *= sizes[i];
  return product;
}

// The size of an axis, counted from the end.
inline int64_t FromEnd(const Some& x, size_t axis) {
  return x.dimensions()[x.dimensions().size() - axis];
}

template <typename Number>
Number* As(const Some& x) {
  return static_cast<Number*>(x.untyped_data());
}

}  // namespace singa

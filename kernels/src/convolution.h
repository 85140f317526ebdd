// What a convolution of images is, and how Winograd's algorithm computes it.
#pragma once

#include <array>
#include <cstdint>

#include "images.h"

namespace singa {

enum class Kind : int64_t { kForward, kInputGradient, kWeightGradient };

// Everything that a primitive depends on. Plain numbers: it is compared and hashed as such.
struct Geometry {
  int64_t kind, n, c, h, w, o, kh, kw, oh, ow, groups;
  int64_t stride[2], before[2], after[2], dilation[2];
  int64_t bias;

  static constexpr int kNumbers = 20;
  std::array<int64_t, kNumbers> Key() const {
    return {kind, n, c, h, w, o, kh, kw, oh, ow, groups, stride[0], stride[1], before[0],
            before[1], after[0], after[1], dilation[0], dilation[1], bias};
  }
};

// What a caller wants of Winograd's algorithm.
enum class Winograd : int64_t { kNever, kWhereFaster, kWherePossible };

// Whether it computes this convolution. That depends on nothing but these numbers: the same
// convolution is always computed in the same way.
bool TakesWinograd(const Geometry& g, int64_t wanted);

// The convolution and its gradients. All return false if any result is not finite, or large: then all
// have to be computed directly. In Winograd's algorithm a NaN or an infinity reaches each pixel of
// a tile, and so do the rounding errors of a large number.
bool WinogradForward(xla::ffi::ThreadPool& pool, const Geometry& g, const float* x, const float* w,
                     const float* bias, bool relu, float* y);
bool WinogradInputGradient(xla::ffi::ThreadPool& pool, const Geometry& g, const float* dy,
                           const float* w, float* dx);
// `db` is null if there is no bias.
bool WinogradWeightGradient(xla::ffi::ThreadPool& pool, const Geometry& g, const float* x,
                            const float* dy, float* dw, float* db);

}  // namespace singa

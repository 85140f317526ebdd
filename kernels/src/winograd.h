// Convolutions by Winograd's algorithm.
#pragma once

#include "convolution.h"

namespace singa {

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

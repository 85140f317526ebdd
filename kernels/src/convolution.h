// What a convolution of images is.
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
  int64_t bias, is_short;

  static constexpr int kNumbers = 21;
  std::array<int64_t, kNumbers> Numbers() const {
    return {kind, n, c, h, w, o, kh, kw, oh, ow, groups, stride[0], stride[1], before[0],
            before[1], after[0], after[1], dilation[0], dilation[1], bias,
            is_short};
  }
};

// Whether the gradient of the weights is computed as a product of matrices: of the outputs' gradients
// and of the unfolded images, which have a row for each window. oneDNN's convolution goes through the
// rows of the outputs one by one. Instructions that multiply whole matrices have little to do in rows
// that are short.
bool UnfoldsForWeights(const Geometry& g);

// `db` is null if there is no bias.
void UnfoldedWeightGradient(xla::ffi::ThreadPool& pool, const Geometry& g, const Bfloat16* x,
                            const Bfloat16* dy, float* dw, float* db);

}  // namespace singa

// The inner loops, compiled once for each of several instruction sets; the best one is picked when
// the program runs.
#pragma once

#include <cstdint>
#include <type_traits>

#include "bfloat16.h"

namespace singa {

// Places [first, last) along an axis.
struct Range {
  int64_t first, last;
};

// A pooling of images (N, H, W, C) to (N, OH, OW, C). Pairs are height and width.
struct Pooling {
  int64_t n, c, h, w, oh, ow;
  int64_t window[2], stride[2], before[2];
  const Range* seen[2];    // for each window, the places that it sees
  const Range* seeing[2];  // for each place, the windows that see it
};

// The functions for pooling work on rows [begin, end) of what they write; the rows of all images of
// the batch are counted in one go. Those for statistics read rows [begin, end) of a matrix that has
// `channels` columns. All sums are of float32.
template <typename Number>
struct LoopsOf {
  // The largest element of each window, and its place in the window.
  void (*largest)(const Pooling&, const Number* x, Number* y, uint8_t* place, int64_t begin,
                  int64_t end);
  // Its gradient: each element collects from the windows that it was the largest of.
  void (*spread)(const Pooling&, const Number* dy, const uint8_t* place, Number* dx, int64_t begin,
                 int64_t end);
  // The mean of each window, without the padding; and its gradient.
  void (*mean)(const Pooling&, const Number* x, Number* y, int64_t begin, int64_t end);
  void (*share)(const Pooling&, const Number* dy, Number* dx, int64_t begin, int64_t end);

  // What is below 0 becomes 0; NaN stays.
  void (*rectify)(Number* y, int64_t count);

  // Each column's mean, and the sum of its squared distances from that.
  void (*moments)(const Number* x, int64_t channels, int64_t begin, int64_t end, float* mean,
                  float* squares);
  // Each column's sums of dy and of dy * (x - mean).
  void (*products)(const Number* dy, const Number* x, const float* mean, int64_t channels,
                   int64_t begin, int64_t end, float* sums, float* products);
};

struct Loops {
  const char* instruction_set;
  LoopsOf<float> wide;
  LoopsOf<Bfloat16> narrow;

  template <typename Number>
  const LoopsOf<Number>& Of() const {
    if constexpr (std::is_same_v<Number, float>)
      return wide;
    else
      return narrow;
  }
};

// For the processor that this runs on.
const Loops& BestLoops();

}  // namespace singa

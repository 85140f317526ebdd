// What a product of two matrices is of, on one thread.
#pragma once

#include <array>
#include <cstdint>

namespace singa {

// A step is the distance between the rows of a matrix as it is given: a may be (m, k), or (k, m) if it
// is transposed; b (k, n) or (n, k).
struct Factors {
  int64_t m, n, k, transpose_a, transpose_b, step_a, step_b, step_y;
  int64_t is_wide = 0;  // the result is float32

  std::array<int64_t, 9> Numbers() const {
    return {m, n, k, transpose_a, transpose_b, step_a, step_b, step_y, is_wide};
  }
};

}  // namespace singa

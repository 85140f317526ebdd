// Products of small matrices of float32 or bfloat16, and their transposition, in registers. As in
// vectors.h, nothing here may be visible outside of the file that includes it.
#pragma once

#include "vectors.h"

namespace singa {
namespace {

// Rows and vectors of a product that are in registers at a time, of the 32 of AVX-512 or the 16 of
// the others.
constexpr int kRows = 6, kPanel = SINGA_VECTOR_BYTES == 64 ? 4 : 2;

// Two numbers of bfloat16, neighbours along the depth of a product: its sums grow by both at a time.
struct Pair {
  Bfloat16 first, second;
};

// What a product is made of, a float or a Pair, in a register.
template <typename Item>
struct RegisterOf {
  typedef Floats Type;
};
template <>
struct RegisterOf<Pair> {
  typedef Ints Type;
};

inline Floats Added(const Floats& sum, float left, const Floats& right) {
  return sum + left * right;
}

inline Floats Added(const Floats& sum, Pair left, const Ints& right) {
  int32_t both;
  std::memcpy(&both, &left, sizeof both);
#if defined(__AVX512BF16__)
  const __m512i everywhere = _mm512_set1_epi32(both);
  return reinterpret_cast<Floats>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum),
                                                   reinterpret_cast<__m512bh>(everywhere),
                                                   reinterpret_cast<__m512bh>(right)));
#else
  const Ints first = right << 16, second = right & -65536;
  return sum + Wide(left.first) * reinterpret_cast<Floats>(first) +
         Wide(left.second) * reinterpret_cast<Floats>(second);
#endif
}

// A matrix by its first item and the distances between rows and between columns.
template <typename Item>
struct Left {
  const Item* at;
  int64_t row_step, column_step;
};

// c = a b, or c += a b, for `vectors` vectors of the columns of b and c.
template <int rows, int vectors, typename Item>
inline void Multiply(Left<Item> a, const Item* b, int64_t b_step, int64_t depth, float* c,
                     int64_t c_step, bool add) {
  Floats sums[rows][vectors] = {};
  for (int64_t k = 0; k < depth; ++k, a.at += a.column_step, b += b_step) {
    typename RegisterOf<Item>::Type right[vectors];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) Load(right[j], b + j * kBlock, kBlock);
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i) {
      const Item left = a.at[i * a.row_step];
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) sums[i][j] = Added(sums[i][j], left, right[j]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) {
      Floats before = {};
      if (add) Load(before, c + i * c_step + j * kBlock, kBlock);
      Store(before + sums[i][j], c + i * c_step + j * kBlock, kBlock);
    }
}

// The same for numbers of rows and vectors that the compiler does not know.
template <int most_rows, int most_vectors, typename Item>
inline void MultiplyAny(int64_t rows, int64_t vectors, Left<Item> a, const Item* b, int64_t b_step,
                        int64_t depth, float* c, int64_t c_step, bool add) {
  if constexpr (most_rows > 0 && most_vectors > 0) {
    if (rows < most_rows)
      MultiplyAny<most_rows - 1, most_vectors>(rows, vectors, a, b, b_step, depth, c, c_step, add);
    else if (vectors < most_vectors)
      MultiplyAny<most_rows, most_vectors - 1>(rows, vectors, a, b, b_step, depth, c, c_step, add);
    else
      Multiply<most_rows, most_vectors>(a, b, b_step, depth, c, c_step, add);
  }
}

// The same for any number of rows and columns; these are whole vectors.
template <typename Item>
__attribute__((noinline)) void Product(Left<Item> a, int64_t rows, const Item* b, int64_t b_step,
                                       int64_t columns, int64_t depth, float* c, int64_t c_step,
                                       bool add) {
  const int64_t vectors = columns / kBlock, panels = (vectors + kPanel - 1) / kPanel;
  for (int64_t panel = 0; panel < panels; ++panel) {
    const int64_t first = vectors * panel / panels, last = vectors * (panel + 1) / panels;
    for (int64_t row = 0; row < rows; row += kRows)
      MultiplyAny<kRows, kPanel>(Smaller(kRows, rows - row), last - first,
                                 Left<Item>{a.at + row * a.row_step, a.row_step, a.column_step},
                                 b + first * kBlock, b_step, depth,
                                 c + row * c_step + first * kBlock, c_step, add);
  }
}

// Where the lanes of two rows come from when blocks of `half` lanes of both are exchanged.
template <int half, bool second>
inline Ints Halves() {
  Ints lanes;
  for (int32_t j = 0; j < kBlock; ++j) {
    const bool of_other = (j & half) != 0;
    lanes[j] = second ? (of_other ? kBlock + j : j + half) : (of_other ? kBlock + j - half : j);
  }
  return lanes;
}

template <int half>
inline __attribute__((always_inline)) void TransposeBlocks(Floats (&rows)[kBlock]) {
  if constexpr (half < kBlock) {
#pragma GCC unroll 16
    for (int i = 0; i < kBlock; ++i)
      if ((i & half) == 0) {
        const Floats one = rows[i], other = rows[i + half];
        rows[i] = __builtin_shuffle(one, other, Halves<half, false>());
        rows[i + half] = __builtin_shuffle(one, other, Halves<half, true>());
      }
    TransposeBlocks<2 * half>(rows);
  }
}

}  // namespace
}  // namespace singa

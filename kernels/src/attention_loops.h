// The inner loops of attention, compiled once for each of several instruction sets, as those in
// loops.h are.
//
// The scores of queries and keys are computed tile by tile and never kept. On the way there each
// query keeps the largest score that it has seen, and the sum and the weighted values relative to
// it (Milakov and Gimelshein, 2018; Dao et al., 2022). The way back computes the tiles again.
//
// A Number is float or Bfloat16. Of bfloat16 are the factors of all products: queries, keys, values,
// dy, the weights and the gradients of scores. All else is float32, and so are the results.
#pragma once

#include <cstdint>
#include <type_traits>

#include "bfloat16.h"

namespace singa {

// Which keys each query of a head may attend to, or what is added to its scores. A step is 0 where
// the mask has one row for all queries, or one column for all keys.
struct Mask {
  const uint8_t* allowed;  // null if there are none
  const float* added;      // the same
  int64_t row_step, column_step;
};

// Which weights become 0: those whose number in jax's stream of the key is not below `keep`.
struct Dropout {
  bool on;
  uint32_t key[2];
  float keep, share;  // share: what a weight that stays is divided by
};

struct AttentionSizes {
  int64_t queries, keys, size, values;  // a query has `size` numbers, and so has a key
  float factor;                         // of the scores
  bool causal;
  Dropout dropout;
};

// What is hidden from the queries of one head.
struct Hidden {
  Mask mask;
  uint64_t first_weight;  // the number of the head's first weight among those of all heads
};

// The queries of one head, and what the way back knows about them.
template <typename Number>
struct QueriesBack {
  const Number* q;
  Hidden hidden;
  const Number *y, *dy;
  const float* lse;
};

template <typename Number>
struct AttentionLoopsOf {
  // Keys and values of a head, in the order in which Attend() reads them.
  int64_t (*packed_size)(const AttentionSizes&);  // in floats, as all sizes here
  void (*pack)(const AttentionSizes&, const Number* k, const Number* v, float* packed);

  // y and the logarithms of the sums of the exponentials of a tile of queries; `skips` tells
  // whether keys that a causal mask hides may be left out, and not multiplied by 0.
  int64_t tile;  // queries
  int64_t (*attend_size)(const AttentionSizes&);
  void (*attend)(const AttentionSizes&, const Number* q, const Hidden&, const float* packed,
                 const Number* v, bool skips, int64_t first, int64_t rows, float* y, float* lse,
                 float* scratch);

  // The gradients of a head of keys and values that `groups` heads of queries share, by every
  // step-th tile of them from `first` on. dk and dv of these tiles are written. dq, of all these
  // heads with each query padded to padded(size) numbers, grows.
  int64_t key_tile;
  int64_t (*padded)(int64_t size);
  int64_t (*back_size)(const AttentionSizes&);
  void (*back)(const AttentionSizes&, const QueriesBack<Number>*, int64_t groups, const Number* k,
               const Number* v, bool skips, int64_t first, int64_t step, float* dk, float* dv,
               float* dq, float* scratch);

  // Whether no number is NaN or infinite.
  bool (*finite)(const Number* x, int64_t count);
};

struct AttentionLoops {
  AttentionLoopsOf<float> wide;
  AttentionLoopsOf<Bfloat16> narrow;

  template <typename Number>
  const AttentionLoopsOf<Number>& Of() const {
    if constexpr (std::is_same_v<Number, float>)
      return wide;
    else
      return narrow;
  }
};

// For the processor that this runs on.
const AttentionLoops& BestAttentionLoops();

}  // namespace singa

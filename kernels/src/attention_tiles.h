// What becomes of the scores of a tile of queries and keys, on their way to weights. As in
// vectors.h, nothing here may be visible outside of the file that includes it.
#pragma once

#include "attention_loops.h"
#include "vectors.h"

namespace singa {
namespace {

constexpr int64_t kQueries = 96, kKeys = 128;
constexpr float kInfinity = __builtin_inff();

// exp(x) for x that is not above 0 by more than rounding errors; 0 where float32 has no normal
// number for it, NaN of NaN.
inline __attribute__((always_inline)) Floats Exp(Floats x) {
  Floats less, power;
  SplitExp(x, less, power);
  const Floats y = less * power + power;
  return x < -87.f ? Floats{} : y;
}

inline Ints Iota() {
  Ints iota;
  for (int32_t i = 0; i < kBlock; ++i) iota[i] = i;
  return iota;
}

// All numbers of a register into one, halving their number each time.
template <typename Join>
inline __attribute__((always_inline)) float Folded(Floats x, const Join& join) {
#pragma GCC unroll 4
  for (int32_t half = kBlock / 2; half > 0; half /= 2)
    x = join(x, __builtin_shuffle(x, Iota() ^ half));
  return x[0];
}
inline float Largest(const Floats& x) {
  return Folded(x, [](Floats a, Floats b) { return a > b ? a : b; });
}
inline float Sum(const Floats& x) {
  return Folded(x, [](Floats a, Floats b) { return a + b; });
}

// Threefry-2x32 (Salmon et al., 2011), as jax uses it: which of the weights from number `first` on
// stay.
inline Ints Stay(const Dropout& dropout, uint64_t first) {
  typedef uint32_t Words __attribute__((vector_size(kBlock * 4)));
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t keys[3] = {dropout.key[0], dropout.key[1],
                            dropout.key[0] ^ dropout.key[1] ^ 0x1BD11BDA};
  const Words low = static_cast<uint32_t>(first) + reinterpret_cast<Words>(Iota());
  // A comparison is -1 where it is true: where the lower word has passed its largest number.
  const Words carry = reinterpret_cast<Words>(low < static_cast<uint32_t>(first));
  Words a = static_cast<uint32_t>(first >> 32) - carry + keys[0], b = low + keys[1];
#pragma GCC unroll 5
  for (uint32_t i = 0; i < 5; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const int turn = kRotations[i % 2][j];
      a += b;
      b = (b << turn | b >> (32 - turn)) ^ a;
    }
    a += keys[(i + 1) % 3];
    b += keys[(i + 2) % 3] + i + 1;
  }
  const Floats uniform = reinterpret_cast<Floats>(((a ^ b) >> 9) | 0x3f800000) - 1.f;
  return uniform < dropout.keep;
}

// The scores of the keys from `key` on, as many as a tile has.
struct Tile {
  const AttentionSizes& sizes;
  const Hidden& hidden;
  bool skips;
  int64_t key;

  int64_t Keys() const { return Smaller(kKeys, sizes.keys - key); }
  // How many of the tile's keys query `row` may see, if the mask lets it.
  int64_t Seen(int64_t row) const {
    const int64_t seen = sizes.causal ? row + 1 - key : Keys();
    return seen < 0 ? 0 : Smaller(seen, Keys());
  }
  // How many of them are computed for the queries up to `row`.
  int64_t Computed(int64_t row) const { return skips ? Seen(row) : Keys(); }

  // Whether nothing but the factor makes scores of the products with the `seen` keys of a query.
  bool IsPlain(int64_t seen, int64_t computed) const {
    return seen >= Up(computed, kBlock) && hidden.mask.allowed == nullptr &&
           hidden.mask.added == nullptr && !sizes.dropout.on;
  }

  // Scores of query `row` and keys from column `j` on, from the products of both.
  template <bool plain>
  inline __attribute__((always_inline)) Floats Score(Floats product, int64_t row, int64_t j,
                                                     int64_t seen) const {
    Floats score = product * sizes.factor;
    if (plain) return score;
    const Mask& mask = hidden.mask;
    const int64_t size = Smaller(kBlock, Keys() - j);
    if (mask.allowed != nullptr) {
      const Ints allowed = At(mask.allowed, row, j, size);
      score = allowed != 0 ? score : Floats{} - kInfinity;
    } else if (mask.added != nullptr) {
      score += At(mask.added, row, j, size);
    }
    if (j + kBlock > seen) {
      const Ints is_unseen = Iota() >= static_cast<int32_t>(seen - j);
      score = is_unseen ? Floats{} - kInfinity : score;
    }
    return score;
  }

  Ints Stays(int64_t row, int64_t j) const {
    return Stay(sizes.dropout, hidden.first_weight +
                                   static_cast<uint64_t>(row * sizes.keys + key + j));
  }

 private:
  Floats At(const float* from, int64_t row, int64_t j, int64_t size) const {
    Floats block;
    from += row * hidden.mask.row_step;
    if (hidden.mask.column_step == 0) return Floats{} + *from;
    LoadSome(block, from + key + j, size);
    return block;
  }
  Ints At(const uint8_t* from, int64_t row, int64_t j, int64_t size) const {
    Octets block;
    from += row * hidden.mask.row_step;
    if (hidden.mask.column_step == 0) return Ints{} + *from;
    LoadSome(block, from + key + j, size);
    return Widened(block);
  }
};

}  // namespace
}  // namespace singa

// Compiled several times, as loops.cc is; see there.

#include "attention_loops.h"
#include "products.h"
#include "vectors.h"

namespace singa {
namespace {

// A tile of scores. A group of its queries is taken through all steps while their scores are in the
// first cache.
constexpr int64_t kQueries = 96, kKeys = 128, kGroup = 24;
constexpr float kInfinity = __builtin_inff();

int64_t Padded(int64_t size) { return Up(size, kBlock); }

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

// `rows` rows of `size` numbers each, padded with zeros to `step`: these, or a copy.
const float* WithPadding(const float* from, int64_t rows, int64_t size, float* copy,
                         int64_t step) {
  if (size == step) return from;
  for (int64_t row = 0; row < rows; ++row) {
    float* const to = copy + row * step;
    std::memcpy(to, from + row * size, static_cast<size_t>(size) * sizeof *to);
    std::memset(to + size, 0, static_cast<size_t>(step - size) * sizeof *to);
  }
  return copy;
}

// The columns of a tile of keys or values, (size, kKeys): as many keys as fill whole vectors, with
// zeros for rows that are not there.
void Transpose(const float* from, int64_t rows, int64_t size, float* to) {
  for (int64_t row = 0; row < rows; row += kBlock)
    for (int64_t first = 0; first < size; first += kBlock) {
      const int64_t width = Smaller(kBlock, size - first);
      Floats square[kBlock];
      for (int64_t i = 0; i < kBlock; ++i) {
        square[i] = Floats{};
        if (row + i < rows) LoadSome(square[i], from + (row + i) * size + first, width);
      }
      TransposeBlocks<1>(square);
      for (int64_t i = 0; i < width; ++i)
        Store(square[i], to + (first + i) * kKeys + row, kBlock);
    }
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
  const Queries& queries;
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
    return seen >= Up(computed, kBlock) && queries.mask.allowed == nullptr &&
           queries.mask.added == nullptr && !sizes.dropout.on;
  }

  // Scores of query `row` and keys from column `j` on, from the products of both.
  template <bool plain>
  inline __attribute__((always_inline)) Floats Score(Floats product, int64_t row, int64_t j,
                                                     int64_t seen) const {
    Floats score = product * sizes.factor;
    if (plain) return score;
    const Mask& mask = queries.mask;
    const int64_t size = Smaller(kBlock, Keys() - j);
    if (mask.allowed != nullptr) {
      const Ints allowed = At(mask.allowed, row, j, size);
      score = allowed != 0 ? score : Floats{} - kInfinity;
    } else if (mask.added != nullptr) {
      score += At(mask.added, row, j, size);
    }
    if (j + kBlock > seen) {
      const Ints hidden = Iota() >= static_cast<int32_t>(seen - j);
      score = hidden ? Floats{} - kInfinity : score;
    }
    return score;
  }

  Ints Stays(int64_t row, int64_t j) const {
    return Stay(sizes.dropout, queries.first_weight +
                                   static_cast<uint64_t>(row * sizes.keys + key + j));
  }

 private:
  Floats At(const float* from, int64_t row, int64_t j, int64_t size) const {
    Floats block;
    from += row * queries.mask.row_step;
    if (queries.mask.column_step == 0) return Floats{} + *from;
    LoadSome(block, from + key + j, size);
    return block;
  }
  Ints At(const uint8_t* from, int64_t row, int64_t j, int64_t size) const {
    Octets block;
    from += row * queries.mask.row_step;
    if (queries.mask.column_step == 0) return Ints{} + *from;
    LoadSome(block, from + key + j, size);
    return Widened(block);
  }
};

int64_t PackedSize(const AttentionSizes& s) {
  return Up(s.keys, kKeys) * s.size + s.keys * Padded(s.values);
}

void Pack(const AttentionSizes& s, const float* k, const float* v, float* packed) {
  for (int64_t key = 0; key < s.keys; key += kKeys)
    Transpose(k + key * s.size, Smaller(kKeys, s.keys - key), s.size, packed + key * s.size);
  WithPadding(v, s.keys, s.values, packed + Up(s.keys, kKeys) * s.size, Padded(s.values));
}

int64_t AttendSize(const AttentionSizes& s) {
  return kQueries * (Padded(s.values) + kBlock + 1) + kGroup * kKeys;
}

// A query's scores of a tile become the exponentials of their distances from the largest score so
// far; sum and y, which are relative to that, follow it.
template <bool plain>
inline void Exponentials(const Tile& tile, int64_t row, int64_t seen, int64_t computed,
                         float* scores, float& largest, float* sum, float* y, int64_t values) {
  Floats most = Floats{} - kInfinity, score;
  for (int64_t j = 0; j < computed; j += kBlock) {
    Load(score, scores + j, kBlock);
    score = tile.Score<plain>(score, row, j, seen);
    most = score > most ? score : most;
    Store(score, scores + j, kBlock);
  }
  const float now = Largest(most), before = largest;
  Floats total, part;
  Load(total, sum, kBlock);
  if (now > before) {
    largest = now;
    const Floats shrunk = Exp(Floats{} + (before - now));
    total *= shrunk;
    for (int64_t j = 0; j < values; j += kBlock) {
      Load(part, y + j, kBlock);
      Store(part * shrunk, y + j, kBlock);
    }
  }
  const float base = largest == -kInfinity ? 0.f : largest;
  for (int64_t j = 0; j < computed; j += kBlock) {
    Load(score, scores + j, kBlock);
    score = Exp(score - base);
    total += score;
    if (!plain && tile.sizes.dropout.on) score = tile.Stays(row, j) ? score : Floats{};
    Store(score, scores + j, kBlock);
  }
  Store(total, sum, kBlock);
}

void Attend(const AttentionSizes& s, const Queries& queries, const float* packed, const float* v,
            bool skips, int64_t first, int64_t rows, float* y, float* lse, float* scratch) {
  const int64_t values = Padded(s.values);
  const float* const packed_values = values == s.values ? v : packed + Up(s.keys, kKeys) * s.size;
  float* const sums = scratch + kQueries * values;
  float* const scores = sums + kQueries * kBlock;
  float* const largest = scores + kGroup * kKeys;
  for (int64_t i = 0; i < rows * values; ++i) scratch[i] = 0.f;
  for (int64_t i = 0; i < rows * kBlock; ++i) sums[i] = 0.f;
  for (int64_t i = 0; i < rows; ++i) largest[i] = -kInfinity;
  for (int64_t key = 0; key < s.keys; key += kKeys) {
    const Tile tile{s, queries, skips, key};
    for (int64_t row = 0; row < rows; row += kGroup) {
      const int64_t count = Smaller(kGroup, rows - row);
      const int64_t computed = tile.Computed(first + row + count - 1);
      if (computed == 0) continue;
      Product(Left{queries.q + (first + row) * s.size, s.size, 1}, count, packed + key * s.size,
              kKeys, Padded(computed), s.size, scores, kKeys, false);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t at = row + i, seen = tile.Seen(first + at);
        const auto run = tile.IsPlain(seen, computed) ? Exponentials<true> : Exponentials<false>;
        run(tile, first + at, seen, computed, scores + i * kKeys, largest[at], sums + at * kBlock,
            scratch + at * values, values);
      }
      Product(Left{scores, kKeys, 1}, count, packed_values + key * values, values, values,
              computed, scratch + row * values, values, true);
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    Floats sum;
    Load(sum, sums + i * kBlock, kBlock);
    const float total = Sum(sum);
    const float kept = s.dropout.on ? s.dropout.share : 1.f;
    const float scale = 1.f / ((total == 0.f ? 1.f : total) * kept);
    for (int64_t j = 0; j < s.values; ++j)
      y[(first + i) * s.values + j] = scratch[i * values + j] * scale;
    // Of a query without any key it is infinite: exp(score - lse) is 0 then, as it has to be.
    lse[first + i] = total == 0.f ? kInfinity : largest[i] + __builtin_logf(total);
  }
}

// What the way back needs for the queries of a head, and for a tile of its keys.
struct Workspace {
  int64_t size, values;  // padded
  float *q, *dy;         // padded, if they have to be
  float* delta;          // dy y of each query
  float *keys, *dkeys, *dvalues;
  float *keys_across, *values_across;  // transposed
  float *weights, *dscores;            // of a tile of queries
  int64_t used = 0;

  Workspace(const AttentionSizes& s, float* scratch)
      : size(Padded(s.size)), values(Padded(s.values)) {
    const auto take = [&](int64_t count) {
      float* const taken = scratch == nullptr ? nullptr : scratch + used;
      used += Up(count, kBlock);
      return taken;
    };
    q = take(s.queries * size), dy = take(s.queries * values), delta = take(s.queries);
    keys = take(kKeys * size), dkeys = take(kKeys * size), dvalues = take(kKeys * values);
    keys_across = take(kKeys * s.size), values_across = take(kKeys * s.values);
    weights = take(kQueries * kKeys), dscores = take(kQueries * kKeys);
  }
};

int64_t BackSize(const AttentionSizes& s) { return Workspace(s, nullptr).used; }

// From the products of queries and keys and of dy and values: the weights as they multiply the
// values, and the gradients of the former products.
template <bool plain>
inline void WeightsBack(const Tile& tile, int64_t row, int64_t seen, int64_t computed,
                        int64_t columns, float lse, float delta, float* weights, float* dscores) {
  const Dropout& dropout = tile.sizes.dropout;
  const float factor = tile.sizes.factor;
  Floats weight, dscore;
  for (int64_t j = 0; j < computed; j += kBlock) {
    Load(weight, weights + j, kBlock);
    Load(dscore, dscores + j, kBlock);
    weight = Exp(tile.Score<plain>(weight, row, j, seen) - lse);
    if (!plain && dropout.on) {
      const Ints stays = tile.Stays(row, j);
      dscore = stays ? dscore / dropout.share : Floats{};
      dscore = weight * (dscore - delta) * factor;
      weight = stays ? weight / dropout.share : Floats{};
    } else {
      dscore = weight * (dscore - delta) * factor;
    }
    Store(weight, weights + j, kBlock);
    Store(dscore, dscores + j, kBlock);
  }
  for (int64_t j = Padded(computed); j < columns; j += kBlock) {
    Store(Floats{}, weights + j, kBlock);
    Store(Floats{}, dscores + j, kBlock);
  }
}

// dy y of each query: the sum of its weights times their gradients.
void Deltas(const AttentionSizes& s, const QueriesBack& head, float* delta) {
  for (int64_t row = 0; row < s.queries; ++row) {
    Floats sum = {}, one, other;
    for (int64_t j = 0; j < s.values; j += kBlock) {
      LoadSome(one, head.dy + row * s.values + j, Smaller(kBlock, s.values - j));
      LoadSome(other, head.y + row * s.values + j, Smaller(kBlock, s.values - j));
      sum += one * other;
    }
    delta[row] = Sum(sum);
  }
}

// The gradients of a tile of keys and values, in the workspace, and what they add to dq.
void BackTile(const Tile& tile, const float* lse, const float* q, const float* dy,
              const float* keys, const Workspace& w, float* dq) {
  const AttentionSizes& s = tile.sizes;
  const int64_t count = tile.Keys(), columns = Padded(count);
  for (int64_t i = 0; i < count * w.size; ++i) w.dkeys[i] = 0.f;
  for (int64_t i = 0; i < count * w.values; ++i) w.dvalues[i] = 0.f;
  for (int64_t first = 0; first < s.queries; first += kQueries) {
    const int64_t rows = Smaller(kQueries, s.queries - first);
    if (tile.Computed(first + rows - 1) == 0) continue;
    for (int64_t row = 0; row < rows; row += kGroup) {
      const int64_t together = Smaller(kGroup, rows - row), at = first + row;
      const int64_t computed = tile.Computed(at + together - 1);
      float *const weights = w.weights + row * kKeys, *const dscores = w.dscores + row * kKeys;
      Product(Left{q + at * w.size, w.size, 1}, together, w.keys_across, kKeys, Padded(computed),
              s.size, weights, kKeys, false);
      Product(Left{dy + at * w.values, w.values, 1}, together, w.values_across, kKeys,
              Padded(computed), s.values, dscores, kKeys, false);
      for (int64_t i = 0; i < together; ++i) {
        const int64_t seen = tile.Seen(at + i);
        const auto run = tile.IsPlain(seen, computed) ? WeightsBack<true> : WeightsBack<false>;
        run(tile, at + i, seen, computed, columns, lse[at + i], w.delta[at + i],
            weights + i * kKeys, dscores + i * kKeys);
      }
      Product(Left{dscores, kKeys, 1}, together, keys, w.size, w.size, computed, dq + at * w.size,
              w.size, true);
    }
    Product(Left{w.weights, 1, kKeys}, count, dy + first * w.values, w.values, w.values, rows,
            w.dvalues, w.values, true);
    Product(Left{w.dscores, 1, kKeys}, count, q + first * w.size, w.size, w.size, rows, w.dkeys,
            w.size, true);
  }
}

// Rows without their padding: put, or added to what is there.
void Deliver(const float* from, int64_t rows, int64_t step, int64_t size, bool add, float* to) {
  for (int64_t row = 0; row < rows; ++row, from += step, to += size)
    for (int64_t j = 0; j < size; ++j) to[j] = (add ? to[j] : 0.f) + from[j];
}

void Back(const AttentionSizes& s, const QueriesBack* heads, int64_t groups, const float* k,
          const float* v, bool skips, int64_t first, int64_t step, float* dk, float* dv, float* dq,
          float* scratch) {
  const Workspace w(s, scratch);
  for (int64_t group = 0; group < groups; ++group, dq += s.queries * w.size) {
    const QueriesBack& head = heads[group];
    const float* const q = WithPadding(head.there.q, s.queries, s.size, w.q, w.size);
    const float* const dy = WithPadding(head.dy, s.queries, s.values, w.dy, w.values);
    Deltas(s, head, w.delta);
    for (int64_t key = first * kKeys; key < s.keys; key += step * kKeys) {
      const Tile tile{s, head.there, skips, key};
      const int64_t count = tile.Keys(), at = key * s.size, at_values = key * s.values;
      Transpose(k + at, count, s.size, w.keys_across);
      Transpose(v + at_values, count, s.values, w.values_across);
      const float* const keys = WithPadding(k + at, count, s.size, w.keys, w.size);
      BackTile(tile, head.lse, q, dy, keys, w, dq);
      Deliver(w.dkeys, count, w.size, s.size, group > 0, dk + at);
      Deliver(w.dvalues, count, w.values, s.values, group > 0, dv + at_values);
    }
  }
}

bool Finite(const float* x, int64_t count) {
  Floats check = {}, block;
  for (int64_t i = 0; i < count; i += kBlock) {
    LoadSome(block, x + i, Smaller(kBlock, count - i));
    check += block * 0.f;
  }
  return Sum(check) == 0.f;
}

}  // namespace

extern const AttentionLoops SINGA_ATTENTION_LOOPS;
const AttentionLoops SINGA_ATTENTION_LOOPS = {PackedSize, Pack,   kQueries, AttendSize, Attend,
                                              kKeys,      Padded, BackSize, Back,       Finite};

}  // namespace singa

// Compiled several times, as loops.cc is; see there.
//
// All products are of items: of float32, or of pairs of bfloat16 that are neighbours along the
// depth. Left factors have their rows as items. Right factors have the depth in their rows: those
// that lie so are "stacked", the others transposed. Where the depth is odd, zeros make pairs.

#include "attention_loops.h"
#include "attention_tiles.h"
#include "products.h"
#include "tile_products.h"
#include "vectors.h"

namespace singa {
namespace {

template <typename Number>
using ItemOf = std::conditional_t<std::is_same_v<Number, float>, float, Pair>;

// Numbers in an item, and items of so many numbers.
template <typename Number>
constexpr int64_t kTogether = sizeof(ItemOf<Number>) / sizeof(Number);
template <typename Number>
int64_t Items(int64_t numbers) {
  return (numbers + kTogether<Number> - 1) / kTogether<Number>;
}

// Queries that are taken through all steps together, while their scores are in the first cache.
template <typename Number>
constexpr int64_t kGroup = kHasTiles && kTogether<Number> > 1 ? 32 : 24;

template <typename Number>
const ItemOf<Number>* AsItems(const Number* numbers) {
  return reinterpret_cast<const ItemOf<Number>*>(numbers);
}

int64_t Padded(int64_t size) { return Up(size, kBlock); }

// `rows` rows of `size` numbers each, padded with zeros to `step`: these, or a copy.
template <typename Number>
const Number* WithPadding(const Number* from, int64_t rows, int64_t size, Number* copy,
                          int64_t step) {
  if (size == step) return from;
  for (int64_t row = 0; row < rows; ++row) {
    Number* const to = copy + row * step;
    std::memcpy(to, from + row * size, static_cast<size_t>(size) * sizeof *to);
    std::memset(to + size, 0, static_cast<size_t>(step - size) * sizeof *to);
  }
  return copy;
}

// Rows of whole items: these, or a copy.
template <typename Number>
const ItemOf<Number>* Rows(const Number* from, int64_t rows, int64_t size, float* copy) {
  return AsItems(WithPadding(from, rows, size, reinterpret_cast<Number*>(copy),
                             Items<Number>(size) * kTogether<Number>));
}

// Rows, `from_step` numbers apart, as the depth of a right factor: registers with zeros at the end.
// Its rows are `step` items apart.
const float* Stacked(const float* from, int64_t, int64_t rows, int64_t size, float* copy,
                     int64_t step) {
  return WithPadding(from, rows, size, copy, step);
}

const Pair* Stacked(const Bfloat16* from, int64_t from_step, int64_t rows, int64_t size,
                    float* copy, int64_t step) {
  float* to = copy;
  for (int64_t row = 0; row < rows; row += 2, from += 2 * from_step, to += step)
    for (int64_t j = 0; j < size; j += kBlock) {
      const int64_t width = Smaller(kBlock, size - j);
      Shorts first, second = {};
      LoadSome(first, from + j, width);
      if (row + 1 < rows) LoadSome(second, from + from_step + j, width);
      Store(Widened(first) | Widened(second) << 16, to + j, kBlock);
    }
  return reinterpret_cast<const Pair*>(copy);
}

// The columns of a tile of keys or values, (size, kKeys): as many keys as fill whole vectors, with
// zeros for rows that are not there.
template <typename Item>
void Transpose(const Item* from, int64_t rows, int64_t size, float* to) {
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

// In floats, which are as large as pairs: the tiles of keys, transposed; the values, stacked; room
// for a tile of keys.
template <typename Number>
int64_t PackedSize(const AttentionSizes& s) {
  const int64_t size = Items<Number>(s.size);
  return (Up(s.keys, kKeys) + kKeys) * size + Items<Number>(s.keys) * Padded(s.values);
}

template <typename Number>
float* PackedValues(const AttentionSizes& s, float* packed) {
  return packed + Up(s.keys, kKeys) * Items<Number>(s.size);
}

template <typename Number>
void Pack(const AttentionSizes& s, const Number* k, const Number* v, float* packed) {
  const int64_t size = Items<Number>(s.size);
  float* const values = PackedValues<Number>(s, packed);
  float* const copy = values + Items<Number>(s.keys) * Padded(s.values);
  for (int64_t key = 0; key < s.keys; key += kKeys) {
    const int64_t rows = Smaller(kKeys, s.keys - key);
    Transpose(Rows(k + key * s.size, rows, s.size, copy), rows, size, packed + key * size);
  }
  Stacked(v, s.values, s.keys, s.values, values, Padded(s.values));
}

template <typename Number>
int64_t AttendSize(const AttentionSizes& s) {
  const int64_t of_a_query = Padded(s.values) + kBlock + 1 + Items<Number>(s.size);
  return kQueries * of_a_query + kGroup<Number> * kKeys;
}

// A query's scores of a tile become the exponentials of their distances from the largest score so
// far; sum and y, which are relative to that, follow it. Exponentials of bfloat16 take the first
// half of the scores' place.
template <bool plain, typename Number>
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
  Number* const weights = reinterpret_cast<Number*>(scores);
  for (int64_t j = 0; j < computed; j += kBlock) {
    Load(score, scores + j, kBlock);
    score = Exp(score - base);
    total += score;
    if (!plain && tile.sizes.dropout.on) score = tile.Stays(row, j) ? score : Floats{};
    Store(score, weights + j, kBlock);
  }
  Store(total, sum, kBlock);
}

template <typename Number>
void Attend(const AttentionSizes& s, const Number* q, const Hidden& hidden, const float* packed,
            const Number* v, bool skips, int64_t first, int64_t rows, float* y, float* lse,
            float* scratch) {
  using Item = ItemOf<Number>;
  const Tiles<Item> tiles;
  const int64_t values = Padded(s.values), size = Items<Number>(s.size);
  const Item* const keys = reinterpret_cast<const Item*>(packed);
  // Floats that need no padding are read where they are.
  const bool in_place = kTogether<Number> == 1 && values == s.values;
  const Item* const stacked =
      in_place ? AsItems(v)
               : reinterpret_cast<const Item*>(PackedValues<Number>(s, const_cast<float*>(packed)));
  float* const sums = scratch + kQueries * values;
  float* const scores = sums + kQueries * kBlock;
  float* const largest = scores + kGroup<Number> * kKeys;
  const Item* const queries = Rows(q + first * s.size, rows, s.size, largest + kQueries);
  for (int64_t i = 0; i < rows * values; ++i) scratch[i] = 0.f;
  for (int64_t i = 0; i < rows * kBlock; ++i) sums[i] = 0.f;
  for (int64_t i = 0; i < rows; ++i) largest[i] = -kInfinity;
  for (int64_t key = 0; key < s.keys; key += kKeys) {
    const Tile tile{s, hidden, skips, key};
    for (int64_t row = 0; row < rows; row += kGroup<Number>) {
      const int64_t count = Smaller(kGroup<Number>, rows - row);
      const int64_t computed = tile.Computed(first + row + count - 1);
      if (computed == 0) continue;
      Product(Left<Item>{queries + row * size, size, 1}, count, keys + key * size, kKeys,
              Padded(computed), size, scores, kKeys, false);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t at = row + i, seen = tile.Seen(first + at);
        const auto run = tile.IsPlain(seen, computed) ? Exponentials<true, Number>
                                                      : Exponentials<false, Number>;
        run(tile, first + at, seen, computed, scores + i * kKeys, largest[at], sums + at * kBlock,
            scratch + at * values, values);
      }
      Product(Left<Item>{reinterpret_cast<const Item*>(scores), kKeys, 1}, count,
              stacked + key / kTogether<Number> * values, values, values, Items<Number>(computed),
              scratch + row * values, values, true);
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
template <typename Number>
struct Workspace {
  int64_t size, values;                             // padded
  int64_t size_items, values_items;                 // of a row
  float *q_rows, *dy_rows, *key_rows, *value_rows;  // copies, if the last item needs a zero
  float *q, *dy, *keys;                             // stacked
  float* delta;                                     // dy y of each query
  float *dkeys, *dvalues;
  float *keys_across, *values_across;  // transposed
  float *weights, *dscores;            // of a group of queries
  float *all_weights, *all_dscores;    // of a tile of queries, stacked
  int64_t used = 0;

  Workspace(const AttentionSizes& s, float* scratch)
      : size(Padded(s.size)),
        values(Padded(s.values)),
        size_items(Items<Number>(s.size)),
        values_items(Items<Number>(s.values)) {
    const auto take = [&](int64_t count) {
      float* const taken = scratch == nullptr ? nullptr : scratch + used;
      used += Up(count, kBlock);
      return taken;
    };
    const int64_t queries = Items<Number>(s.queries), tile = Items<Number>(kKeys);
    const auto copies = [&](int64_t rows, int64_t numbers) {
      return take(numbers % kTogether<Number> == 0 ? 0 : rows * Items<Number>(numbers));
    };
    q_rows = copies(s.queries, s.size), dy_rows = copies(s.queries, s.values);
    key_rows = copies(kKeys, s.size), value_rows = copies(kKeys, s.values);
    q = take(queries * size), dy = take(queries * values), delta = take(s.queries);
    keys = take(tile * size), dkeys = take(kKeys * size), dvalues = take(kKeys * values);
    keys_across = take(kKeys * size_items), values_across = take(kKeys * values_items);
    all_weights = take(Items<Number>(kQueries) * kKeys);
    all_dscores = take(Items<Number>(kQueries) * kKeys);
    weights = take(kGroup<Number> * kKeys), dscores = take(kGroup<Number> * kKeys);
  }
};

template <typename Number>
int64_t BackSize(const AttentionSizes& s) {
  return Workspace<Number>(s, nullptr).used;
}

// From the products of queries and keys and of dy and values: the weights as they multiply the
// values, and the gradients of the former products. Those of bfloat16 take the first half of the
// place.
template <bool plain, typename Number>
inline void WeightsBack(const Tile& tile, int64_t row, int64_t seen, int64_t computed,
                        int64_t columns, float lse, float delta, float* products,
                        float* dproducts) {
  const Dropout& dropout = tile.sizes.dropout;
  const float factor = tile.sizes.factor;
  Number* const weights = reinterpret_cast<Number*>(products);
  Number* const dscores = reinterpret_cast<Number*>(dproducts);
  Floats weight, dscore;
  for (int64_t j = 0; j < computed; j += kBlock) {
    Load(weight, products + j, kBlock);
    Load(dscore, dproducts + j, kBlock);
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
template <typename Number>
void Deltas(const AttentionSizes& s, const QueriesBack<Number>& head, float* delta) {
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

// One matrix as the left factor of a product and as the right factor of another.
template <typename Item>
struct BothSides {
  const Item *rows, *stacked;
};

// The gradients of a tile of keys and values, in the workspace, and what they add to dq.
template <typename Number, typename Item = ItemOf<Number>>
void BackTile(const Tile& tile, const float* lse, BothSides<Item> q, BothSides<Item> dy,
              const Item* keys, const Workspace<Number>& w, float* dq) {
  const AttentionSizes& s = tile.sizes;
  const int64_t count = tile.Keys(), columns = Padded(count);
  const auto items = [](const float* from) { return reinterpret_cast<const Item*>(from); };
  for (int64_t i = 0; i < count * w.size; ++i) w.dkeys[i] = 0.f;
  for (int64_t i = 0; i < count * w.values; ++i) w.dvalues[i] = 0.f;
  for (int64_t first = 0; first < s.queries; first += kQueries) {
    const int64_t rows = Smaller(kQueries, s.queries - first);
    if (tile.Computed(first + rows - 1) == 0) continue;
    for (int64_t row = 0; row < rows; row += kGroup<Number>) {
      const int64_t together = Smaller(kGroup<Number>, rows - row), at = first + row;
      const int64_t computed = tile.Computed(at + together - 1);
      float* const all_weights = w.all_weights + row / kTogether<Number> * kKeys;
      float* const all_dscores = w.all_dscores + row / kTogether<Number> * kKeys;
      // Floats are stacked as soon as they are written.
      const bool in_place = kTogether<Number> == 1;
      float* const weights = in_place ? all_weights : w.weights;
      float* const dscores = in_place ? all_dscores : w.dscores;
      Product(Left<Item>{q.rows + at * w.size_items, w.size_items, 1}, together,
              items(w.keys_across), kKeys, Padded(computed), w.size_items, weights, kKeys, false);
      Product(Left<Item>{dy.rows + at * w.values_items, w.values_items, 1}, together,
              items(w.values_across), kKeys, Padded(computed), w.values_items, dscores, kKeys,
              false);
      for (int64_t i = 0; i < together; ++i) {
        const int64_t seen = tile.Seen(at + i);
        const auto run = tile.IsPlain(seen, computed) ? WeightsBack<true, Number>
                                                      : WeightsBack<false, Number>;
        run(tile, at + i, seen, computed, columns, lse[at + i], w.delta[at + i],
            weights + i * kKeys, dscores + i * kKeys);
      }
      Product(Left<Item>{items(dscores), kKeys, 1}, together, keys, w.size, w.size,
              Items<Number>(computed), dq + at * w.size, w.size, true);
      if (in_place) continue;
      const int64_t step = kKeys * kTogether<Number>;
      Stacked(reinterpret_cast<Number*>(weights), step, together, columns, all_weights, kKeys);
      Stacked(reinterpret_cast<Number*>(dscores), step, together, columns, all_dscores, kKeys);
    }
    const int64_t depth = Items<Number>(rows), at = first / kTogether<Number>;
    Product(Left<Item>{items(w.all_weights), 1, kKeys}, count, dy.stacked + at * w.values,
            w.values, w.values, depth, w.dvalues, w.values, true);
    Product(Left<Item>{items(w.all_dscores), 1, kKeys}, count, q.stacked + at * w.size, w.size,
            w.size, depth, w.dkeys, w.size, true);
  }
}

// Rows without their padding: put, or added to what is there.
void Deliver(const float* from, int64_t rows, int64_t step, int64_t size, bool add, float* to) {
  for (int64_t row = 0; row < rows; ++row, from += step, to += size)
    for (int64_t j = 0; j < size; ++j) to[j] = (add ? to[j] : 0.f) + from[j];
}

template <typename Number>
void Back(const AttentionSizes& s, const QueriesBack<Number>* heads, int64_t groups,
          const Number* k, const Number* v, bool skips, int64_t first, int64_t step, float* dk,
          float* dv, float* dq, float* scratch) {
  using Item = ItemOf<Number>;
  const Tiles<Item> tiles;
  const Workspace<Number> w(s, scratch);
  for (int64_t group = 0; group < groups; ++group, dq += s.queries * w.size) {
    const QueriesBack<Number>& head = heads[group];
    const BothSides<Item> q{Rows(head.q, s.queries, s.size, w.q_rows),
                            Stacked(head.q, s.size, s.queries, s.size, w.q, w.size)};
    const BothSides<Item> dy{Rows(head.dy, s.queries, s.values, w.dy_rows),
                             Stacked(head.dy, s.values, s.queries, s.values, w.dy, w.values)};
    Deltas(s, head, w.delta);
    for (int64_t key = first * kKeys; key < s.keys; key += step * kKeys) {
      const Tile tile{s, head.hidden, skips, key};
      const int64_t count = tile.Keys(), at = key * s.size, at_values = key * s.values;
      Transpose(Rows(k + at, count, s.size, w.key_rows), count, w.size_items, w.keys_across);
      Transpose(Rows(v + at_values, count, s.values, w.value_rows), count, w.values_items,
                w.values_across);
      const Item* const keys = Stacked(k + at, s.size, count, s.size, w.keys, w.size);
      BackTile<Number>(tile, head.lse, q, dy, keys, w, dq);
      Deliver(w.dkeys, count, w.size, s.size, group > 0, dk + at);
      Deliver(w.dvalues, count, w.values, s.values, group > 0, dv + at_values);
    }
  }
}

template <typename Number>
bool Finite(const Number* x, int64_t count) {
  Floats check = {}, block;
  for (int64_t i = 0; i < count; i += kBlock) {
    LoadSome(block, x + i, Smaller(kBlock, count - i));
    check += block * 0.f;
  }
  return Sum(check) == 0.f;
}

template <typename Number>
constexpr AttentionLoopsOf<Number> kLoops = {
    PackedSize<Number>, Pack<Number>, kQueries,         AttendSize<Number>, Attend<Number>, kKeys,
    Padded,             BackSize<Number>, Back<Number>, Finite<Number>};

}  // namespace

extern const AttentionLoops SINGA_ATTENTION_LOOPS;
const AttentionLoops SINGA_ATTENTION_LOOPS = {kLoops<float>, kLoops<Bfloat16>};

}  // namespace singa

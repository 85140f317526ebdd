// Products of bfloat16 by AMX, where the compiler may use it: its registers are tiles of 16 rows of
// 64 bytes, which are 16 numbers of float32 or 16 pairs. As in vectors.h, nothing here may be visible
// outside of the file that includes it.
#pragma once

#include "products.h"

namespace singa {
namespace {

// Products of these items may be computed while it lives.
template <typename Item>
struct Tiles {
  Tiles() {}
};

#if defined(__AMX_BF16__)

constexpr bool kHasTiles = true;
constexpr int64_t kTile = 16;
constexpr int64_t kDeep = 64;  // pairs that a left factor is taken by

// The compiler does not know what memory the instructions for tiles read and write.
inline void Settle() { __asm__ volatile("" ::: "memory"); }

template <>
struct Tiles<Pair> {
  Tiles() {
    struct {
      uint8_t palette = 1, first_row = 0, reserved[14] = {};
      uint16_t bytes[16] = {};
      uint8_t rows[16] = {};
    } shape;
    for (int i = 0; i < 8; ++i) shape.bytes[i] = 64, shape.rows[i] = kTile;
    const void* const at = &shape;
    __asm__ volatile("" ::"r"(at) : "memory");
    _tile_loadconfig(at);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
};

// c = a b, or c += a b, for so many tiles of the rows and columns of c. Depth is of whole tiles.
template <int rows, int columns>
inline void MultiplyTiles(const Pair* a, int64_t a_step, const Pair* b, int64_t b_step,
                          int64_t depth, float* c, int64_t c_step, bool add) {
  const int64_t a_bytes = 4 * a_step, b_bytes = 4 * b_step, c_bytes = 4 * c_step;
  if (add) {
    _tile_loadd(0, c, c_bytes);
    if constexpr (columns > 1) _tile_loadd(1, c + kTile, c_bytes);
    if constexpr (rows > 1) _tile_loadd(2, c + kTile * c_step, c_bytes);
    if constexpr (rows > 1 && columns > 1) _tile_loadd(3, c + kTile * c_step + kTile, c_bytes);
  } else {
    _tile_zero(0);
    if constexpr (columns > 1) _tile_zero(1);
    if constexpr (rows > 1) _tile_zero(2);
    if constexpr (rows > 1 && columns > 1) _tile_zero(3);
  }
  for (int64_t k = 0; k < depth; k += kTile, a += kTile, b += kTile * b_step) {
    _tile_loadd(4, a, a_bytes);
    _tile_loadd(6, b, b_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (columns > 1) {
      _tile_loadd(7, b + kTile, b_bytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (rows > 1) {
      _tile_loadd(5, a + kTile * a_step, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (rows > 1 && columns > 1) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, c_bytes);
  if constexpr (columns > 1) _tile_stored(1, c + kTile, c_bytes);
  if constexpr (rows > 1) _tile_stored(2, c + kTile * c_step, c_bytes);
  if constexpr (rows > 1 && columns > 1) _tile_stored(3, c + kTile * c_step + kTile, c_bytes);
}

// The same for a tile or two of rows, and any number of columns: these are whole tiles.
template <int rows>
inline void MultiplyRows(const Pair* a, int64_t a_step, const Pair* b, int64_t b_step,
                         int64_t columns, int64_t depth, float* c, int64_t c_step, bool add) {
  int64_t column = 0;
  for (; column + 2 * kTile <= columns; column += 2 * kTile)
    MultiplyTiles<rows, 2>(a, a_step, b + column, b_step, depth, c + column, c_step, add);
  if (column < columns)
    MultiplyTiles<rows, 1>(a, a_step, b + column, b_step, depth, c + column, c_step, add);
}

// A left factor whose columns are in memory as rows: `rows` of its rows, of `depth` pairs each,
// kDeep apart. Both are whole tiles.
inline void TransposeLeft(Left<Pair> a, int64_t rows, int64_t depth, Pair* to) {
  for (int64_t row = 0; row < rows; row += kTile)
    for (int64_t k = 0; k < depth; k += kTile) {
      Floats square[kTile];
      for (int64_t i = 0; i < kTile; ++i)
        Load(square[i], a.at + (k + i) * a.column_step + row, kTile);
      TransposeBlocks<1>(square);
      for (int64_t i = 0; i < kTile; ++i) Store(square[i], to + (row + i) * kDeep + k, kTile);
    }
}

// As the one for all items: what fills no tile is left to that.
void Product(Left<Pair> a, int64_t rows, const Pair* b, int64_t b_step, int64_t columns,
             int64_t depth, float* c, int64_t c_step, bool add) {
  const int64_t whole_rows = rows / kTile * kTile, whole_depth = depth / kTile * kTile;
  if (whole_rows == 0 || whole_depth == 0)
    return Product<Pair>(a, rows, b, b_step, columns, depth, c, c_step, add);
  alignas(64) Pair turned[2 * kTile * kDeep];
  for (int64_t row = 0; row < whole_rows; row += 2 * kTile) {
    const int64_t together = Smaller(2 * kTile, whole_rows - row);
    const auto run = together > kTile ? MultiplyRows<2> : MultiplyRows<1>;
    for (int64_t k = 0; k < whole_depth; k += kDeep) {
      const int64_t deep = Smaller(kDeep, whole_depth - k);
      const Left<Pair> part{a.at + row * a.row_step + k * a.column_step, a.row_step,
                            a.column_step};
      const bool is_turned = a.column_step != 1;
      if (is_turned) TransposeLeft(part, together, deep, turned);
      Settle();
      run(is_turned ? turned : part.at, is_turned ? kDeep : a.row_step, b + k * b_step, b_step,
          columns, deep, c + row * c_step, c_step, add || k > 0);
      Settle();
    }
  }
  if (whole_depth < depth)
    Product<Pair>({a.at + whole_depth * a.column_step, a.row_step, a.column_step}, whole_rows,
                  b + whole_depth * b_step, b_step, columns, depth - whole_depth, c, c_step, true);
  if (whole_rows < rows)
    Product<Pair>({a.at + whole_rows * a.row_step, a.row_step, a.column_step}, rows - whole_rows,
                  b, b_step, columns, depth, c + whole_rows * c_step, c_step, add);
}

#else

constexpr bool kHasTiles = false;

#endif

}  // namespace
}  // namespace singa

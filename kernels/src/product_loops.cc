// Products of float32 in the way of Goto and van de Geijn (2008). Panels of b, and of a transposed a, are
// copied first: the innermost loop reads them one number after the other, out of the caches.

#include "product_loops.h"

#include "products.h"

namespace singa {
namespace {

// A panel of b, so deep and kAcross wide, takes half of the first cache, while rows of a, so many and so
// deep, go past it out of the second one. The panels of kWide columns are in the third.
constexpr int64_t kAcross = kPanel * kBlock;
constexpr int64_t kDeep = 256, kTall = 16 * kRows, kWide = 64 * kAcross;

// The size of the parts of an axis: at most `most`, and about the same for all.
int64_t Part(int64_t size, int64_t most) {
  const int64_t parts = (size + most - 1) / most;
  return (size + parts - 1) / parts;
}

// A panel is (depth, column). The gap after it is for what is stored too much, and keeps panels from
// being in the same few places of a cache.
template <int64_t across>
constexpr int64_t PanelStep(int64_t depth) {
  return depth * across + 16;
}

// Copies the columns of `depth` rows into panels. A vector is stored for `across` columns that do not
// fill it, and what is too much overwritten by the next row. Columns that are not there are 0.
template <int64_t across>
void Pack(const float* from, int64_t step, int64_t columns, int64_t depth, float* to) {
  constexpr int64_t kStored = (across + kBlock - 1) / kBlock * kBlock;
  constexpr int64_t kTogether = 64 / across;  // panels that a row is copied into at a time
  const int64_t panel = PanelStep<across>(depth);
  int64_t column = 0;
  for (; column + (kTogether - 1) * across + kStored <= columns;
       column += kTogether * across, to += kTogether * panel)
    for (int64_t k = 0; k < depth; ++k)
#pragma GCC unroll 16
      for (int64_t p = 0; p < kTogether; ++p)
#pragma GCC unroll 4
        for (int64_t j = 0; j < kStored; j += kBlock) {
          Floats numbers;
          Load(numbers, from + k * step + column + p * across + j, kBlock);
          Store(numbers, to + p * panel + k * across + j, kBlock);
        }
  for (; column < columns; column += across, to += panel)
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t j = 0; j < kStored; j += kBlock) {
        const int64_t there = Smaller(kBlock, columns - column - j);
        Floats numbers = {};
        if (there > 0) LoadSome(numbers, from + k * step + column + j, there);
        Store(numbers, to + k * across + j, kBlock);
      }
}

// A square of numbers, so many of each row; `full`: all of them.
template <bool full>
inline void Turn(const float* from, int64_t step, int64_t rows, int64_t columns, float* to) {
  Floats square[kBlock] = {};
#pragma GCC unroll 16
  for (int64_t i = 0; i < kBlock; ++i)
    if (full || i < rows) Load(square[i], from + i * step, full ? kBlock : columns);
  TransposeBlocks<1>(square);
#pragma GCC unroll 16
  for (int64_t i = 0; i < kBlock; ++i)
    if (full || i < columns) Store(square[i], to + i * kAcross, kBlock);
}

// As Pack(), where what are columns there are rows in memory.
void PackTurned(const float* from, int64_t step, int64_t rows, int64_t depth, float* to) {
  for (int64_t row = 0; row < rows; row += kAcross, to += PanelStep<kAcross>(depth))
    for (int64_t i = 0; i < kAcross; i += kBlock)
      for (int64_t k = 0; k < depth; k += kBlock) {
        const int64_t there = Smaller(kBlock, rows - row - i), deep = Smaller(kBlock, depth - k);
        const auto turn = there == kBlock && deep == kBlock ? Turn<true> : Turn<false>;
        turn(from + (row + i) * step + k, step, there, deep, to + k * kAcross + i);
      }
}

struct Tile {
  int64_t rows, columns, depth;
  float* y;
  int64_t step;
  const float* bias;
  bool add;
};

// One tile of y. `packed`: a is a panel.
template <bool packed>
__attribute__((flatten, noinline)) void MultiplyTile(const Tile& t, const float* a, int64_t a_step,
                                                     const float* b) {
  const auto multiply = [&](int64_t vectors, float* to, int64_t to_step, bool add) {
    const Left<float> left{a, packed ? 1 : a_step, packed ? kRows : 1};
    MultiplyAny<kRows, kPanel>(t.rows, vectors, left, b, kAcross, t.depth, to, to_step, add);
  };
  if (t.columns % kBlock == 0) {
    for (int64_t i = 0; t.bias != nullptr && i < t.rows; ++i)
      std::memcpy(t.y + i * t.step, t.bias, static_cast<size_t>(t.columns) * sizeof *t.y);
    multiply(t.columns / kBlock, t.y, t.step, t.add || t.bias != nullptr);
    return;
  }
  alignas(64) float sums[kRows * kAcross];
  multiply((t.columns + kBlock - 1) / kBlock, sums, kAcross, false);
  for (int64_t i = 0; i < t.rows; ++i)
    for (int64_t j = 0; j < t.columns; ++j) {
      float& y = t.y[i * t.step + j];
      y = (t.add ? y : t.bias != nullptr ? t.bias[j] : 0.f) + sums[i * kAcross + j];
    }
}

struct Blocks {
  int64_t tall, wide, deep;

  explicit Blocks(const Factors& f)
      : tall(Up(Part(f.m, kTall), kRows)),
        wide(Up(Part(f.n, kWide), kAcross)),
        deep(Part(f.k, kDeep)) {}

  int64_t OfRight() const { return wide / kAcross * PanelStep<kAcross>(deep); }
  int64_t OfLeft() const { return tall / kRows * PanelStep<kRows>(deep); }
};

int64_t Memory(const Factors& f) {
  const Blocks blocks(f);
  return blocks.OfRight() + (f.transpose_a ? blocks.OfLeft() : 0);
}

void MultiplyAll(const Factors& f, const float* a, const float* b, const float* bias, float* y,
                 float* memory) {
  const Blocks blocks(f);
  float *const right = memory, *const left = memory + blocks.OfRight();
  for (int64_t column = 0; column < f.n; column += blocks.wide)
    for (int64_t k = 0; k < f.k; k += blocks.deep) {
      const int64_t wide = Smaller(blocks.wide, f.n - column), deep = Smaller(blocks.deep, f.k - k);
      if (f.transpose_b)
        PackTurned(b + column * f.step_b + k, f.step_b, wide, deep, right);
      else
        Pack<kAcross>(b + k * f.step_b + column, f.step_b, wide, deep, right);
      for (int64_t row = 0; row < f.m; row += blocks.tall) {
        const int64_t tall = Smaller(blocks.tall, f.m - row);
        if (f.transpose_a) Pack<kRows>(a + k * f.step_a + row, f.step_a, tall, deep, left);
        for (int64_t j = 0; j < wide; j += kAcross)
          for (int64_t i = 0; i < tall; i += kRows) {
            const Tile tile{Smaller(kRows, tall - i),
                            Smaller(kAcross, wide - j),
                            deep,
                            y + (row + i) * f.step_y + column + j,
                            f.step_y,
                            k > 0 || bias == nullptr ? nullptr : bias + column + j,
                            k > 0};
            const float* const panel = right + j / kAcross * PanelStep<kAcross>(deep);
            if (f.transpose_a)
              MultiplyTile<true>(tile, left + i / kRows * PanelStep<kRows>(deep), 0, panel);
            else
              MultiplyTile<false>(tile, a + (row + i) * f.step_a + k, f.step_a, panel);
          }
      }
    }
}

}  // namespace

extern const ProductLoops SINGA_PRODUCT_LOOPS;
const ProductLoops SINGA_PRODUCT_LOOPS = {Memory, MultiplyAll};

}  // namespace singa

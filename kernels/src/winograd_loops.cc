// Compiled several times, as loops.cc is; see there.

#include "winograd_loops.h"

#include "products.h"
#include "vectors.h"

namespace singa {
namespace {

constexpr int kSide = 6;  // points of a side
constexpr int64_t kTaps = 9;
// The points are 0, A, -A, B, -B and infinity. Of the pairs with few bits, whose squares are exact,
// these have the smallest rounding errors: half of those of 1 and 2.
constexpr float kA = 0.625f, kB = 1.5f, kA2 = kA * kA, kB2 = kB * kB;
static_assert(kOutputs % (kPanel * kBlock) == 0 && kDepth % 16 == 0, "whole vectors");

// A polynomial of degree 5 with six coefficients: those of its part that belong to each point.
inline __attribute__((always_inline)) void AtPoints(const Floats (&d)[kSide], Floats (&v)[kSide]) {
  v[0] = d[4] + ((kA2 * kB2) * d[0] - (kA2 + kB2) * d[2]);
  v[5] = d[5] + ((kA2 * kB2) * d[1] - (kA2 + kB2) * d[3]);
  const Floats even_a = d[4] - kB2 * d[2], odd_a = kA * d[3] - (kA * kB2) * d[1];
  v[1] = even_a + odd_a, v[2] = even_a - odd_a;
  const Floats even_b = d[4] - kA2 * d[2], odd_b = kB * d[3] - (kB * kA2) * d[1];
  v[3] = even_b + odd_b, v[4] = even_b - odd_b;
}

// The values of a polynomial with 3 or 4 coefficients, divided by what the interpolation divides by.
template <int taps>
inline __attribute__((always_inline)) void Values(const Floats (&g)[taps], Floats (&v)[kSide]) {
  constexpr float at_a = 1 / (2 * kA2 * (kA2 - kB2)), at_b = 1 / (2 * kB2 * (kB2 - kA2));
  v[0] = g[0] * (1 / (kA2 * kB2));
  Floats odd_a = g[1] * (kA * at_a), odd_b = g[1] * (kB * at_b);
  if constexpr (taps == 4) {
    odd_a += g[3] * (kA * kA2 * at_a);
    odd_b += g[3] * (kB * kB2 * at_b);
  }
  const Floats even_a = g[0] * at_a + g[2] * (kA2 * at_a);
  const Floats even_b = g[0] * at_b + g[2] * (kB2 * at_b);
  v[1] = even_a + odd_a, v[2] = even_a - odd_a;
  v[3] = even_b + odd_b, v[4] = even_b - odd_b;
  v[5] = g[taps - 1];
}

// The 3 or 4 numbers of a tile's row from the products at its points.
template <int size>
inline __attribute__((always_inline)) void FromPoints(const Floats (&m)[kSide],
                                                      Floats (&y)[size]) {
  const Floats sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const Floats sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  y[0] = m[0] + (sum_a + sum_b);
  y[1] = kA * difference_a + kB * difference_b;
  y[2] = kA2 * sum_a + kB2 * sum_b;
  if constexpr (size == 4) y[3] = (kA * kA2) * difference_a + (kB * kB2) * difference_b;
  y[size - 1] += m[5];
}

// A function of rows for the columns of a square, and then for its rows. `get` and `put` take row and
// column: not all of a square fits into registers.
template <int from, int to, typename Function, typename Get, typename Put>
inline __attribute__((always_inline)) void BothWays(const Function& function, const Get& get,
                                                    const Put& put) {
  Floats half[to][from];
#pragma GCC unroll 6
  for (int j = 0; j < from; ++j) {
    Floats column[from], changed[to];
#pragma GCC unroll 6
    for (int i = 0; i < from; ++i) column[i] = get(i, j);
    function(column, changed);
#pragma GCC unroll 6
    for (int i = 0; i < to; ++i) half[i][j] = changed[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < to; ++i) {
    Floats changed[to];
    function(half[i], changed);
#pragma GCC unroll 6
    for (int j = 0; j < to; ++j) put(i, j, changed[j]);
  }
}

// Where a tile is: the image, and its first row and column in units of tiles.
struct Place {
  int64_t image, row, column;

  Place(const Tiling& t, int64_t tile)
      : image(tile / (t.Down() * t.Across())),
        row(tile / t.Across() % t.Down()),
        column(tile % t.Across()) {}
};

// A square of pixels of an image, those outside of it null.
template <int size>
struct Pixels {
  const float* at[size][size];
  bool whole = true;

  Pixels(const float* image, int64_t h, int64_t w, int64_t channels, int64_t row, int64_t column) {
    for (int i = 0; i < size; ++i)
      for (int j = 0; j < size; ++j) {
        const int64_t y = row + i, x = column + j;
        const bool inside = y >= 0 && y < h && x >= 0 && x < w;
        at[i][j] = inside ? image + (y * w + x) * channels : nullptr;
        whole = whole && inside;
      }
  }

  // `whole`: all pixels are inside. `full`: there are channels for a whole vector.
  template <bool whole, bool full>
  inline __attribute__((always_inline)) Floats Get(int i, int j, int64_t channel,
                                                   int64_t count) const {
    Floats d = {};
    if (whole || at[i][j] != nullptr) Load(d, at[i][j] + channel, full ? kBlock : count);
    return d;
  }
};

// The values of a vector of a tile's channels, from its pixels.
template <int size, bool whole, bool full, typename Function>
inline __attribute__((always_inline)) void VectorValues(const Pixels<size>& pixels,
                                                        int64_t channel, int64_t count,
                                                        const Function& function, int64_t step,
                                                        float* values, float* sums) {
  Floats sum = {};
  BothWays<size, kSide>(
      function,
      [&](int i, int j) {
        const Floats d = pixels.template Get<whole, full>(i, j, channel, count);
        if (size == kTile) sum += d;
        return d;
      },
      [&](int i, int j, const Floats& v) { Store(v, values + (i * kSide + j) * step, kBlock); });
  if (sums == nullptr) return;
  Floats before;
  Load(before, sums, kBlock);
  Store(before + sum, sums, kBlock);
}

// The values of some channels of a tile.
template <int size, typename Function>
inline void TileValues(const Pixels<size>& pixels, Span channels, const Function& function,
                       float* values, float* sums) {
  const int64_t step = PointStep(channels.count);
  for (int64_t c = 0; c < channels.count; c += kBlock, values += kBlock) {
    const int64_t count = Smaller(kBlock, channels.count - c);
    const auto run = count < kBlock ? VectorValues<size, false, false, Function>
                     : pixels.whole ? VectorValues<size, true, true, Function>
                                    : VectorValues<size, false, true, Function>;
    run(pixels, channels.first + c, count, function, step, values,
        sums == nullptr ? nullptr : sums + c);
  }
  // Up to whole lines of the cache, which other instruction sets have as vectors.
  for (int64_t c = Up(channels.count, kBlock); c < Up(channels.count, 16); ++c, ++values)
    for (int64_t point = 0; point < kPoints; ++point) values[point * step] = 0.f;
}

void Inputs(const Tiling& t, const float* x, Span tiles, Span channels, float* values) {
  const auto at_points = [](const Floats(&d)[kSide], Floats(&v)[kSide]) { AtPoints(d, v); };
  for (int64_t i = 0; i < tiles.count; ++i, values += TileStep(channels.count)) {
    const Place place(t, tiles.first + i);
    const Pixels<kSide> pixels(x + place.image * t.h * t.w * t.channels, t.h, t.w, t.channels,
                               place.row * kTile - t.top, place.column * kTile - t.left);
    TileValues(pixels, channels, at_points, values, nullptr);
  }
}

void Gradients(const Tiling& t, const float* dy, Span tiles, Span outputs, float* values,
               float* sums) {
  const auto at_points = [](const Floats(&d)[kTile], Floats(&v)[kSide]) { Values<kTile>(d, v); };
  for (int64_t i = 0; i < tiles.count; ++i, values += TileStep(outputs.count)) {
    const Place place(t, tiles.first + i);
    const Pixels<kTile> pixels(dy + place.image * t.oh * t.ow * t.outputs, t.oh, t.ow, t.outputs,
                               place.row * kTile, place.column * kTile);
    TileValues(pixels, outputs, at_points, values, sums);
  }
}

// The nine taps of the filters of a vector of outputs. What is read beyond a filter is not used;
// `full`: all outputs are there, and all that is read.
template <bool full>
inline void LoadTaps(const Filters& filters, const float* from, int64_t count,
                     Floats (&taps)[3][3]) {
#pragma GCC unroll 3
  for (int64_t first = 0; first < kTaps; first += kBlock) {
    Floats square[kBlock];
#pragma GCC unroll 16
    for (int64_t i = 0; i < kBlock; ++i) {
      const float* const row = from + i * filters.output_step + first;
      square[i] = Floats{};
      if (full || i < count) Load(square[i], row, full ? kBlock : Smaller(kBlock, filters.end - row));
    }
    TransposeBlocks<1>(square);
#pragma GCC unroll 16
    for (int64_t i = 0; i < kBlock; ++i)
      if (first + i < kTaps) taps[(first + i) / 3][(first + i) % 3] = square[i];
  }
}

void FilterValues(const Filters& filters, Span outputs, Span channels, float* values) {
  const int64_t step = FilterStep(channels.count);
  for (int64_t o = 0; o < Lines(outputs.count) * 16; o += kBlock) {
    const int64_t count = Smaller(kBlock, outputs.count - o);
    const float* from = filters.begin + (outputs.first + o) * filters.output_step +
                        channels.first * filters.channel_step;
    float* to = values + o;
    for (int64_t c = 0; c < channels.count; ++c, from += filters.channel_step, to += kOutputs) {
      Floats taps[3][3] = {};
      const float* const last = from + (kBlock - 1) * filters.output_step + Up(kTaps, kBlock);
      if (count == kBlock && last <= filters.end)
        LoadTaps<true>(filters, from, count, taps);
      else if (count > 0)
        LoadTaps<false>(filters, from, count, taps);
      BothWays<3, kSide>(
          [](const Floats(&g)[3], Floats(&v)[kSide]) { Values<3>(g, v); },
          [&](int i, int j) { return filters.turned ? taps[2 - i][2 - j] : taps[i][j]; },
          [&](int i, int j, const Floats& v) { Store(v, to + (i * kSide + j) * step, kBlock); });
    }
  }
}

// What will be read soon from places that the processor does not foresee.
inline void Prefetch(const float* from, int64_t rows, int64_t step, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i, from += step)
    for (int64_t j = 0; j < columns; j += 16) __builtin_prefetch(from + j);
}

void MultiplyPoints(const float* inputs, int64_t channels, int64_t tiles, Span part,
                    const float* filters, int64_t outputs, bool add, float* products) {
  const int64_t step = TileStep(channels), products_step = TileStep(kOutputs);
  const int64_t filter_step = FilterStep(part.count);
  // Few channels' filters are in the second cache already.
  const int64_t share =
      channels > kDepth ? part.count * kOutputs * kRows / Up(tiles, kRows) : 0;
  for (int64_t point = 0; point < kPoints; ++point, filters += filter_step) {
    const float* const from = inputs + point * PointStep(channels) + part.first;
    float* const to = products + point * PointStep(kOutputs);
    for (int64_t tile = 0; tile < tiles; tile += kRows) {
      const int64_t next = tile + kRows;
      if (next < tiles)
        Prefetch(from + next * step, Smaller(kRows, tiles - next), step, part.count);
      else
        Prefetch(from + PointStep(channels), Smaller(kRows, tiles), step, part.count);
      // A part of the next point's filters, into the second cache.
      const float* const ahead = filters + filter_step + tile / kRows * share;
      for (int64_t i = 0; i < share; i += 16) __builtin_prefetch(ahead + i, 0, 2);
      Product(Left<float>{from + tile * step, step, 1}, Smaller(kRows, tiles - tile), filters, kOutputs,
              Lines(outputs) * 16, part.count, to + tile * products_step, products_step, add);
    }
  }
}

void Correlate(const float* gradients, int64_t outputs, const float* inputs, int64_t channels,
               int64_t tiles, bool add, float* products) {
  for (int64_t point = 0; point < kPoints; ++point)
    Product(Left<float>{gradients + point * PointStep(outputs), 1, TileStep(outputs)}, outputs,
            inputs + point * PointStep(channels), TileStep(channels), Lines(channels) * 16, tiles,
            products + point * FilterStep(kOutputs), kOutputs, add);
}

// The largest of numbers without their signs; NaN is the largest of all. Compared as integers.
struct Largest {
  Ints bits = {};

  inline __attribute__((always_inline)) void Add(const Floats& x) {
    const Ints now = reinterpret_cast<Ints>(x) & 0x7fffffff;
    bits = now > bits ? now : bits;
  }
  bool IsUsual() const {
    int32_t most;
    std::memcpy(&most, &kMostUsual, sizeof most);
    bool usual = true;
    for (int64_t i = 0; i < kBlock; ++i) usual = usual && bits[i] <= most;
    return usual;
  }
};

// The pixels of a tile, as far as they are inside: `whole` if all are. `full` as above.
template <bool whole, bool full>
inline void Untransform(const float* products, int64_t count, int64_t rows, int64_t columns,
                        const Floats& bias, bool relu, float* to, int64_t row_step, int64_t step,
                        Largest& largest) {
  BothWays<kSide, kTile>(
      [](const Floats(&m)[kSide], Floats(&v)[kTile]) { FromPoints<kTile>(m, v); },
      [&](int i, int j) {
        Floats m;
        Load(m, products + (i * kSide + j) * PointStep(kOutputs), kBlock);
        return m;
      },
      [&](int i, int j, Floats pixel) {
        if (!whole && (i >= rows || j >= columns)) return;
        pixel += bias;
        largest.Add(pixel);
        if (relu) pixel = pixel < 0.f ? Floats{} : pixel;
        Store(pixel, to + i * row_step + j * step, full ? kBlock : count);
      });
}

bool Outputs(const Tiling& t, const float* products, Span tiles, Span outputs, const float* bias,
             bool relu, float* y) {
  Largest largest;
  for (int64_t i = 0; i < tiles.count; ++i, products += TileStep(kOutputs)) {
    const Place place(t, tiles.first + i);
    const int64_t row = place.row * kTile, column = place.column * kTile;
    const int64_t rows = Smaller(kTile, t.oh - row), columns = Smaller(kTile, t.ow - column);
    float* const first = y + ((place.image * t.oh + row) * t.ow + column) * t.outputs;
    for (int64_t o = 0; o < outputs.count; o += kBlock) {
      const int64_t count = Smaller(kBlock, outputs.count - o);
      Floats added = {};
      if (bias != nullptr) LoadSome(added, bias + outputs.first + o, count);
      const auto run = count < kBlock                         ? Untransform<false, false>
                       : rows == kTile && columns == kTile ? Untransform<true, true>
                                                              : Untransform<false, true>;
      run(products + o, count, rows, columns, added, relu, first + outputs.first + o,
          t.ow * t.outputs, t.outputs, largest);
    }
  }
  return largest.IsUsual();
}

bool Weights(const float* products, Span outputs, Span channels, int64_t all_channels, float* dw) {
  Largest largest;
  for (int64_t o = 0; o < outputs.count; ++o)
    for (int64_t c = 0; c < channels.count; c += kBlock) {
      const int64_t count = Smaller(kBlock, channels.count - c);
      float* const to = dw + ((outputs.first + o) * all_channels + channels.first + c) * kTaps;
      Floats taps[kTaps];
      BothWays<kSide, 3>(
          [](const Floats(&m)[kSide], Floats(&v)[3]) { FromPoints<3>(m, v); },
          [&](int i, int j) {
            Floats m;
            Load(m, products + (i * kSide + j) * FilterStep(kOutputs) + o * kOutputs + c, kBlock);
            return m;
          },
          [&](int i, int j, const Floats& tap) { taps[i * 3 + j] = tap, largest.Add(tap); });
      for (int64_t first = 0; first < kTaps; first += kBlock) {
        Floats square[kBlock] = {};
        for (int64_t i = 0; i < Smaller(kBlock, kTaps - first); ++i) square[i] = taps[first + i];
        TransposeBlocks<1>(square);
        for (int64_t i = 0; i < count; ++i)
          Store(square[i], to + i * kTaps + first, Smaller(kBlock, kTaps - first));
      }
    }
  return largest.IsUsual();
}

}  // namespace

extern const WinogradLoops SINGA_WINOGRAD_LOOPS;
const WinogradLoops SINGA_WINOGRAD_LOOPS = {FilterValues, Inputs,    MultiplyPoints, Outputs,
                                            Gradients,    Correlate, Weights};

}  // namespace singa

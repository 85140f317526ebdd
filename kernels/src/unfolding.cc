#include <algorithm>
#include <cstring>

#include "convolution.h"
#include "parallel.h"
#include "scratch.h"
#include "short_product.h"

namespace singa {
namespace {

// One element of each window, `number` of them in a window: `count` channels from `first` on, a row
// for each window; zeros where it is on the padding.
void Gather(const Geometry& g, const Bfloat16* x, int64_t number, int64_t first, int64_t count,
            Bfloat16* rows) {
  const size_t bytes = static_cast<size_t>(count) * sizeof *x;
  for (int64_t image = 0; image < g.n; ++image)
    for (int64_t i = 0; i < g.oh; ++i)
      for (int64_t j = 0; j < g.ow; ++j, rows += count) {
        const int64_t h = i * g.stride[0] - g.before[0] + number / g.kw * g.dilation[0];
        const int64_t w = j * g.stride[1] - g.before[1] + number % g.kw * g.dilation[1];
        if (h >= 0 && h < g.h && w >= 0 && w < g.w)
          std::memcpy(rows, x + ((image * g.h + h) * g.w + w) * g.c + first, bytes);
        else
          std::memset(rows, 0, bytes);
      }
}

float Wide(Bfloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

}  // namespace

bool UnfoldsForWeights(const Geometry& g) {
  constexpr int64_t kShort = 8;
  return g.is_short && g.groups == 1 && g.ow <= kShort;
}

void UnfoldedWeightGradient(xla::ffi::ThreadPool& pool, const Geometry& g, const Bfloat16* x,
                            const Bfloat16* dy, float* dw, float* db) {
  const int64_t windows = g.n * g.oh * g.ow, places = g.kh * g.kw, columns = places * g.c;
  // The weights are (O, C, places); first the products are (O, places, C).
  const Scratch apart(places == 1 ? 0 : static_cast<size_t>(g.o * columns) * sizeof *dw);
  float* const products = places == 1 ? dw : static_cast<float*>(apart.get());
  constexpr int64_t kVector = 32;
  const int64_t wanted = 2 * Slices(pool, columns, g.o * columns * windows / 96);
  const int64_t cuts = (wanted + places - 1) / places;
  const int64_t size = ((g.c + cuts - 1) / cuts + kVector - 1) / kVector * kVector;
  const int64_t pieces = (g.c + size - 1) / size;
  Parallel(pool, places * pieces, [&](int64_t task) {
    const OneThread one_thread;
    const int64_t place = task / pieces, first = task % pieces * size;
    const int64_t count = std::min(size, g.c - first);
    const Scratch gathered(static_cast<size_t>(windows * count) * sizeof *x);
    auto* const rows = static_cast<Bfloat16*>(gathered.get());
    Gather(g, x, place, first, count, rows);
    MultiplyShort({g.o, count, windows, true, false, g.o, count, columns, true}, dy, rows,
                  products + place * g.c + first);
  });
  const int64_t parts = places == 1 ? 0 : Slices(pool, g.o, g.o * columns);
  Parallel(pool, parts, [&](int64_t part) {
    for (int64_t o = g.o * part / parts; o < g.o * (part + 1) / parts; ++o)
      for (int64_t c = 0; c < g.c; ++c)
        for (int64_t k = 0; k < places; ++k)
          dw[o * columns + c * places + k] = products[o * columns + k * g.c + c];
  });
  if (db == nullptr) return;
  std::fill_n(db, g.o, 0.f);
  for (int64_t row = 0; row < windows; ++row)
    for (int64_t o = 0; o < g.o; ++o) db[o] += Wide(dy[row * g.o + o]);
}

}  // namespace singa

// Winograd's algorithm for convolutions with windows of 3x3: how the work is cut and shared out.
//
// Tiles are taken in blocks whose values at all points stay in the second cache of a processor, and
// so are outputs and channels of filters. Each thread transforms a block of tiles, multiplies it
// with the filters' values, and transforms the products back.

#include <algorithm>
#include <atomic>
#include <cstring>

#include "parallel.h"
#include "scratch.h"
#include "winograd.h"
#include "winograd_loops.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;

// Tiles of a block, and of one with few channels, whose filters' values stay in the second cache. If
// there are no more than `kFew` in all they are one block, and the values of the filters are computed
// where they are used: these are more than the tiles' then.
constexpr int64_t kBlock = 48, kSmall = 24, kFew = 128, kLeast = 12;

int64_t Ceiling(int64_t size, int64_t step) { return (size + step - 1) / step; }

// Part `i` of so many that are equal, but for one.
Span Part(int64_t size, int64_t parts, int64_t i) {
  const int64_t first = size * i / parts;
  return {first, size * (i + 1) / parts - first};
}

// Those from `first` on, at most `most`.
Span From(int64_t first, int64_t most, int64_t size) {
  return {first, std::min(most, size - first)};
}

float* Floats(const Scratch& scratch) { return static_cast<float*>(scratch.get()); }
Scratch FloatScratch(int64_t count) {
  return Scratch(static_cast<size_t>(count) * sizeof(float));
}

int64_t Threads(const ffi::ThreadPool& pool, const Tiling& t) {
  return Slices(pool, t.Count(), t.Count() * t.channels * t.outputs * 2);
}

// The values of all filters: for each panel of outputs, and each part of the channels.
class FilterValues {
 public:
  FilterValues(const Tiling& t, const Filters& filters)
      : filters_(filters),
        channels_(t.channels),
        outputs_(t.outputs),
        panels_(Ceiling(t.outputs, kOutputs)),
        parts_(Ceiling(t.channels, kDepth)) {}

  void ComputeAll(ffi::ThreadPool& pool) {
    all_ = FloatScratch(panels_ * parts_ * kPoints * FilterStep(kDepth));
    Parallel(pool, panels_ * parts_, [&](int64_t i) {
      Compute(i / parts_, i % parts_, Floats(all_) + At(i / parts_, i % parts_));
    });
  }

  int64_t panels() const { return panels_; }
  int64_t parts() const { return parts_; }
  Span Outputs(int64_t panel) const { return From(panel * kOutputs, kOutputs, outputs_); }
  Span Channels(int64_t part) const { return From(part * kDepth, kDepth, channels_); }
  // Numbers of the memory that Get needs.
  int64_t Room() const {
    return all_.get() != nullptr ? 0 : kPoints * FilterStep(std::min(kDepth, channels_));
  }
  const float* Get(int64_t panel, int64_t part, float* room) const {
    if (all_.get() != nullptr) return Floats(all_) + At(panel, part);
    Compute(panel, part, room);
    return room;
  }

 private:
  int64_t At(int64_t panel, int64_t part) const {
    return kPoints * FilterStep(kDepth) * (panel * parts_ + part);
  }
  void Compute(int64_t panel, int64_t part, float* to) const {
    BestWinogradLoops().filters(filters_, Outputs(panel), Channels(part), to);
  }

  Filters filters_;
  int64_t channels_, outputs_, panels_, parts_;
  Scratch all_;
};

bool Convolve(ffi::ThreadPool& pool, const Tiling& t, const Filters& filters, const float* x,
              const float* bias, bool relu, float* y) {
  const WinogradLoops& loops = BestWinogradLoops();
  FilterValues values(t, filters);
  const int64_t tiles = t.Count(), panels = values.panels(), threads = Threads(pool, t);
  int64_t blocks = Ceiling(tiles, tiles <= kFew ? kFew : t.channels <= kOutputs ? kSmall : kBlock);
  if (blocks * panels < threads)
    blocks = std::min(Ceiling(tiles, kLeast), Ceiling(threads, panels));
  if (blocks > threads) blocks = Ceiling(blocks, threads) * threads;
  // Where there are few blocks, the outputs are divided too.
  const int64_t slices = std::min(panels, Ceiling(threads, blocks));
  if (blocks > 1) values.ComputeAll(pool);

  std::atomic<bool> usual{true};
  Parallel(pool, blocks * slices, [&](int64_t task) {
    const Span block = Part(tiles, blocks, task / slices);
    const Span slice = Part(panels, slices, task % slices);
    const int64_t inputs = block.count * TileStep(t.channels);
    const int64_t products = block.count * TileStep(kOutputs);
    const Scratch own = FloatScratch(inputs + products + values.Room());
    float *const v = Floats(own), *const m = v + inputs, *const room = m + products;
    loops.inputs(t, x, block, Span{0, t.channels}, v);
    for (int64_t panel = slice.first; panel < slice.first + slice.count; ++panel) {
      for (int64_t part = 0; part < values.parts(); ++part)
        loops.multiply(v, t.channels, block.count, values.Channels(part),
                       values.Get(panel, part, room), values.Outputs(panel).count, part > 0, m);
      if (!loops.outputs(t, m, block, values.Outputs(panel), bias, relu, y)) usual = false;
      if (!usual) return;
    }
  });
  return usual;
}

// The filters' gradient over some of the tiles, for a panel of outputs and one of channels.
bool Correlate(const Tiling& t, const float* x, const float* dy, Span tiles, Span outputs,
               Span channels, float* dw, float* sums) {
  const WinogradLoops& loops = BestWinogradLoops();
  const int64_t inputs = kBlock * TileStep(channels.count);
  const int64_t gradients = kBlock * TileStep(outputs.count);
  const Scratch own = FloatScratch(inputs + gradients + kPoints * FilterStep(kOutputs));
  float *const v = Floats(own), *const u = v + inputs, *const m = u + gradients;
  const int64_t blocks = Ceiling(tiles.count, kBlock);
  for (int64_t i = 0; i < blocks; ++i) {
    Span block = Part(tiles.count, blocks, i);
    block.first += tiles.first;
    loops.inputs(t, x, block, channels, v);
    loops.gradients(t, dy, block, outputs, u, sums);
    loops.correlate(u, outputs.count, v, channels.count, block.count, i > 0, m);
  }
  return loops.weights(m, outputs, channels, t.channels, dw);
}

// By numbers of multiplications, as which transforms count where they take as long: measured on a
// Xeon with AVX-512.
bool Faster(const Geometry& g) {
  constexpr int64_t kTransform = 30, kFilter = 12, kMargin = 125;
  const bool forward = g.kind == static_cast<int64_t>(Kind::kForward);
  const bool weights = g.kind == static_cast<int64_t>(Kind::kWeightGradient);
  const auto tiles_of = [](int64_t h, int64_t w) { return Ceiling(h, kTile) * Ceiling(w, kTile); };
  const int64_t pairs = g.c * g.o, direct = 9 * g.n * g.oh * g.ow * pairs;
  const int64_t tiles = g.n * (forward || weights ? tiles_of(g.oh, g.ow) : tiles_of(g.h, g.w));
  const int64_t transforms =
      weights ? g.c * Ceiling(g.o, kOutputs) + g.o * Ceiling(g.c, kOutputs) : g.c + g.o;
  const int64_t products = tiles * pairs * 5 / 4;
  const int64_t all = products + kTransform * tiles * transforms + kFilter * pairs;
  return kPoints * all / 100 * kMargin < direct;
}

Tiling TilingOf(const Geometry& g) {
  return {g.n, g.c, g.h, g.w, g.o, g.oh, g.ow, g.before[0], g.before[1]};
}

}  // namespace

bool TakesWinograd(const Geometry& g, int64_t wanted) {
  if (wanted == static_cast<int64_t>(Winograd::kNever)) return false;
  if (g.kh != 3 || g.kw != 3 || g.groups != 1 || g.is_short) return false;
  for (int i = 0; i < 2; ++i)
    // With more padding tiles would read what no result is computed from.
    if (g.stride[i] != 1 || g.dilation[i] != 1 || g.before[i] > 2 || g.after[i] > 2) return false;
  if (wanted == static_cast<int64_t>(Winograd::kWherePossible)) return true;
  return Faster(g);
}

bool WinogradForward(ffi::ThreadPool& pool, const Geometry& g, const float* x, const float* w,
                     const float* bias, bool relu, float* y) {
  return Convolve(pool, TilingOf(g), Filters{w, w + g.o * g.c * 9, g.c * 9, 9, false}, x, bias, relu, y);
}

bool WinogradInputGradient(ffi::ThreadPool& pool, const Geometry& g, const float* dy,
                           const float* w, float* dx) {
  // A convolution of dy, with what is missing to a full padding, with filters that are turned.
  const Tiling t{g.n, g.o, g.oh, g.ow, g.c, g.h, g.w, 2 - g.before[0], 2 - g.before[1]};
  return Convolve(pool, t, Filters{w, w + g.o * g.c * 9, 9, g.c * 9, true}, dy, nullptr, false, dx);
}

bool WinogradWeightGradient(ffi::ThreadPool& pool, const Geometry& g, const float* x,
                            const float* dy, float* dw, float* db) {
  const Tiling t = TilingOf(g);
  const int64_t down = Ceiling(g.o, kOutputs), across = Ceiling(g.c, kOutputs);
  const int64_t tiles = t.Count(), pairs = down * across, threads = Threads(pool, t);
  const int64_t parts = std::min(Ceiling(threads, pairs), Ceiling(tiles, kLeast));
  const int64_t count = g.o * g.c * 9, stride = count + g.o;
  // Each part has a sum of its own; the first one's is where the total will be.
  const Scratch more = FloatScratch(stride * (parts - 1));
  const auto weight_sum = [&](int64_t part) {
    return part == 0 ? dw : Floats(more) + (part - 1) * stride;
  };
  const auto bias_sum = [&](int64_t part) { return part == 0 ? db : weight_sum(part) + count; };
  std::atomic<bool> usual{true};
  Parallel(pool, pairs * parts, [&](int64_t task) {
    const int64_t part = task % parts, pair = task / parts;
    const Span outputs = From(pair / across * kOutputs, kOutputs, g.o);
    const Span channels = From(pair % across * kOutputs, kOutputs, g.c);
    const bool sums_bias = db != nullptr && channels.first == 0;
    float sums[kOutputs] = {};
    if (!Correlate(t, x, dy, Part(tiles, parts, part), outputs, channels, weight_sum(part),
                   sums_bias ? sums : nullptr))
      usual = false;
    if (sums_bias)
      std::memcpy(bias_sum(part) + outputs.first, sums,
                  static_cast<size_t>(outputs.count) * sizeof(float));
  });
  if (!usual) return false;
  // Summed in the parts' order, whichever thread was first: the result is always the same.
  const int64_t slices = Slices(pool, count, count * parts);
  Parallel(pool, parts > 1 ? slices : 0, [&](int64_t i) {
    const Span slice = Part(count, slices, i);
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t k = slice.first; k < slice.first + slice.count; ++k)
        dw[k] += weight_sum(part)[k];
  });
  if (db != nullptr)
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t k = 0; k < g.o; ++k) db[k] += bias_sum(part)[k];
  return true;
}

}  // namespace singa

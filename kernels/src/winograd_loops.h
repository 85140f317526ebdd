// The inner loops of Winograd's convolutions, compiled once for each of several instruction sets, as
// those in loops.h are.
//
// A 3x3 window of stride 1 makes a tile of 4x4 pixels from 6x6. Both are polynomials in two
// variables; with their values at 6x6 points a tile takes 36 products instead of 144 (Winograd,
// 1980; Lavin and Gray, 2016). So a convolution becomes one product of matrices for each point, of
// tiles by channels and channels by outputs. The gradient of the filters, 3x3 from 6x6 and 4x4, has
// the same points.
#pragma once

#include <cstdint>

namespace singa {

constexpr int64_t kPoints = 36;
constexpr int64_t kTile = 4;  // pixels of a tile's side
// Outputs, and channels, whose values are computed together: they stay in the second cache.
constexpr int64_t kOutputs = 64, kDepth = 128;

// How images (N, H, W, channels) are cut into the tiles of images (N, OH, OW, outputs). `top` and
// `left` are the rows and columns of zeros before the image.
struct Tiling {
  int64_t n, channels, h, w, outputs, oh, ow, top, left;

  int64_t Down() const { return (oh + kTile - 1) / kTile; }
  int64_t Across() const { return (ow + kTile - 1) / kTile; }
  int64_t Count() const { return n * Down() * Across(); }
};

// Filters of 3x3 by where they begin and end, and the distances from one output, or one channel, to
// the next. `turned`: by half a turn, as in the gradient of the images.
struct Filters {
  const float *begin, *end;
  int64_t output_step, channel_step;
  bool turned;
};

// The values of tiles at all points: for each tile (point, number), where the numbers of a point are
// padded with zeros to whole vectors. Points, and tiles, are an odd number of cache lines apart: else
// many of them would be kept in the same few places of a cache.
constexpr int64_t Lines(int64_t numbers) { return (numbers + 15) / 16; }
constexpr int64_t PointStep(int64_t numbers) { return (Lines(numbers) | 1) * 16; }
constexpr int64_t TileStep(int64_t numbers) { return (kPoints * PointStep(numbers) + 16); }
// The same for filters, whose values are (point, channel, kOutputs).
constexpr int64_t FilterStep(int64_t channels) { return channels * kOutputs + 16; }

// NaN, infinities, and results beyond this are not usual: there would be no digits left in results
// next to them, which the same tile's 6x6 pixels make.
constexpr float kMostUsual = 1048576.f;

struct Span {
  int64_t first, count;
};

struct WinogradLoops {
  // Values of filters, with zeros for outputs that are not there up to a whole vector.
  void (*filters)(const Filters&, Span outputs, Span channels, float* values);
  // Values of tiles of what a convolution reads, for some of the channels.
  void (*inputs)(const Tiling&, const float* x, Span tiles, Span channels, float* values);
  // Products for each point, of a part of the tiles' channels with the filters' channels. They are
  // put into (tile, point, kOutputs), or added to what is there.
  void (*multiply)(const float* inputs, int64_t channels, int64_t tiles, Span part,
                   const float* filters, int64_t outputs, bool add, float* products);
  // The pixels of tiles from the products, with a bias unless it is null, and a ReLU. Whether all
  // were usual before that.
  bool (*outputs)(const Tiling&, const float* products, Span tiles, Span outputs,
                  const float* bias, bool relu, float* y);

  // Values of tiles of 4x4 pixels of y's gradient; `sums` of their pixels are added to, unless null.
  void (*gradients)(const Tiling&, const float* dy, Span tiles, Span outputs, float* values,
                    float* sums);
  // Products for each point: (point, output, channel), up to kOutputs of both, summed over tiles.
  void (*correlate)(const float* gradients, int64_t outputs, const float* inputs, int64_t channels,
                    int64_t tiles, bool add, float* products);
  // The filters' gradients (O, channels, 3, 3) from the products. Whether all are usual.
  bool (*weights)(const float* products, Span outputs, Span channels, int64_t all_channels,
                  float* dw);
};

// For the processor that this runs on.
const WinogradLoops& BestWinogradLoops();

}  // namespace singa

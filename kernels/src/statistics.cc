// Sums over all places of a batch of images, for each channel: what batch normalization needs.
//
// A batch is cut into chunks that stay in a core's cache. Each chunk gives its own sums, and these
// are added in the chunks' order, in float64: the result does not depend on the threads.

#include <algorithm>
#include <vector>

#include "images.h"
#include "loops.h"
#include "parallel.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;

constexpr int64_t kChunk = 16 * 1024;  // floats of a chunk, about

struct Rows {
  int64_t count, channels, chunk, chunks;

  explicit Rows(ffi::Span<const int64_t> x) {
    Require(x.size() == 4, "images have four axes");
    channels = x[1];
    count = x[0] * x[2] * x[3];
    Require(count > 0 && channels > 0, "the batch is empty");
    chunk = std::max<int64_t>(1, kChunk / channels);
    chunks = (count + chunk - 1) / chunk;
  }
  int64_t Begin(int64_t i) const { return i * chunk; }
  int64_t End(int64_t i) const { return std::min(count, (i + 1) * chunk); }
};

// Calls visit(i) for every chunk, in parallel, several chunks a task.
template <typename Visit>
void OverChunks(ffi::ThreadPool& pool, const Rows& rows, const Visit& visit) {
  const int64_t slices = Slices(pool, rows.chunks, rows.count * rows.channels);
  Parallel(pool, slices, [&](int64_t s) {
    for (int64_t i = rows.chunks * s / slices; i < rows.chunks * (s + 1) / slices; ++i) visit(i);
  });
}

ffi::Error ChannelMoments(ffi::ThreadPool pool, Some x, ffi::Result<Vector> mean,
                          ffi::Result<Vector> variance) {
  return Guarded("channel moments", [&] {
    const Rows rows(x.dimensions());
    const int64_t channels = rows.channels;
    Require(static_cast<int64_t>(mean->element_count()) == channels &&
                static_cast<int64_t>(variance->element_count()) == channels,
            "the results have a wrong size");
    std::vector<float> means(rows.chunks * channels), squares(rows.chunks * channels);
    WithTypeOf(x, [&](auto number) {
      using Number = decltype(number);
      OverChunks(pool, rows, [&](int64_t i) {
        BestLoops().Of<Number>().moments(Data<Number>(x), channels, rows.Begin(i), rows.End(i),
                                         &means[i * channels], &squares[i * channels]);
      });
    });
    // Chan, Golub and LeVeque's formula for the moments of a union.
    std::vector<double> total(channels, 0.), square(channels, 0.);
    double seen = 0.;
    for (int64_t i = 0; i < rows.chunks; ++i) {
      const double more = static_cast<double>(rows.End(i) - rows.Begin(i));
      for (int64_t c = 0; c < channels; ++c) {
        const double delta = means[i * channels + c] - total[c];
        total[c] += delta * more / (seen + more);
        square[c] += squares[i * channels + c] + delta * delta * seen * more / (seen + more);
      }
      seen += more;
    }
    for (int64_t c = 0; c < channels; ++c) {
      mean->typed_data()[c] = static_cast<float>(total[c]);
      variance->typed_data()[c] = static_cast<float>(square[c] / seen);
    }
  });
}

ffi::Error ChannelProducts(ffi::ThreadPool pool, Some dy, Some x, Vector mean,
                           ffi::Result<Vector> sum, ffi::Result<Vector> product) {
  return Guarded("channel products", [&] {
    const Rows rows(x.dimensions());
    const int64_t channels = rows.channels;
    Require(dy.dimensions() == x.dimensions(), "the shapes do not fit together");
    for (size_t size : {mean.element_count(), sum->element_count(), product->element_count()})
      Require(static_cast<int64_t>(size) == channels, "a vector has a wrong size");
    std::vector<float> sums(rows.chunks * channels), products(rows.chunks * channels);
    WithTypeOf(x, [&](auto number) {
      using Number = decltype(number);
      OverChunks(pool, rows, [&](int64_t i) {
        BestLoops().Of<Number>().products(Data<Number>(dy), Data<Number>(x), mean.typed_data(),
                                          channels, rows.Begin(i), rows.End(i),
                                          &sums[i * channels], &products[i * channels]);
      });
    });
    std::vector<double> total(channels, 0.), weighted(channels, 0.);
    for (int64_t i = 0; i < rows.chunks; ++i)
      for (int64_t c = 0; c < channels; ++c) {
        total[c] += sums[i * channels + c];
        weighted[c] += products[i * channels + c];
      }
    for (int64_t c = 0; c < channels; ++c) {
      sum->typed_data()[c] = static_cast<float>(total[c]);
      product->typed_data()[c] = static_cast<float>(weighted[c]);
    }
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_channel_moments, ChannelMoments,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Ret<Vector>()
                                  .Ret<Vector>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_channel_products, ChannelProducts,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Arg<Vector>()
                                  .Ret<Vector>()
                                  .Ret<Vector>());

}  // namespace singa

// Maximum and average pooling over height and width, and their gradients.

#include <algorithm>
#include <vector>

#include "images.h"
#include "loops.h"
#include "parallel.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;

Pooling Checked(ffi::Span<const int64_t> x, ffi::Span<const int64_t> y, Numbers numbers,
                std::vector<Range>& ranges) {
  Require(x.size() == 4 && y.size() == 4, "images have four axes");
  Require(numbers.size() == 8, "the attribute `window` must have 8 numbers");
  Pooling p{};
  p.n = x[0], p.c = x[1], p.h = x[2], p.w = x[3], p.oh = y[2], p.ow = y[3];
  Require(y[0] == p.n && y[1] == p.c, "the shapes do not fit together");
  for (int i = 0; i < 2; ++i) {
    p.window[i] = numbers[i], p.stride[i] = numbers[2 + i], p.before[i] = numbers[4 + i];
    const int64_t after = numbers[6 + i], size = i ? p.w : p.h, out = i ? p.ow : p.oh;
    Require(p.window[i] > 0 && p.stride[i] > 0, "window and stride must be positive");
    Require(p.before[i] >= 0 && after >= 0 && p.before[i] < p.window[i] && after < p.window[i],
            "the padding must be smaller than the window");
    const int64_t room = size + p.before[i] + after - p.window[i];
    Require(room >= 0 && room / p.stride[i] + 1 == out,
            "the output's size does not follow from the input's");
  }
  ranges.reserve(static_cast<size_t>(p.h + p.w + p.oh + p.ow));  // so that none of them moves
  for (int i = 0; i < 2; ++i) {
    const int64_t size = i ? p.w : p.h, windows = i ? p.ow : p.oh;
    p.seen[i] = ranges.data() + ranges.size();
    for (int64_t out = 0; out < windows; ++out) {
      const int64_t start = out * p.stride[i] - p.before[i];
      ranges.push_back({std::max<int64_t>(start, 0), std::min(start + p.window[i], size)});
    }
    p.seeing[i] = ranges.data() + ranges.size();
    for (int64_t in = 0; in < size; ++in) {
      const int64_t place = in + p.before[i], reach = place - p.window[i] + 1;
      ranges.push_back({reach <= 0 ? 0 : (reach + p.stride[i] - 1) / p.stride[i],
                        std::min(place / p.stride[i] + 1, windows)});
    }
  }
  return p;
}

// Calls walk(begin, end) on slices of the rows, in parallel.
template <typename Walk>
void OverRows(ffi::ThreadPool& pool, int64_t rows, int64_t elements, const Walk& walk) {
  const int64_t slices = Slices(pool, rows, elements);
  Parallel(pool, slices, [&](int64_t i) {
    walk(rows * i / slices, rows * (i + 1) / slices);
  });
}

ffi::Error Maximum(ffi::ThreadPool pool, Some x, Numbers window, ffi::Result<Some> y,
                   ffi::Result<Bytes> arg) {
  return Guarded("maximum pooling", [&] {
    std::vector<Range> ranges;
    const Pooling p = Checked(x.dimensions(), y->dimensions(), window, ranges);
    Require(p.window[0] * p.window[1] <= 256, "the window is too large");
    Require(arg->element_count() == y->element_count(), "the arg-max has a wrong size");
    WithTypeOf(x, [&](auto number) {
      using Number = decltype(number);
      const auto* from = Data<Number>(x);
      auto* to = Data<Number>(*y);
      OverRows(pool, p.n * p.oh, y->element_count() * p.window[0] * p.window[1],
               [&](int64_t begin, int64_t end) {
                 BestLoops().Of<Number>().largest(p, from, to, arg->typed_data(), begin, end);
               });
    });
  });
}

ffi::Error MaximumGradient(ffi::ThreadPool pool, Some dy, Bytes arg, Numbers window,
                           ffi::Result<Some> dx) {
  return Guarded("maximum pooling's gradient", [&] {
    std::vector<Range> ranges;
    const Pooling p = Checked(dx->dimensions(), dy.dimensions(), window, ranges);
    Require(arg.element_count() == dy.element_count(), "the arg-max has a wrong size");
    WithTypeOf(dy, [&](auto number) {
      using Number = decltype(number);
      const auto* from = Data<Number>(dy);
      auto* to = Data<Number>(*dx);
      OverRows(pool, p.n * p.h, dy.element_count() * p.window[0] * p.window[1],
               [&](int64_t begin, int64_t end) {
                 BestLoops().Of<Number>().spread(p, from, arg.typed_data(), to, begin, end);
               });
    });
  });
}

ffi::Error Average(ffi::ThreadPool pool, Some x, Numbers window, ffi::Result<Some> y) {
  return Guarded("average pooling", [&] {
    std::vector<Range> ranges;
    const Pooling p = Checked(x.dimensions(), y->dimensions(), window, ranges);
    WithTypeOf(x, [&](auto number) {
      using Number = decltype(number);
      const auto* from = Data<Number>(x);
      auto* to = Data<Number>(*y);
      OverRows(pool, p.n * p.oh, y->element_count() * p.window[0] * p.window[1],
               [&](int64_t begin, int64_t end) {
                 BestLoops().Of<Number>().mean(p, from, to, begin, end);
               });
    });
  });
}

ffi::Error AverageGradient(ffi::ThreadPool pool, Some dy, Numbers window, ffi::Result<Some> dx) {
  return Guarded("average pooling's gradient", [&] {
    std::vector<Range> ranges;
    const Pooling p = Checked(dx->dimensions(), dy.dimensions(), window, ranges);
    WithTypeOf(dy, [&](auto number) {
      using Number = decltype(number);
      const auto* from = Data<Number>(dy);
      auto* to = Data<Number>(*dx);
      OverRows(pool, p.n * p.h, dy.element_count() * p.window[0] * p.window[1],
               [&](int64_t begin, int64_t end) {
                 BestLoops().Of<Number>().share(p, from, to, begin, end);
               });
    });
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_max_pooling, Maximum,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Attr<Numbers>("window")
                                  .Ret<Some>()
                                  .Ret<Bytes>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_max_pooling_gradient, MaximumGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Bytes>()
                                  .Attr<Numbers>("window")
                                  .Ret<Some>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_average_pooling, Average,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Attr<Numbers>("window")
                                  .Ret<Some>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_average_pooling_gradient, AverageGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Attr<Numbers>("window")
                                  .Ret<Some>());

}  // namespace singa

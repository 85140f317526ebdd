// Running sums, products, extremes and linear recurrences: (..., length, inner), along the length.
//
// Sums and products of float32 are kept as float64: each result has the error of one rounding,
// however long the axis is.

#include <algorithm>
#include <limits>
#include <type_traits>

#include "parallel.h"
#include "types.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;

// The lines of an array, and how they lie: the elements of a line `step` apart, lines that are walked
// along at once `side` apart.
struct Lines {
  int64_t outer, length, beside, step, side, group;

  explicit Lines(const Some& x) : outer(Leading(x.dimensions(), 2)), length(FromEnd(x, 2)) {
    beside = step = FromEnd(x, 1), side = 1, group = kWide;
    if (beside == 1) beside = outer, outer = 1, side = length, group = kNarrow;
  }
  static constexpr int64_t kWide = 16, kNarrow = 4;  // with one line, each sum waits for the last
};

// Calls walk(start, count) for all lines in parallel: for `count` of them, of which the first begins
// at `start`.
template <typename Walk>
void OverLines(ffi::ThreadPool& pool, const Lines& lines, const Walk& walk) {
  const int64_t groups = (lines.beside + lines.group - 1) / lines.group;
  const int64_t items = lines.outer * groups;
  const int64_t slices = Slices(pool, items, lines.outer * lines.length * lines.beside);
  Parallel(pool, slices, [&](int64_t s) {
    for (int64_t i = items * s / slices; i < items * (s + 1) / slices; ++i) {
      const int64_t first = i % groups * lines.group;
      walk(i / groups * lines.length * lines.step + first * lines.side,
           std::min(lines.group, lines.beside - first));
    }
  });
}

// Calls step(element, line, i) for the elements of some lines, in order or from the end.
template <typename Step>
void Along(const Lines& lines, int64_t start, int64_t count, bool reverse, const Step& step) {
  const int64_t stride = reverse ? -lines.step : lines.step;
  const int64_t first = reverse ? start + (lines.length - 1) * lines.step : start;
  const auto walk = [&](auto lines_at_once, int64_t side) {
    for (int64_t i = 0, at = first; i < lines.length; ++i, at += stride)
      for (int64_t j = 0; j < lines_at_once; ++j) step(at + j * side, j, i);
  };
  // Known numbers, so that the compiler keeps what belongs to a line in registers.
  if (count == Lines::kWide && lines.side == 1)
    walk(std::integral_constant<int64_t, Lines::kWide>{}, 1);
  else if (count == Lines::kNarrow)
    walk(std::integral_constant<int64_t, Lines::kNarrow>{}, lines.side);
  else
    walk(count, lines.side);
}

template <typename Number, bool kProduct>
void Totals(ffi::ThreadPool& pool, const Lines& lines, const Number* x, bool reverse,
            bool exclusive, Number* y) {
  using Sum = Total<Number>;
  OverLines(pool, lines, [&](int64_t start, int64_t count) {
    Sum totals[Lines::kWide];
    std::fill_n(totals, Lines::kWide, Sum(kProduct ? 1 : 0));
    Along(lines, start, count, reverse, [&](int64_t at, int64_t line, int64_t) {
      const Sum before = totals[line], here = static_cast<Sum>(x[at]);
      totals[line] = kProduct ? before * here : before + here;
      y[at] = static_cast<Number>(exclusive ? before : totals[line]);
    });
  });
}

// The sums, or the products, of all numbers up to each one, without it if `exclusive`.
ffi::Error Running(ffi::ThreadPool pool, Some x, bool product, bool reverse, bool exclusive,
                   ffi::Result<Some> y) {
  return Guarded("running totals", [&] {
    Require(y->dimensions() == x.dimensions() && y->element_type() == x.element_type(),
            "the shapes or types do not fit together");
    const Lines lines(x);
    WithNumber(x.element_type(), [&](auto number) {
      using Number = decltype(number);
      auto* totals = product ? Totals<Number, true> : Totals<Number, false>;
      totals(pool, lines, As<Number>(x), reverse, exclusive, As<Number>(*y));
    });
  });
}

template <typename Number, bool kLargest>
void Extremes(ffi::ThreadPool& pool, const Lines& lines, const Number* x, Number* y,
              int32_t* places) {
  OverLines(pool, lines, [&](int64_t start, int64_t count) {
    Number best[Lines::kWide];
    int32_t where[Lines::kWide] = {};
    for (int64_t j = 0; j < count; ++j) best[j] = x[start + j * lines.side];
    Along(lines, start, count, false, [&](int64_t at, int64_t line, int64_t i) {
      const Number value = x[at];
      // NaN is not below anything: neither is what comes before it, nor what comes after it.
      const bool better = kLargest ? !(value < best[line]) : !(value > best[line]);
      const bool taken = (value != value) | (better & (best[line] == best[line]));
      best[line] = taken ? value : best[line];
      where[line] = taken ? static_cast<int32_t>(i) : where[line];
      y[at] = best[line];
      places[at] = where[line];
    });
  });
}

// The largest, or smallest, number up to each one, and its place; of equal ones the last.
ffi::Error RunningExtreme(ffi::ThreadPool pool, Some x, bool largest, ffi::Result<Some> y,
                          ffi::Result<Some> places) {
  return Guarded("running extremes", [&] {
    Require(y->dimensions() == x.dimensions() && places->dimensions() == x.dimensions() &&
                y->element_type() == x.element_type() && places->element_type() == ffi::S32,
            "the shapes or types do not fit together");
    const Lines lines(x);
    Require(lines.length <= std::numeric_limits<int32_t>::max(), "the lines are too long");
    WithNumber(x.element_type(), [&](auto number) {
      using Number = decltype(number);
      auto* extremes = largest ? Extremes<Number, true> : Extremes<Number, false>;
      extremes(pool, lines, As<Number>(x), As<Number>(*y), As<int32_t>(*places));
    });
  });
}

// y = factor * (y before) + x, along each line.
ffi::Error LinearRecurrence(ffi::ThreadPool pool, Some factor, Some x, bool reverse,
                            ffi::Result<Some> y) {
  return Guarded("linear recurrence", [&] {
    Require(y->dimensions() == x.dimensions() && factor.dimensions() == x.dimensions() &&
                y->element_type() == x.element_type() && factor.element_type() == x.element_type(),
            "the shapes or types do not fit together");
    const Lines lines(x);
    WithNumber(x.element_type(), [&](auto number) {
      using Number = decltype(number);
      using Sum = Total<Number>;
      const Number *a = As<Number>(factor), *b = As<Number>(x);
      Number* to = As<Number>(*y);
      OverLines(pool, lines, [&](int64_t start, int64_t count) {
        Sum totals[Lines::kWide] = {};
        Along(lines, start, count, reverse, [&](int64_t at, int64_t line, int64_t i) {
          const Sum here = static_cast<Sum>(b[at]);
          totals[line] = i == 0 ? here : static_cast<Sum>(a[at]) * totals[line] + here;
          to[at] = static_cast<Number>(totals[line]);
        });
      });
    });
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_running, Running,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Attr<bool>("product")
                                  .Attr<bool>("reverse")
                                  .Attr<bool>("exclusive")
                                  .Ret<Some>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_running_extreme, RunningExtreme,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Attr<bool>("largest")
                                  .Ret<Some>()
                                  .Ret<Some>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_linear_recurrence, LinearRecurrence,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Attr<bool>("reverse")
                                  .Ret<Some>());

}  // namespace singa

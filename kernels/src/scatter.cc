// Rows, or single elements, written to given places.
//
// An array is (..., size, width): parts that do not see each other, each with rows of a width. Places
// are (..., count): a row of its part for each of `count` rows. What is for none of them is ignored.

#include <algorithm>
#include <cstring>

#include "parallel.h"
#include "scratch.h"
#include "types.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;

struct Places {
  int64_t parts, size, count, width;
  const int32_t* numbers;

  // `all` has the rows that places are for, `some` those with a place each.
  Places(const Some& all, const Some& places, const Some& some)
      : parts(Leading(all.dimensions(), 2)), size(FromEnd(all, 2)), count(FromEnd(places, 1)),
        width(FromEnd(all, 1)), numbers(As<int32_t>(places)) {
    Require(places.element_type() == ffi::S32, "the places have to be int32");
    Require(all.element_type() == some.element_type(), "the types differ");
    Require(Leading(places.dimensions(), 1) == parts && Leading(some.dimensions(), 2) == parts &&
                FromEnd(some, 2) == count && FromEnd(some, 1) == width,
            "the shapes do not fit together");
  }
};

// Calls put(old, new) for the elements of the rows [first, last) of a part.
template <typename Number, typename Put>
void ScatterPart(const Places& p, int64_t part, int64_t first, int64_t last,
                 const Number* updates, Number* y, const Put& put) {
  const int32_t* places = p.numbers + part * p.count;
  const Number* from = updates + part * p.count * p.width;
  Number* to = y + part * p.size * p.width;
  for (int64_t i = 0; i < p.count; ++i) {
    const int64_t place = places[i];
    if (place < first || place >= last) continue;
    if (p.width == 1) {
      put(to[place], from[i]);
    } else {
      for (int64_t j = 0; j < p.width; ++j) put(to[place * p.width + j], from[i * p.width + j]);
    }
  }
}

// In the order of the updates, whatever the number of threads: they share out the parts, or, of few
// parts, the rows that are written to.
template <typename Number, typename Put>
void ScatterRows(ffi::ThreadPool& pool, const Places& p, const Number* updates, Number* y,
                 const Put& put) {
  const int64_t elements = p.parts * p.count * p.width;
  const int64_t slices = Slices(pool, p.parts * p.size, elements);
  const int64_t of_part = p.parts >= slices ? 1 : slices, of_parts = p.parts >= slices ? slices : 1;
  Parallel(pool, slices, [&](int64_t s) {
    const int64_t range = s % of_part, group = s / of_part;
    for (int64_t i = p.parts * group / of_parts; i < p.parts * (group + 1) / of_parts; ++i)
      ScatterPart(p, i, p.size * range / of_part, p.size * (range + 1) / of_part, updates, y, put);
  });
}

enum How { kSet, kAdd, kLargest, kSmallest };

// y[places[i]] = updates[i], in each part; or what is there combined with it. y has x already.
ffi::Error Scatter(ffi::ThreadPool pool, Some x, Some places, Some updates, int64_t how,
                   ffi::Result<Some> y) {
  return Guarded("scatter", [&] {
    const Places p(*y, places, updates);
    Require(y->dimensions() == x.dimensions() && y->element_type() == x.element_type(),
            "the result is of another shape or type");
    if (x.untyped_data() != y->untyped_data())
      std::memcpy(y->untyped_data(), x.untyped_data(), x.size_bytes());
    if (how == kSet)
      return WithBytes(ffi::ByteWidth(x.element_type()), [&](auto bits) {
        using Bits = decltype(bits);
        ScatterRows(pool, p, As<Bits>(updates), As<Bits>(*y), [](Bits& a, Bits b) { a = b; });
      });
    WithNumber(x.element_type(), [&](auto number) {
      using Number = decltype(number);
      using Sum = typename Wrapping<Number>::Type;
      const Number* from = As<Number>(updates);
      Number* to = As<Number>(*y);
      // NaN stays, and replaces all.
      if (how == kLargest)
        ScatterRows(pool, p, from, to,
                    [](Number& a, Number b) { a = b > a || b != b ? b : a; });
      else if (how == kSmallest)
        ScatterRows(pool, p, from, to,
                    [](Number& a, Number b) { a = b < a || b != b ? b : a; });
      else
        ScatterRows(pool, p, from, to, [](Number& a, Number b) {
          a = static_cast<Number>(static_cast<Sum>(a) + static_cast<Sum>(b));
        });
    });
  });
}

// Whether each row is the last one for its place: the one that a scatter leaves there. Of those that
// are for no place it is not.
ffi::Error LastWritten(ffi::ThreadPool pool, Some places, int64_t size, ffi::Result<Some> last) {
  return Guarded("last written", [&] {
    Require(places.element_type() == ffi::S32 && last->element_type() == ffi::PRED &&
                last->dimensions() == places.dimensions() && size >= 0,
            "the shapes or types do not fit together");
    const int64_t parts = Leading(places.dimensions(), 1), count = FromEnd(places, 1);
    const int64_t slices = Slices(pool, parts, parts * count);
    Parallel(pool, slices, [&](int64_t s) {
      Scratch scratch(size);
      auto* taken = static_cast<uint8_t*>(scratch.get());
      for (int64_t part = parts * s / slices; part < parts * (s + 1) / slices; ++part) {
        std::fill_n(taken, size, uint8_t{0});
        const int32_t* numbers = As<int32_t>(places) + part * count;
        uint8_t* to = As<uint8_t>(*last) + part * count;
        for (int64_t i = count - 1; i >= 0; --i) {
          const int64_t place = numbers[i];
          const bool is_there = place >= 0 && place < size;
          to[i] = is_there && !taken[place];
          if (is_there) taken[place] = 1;
        }
      }
    });
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_last_written, LastWritten,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Attr<int64_t>("size")
                                  .Ret<Some>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_scatter, Scatter,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Attr<int64_t>("how")
                                  .Ret<Some>());

}  // namespace singa

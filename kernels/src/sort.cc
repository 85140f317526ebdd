// Sorted rows, their largest or smallest numbers, and places in sorted rows.
//
// A number becomes an unsigned key of the same order: NaN is above all, and zeros are equal. Keys
// with their places are all different, so no way to sort them could change the order of equal
// numbers. Long rows are sorted digit by digit, short ones by comparisons.

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "parallel.h"
#include "scratch.h"
#include "types.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;

// Floating point numbers of any size: a sign, and the rest in the order of their bits.
template <typename Bits>
struct Floating {
  using Stored = Bits;
  Bits infinity;

  Bits operator()(Bits x) const {
    constexpr Bits kSign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
    const Bits size = x & static_cast<Bits>(~kSign);
    if (size > infinity) return static_cast<Bits>(~Bits{0});  // NaN
    if (size == 0) return kSign;
    return static_cast<Bits>(x & kSign ? ~x : x | kSign);
  }
};

template <typename Bits>
struct Signed {
  using Stored = Bits;
  Bits operator()(Bits x) const {
    return static_cast<Bits>(x ^ static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1)));
  }
};

template <typename Bits>
struct Unsigned {
  using Stored = Bits;
  Bits operator()(Bits x) const { return x; }
};

// Calls the body with the function that makes keys of numbers of this type.
template <typename Body>
void WithKeys(ffi::DataType type, const Body& body) {
  switch (type) {
    case ffi::PRED:
    case ffi::U8: return body(Unsigned<uint8_t>{});
    case ffi::U16: return body(Unsigned<uint16_t>{});
    case ffi::U32: return body(Unsigned<uint32_t>{});
    case ffi::U64: return body(Unsigned<uint64_t>{});
    case ffi::S8: return body(Signed<uint8_t>{});
    case ffi::S16: return body(Signed<uint16_t>{});
    case ffi::S32: return body(Signed<uint32_t>{});
    case ffi::S64: return body(Signed<uint64_t>{});
    case ffi::F16: return body(Floating<uint16_t>{0x7c00});
    case ffi::BF16: return body(Floating<uint16_t>{0x7f80});
    case ffi::F32: return body(Floating<uint32_t>{0x7f800000});
    case ffi::F64: return body(Floating<uint64_t>{0x7ff0000000000000});
    default: Require(false, "numbers of this type are not sorted");
  }
}

// A key and a place. Up to 32 bits they are one number, which compares faster than two.
struct Narrow {
  uint64_t both;

  Narrow() = default;
  Narrow(uint64_t key, uint32_t place) : both(key << 32 | place) {}
  uint64_t Key() const { return both >> 32; }
  uint32_t Place() const { return static_cast<uint32_t>(both); }
  bool operator<(const Narrow& other) const { return both < other.both; }
};

struct Wide {
  uint64_t key;
  uint32_t place;

  Wide() = default;
  Wide(uint64_t k, uint32_t p) : key(k), place(p) {}
  uint64_t Key() const { return key; }
  uint32_t Place() const { return place; }
  bool operator<(const Wide& other) const {
    return key != other.key ? key < other.key : place < other.place;
  }
};

constexpr int64_t kDigits = 256;
constexpr int64_t kLong = 96;  // entries from which digits are faster than comparisons

// Sorts the entries, which are in the order of their places, by keys of this many bytes. Returns
// where they are then: in `entries` or in `other`.
template <typename Entry>
Entry* Sorted(Entry* entries, Entry* other, int64_t count, size_t bytes) {
  if (count < kLong) {
    std::sort(entries, entries + count);
    return entries;
  }
  std::array<std::array<uint32_t, kDigits>, 8> counts{};
  for (int64_t i = 0; i < count; ++i)
    for (size_t b = 0; b < bytes; ++b) ++counts[b][entries[i].Key() >> (8 * b) & (kDigits - 1)];
  for (size_t b = 0; b < bytes; ++b) {
    auto& starts = counts[b];
    if (starts[entries[0].Key() >> (8 * b) & (kDigits - 1)] == count) continue;  // all the same
    uint32_t start = 0;
    for (uint32_t& each : starts) {
      const uint32_t next = start + each;
      each = start;
      start = next;
    }
    for (int64_t i = 0; i < count; ++i)
      other[starts[entries[i].Key() >> (8 * b) & (kDigits - 1)]++] = entries[i];
    std::swap(entries, other);
  }
  return entries;
}

// The first `kept` entries in order, of those that are in the order of their places.
template <typename Entry>
Entry* FirstSorted(Entry* entries, Entry* other, int64_t count, int64_t kept, size_t bytes) {
  if (kept * 8 > count) return Sorted(entries, other, count, bytes);
  constexpr int64_t kFew = 16;  // a heap of so many rarely changes
  if (kept > kFew) {
    std::nth_element(entries, entries + kept, entries + count);
    std::sort(entries, entries + kept);
  } else {
    std::partial_sort(entries, entries + kept, entries + count);
  }
  return entries;
}

// Calls walk(begin, end) on slices of the rows, in parallel.
template <typename Walk>
void OverRows(ffi::ThreadPool& pool, int64_t rows, int64_t elements, const Walk& walk) {
  const int64_t slices = Slices(pool, rows, elements);
  Parallel(pool, slices, [&](int64_t i) {
    walk(rows * i / slices, rows * (i + 1) / slices);
  });
}

template <typename Entry, typename KeyOf>
void SortRows(ffi::ThreadPool& pool, const Some& x, bool descending, const KeyOf& key_of, Some& y,
              int32_t* order) {
  using Bits = typename KeyOf::Stored;
  const Bits* from = As<Bits>(x);
  Bits* to = As<Bits>(y);
  const int64_t length = FromEnd(x, 1), kept = FromEnd(y, 1), rows = Leading(x.dimensions(), 1);
  const Bits turned = descending ? static_cast<Bits>(~Bits{0}) : Bits{0};
  OverRows(pool, rows, 8 * x.element_count(), [&](int64_t begin, int64_t end) {
    Scratch scratch(2 * length * sizeof(Entry));
    auto* entries = static_cast<Entry*>(scratch.get());
    for (int64_t row = begin; row < end; ++row) {
      const Bits* values = from + row * length;
      for (int64_t i = 0; i < length; ++i)
        entries[i] = Entry(static_cast<Bits>(key_of(values[i]) ^ turned), static_cast<uint32_t>(i));
      const Entry* sorted =
          FirstSorted(entries, entries + length, length, kept, sizeof(Bits));
      for (int64_t i = 0; i < kept; ++i) {
        const uint32_t place = sorted[i].Place();
        to[row * kept + i] = values[place];
        order[row * kept + i] = static_cast<int32_t>(place);
      }
    }
  });
}

// The smallest (or largest) numbers of each row in order, as many as the results have, and their
// places: (..., length) to (..., kept).
ffi::Error Sort(ffi::ThreadPool pool, Some x, bool descending, ffi::Result<Some> y,
                ffi::Result<Some> order) {
  return Guarded("sort", [&] {
    const int64_t rows = Leading(x.dimensions(), 1);
    Require(y->element_type() == x.element_type(), "the types differ");
    Require(order->element_type() == ffi::S32, "the places have to be int32");
    Require(y->dimensions() == order->dimensions() && Leading(y->dimensions(), 1) == rows &&
                FromEnd(*y, 1) <= FromEnd(x, 1),
            "the shapes do not fit together");
    Require(FromEnd(x, 1) <= std::numeric_limits<int32_t>::max(), "the rows are too long");
    WithKeys(x.element_type(), [&](auto key_of) {
      using Bits = typename decltype(key_of)::Stored;
      using Entry = std::conditional_t<(sizeof(Bits) > 4), Wide, Narrow>;
      SortRows<Entry>(pool, x, descending, key_of, *y, As<int32_t>(*order));
    });
  });
}

// How many of a sorted row's keys are below a key, or not above it. No branch depends on keys.
template <typename Bits>
int32_t CountBelow(const Bits* keys, int64_t length, Bits key, bool right) {
  const Bits* first = keys;
  for (int64_t left = length; left > 0;) {
    const int64_t half = (left + 1) / 2;
    const Bits middle = first[half - 1];
    first += half & -static_cast<int64_t>((middle < key) | (right & (middle == key)));
    left -= half;
  }
  return static_cast<int32_t>(first - keys);
}

template <typename KeyOf>
void SearchRows(ffi::ThreadPool& pool, const Some& x, const Some& values, bool right,
                const KeyOf& key_of, int32_t* found) {
  using Bits = typename KeyOf::Stored;
  const int64_t length = FromEnd(x, 1), count = FromEnd(values, 1);
  const int64_t rows = Leading(x.dimensions(), 1);
  Scratch scratch(rows * length * sizeof(Bits));
  auto* keys = static_cast<Bits*>(scratch.get());
  OverRows(pool, rows * length, rows * length, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) keys[i] = key_of(As<Bits>(x)[i]);
  });
  OverRows(pool, rows * count, 8 * rows * count, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      found[i] = CountBelow(keys + i / count * length, length, key_of(As<Bits>(values)[i]), right);
  });
}

// For each value how many numbers of the sorted row are below it, or not above it: (..., length)
// and (..., count) to (..., count).
ffi::Error Search(ffi::ThreadPool pool, Some x, Some values, bool right, ffi::Result<Some> found) {
  return Guarded("search", [&] {
    Require(x.element_type() == values.element_type(), "the types differ");
    Require(found->element_type() == ffi::S32, "the places have to be int32");
    Require(found->dimensions() == values.dimensions() &&
                Leading(x.dimensions(), 1) == Leading(values.dimensions(), 1),
            "the shapes do not fit together");
    Require(FromEnd(x, 1) <= std::numeric_limits<int32_t>::max(), "the rows are too long");
    WithKeys(x.element_type(), [&](auto key_of) {
      SearchRows(pool, x, values, right, key_of, As<int32_t>(*found));
    });
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_sort, Sort,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Attr<bool>("descending")
                                  .Ret<Some>()
                                  .Ret<Some>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_search, Search,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Attr<bool>("right")
                                  .Ret<Some>());

}  // namespace singa

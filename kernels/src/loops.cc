// Compiled several times: SINGA_LOOPS is the name of the table, SINGA_INSTRUCTION_SET what the
// compiler was told to use. Nothing here may be visible outside but the table, and nothing from
// outside may be called: the linker would be free to take it from the wrong one.

#include "loops.h"
#include "vectors.h"

#include <type_traits>

namespace singa {
namespace {

constexpr int64_t kColumns = 64;  // columns of a matrix in registers at a time

// Calls body(c, size) for all blocks of channels. The body is compiled twice: for whole blocks,
// where its size is a constant, and for what is left at the end.
template <typename Body>
inline __attribute__((always_inline)) void OverBlocks(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + kBlock <= channels; c += kBlock) body(c, std::integral_constant<int64_t, kBlock>());
  if (c < channels) body(c, channels - c);
}

// The largest elements of the windows of one row. Without `careful` it only tells whether all that
// it saw was finite; NaNs it gets wrong then.
template <bool careful, typename Number>
inline bool LargestOfRow(const Pooling& p, const Number* image, int64_t i, Number* y, uint8_t* arg) {
  const Range rows = p.seen[0][i];
  const int64_t top = i * p.stride[0] - p.before[0];
  Floats check = {};
  for (int64_t j = 0; j < p.ow; ++j) {
    const Range columns = p.seen[1][j];
    const int64_t left = j * p.stride[1] - p.before[1];
    OverBlocks(p.c, [&](int64_t c, auto size) __attribute__((always_inline)) {
      Floats best, seen;
      Load(best, image + (rows.first * p.w + columns.first) * p.c + c, size);
      Ints place = Ints{} + static_cast<int32_t>((rows.first - top) * p.window[1] +
                                                 (columns.first - left));
      for (int64_t a = rows.first; a < rows.last; ++a)
        for (int64_t b = columns.first; b < columns.last; ++b) {
          Load(seen, image + (a * p.w + b) * p.c + c, size);
          const Ints here = Ints{} + static_cast<int32_t>((a - top) * p.window[1] + (b - left));
          const Ints larger = seen > best;
          best = larger ? seen : best;
          place = larger ? here : place;
          if (careful) {  // a NaN wins over anything
            const Ints broken = seen != seen;
            best = broken ? seen : best;
            place = broken ? here : place;
          } else {
            check += seen * 0.f;
          }
        }
      Store(best, y + j * p.c + c, size);
      Store(__builtin_convertvector(place, Octets), arg + j * p.c + c, size);
    });
  }
  float sum = 0.f;
  for (int64_t k = 0; k < kBlock; ++k) sum += check[k];
  return sum == 0.f;
}

template <typename Number>
void Largest(const Pooling& given, const Number* x, Number* y, uint8_t* arg, int64_t begin,
             int64_t end) {
  const Pooling p = given;  // what is written through pointers cannot change it
  for (int64_t row = begin; row < end; ++row) {
    const Number* image = x + row / p.oh * p.h * p.w * p.c;
    const int64_t i = row % p.oh, out = row * p.ow * p.c;
    if (!LargestOfRow<false>(p, image, i, y + out, arg + out))
      LargestOfRow<true>(p, image, i, y + out, arg + out);
  }
}

template <typename Number>
void Spread(const Pooling& given, const Number* dy, const uint8_t* arg, Number* dx, int64_t begin,
            int64_t end) {
  const Pooling p = given;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t image = row / p.h * p.oh * p.ow * p.c, i = row % p.h;
    const Range rows = p.seeing[0][i];
    for (int64_t j = 0; j < p.w; ++j) {
      const Range columns = p.seeing[1][j];
      OverBlocks(p.c, [&](int64_t c, auto size) __attribute__((always_inline)) {
        Floats sum = {}, arrived;
        Octets place;
        for (int64_t a = rows.first; a < rows.last; ++a)
          for (int64_t b = columns.first; b < columns.last; ++b) {
            const int64_t out = image + (a * p.ow + b) * p.c + c;
            Load(arrived, dy + out, size);
            Load(place, arg + out, size);
            const Ints here =
                Ints{} + static_cast<int32_t>((i + p.before[0] - a * p.stride[0]) * p.window[1] +
                                              j + p.before[1] - b * p.stride[1]);
            const Ints mine = Widened(place) == here;
            sum += mine ? arrived : Floats{};
          }
        Store(sum, dx + (row * p.w + j) * p.c + c, size);
      });
    }
  }
}

template <typename Number>
void Mean(const Pooling& given, const Number* x, Number* y, int64_t begin, int64_t end) {
  const Pooling p = given;
  for (int64_t row = begin; row < end; ++row) {
    const Number* image = x + row / p.oh * p.h * p.w * p.c;
    const Range rows = p.seen[0][row % p.oh];
    for (int64_t j = 0; j < p.ow; ++j) {
      const Range columns = p.seen[1][j];
      const float count =
          static_cast<float>((rows.last - rows.first) * (columns.last - columns.first));
      OverBlocks(p.c, [&](int64_t c, auto size) __attribute__((always_inline)) {
        Floats sum = {}, seen;
        for (int64_t a = rows.first; a < rows.last; ++a)
          for (int64_t b = columns.first; b < columns.last; ++b) {
            Load(seen, image + (a * p.w + b) * p.c + c, size);
            sum += seen;
          }
        Store(sum / count, y + (row * p.ow + j) * p.c + c, size);
      });
    }
  }
}

template <typename Number>
void Share(const Pooling& given, const Number* dy, Number* dx, int64_t begin, int64_t end) {
  const Pooling p = given;
  const auto size_of = [](const Range& range) { return range.last - range.first; };
  for (int64_t row = begin; row < end; ++row) {
    const Number* image = dy + row / p.h * p.oh * p.ow * p.c;
    const Range rows = p.seeing[0][row % p.h];
    for (int64_t j = 0; j < p.w; ++j) {
      const Range columns = p.seeing[1][j];
      OverBlocks(p.c, [&](int64_t c, auto size) __attribute__((always_inline)) {
        Floats sum = {}, arrived;
        for (int64_t a = rows.first; a < rows.last; ++a)
          for (int64_t b = columns.first; b < columns.last; ++b) {
            Load(arrived, image + (a * p.ow + b) * p.c + c, size);
            sum += arrived / static_cast<float>(size_of(p.seen[0][a]) * size_of(p.seen[1][b]));
          }
        Store(sum, dx + (row * p.w + j) * p.c + c, size);
      });
    }
  }
}

// Both passes subtract something near the mean first, so that no digits are lost far from zero.
template <typename Number>
void Moments(const Number* x, int64_t channels, int64_t begin, int64_t end, float* mean,
             float* squares) {
  const float count = static_cast<float>(end - begin);
  for (int64_t c = 0; c < channels; c += kColumns) {
    const int64_t size = Smaller(kColumns, channels - c);
    float sum[kColumns] = {}, square[kColumns] = {}, center[kColumns] = {};
    const auto over_rows = [&](const auto& add) __attribute__((always_inline)) {
      for (int64_t r = begin; r < end; ++r) {
        const Number* row = x + r * channels + c;
        if (size == kColumns)
          for (int64_t k = 0; k < kColumns; ++k) add(k, Wide(row[k]) - center[k]);
        else
          for (int64_t k = 0; k < size; ++k) add(k, Wide(row[k]) - center[k]);
      }
    };
    for (int64_t k = 0; k < size; ++k) center[k] = Wide(x[begin * channels + c + k]);
    over_rows([&](int64_t k, float far) { sum[k] += far; });
    for (int64_t k = 0; k < size; ++k) center[k] += sum[k] / count;
    over_rows([&](int64_t k, float far) { square[k] += far * far; });
    for (int64_t k = 0; k < size; ++k) mean[c + k] = center[k], squares[c + k] = square[k];
  }
}

// The sums of dy and of dy * (x - mean), of rows [begin, end).
template <typename Number>
void Products(const Number* dy, const Number* x, const float* mean, int64_t channels, int64_t begin,
              int64_t end, float* sums, float* products) {
  for (int64_t c = 0; c < channels; c += kColumns) {
    const int64_t size = Smaller(kColumns, channels - c);
    float sum[kColumns] = {}, product[kColumns] = {}, center[kColumns];
    for (int64_t k = 0; k < size; ++k) center[k] = mean[c + k];
    for (int64_t r = begin; r < end; ++r) {
      const Number *one = dy + r * channels + c, *other = x + r * channels + c;
      if (size == kColumns)
        for (int64_t k = 0; k < kColumns; ++k) {
          sum[k] += Wide(one[k]);
          product[k] += Wide(one[k]) * (Wide(other[k]) - center[k]);
        }
      else
        for (int64_t k = 0; k < size; ++k) {
          sum[k] += Wide(one[k]);
          product[k] += Wide(one[k]) * (Wide(other[k]) - center[k]);
        }
    }
    for (int64_t k = 0; k < size; ++k) sums[c + k] = sum[k], products[c + k] = product[k];
  }
}

// A comparison and not a maximum, of which NaN would not come out everywhere.
void Rectify(float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = y[i] <= 0 ? 0 : y[i];
}

// Those from -0 to minus infinity follow each other.
void Rectify(Bfloat16* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t bits = y[i].bits;
    y[i].bits = static_cast<uint16_t>(bits - 0x8000) <= 0x7f80 ? 0 : bits;
  }
}

template <typename Number>
constexpr LoopsOf<Number> kOf = {Largest<Number>, Spread<Number>,  Mean<Number>,    Share<Number>,
                                 Rectify,         Moments<Number>, Products<Number>};

}  // namespace

extern const Loops SINGA_LOOPS;
const Loops SINGA_LOOPS = {SINGA_INSTRUCTION_SET, kOf<float>, kOf<Bfloat16>};

}  // namespace singa

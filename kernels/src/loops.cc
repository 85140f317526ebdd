// Compiled several times: SINGA_LOOPS is the name of the table, SINGA_INSTRUCTION_SET what the
// compiler was told to use. Nothing here may be visible outside but the table, and nothing from
// outside may be called: the linker would be free to take it from the wrong one.

#include "loops.h"

#include <cstring>

namespace singa {
namespace {

constexpr int64_t kBlock = 16;    // channels of an image in registers at a time
constexpr int64_t kColumns = 64;  // columns of a matrix

inline int64_t Smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t Larger(int64_t a, int64_t b) { return a > b ? a : b; }

// The places [first, last) along an axis that window number `out` sees.
inline void Seen(const Pooling& p, int axis, int64_t out, int64_t size, int64_t* first, int64_t* last) {
  const int64_t start = out * p.stride[axis] - p.before[axis];
  *first = Larger(start, 0);
  *last = Smaller(start + p.window[axis], size);
}

// The windows [first, last) along an axis that see place `in`.
inline void Seeing(const Pooling& p, int axis, int64_t in, int64_t count, int64_t* first, int64_t* last) {
  const int64_t place = in + p.before[axis], reach = place - p.window[axis] + 1;
  *first = reach <= 0 ? 0 : (reach + p.stride[axis] - 1) / p.stride[axis];
  *last = Smaller(place / p.stride[axis] + 1, count);
}

// The channels of one block, in registers; the compiler cuts them to the size that the machine has.
typedef float Floats __attribute__((vector_size(kBlock * 4)));
typedef int32_t Ints __attribute__((vector_size(kBlock * 4)));
typedef uint8_t Octets __attribute__((vector_size(kBlock)));

// `size` numbers to and from memory, `kBlock` of them except at the end of the channels.
template <typename Block, typename Number>
inline void Load(Block& block, const Number* from, int64_t size) {
  if (size == kBlock) {
    std::memcpy(&block, from, sizeof block);
  } else {
    block = Block{};
    std::memcpy(&block, from, static_cast<size_t>(size) * sizeof *from);
  }
}

template <typename Block, typename Number>
inline void Store(const Block& block, Number* to, int64_t size) {
  std::memcpy(to, &block, size == kBlock ? sizeof block : static_cast<size_t>(size) * sizeof *to);
}

void Largest(const Pooling& given, const float* x, float* y, uint8_t* arg, int64_t begin,
             int64_t end) {
  const Pooling p = given;  // what is written through pointers cannot change it
  int64_t i0, i1, j0, j1;
  for (int64_t row = begin; row < end; ++row) {
    const float* image = x + row / p.oh * p.h * p.w * p.c;
    const int64_t i = row % p.oh, top = i * p.stride[0] - p.before[0];
    Seen(p, 0, i, p.h, &i0, &i1);
    for (int64_t j = 0; j < p.ow; ++j) {
      const int64_t left = j * p.stride[1] - p.before[1], out = (row * p.ow + j) * p.c;
      Seen(p, 1, j, p.w, &j0, &j1);
      for (int64_t c = 0; c < p.c; c += kBlock) {
        const int64_t size = Smaller(kBlock, p.c - c);
        Floats best, seen;
        Load(best, image + (i0 * p.w + j0) * p.c + c, size);
        Ints place = Ints{} + static_cast<int32_t>((i0 - top) * p.window[1] + (j0 - left));
        for (int64_t a = i0; a < i1; ++a)
          for (int64_t b = j0; b < j1; ++b) {
            Load(seen, image + (a * p.w + b) * p.c + c, size);
            const Ints here =
                Ints{} + static_cast<int32_t>((a - top) * p.window[1] + (b - left));
            const Ints larger = seen > best, broken = seen != seen;  // a NaN wins over anything
            best = larger ? seen : best;
            place = larger ? here : place;
            best = broken ? seen : best;
            place = broken ? here : place;
          }
        Store(best, y + out + c, size);
        Store(__builtin_convertvector(place, Octets), arg + out + c, size);
      }
    }
  }
}

void Spread(const Pooling& given, const float* dy, const uint8_t* arg, float* dx, int64_t begin,
            int64_t end) {
  const Pooling p = given;  // what is written through pointers cannot change it
  int64_t i0, i1, j0, j1;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t image = row / p.h * p.oh * p.ow * p.c, i = row % p.h + p.before[0];
    Seeing(p, 0, row % p.h, p.oh, &i0, &i1);
    for (int64_t j = 0; j < p.w; ++j) {
      Seeing(p, 1, j, p.ow, &j0, &j1);
      for (int64_t c = 0; c < p.c; c += kBlock) {
        const int64_t size = Smaller(kBlock, p.c - c);
        Floats sum = {}, arrived;
        Octets place;
        for (int64_t a = i0; a < i1; ++a)
          for (int64_t b = j0; b < j1; ++b) {
            const int64_t out = image + (a * p.ow + b) * p.c + c;
            Load(arrived, dy + out, size);
            Load(place, arg + out, size);
            const Ints here = Ints{} + static_cast<int32_t>((i - a * p.stride[0]) * p.window[1] +
                                                            j + p.before[1] - b * p.stride[1]);
            sum += __builtin_convertvector(place, Ints) == here ? arrived : Floats{};
          }
        Store(sum, dx + (row * p.w + j) * p.c + c, size);
      }
    }
  }
}

void Mean(const Pooling& given, const float* x, float* y, int64_t begin, int64_t end) {
  const Pooling p = given;  // what is written through pointers cannot change it
  int64_t i0, i1, j0, j1;
  for (int64_t row = begin; row < end; ++row) {
    const float* image = x + row / p.oh * p.h * p.w * p.c;
    Seen(p, 0, row % p.oh, p.h, &i0, &i1);
    for (int64_t j = 0; j < p.ow; ++j) {
      Seen(p, 1, j, p.w, &j0, &j1);
      const float count = static_cast<float>((i1 - i0) * (j1 - j0));
      for (int64_t c = 0; c < p.c; c += kBlock) {
        const int64_t size = Smaller(kBlock, p.c - c);
        Floats sum = {}, seen;
        for (int64_t a = i0; a < i1; ++a)
          for (int64_t b = j0; b < j1; ++b) {
            Load(seen, image + (a * p.w + b) * p.c + c, size);
            sum += seen;
          }
        Store(sum / count, y + (row * p.ow + j) * p.c + c, size);
      }
    }
  }
}

void Share(const Pooling& given, const float* dy, float* dx, int64_t begin, int64_t end) {
  const Pooling p = given;  // what is written through pointers cannot change it
  int64_t i0, i1, j0, j1, first, last;
  for (int64_t row = begin; row < end; ++row) {
    const float* image = dy + row / p.h * p.oh * p.ow * p.c;
    Seeing(p, 0, row % p.h, p.oh, &i0, &i1);
    for (int64_t j = 0; j < p.w; ++j) {
      Seeing(p, 1, j, p.ow, &j0, &j1);
      for (int64_t c = 0; c < p.c; c += kBlock) {
        const int64_t size = Smaller(kBlock, p.c - c);
        Floats sum = {}, arrived;
        for (int64_t a = i0; a < i1; ++a) {
          Seen(p, 0, a, p.h, &first, &last);
          const int64_t rows = last - first;
          for (int64_t b = j0; b < j1; ++b) {
            Seen(p, 1, b, p.w, &first, &last);
            Load(arrived, image + (a * p.ow + b) * p.c + c, size);
            sum += arrived * (1.f / static_cast<float>(rows * (last - first)));
          }
        }
        Store(sum, dx + (row * p.w + j) * p.c + c, size);
      }
    }
  }
}

// mean[c] and the sum of squared distances from it, of rows [begin, end).
void Moments(const float* x, int64_t channels, int64_t begin, int64_t end, float* mean,
             float* squares) {
  const float count = static_cast<float>(end - begin);
  for (int64_t c = 0; c < channels; c += kColumns) {
    const int64_t size = Smaller(kColumns, channels - c);
    float sum[kColumns] = {}, square[kColumns] = {}, center[kColumns];
    for (int64_t r = begin; r < end; ++r) {
      const float* row = x + r * channels + c;
      if (size == kColumns)
        for (int64_t k = 0; k < kColumns; ++k) sum[k] += row[k];
      else
        for (int64_t k = 0; k < size; ++k) sum[k] += row[k];
    }
    for (int64_t k = 0; k < size; ++k) center[k] = sum[k] / count;
    for (int64_t r = begin; r < end; ++r) {
      const float* row = x + r * channels + c;
      if (size == kColumns)
        for (int64_t k = 0; k < kColumns; ++k) square[k] += (row[k] - center[k]) * (row[k] - center[k]);
      else
        for (int64_t k = 0; k < size; ++k) square[k] += (row[k] - center[k]) * (row[k] - center[k]);
    }
    for (int64_t k = 0; k < size; ++k) mean[c + k] = center[k], squares[c + k] = square[k];
  }
}

// The sums of dy and of dy * (x - mean), of rows [begin, end).
void Products(const float* dy, const float* x, const float* mean, int64_t channels, int64_t begin,
              int64_t end, float* sums, float* products) {
  for (int64_t c = 0; c < channels; c += kColumns) {
    const int64_t size = Smaller(kColumns, channels - c);
    float sum[kColumns] = {}, product[kColumns] = {}, center[kColumns];
    for (int64_t k = 0; k < size; ++k) center[k] = mean[c + k];
    for (int64_t r = begin; r < end; ++r) {
      const float *one = dy + r * channels + c, *other = x + r * channels + c;
      if (size == kColumns)
        for (int64_t k = 0; k < kColumns; ++k) {
          sum[k] += one[k];
          product[k] += one[k] * (other[k] - center[k]);
        }
      else
        for (int64_t k = 0; k < size; ++k) {
          sum[k] += one[k];
          product[k] += one[k] * (other[k] - center[k]);
        }
    }
    for (int64_t k = 0; k < size; ++k) sums[c + k] = sum[k], products[c + k] = product[k];
  }
}

}  // namespace

extern const Loops SINGA_LOOPS;
const Loops SINGA_LOOPS = {SINGA_INSTRUCTION_SET, Largest, Spread, Mean, Share, Moments, Products};

}  // namespace singa

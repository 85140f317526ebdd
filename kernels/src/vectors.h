// A register's worth of numbers, for the files that are compiled once for each instruction set.
// Nothing here may be visible outside of them: the linker would be free to take it from the wrong
// one.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "bfloat16.h"

namespace singa {
namespace {

constexpr int64_t kBlock = SINGA_VECTOR_BYTES / 4;  // numbers in a register

typedef float Floats __attribute__((vector_size(kBlock * 4)));
typedef int32_t Ints __attribute__((vector_size(kBlock * 4)));
typedef uint16_t Shorts __attribute__((vector_size(kBlock * 2)));
typedef uint8_t Octets __attribute__((vector_size(kBlock)));

inline int64_t Smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t Up(int64_t size, int64_t step) { return (size + step - 1) / step * step; }

// `size` numbers to and from memory: `kBlock` of them, known to the compiler, but at the end of a
// row.
template <typename Block, typename Number>
inline void Load(Block& block, const Number* from, int64_t size) {
  if (size != kBlock) block = Block{};
  std::memcpy(&block, from, static_cast<size_t>(size) * sizeof *from);
}

template <typename Block, typename Number>
inline void Store(const Block& block, Number* to, int64_t size) {
  std::memcpy(to, &block, static_cast<size_t>(size) * sizeof *to);
}

// The compiler would widen these one by one.
inline Ints Widened(const Octets& narrow) {
#if defined(__AVX512F__)
  __m128i octets;
  std::memcpy(&octets, &narrow, sizeof octets);
  return reinterpret_cast<Ints>(_mm512_cvtepu8_epi32(octets));
#elif defined(__AVX2__)
  return reinterpret_cast<Ints>(_mm256_cvtepu8_epi32(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(&narrow))));
#else
  return __builtin_convertvector(narrow, Ints);
#endif
}

inline Ints Widened(const Shorts& narrow) {
#if defined(__AVX512F__)
  __m256i shorts;
  std::memcpy(&shorts, &narrow, sizeof shorts);
  return reinterpret_cast<Ints>(_mm512_cvtepu16_epi32(shorts));
#elif defined(__AVX2__)
  __m128i shorts;
  std::memcpy(&shorts, &narrow, sizeof shorts);
  return reinterpret_cast<Ints>(_mm256_cvtepu16_epi32(shorts));
#else
  return __builtin_convertvector(narrow, Ints);
#endif
}

// Bfloat16 to and from memory, as float32 in a register. The nearest one is stored, of two the even
// one; NaN stays NaN.
inline void Load(Floats& block, const Bfloat16* from, int64_t size) {
  Shorts narrow = {};
  std::memcpy(&narrow, from, static_cast<size_t>(size) * sizeof *from);
  block = reinterpret_cast<Floats>(Widened(narrow) << 16);
}

inline void Store(const Floats& block, Bfloat16* to, int64_t size) {
#if defined(__AVX512BF16__)
  const __m256bh narrow = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(block));
#else
  const Ints bits = reinterpret_cast<Ints>(block), cut = bits >> 16;
  const Ints nearest = (bits + 0x7fff + (cut & 1)) >> 16;
  const Shorts narrow = __builtin_convertvector(block == block ? nearest : cut | 0x40, Shorts);
#endif
  std::memcpy(to, &narrow, static_cast<size_t>(size) * sizeof *to);
}

// Load() where mostly there are as many as in a register: the compiler knows that size, too.
template <typename Block, typename Number>
inline void LoadSome(Block& block, const Number* from, int64_t size) {
  size == kBlock ? Load(block, from, kBlock) : Load(block, from, size);
}

// One number as float32.
inline float Wide(float x) { return x; }
inline float Wide(Bfloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

// exp(x) = less * power + power, with less = exp(r) - 1 and power = 2^n, where r is what x is more
// or less than n log 2. x must be within the powers that float32 has; NaN gives NaN.
inline __attribute__((always_inline)) void SplitExp(Floats x, Floats& less, Floats& power) {
  // The last bits of a float32 near 1.5 * 2^23 are an integer.
  constexpr float kShift = 12582912.f;
  const Floats shifted = x * 1.44269504f + kShift, n = shifted - kShift;
  const Floats r = x - n * 0.693147181f;
  // (exp(r) - 1 - r) / r^2, minimax for the relative error of exp(r) - 1: 1.4e-8.
  constexpr float kCoefficients[] = {0.49999998f, 0.16666543f, 0.0416672f, 0.00836654f,
                                     0.001388236f};
  Floats q = Floats{} + kCoefficients[4];
  for (int i = 4; i-- > 0;) q = q * r + kCoefficients[i];
  less = r * r * q + r;
  power = reinterpret_cast<Floats>((reinterpret_cast<Ints>(shifted) << 23) + 0x3f800000);
}

}  // namespace
}  // namespace singa

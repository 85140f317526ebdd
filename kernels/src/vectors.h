// A register's worth of numbers, for the files that are compiled once for each instruction set.
// Nothing here may be visible outside of them: the linker would be free to take it from the wrong
// one.
#pragma once

#include <cstdint>
#include <cstring>

namespace singa {
namespace {

constexpr int64_t kBlock = SINGA_VECTOR_BYTES / 4;  // numbers in a register

typedef float Floats __attribute__((vector_size(kBlock * 4)));
typedef int32_t Ints __attribute__((vector_size(kBlock * 4)));
typedef uint8_t Octets __attribute__((vector_size(kBlock)));

inline int64_t Smaller(int64_t a, int64_t b) { return a < b ? a : b; }

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

}  // namespace
}  // namespace singa

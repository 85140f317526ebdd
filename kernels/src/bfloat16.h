// Numbers of 16 bits.
#pragma once

#include <cstdint>

namespace singa {

// The first half of a float32.
struct Bfloat16 {
  uint16_t bits;
};

}  // namespace singa

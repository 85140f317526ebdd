// The inner loops of products of float32, for the instruction sets for which they are faster than
// oneDNN's.
#pragma once

#include <cstdint>

#include "factors.h"

namespace singa {

struct ProductLoops {
  // How many numbers of memory a product needs, which has to be aligned for vectors.
  int64_t (*memory)(const Factors&);
  // y = a b, with a bias for each column of y unless it is null. `memory` is overwritten.
  void (*multiply)(const Factors&, const float* a, const float* b, const float* bias, float* y,
                   float* memory);
};

// For the processor that this runs on; null, if oneDNN's are the best.
const ProductLoops* BestProductLoops();

}  // namespace singa

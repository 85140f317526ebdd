// A product of two matrices of bfloat16, on one thread.
#pragma once

#include "bfloat16.h"
#include "factors.h"

namespace singa {

// y is rounded once, or not at all if it is float32.
void MultiplyShort(const Factors& factors, const Bfloat16* a, const Bfloat16* b, void* y);

}  // namespace singa

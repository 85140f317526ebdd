#include "loops.h"

namespace singa {

extern const Loops kBaseline;
#ifdef SINGA_X86_64
extern const Loops kAvx2, kAvx512;
#endif

const Loops& BestLoops() {
  static const Loops& best = []() -> const Loops& {
#ifdef SINGA_X86_64
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
      return kAvx512;
    if (avx2) return kAvx2;
#endif
    return kBaseline;
  }();
  return best;
}

}  // namespace singa

// What `singa info` shows.
extern "C" const char* singa_instruction_set() { return singa::BestLoops().instruction_set; }

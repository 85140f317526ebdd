#include <dnnl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attention_loops.h"
#include "loops.h"
#include "product_loops.h"
#include "recurrence_loops.h"
#include "winograd_loops.h"
#include "xla/ffi/api/c_api.h"

namespace singa {

extern const Loops kBaseline;
extern const RecurrenceLoops kBaselineRecurrence;
extern const AttentionLoops kBaselineAttention;
extern const WinogradLoops kBaselineWinograd;
#ifdef SINGA_X86_64
extern const Loops kAvx2, kAvx512;
extern const RecurrenceLoops kAvx2Recurrence, kAvx512Recurrence;
extern const AttentionLoops kAvx2Attention, kAvx512Attention, kBfloat16Attention;
extern const WinogradLoops kAvx2Winograd, kAvx512Winograd;
extern const ProductLoops kAvx2Product;
#endif
#ifdef SINGA_AMX
extern const AttentionLoops kAmxAttention;
#endif

namespace {

// Whether oneDNN finds these instructions too: ONEDNN_MAX_CPU_ISA hides them from both.
bool Has(dnnl_cpu_isa_t wanted) { return (dnnl_get_effective_cpu_isa() & wanted) == wanted; }

#ifdef SINGA_AMX
// The system has to be asked for the tiles' registers, once for all threads.
bool MayUseTiles() {
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return Has(dnnl_cpu_isa_avx512_core_amx) && syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}
#endif

#ifdef SINGA_X86_64
const AttentionLoops& BestWithAvx512() {
#ifdef SINGA_AMX
  if (MayUseTiles()) return kAmxAttention;
#endif
  return Has(dnnl_cpu_isa_avx512_core_bf16) ? kBfloat16Attention : kAvx512Attention;
}
#endif

struct Tables {
  const Loops& loops;
  const RecurrenceLoops& recurrence;
  const AttentionLoops& attention;
  const WinogradLoops& winograd;
  const ProductLoops* product;
};

const Tables& Best() {
  static const Tables best = [] {
#ifdef SINGA_X86_64
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
      return Tables{kAvx512, kAvx512Recurrence, BestWithAvx512(), kAvx512Winograd, nullptr};
    if (avx2) return Tables{kAvx2, kAvx2Recurrence, kAvx2Attention, kAvx2Winograd, &kAvx2Product};
#endif
    return Tables{kBaseline, kBaselineRecurrence, kBaselineAttention, kBaselineWinograd, nullptr};
  }();
  return best;
}

}  // namespace

const Loops& BestLoops() { return Best().loops; }
const RecurrenceLoops& BestRecurrenceLoops() { return Best().recurrence; }
const AttentionLoops& BestAttentionLoops() { return Best().attention; }
const WinogradLoops& BestWinogradLoops() { return Best().winograd; }
const ProductLoops* BestProductLoops() { return Best().product; }

}  // namespace singa

// What `singa info` shows.
extern "C" const char* singa_instruction_set() { return singa::BestLoops().instruction_set; }

// The version of XLA's foreign function interface that the handlers are compiled for.
extern "C" int singa_ffi_version() { return 1000 * XLA_FFI_API_MAJOR + XLA_FFI_API_MINOR; }

// Whether the processor multiplies bfloat16 and adds the products up as float32 in one instruction:
// AVX-512-BF16, AMX and what came later.
extern "C" bool singa_multiplies_bfloat16() { return singa::Has(dnnl_cpu_isa_avx512_core_bf16); }

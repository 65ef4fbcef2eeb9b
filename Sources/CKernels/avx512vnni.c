// AVX-512 with VNNI: Ice Lake, Sapphire Rapids, Zen 4 and later. The matrix multiplication.
#include "CKernels.h"
#include "avx2.h"

#if defined(__x86_64__)
#ifdef TSR_EMULATED  // Tools/check-avx512 compiles this file against an emulation
#include TSR_EMULATED
#else
#include <immintrin.h>
#pragma clang attribute push(                                                           \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
    apply_to = function)
#endif

#include "avx512_panels.h"
#ifndef TSR_EMULATED
#pragma clang attribute pop
#endif

const tsr_kernels *tsr_kernels_avx512vnni(void) {
  static const tsr_kernels table = {
      .name = "avx512vnni",
      .panel = {panel_int8, panel_int4, panel_int4_affine},
      .pair = {pair_int8, pair_int4, pair_int4_affine},
      .mac_loop = mac_loop,
#ifdef TSR_EMULATED
      .decode_symbols = tsr_rans_scalar,
#else
      .decode_symbols = tsr_rans_avx512,
#endif
#ifdef TSR_EMULATED
      TSR_AVX2_VECTOR_KERNELS,
#else
      TSR_AVX2_FLOAT_KERNELS,
      TSR_VECTOR_KERNELS(tsr_avx512_),
#endif
  };
  bool usable = tsr_avx2_usable() && __builtin_cpu_supports("avx512f") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  return usable ? &table : NULL;
}

#else
const tsr_kernels *tsr_kernels_avx512vnni(void) { return NULL; }
#endif

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

#ifdef TSR_EMULATED
#define OTHER_KERNELS .decode_symbols = tsr_rans_scalar, TSR_AVX2_VECTOR_KERNELS
#else
#define OTHER_KERNELS \
  .decode_symbols = tsr_rans_avx512, TSR_AVX2_FLOAT_KERNELS, TSR_VECTOR_KERNELS(tsr_avx512_)
#endif
#define TABLE(DECODE_STRAND)                                                                      \
  {                                                                                               \
    .name = "avx512vnni", .panel = {panel_int8, panel_int4, panel_int4_affine},                   \
    .pair = {pair_int8, pair_int4, pair_int4_affine}, .mac_loop = mac_loop,                       \
    .decode_strand = DECODE_STRAND, OTHER_KERNELS                                                 \
  }

const tsr_kernels *tsr_kernels_avx512vnni(void) {
  static const tsr_kernels table = TABLE(tsr_trellis_avx2);
#ifndef TSR_EMULATED
  static const tsr_kernels vbmi = TABLE(tsr_trellis_vbmi);  // Ice Lake, Zen 4 and later
#endif
  bool usable = tsr_avx2_usable() && __builtin_cpu_supports("avx512f") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
#ifndef TSR_EMULATED
  if (usable && __builtin_cpu_supports("avx512vbmi")) return &vbmi;
#endif
  return usable ? &table : NULL;
}

#else
const tsr_kernels *tsr_kernels_avx512vnni(void) { return NULL; }
#endif

// AVX-VNNI on 256-bit vectors: Alder Lake, Gracemont, Zen 5 and later. All kernels except the
// matrix multiplication are those of AVX2.
#include "CKernels.h"
#include "avx2.h"

#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#ifdef TSR_EMULATED  // Tools/check-avx512 compiles this file against an emulation
#include TSR_EMULATED
#else
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#endif
#define INLINE static inline __attribute__((always_inline))
#include "x86_lanes256.h"

// 32-bit sums of unsigned codes times signed x, exact: at most 32 * 255 * 127.
INLINE ivec add4(ivec sum, ivec w, ivec x) { return _mm256_dpbusd_avx_epi32(sum, w, x); }
INLINE ivec add8(ivec sum, ivec w, ivec x) { return _mm256_dpbusd_avx_epi32(sum, w, x); }
enum { STEPS_5 = 8, STEPS_6 = 8 };
INLINE ivec sum32(ivec sum) { return sum; }
INLINE fvec finish4(ivec sum) { return _mm256_cvtepi32_ps(sum); }
INLINE fvec finish8(ivec sum, fvec factor, const float *offset) {
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), factor, _mm256_set1_ps(16 * *offset));
}

#include "x86_panels.h"
#ifndef TSR_EMULATED
#pragma clang attribute pop
#endif

#define NAMED(NAME, ENCODING) panel_##NAME,
const tsr_kernels *tsr_kernels_avxvnni(void) {
  static const tsr_kernels table = {
      .name = "avxvnni",
      .panel = {TSR_SIMPLE_ENCODINGS(NAMED) TSR_BIT_PLANE_ENCODINGS(NAMED)},
      .mac_loop = mac_loop,
      .decode_symbols = tsr_rans_scalar,
      .decode_strand = tsr_trellis_avx2,
      TSR_AVX2_VECTOR_KERNELS,
  };
  return tsr_avx2_usable() && __builtin_cpu_supports("avxvnni") ? &table : NULL;
}

#else
const tsr_kernels *tsr_kernels_avxvnni(void) { return NULL; }
#endif

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

#define INLINE static inline __attribute__((always_inline))
#define TILE_TOKENS 8
enum { VECTORS = 1, TILE = TILE_TOKENS };  // 8 integer and 8 float accumulators of 32 registers

typedef __m512i ivec;
typedef __m512 fvec;

INLINE ivec zero(void) { return _mm512_setzero_si512(); }
INLINE ivec load(const uint8_t *p) { return _mm512_loadu_si512(p); }
INLINE void store(uint8_t *p, ivec v) { _mm512_storeu_si512(p, v); }
INLINE ivec nibbles_low(ivec v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
INLINE ivec nibbles_high(ivec v) {
  return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15));
}
INLINE ivec broadcast4(const int8_t *p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm512_set1_epi32(bits);
}
INLINE fvec load_floats(const float *p) { return _mm512_loadu_ps(p); }
INLINE void store_floats(float *p, fvec v) { _mm512_storeu_ps(p, v); }
INLINE fvec broadcast_float(const float *p) { return _mm512_set1_ps(*p); }
INLINE fvec halves(const uint8_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
INLINE fvec mul(fvec a, fvec b) { return _mm512_mul_ps(a, b); }
INLINE fvec multiply_add(fvec a, fvec b, fvec c) { return _mm512_fmadd_ps(a, b, c); }

// 32-bit sums of unsigned codes times signed x, exact: at most 32 * 255 * 127.
INLINE ivec add4(ivec sum, ivec w, ivec x) { return _mm512_dpbusd_epi32(sum, w, x); }
INLINE ivec add8(ivec sum, ivec w, ivec x) { return _mm512_dpbusd_epi32(sum, w, x); }
INLINE fvec finish4(ivec sum) { return _mm512_cvtepi32_ps(sum); }
INLINE fvec finish8(ivec sum, fvec factor, const float *offset) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, _mm512_set1_ps(16 * *offset));
}

#include "x86_panels.h"
#ifndef TSR_EMULATED
#pragma clang attribute pop
#endif

const tsr_kernels *tsr_kernels_avx512vnni(void) {
  static const tsr_kernels table = {
      .name = "avx512vnni",
      .panel = {panel_int8, panel_int4, panel_int4_affine},
      .mac_loop = mac_loop,
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

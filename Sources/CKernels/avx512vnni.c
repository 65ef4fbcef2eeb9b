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

#define PANELS(NAME, PANELS, FORM)                                                         \
  static void NAME(const uint8_t *bytes, const tsr_activations *x, size_t first, size_t tokens, \
                   float *out) {                                                           \
    const panel_source source = plain_panels(bytes, x->groups, FORM);                      \
    multiply_panels(&source, 0, PANELS, x, first, tokens, out, FORM);                      \
  }
#define ONE_AND_TWO(NAME, FORM)  \
  PANELS(panel_##NAME, 1, FORM) \
  PANELS(pair_##NAME, 2, FORM)
TSR_SIMPLE_ENCODINGS(ONE_AND_TWO)
TSR_BIT_PLANE_ENCODINGS(ONE_AND_TWO)

#ifdef TSR_EMULATED
#define OPAQUE "+m"
#else
#define OPAQUE "+v"
#endif

// The multiplications of a group without its loads: 8 steps, then one of the two operations that scale.
static size_t mac_loop(size_t rounds) {
  enum { CHAINS = 8 };
  __m512i w = _mm512_set1_epi8(3), x = w;
  __m512 sums[CHAINS];
  for (int c = 0; c < CHAINS; c++) sums[c] = _mm512_setzero_ps();
  for (size_t r = 0; r < rounds; r++) {
    __m512i dot[CHAINS];
    for (int c = 0; c < CHAINS; c++) dot[c] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
    for (int step = 0; step < STEPS; step++) {
      for (int c = 0; c < CHAINS; c++) {
        __asm__ volatile("" : OPAQUE(x));  // to the compiler, every product is another one
        dot[c] = _mm512_dpbusd_epi32(dot[c], w, x);
      }
    }
    for (int c = 0; c < CHAINS; c++)
      sums[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[c]), sums[c], sums[c]);
  }
  float sink[16];
  for (int c = 1; c < CHAINS; c++) sums[0] = _mm512_fmadd_ps(sums[c], sums[c], sums[0]);
  _mm512_storeu_ps(sink, sums[0]);
  return sink[0] < 0 ? 0 : rounds * STEPS * CHAINS * 64;
}

#ifndef TSR_EMULATED
#pragma clang attribute pop
#endif

#define OTHER_KERNELS \
  .decode_symbols = tsr_rans_avx512, TSR_AVX2_FLOAT_KERNELS, TSR_VECTOR_KERNELS(tsr_avx512_)
#define ONE(NAME, ENCODING) panel_##NAME,
#define TWO(NAME, ENCODING) pair_##NAME,
#define TABLE(DECODE_STRAND, MULTIPLY_STRANDS)                                                    \
  {                                                                                               \
    .name = "avx512vnni",                                                                         \
    .panel = {TSR_SIMPLE_ENCODINGS(ONE) TSR_BIT_PLANE_ENCODINGS(ONE)},                            \
    .pair = {TSR_SIMPLE_ENCODINGS(TWO) TSR_BIT_PLANE_ENCODINGS(TWO)}, .pair_tokens = SIZE_MAX,    \
    .mac_loop = mac_loop, .reads_entries = true,                                                  \
    .decode_strand = DECODE_STRAND, .strands = MULTIPLY_STRANDS, OTHER_KERNELS                    \
  }

const tsr_kernels *tsr_kernels_avx512vnni(void) {
  static const tsr_kernels table = TABLE(tsr_trellis_avx2, NULL);
  static const tsr_kernels vbmi = TABLE(tsr_trellis_vbmi, tsr_strands_vbmi);  // Ice Lake, Zen 4 and later
  bool usable = tsr_avx2_usable() && __builtin_cpu_supports("avx512f") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  if (usable && __builtin_cpu_supports("avx512vbmi")) return &vbmi;
  return usable ? &table : NULL;
}

#else
const tsr_kernels *tsr_kernels_avx512vnni(void) { return NULL; }
#endif

// Integer matrix multiplication with AVX2, which multiplies unsigned by signed bytes and adds pairs
// of products with saturation (vpmaddubsw). The bounds beside each step show that none saturates.
#include "CKernels.h"
#include "avx2.h"

#if defined(__x86_64__)
#include <immintrin.h>

// Every processor that runs this file's code for want of better multiplies alike: tuning for Zen 3
// orders the instructions well.
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,tune=znver3"))), \
                             apply_to = function)
#include "x86_vectors256.h"

// Sums of 16 bits: w <= 15 and |x| <= 127, so a step adds at most 2 * 15 * 127 = 3810 to a lane and
// the 8 steps of a group 30480.
INLINE ivec add4(ivec sum, ivec w, ivec x) {
  return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
}
INLINE fvec finish4(ivec sum) {
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
}

// Signed codes |w| <= 127: |w| times x with the sign of w, whose pairs reach 2 * 127 * 127 = 32258
// and are widened at once. x is never -128, whose sign could not be turned.
INLINE ivec add8(ivec sum, ivec codes, ivec x) {
  ivec w = _mm256_xor_si256(codes, _mm256_set1_epi8((char)0x80));
  ivec pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
INLINE fvec finish8(ivec sum, fvec factor, const float *offset) {
  (void)offset;
  return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), factor);
}

#include "x86_panels.h"

void tsr_avx2_int8(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out) {
  panel_int8(panel, x, first, tokens, out);
}
void tsr_avx2_int4(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out) {
  panel_int4(panel, x, first, tokens, out);
}
void tsr_avx2_int4_affine(const uint8_t *panel, const tsr_activations *x, size_t first,
                          size_t tokens, float *out) {
  panel_int4_affine(panel, x, first, tokens, out);
}
size_t tsr_avx2_mac_loop(size_t rounds) { return mac_loop(rounds); }
#pragma clang attribute pop
#endif

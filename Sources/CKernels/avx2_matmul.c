// Integer matrix multiplication with AVX2, which multiplies unsigned by signed bytes and adds pairs
// of products with saturation (vpmaddubsw). The bounds next to each step show that none saturates.
#include "CKernels.h"
#include "avx2.h"

#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#include <immintrin.h>

// Processors without newer instructions run this code, and all of them multiply alike: tuning for Zen 3
// orders the instructions well.
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,tune=znver3"))), \
                             apply_to = function)
#define INLINE static inline __attribute__((always_inline))
#include "x86_lanes256.h"

// Sums of 16 bits: w <= 15 and |x| <= 127, so a step adds at most 2 * 15 * 127 = 3810 to a lane and
// the 8 steps of a group 30480.
INLINE ivec add4(ivec sum, ivec w, ivec x) {
  return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
}
INLINE fvec finish4(ivec sum) {
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
}

// With codes of 5 and 6 bits a step adds 2 * 31 * 127 = 7874 and 2 * 63 * 127 = 16002: 4 and 2 of them stay below 32768.
enum { STEPS_5 = 4, STEPS_6 = 2 };
INLINE ivec sum32(ivec sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }

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

#define KERNEL(NAME, ENCODING)                                                              \
  void tsr_avx2_##NAME(const uint8_t *panel, const tsr_activations *x, size_t first,        \
                       size_t tokens, float *out) {                                         \
    panel_##NAME(panel, x, first, tokens, out);                                             \
  }
TSR_SIMPLE_ENCODINGS(KERNEL)
TSR_BIT_PLANE_ENCODINGS(KERNEL)

// The lines that a panel's streams begin with.
INLINE void fetch_beginning(const panel_planes *planes) {
  for (size_t at = 0; at < 512; at += 64) {
    if (at < 128) _mm_prefetch((const char *)planes->scales + at, _MM_HINT_T0);
    _mm_prefetch((const char *)planes->codes + at, _MM_HINT_T0);
  }
}

// Two panels and one token: two groups of one panel, then of the other. Where panels are long, memory is read faster in
// two streams that the processor follows by itself, once they have begun, than in one that is fetched ahead; with 4-bit
// codes it is not (Benchmarks/NOTES.md).
void tsr_avx2_int8_pair(const uint8_t *bytes, const tsr_activations *x, size_t first, size_t tokens,
                        float *out) {
  enum { TURN = 2 };
  panel_planes both[2], next[2];
  for (size_t p = 0; p < 4; p++) {
    const panel_planes at = planes(bytes, x->groups, tsr_form(TSR_INT8));
    (p < 2 ? both : next)[p % 2] = at;
    bytes = at.codes + x->groups * 512;
  }
  const tsr_residual *list = x->residual_list + first * x->residuals, *r = list;
  const uint32_t *ends = x->group_ends + first / TSR_TOKEN_BLOCK * x->groups;
  (void)tokens;  // pair_tokens: one
  memset(out, 0, 2 * TSR_PANEL_ROWS * sizeof(float));
  for (size_t from = 0, to; from < x->groups; from = to) {
    to = x->groups - from < TSR_SPAN ? x->groups : from + TSR_SPAN;
    for (size_t turn = from; turn < to; turn += TURN) {
      for (size_t p = 0; p < 2; p++) {
        const span_job job = {.x = x, .planes = both[p], .codes = both[p].codes + turn * 512,
                              .first = turn, .last = to - turn < TURN ? to : turn + TURN};
        multiply_tile(&job, TSR_INT8, PACKED, false, 1, first, out + p * TSR_PANEL_ROWS);
      }
    }
    const tsr_residual *end = list + ends[to - 1];
    for (size_t p = 0; p < 2; p++) {
      if (to == x->groups) fetch_beginning(&next[p]);
      const span_job job = {.x = x, .planes = both[p], .codes = both[p].codes + from * 512,
                            .first = from, .last = to};
      all_residuals(&job, TSR_INT8, PACKED, r, end, out + p * TSR_PANEL_ROWS);
    }
    r = end;
  }
}

size_t tsr_avx2_mac_loop(size_t rounds) { return mac_loop(rounds); }
#pragma clang attribute pop
#endif

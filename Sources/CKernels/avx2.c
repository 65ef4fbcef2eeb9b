// AVX2 with FMA and F16C: Haswell, Zen and later.
#include "CKernels.h"
#include "avx2.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

INLINE __m256 halves(const uint8_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

INLINE float sum8(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

float tsr_avx2_dot_f16(const uint16_t *a, const float *b, size_t count) {
  __m256 s[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  size_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int j = 0; j < 2; j++)
      s[j] = _mm256_fmadd_ps(halves((const uint8_t *)(a + i + 8 * j)),
                             _mm256_loadu_ps(b + i + 8 * j), s[j]);
  float sum = sum8(_mm256_add_ps(s[0], s[1]));
  for (; i < count; i++) sum += tsr_half_to_float(a[i]) * b[i];
  return sum;
}

void tsr_avx2_widen_f16(const uint16_t *x, float *y, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(y + i, halves((const uint8_t *)(x + i)));
  for (; i < count; i++) y[i] = tsr_half_to_float(x[i]);
}

#pragma clang attribute pop

bool tsr_avx2_usable(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

#define NAMED(NAME, ENCODING) tsr_avx2_##NAME,
const tsr_kernels *tsr_kernels_avx2(void) {
  static const tsr_kernels table = {
      .name = "avx2",
      .panel = {TSR_SIMPLE_ENCODINGS(NAMED) TSR_BIT_PLANE_ENCODINGS(NAMED)},
      .pair = {tsr_avx2_int8_pair},
      .pair_tokens = 1,
      .pair_groups = 64,
      .mac_loop = tsr_avx2_mac_loop,
      .decode_symbols = tsr_rans_scalar,
      .decode_strand = tsr_trellis_avx2,
      TSR_AVX2_VECTOR_KERNELS,
  };
  return tsr_avx2_usable() ? &table : NULL;
}

#else
const tsr_kernels *tsr_kernels_avx2(void) { return NULL; }
#endif

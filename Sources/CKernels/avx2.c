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

void tsr_avx2_quantize(const tsr_activations *a, const float *x, size_t term, size_t count) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  int8_t *codes = a->codes + term * TSR_GROUP;
  for (size_t at = term; at < term + count; at++, x += TSR_GROUP, codes += TSR_GROUP) {
    __m256 v[4], most = _mm256_setzero_ps();
    for (int i = 0; i < 4; i++) {
      v[i] = _mm256_loadu_ps(x + 8 * i);
      most = _mm256_max_ps(most, _mm256_andnot_ps(sign, v[i]));
    }
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    float largest = _mm_cvtss_f32(m);
    float inverse = largest > 0 ? 127.0f / largest : 0;
    if (!(inverse <= 3.0e38f)) inverse = 0;
    __m256 factor = _mm256_set1_ps(inverse);
    __m256i q[4];
    for (int i = 0; i < 4; i++) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], factor));
    __m256i total = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e));
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]),
                                       _mm256_packs_epi32(q[2], q[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)codes, bytes);
    a->scales[at] = inverse > 0 ? largest / 127.0f : 0;
    a->sums[at] = a->scales[at] * (float)_mm_cvtsi128_si32(t);
    a->offsets[at] = -8 * a->sums[at];
  }
}

INLINE float sum8(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

float tsr_avx2_dot_f32(const float *a, const float *b, size_t count) {
  __m256 s[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                 _mm256_setzero_ps()};
  size_t i = 0;
  for (; i + 32 <= count; i += 32)
    for (int j = 0; j < 4; j++)
      s[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j), _mm256_loadu_ps(b + i + 8 * j), s[j]);
  for (; i + 8 <= count; i += 8)
    s[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s[0]);
  float sum = sum8(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3])));
  for (; i < count; i++) sum += a[i] * b[i];
  return sum;
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

void tsr_avx2_widen_int8(const int8_t *x, float scale, float *y, size_t count) {
  __m256 f = _mm256_set1_ps(scale);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(x + i)));
    _mm256_storeu_ps(y + i, _mm256_mul_ps(f, _mm256_cvtepi32_ps(wide)));
  }
  for (; i < count; i++) y[i] = scale * (float)x[i];
}

void tsr_avx2_widen_f16(const uint16_t *x, float *y, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(y + i, halves((const uint8_t *)(x + i)));
  for (; i < count; i++) y[i] = tsr_half_to_float(x[i]);
}

// e^x for x <= 88, to about 2 ulp: x = n ln 2 + r, |r| <= ln 2 / 2, and a polynomial of degree 6
// (Taylor's terms; the remainder is below r^7 / 5040 = 1.2e-7). Below -87 the result is 0.
INLINE __m256 exponential(__m256 x) {
  __m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_LT_OQ);
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.0f)), _mm256_set1_ps(88.0f));
  __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                             _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693145752f), x);  // ln 2 in two parts
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(1.42860677e-6f), r);
  __m256 p = _mm256_set1_ps(1.0f / 720);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n),
                                                     _mm256_set1_epi32(127)), 23);
  return _mm256_andnot_ps(tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(power)));
}

float tsr_avx2_exponentials(float *x, float max, size_t count) {
  __m256 m = _mm256_set1_ps(max), sums = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m256 e = exponential(_mm256_sub_ps(_mm256_loadu_ps(x + i), m));
    _mm256_storeu_ps(x + i, e);
    sums = _mm256_add_ps(sums, e);
  }
  float sum = sum8(sums);
  if (i < count) {
    float tail[8] = {0};
    memcpy(tail, x + i, (count - i) * sizeof(float));
    _mm256_storeu_ps(tail, exponential(_mm256_sub_ps(_mm256_loadu_ps(tail), m)));
    for (size_t j = 0; i + j < count; j++) {
      x[i + j] = tail[j];
      sum += tail[j];
    }
  }
  return sum;
}

INLINE __m256 swiglu8(__m256 gate, __m256 up) {
  __m256 e = exponential(_mm256_sub_ps(_mm256_setzero_ps(), gate));
  return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1), e)), up);
}

void tsr_avx2_swiglu(const float *gate, const float *up, float *out, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(out + i, swiglu8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
  if (i == count) return;
  float g[8] = {0}, u[8] = {0};
  memcpy(g, gate + i, (count - i) * sizeof(float));
  memcpy(u, up + i, (count - i) * sizeof(float));
  _mm256_storeu_ps(g, swiglu8(_mm256_loadu_ps(g), _mm256_loadu_ps(u)));
  memcpy(out + i, g, (count - i) * sizeof(float));
}

#pragma clang attribute pop

bool tsr_avx2_usable(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

const tsr_kernels *tsr_kernels_avx2(void) {
  static const tsr_kernels table = {
      .name = "avx2",
      .panel = {tsr_avx2_int8, tsr_avx2_int4, tsr_avx2_int4_affine},
      .mac_loop = tsr_avx2_mac_loop,
      TSR_AVX2_VECTOR_KERNELS,
  };
  return tsr_avx2_usable() ? &table : NULL;
}

#else
const tsr_kernels *tsr_kernels_avx2(void) { return NULL; }
#endif

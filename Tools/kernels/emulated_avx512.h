// AVX-512 and AVX-VNNI instructions on a machine that has only AVX2, through SIMDe.
#ifndef EMULATED_AVX512_H
#define EMULATED_AVX512_H
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <immintrin.h>
#include <simde/x86/avx512.h>

// What SIMDe 0.7 lacks or declares wrongly, of what the kernels use.
static inline simde__m512 emulated_cvtph(__m256i halves) {
  __m256 low = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
  __m256 high = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
  return simde_mm512_insertf32x8(simde_mm512_castps256_ps512(low), high, 1);
}
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps emulated_cvtph
static inline simde__m512 emulated_float(simde__m512i v) {
  __m256 low = _mm256_cvtepi32_ps(_mm512_castsi512_si256(v));
  __m256 high = _mm256_cvtepi32_ps(_mm512_extracti64x4_epi64(v, 1));
  return simde_mm512_insertf32x8(simde_mm512_castps256_ps512(low), high, 1);
}
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps emulated_float
static inline simde__m512i emulated_widen(__m128i bytes, bool is_signed) {
  __m128i other = _mm_srli_si128(bytes, 8);
  __m256i low = is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
  __m256i high = is_signed ? _mm256_cvtepi8_epi32(other) : _mm256_cvtepu8_epi32(other);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
#define _mm512_cvtepi8_epi32(bytes) emulated_widen(bytes, true)
#define _mm512_cvtepu8_epi32(bytes) emulated_widen(bytes, false)
static inline simde__m512i emulated_madd(simde__m512i a, simde__m512i b) {
  __m256i low = _mm256_madd_epi16(_mm512_castsi512_si256(a), _mm512_castsi512_si256(b));
  __m256i high = _mm256_madd_epi16(_mm512_extracti64x4_epi64(a, 1), _mm512_extracti64x4_epi64(b, 1));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
#undef _mm512_madd_epi16
#define _mm512_madd_epi16 emulated_madd

// Vectors as their parts; loops are slow enough here to be plain.
typedef union {
  simde__m512 f;
  simde__m512i i;
  __m256 half[2];
  __m256i half_i[2];
  float floats[16];
  int32_t ints[16];
  uint32_t words[16];
  uint8_t bytes[64];
} emulated_parts;
#define PARTS_OF(v) ((emulated_parts){.i = (v)})
#define FLOATS_OF(v) ((emulated_parts){.f = (v)})

static inline simde__m512 emulated_size(simde__m512 v) {  // the sign of a NaN goes too
  emulated_parts p = FLOATS_OF(v);
  for (int l = 0; l < 16; l++) p.words[l] &= 0x7fffffff;
  return p.f;
}
#undef _mm512_abs_ps
#define _mm512_abs_ps emulated_size
static inline simde__m512i emulated_int(simde__m512 v) {
  emulated_parts p = FLOATS_OF(v);
  for (int h = 0; h < 2; h++) p.half_i[h] = _mm256_cvtps_epi32(p.half[h]);
  return p.i;
}
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32 emulated_int
static inline __mmask16 emulated_below(simde__m512i a, simde__m512i b) {
  emulated_parts p = PARTS_OF(a), q = PARTS_OF(b);
  unsigned mask = 0;
  for (int l = 0; l < 16; l++) mask |= (unsigned)(p.words[l] < q.words[l]) << l;
  return (__mmask16)mask;
}
#undef _mm512_cmplt_epu32_mask
#define _mm512_cmplt_epu32_mask emulated_below
static inline __m256i emulated_shorts(simde__m512i v) {
  emulated_parts p = PARTS_OF(v);
  int16_t out[16];
  for (int l = 0; l < 16; l++) out[l] = (int16_t)p.ints[l];
  return _mm256_loadu_si256((const __m256i *)out);
}
#undef _mm512_cvtepi32_epi16
#define _mm512_cvtepi32_epi16 emulated_shorts
static inline __m128i emulated_chars(simde__m512i v) {
  emulated_parts p = PARTS_OF(v);
  int8_t out[16];
  for (int l = 0; l < 16; l++) out[l] = (int8_t)p.ints[l];
  return _mm_loadu_si128((const __m128i *)out);
}
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8 emulated_chars
static inline void emulated_store_chars(void *to, __mmask16 mask, simde__m512i v) {
  emulated_parts p = PARTS_OF(v);
  for (int l = 0; l < 16; l++)
    if (mask >> l & 1) ((int8_t *)to)[l] = (int8_t)p.ints[l];
}
#undef _mm512_mask_cvtepi32_storeu_epi8
#define _mm512_mask_cvtepi32_storeu_epi8 emulated_store_chars
static inline simde__m512i emulated_widened(__m256i v) {
  emulated_parts p;
  p.half_i[0] = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(v));
  p.half_i[1] = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(v, 1));
  return p.i;
}
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32 emulated_widened
static inline void emulated_store_some(void *to, __mmask16 mask, simde__m512 v) {
  emulated_parts p = FLOATS_OF(v);
  for (int l = 0; l < 16; l++)
    if (mask >> l & 1) ((float *)to)[l] = p.floats[l];
}
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps emulated_store_some
static inline simde__m512 emulated_load_some(__mmask16 mask, const void *from) {
  emulated_parts p = {.words = {0}};
  for (int l = 0; l < 16; l++)
    if (mask >> l & 1) p.floats[l] = ((const float *)from)[l];
  return p.f;
}
#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps emulated_load_some
static inline simde__m512i emulated_load_bytes(__mmask64 mask, const void *from) {
  emulated_parts p = {.words = {0}};
  for (int l = 0; l < 64; l++)
    if (mask >> l & 1) p.bytes[l] = ((const uint8_t *)from)[l];
  return p.i;
}
#undef _mm512_maskz_loadu_epi8
#define _mm512_maskz_loadu_epi8 emulated_load_bytes
static inline simde__m512i emulated_expand(__mmask16 mask, simde__m512i v) {
  emulated_parts p = {.words = {0}}, q = PARTS_OF(v);
  for (int l = 0, next = 0; l < 16; l++)
    if (mask >> l & 1) p.words[l] = q.words[next++];
  return p.i;
}
#undef _mm512_maskz_expand_epi32
#define _mm512_maskz_expand_epi32 emulated_expand
static inline simde__m512 emulated_permute(simde__m512 v, int order) {
  emulated_parts p = FLOATS_OF(v), q;
  for (int l = 0; l < 16; l++) q.floats[l] = p.floats[l / 4 * 4 + (order >> l % 4 * 2 & 3)];
  return q.f;
}
#undef _mm512_permute_ps
#define _mm512_permute_ps emulated_permute
static inline simde__m512 emulated_shuffle(simde__m512 a, simde__m512 b, int order) {
  emulated_parts p = FLOATS_OF(a), q = FLOATS_OF(b), r;
  for (int l = 0; l < 16; l++) {
    int from = (order >> l / 4 * 2 & 3) * 4 + l % 4;
    r.floats[l] = l < 8 ? p.floats[from] : q.floats[from];
  }
  return r.f;
}
#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4 emulated_shuffle
static inline int emulated_sum(simde__m512i v) {
  emulated_parts p = PARTS_OF(v);
  uint32_t sum = 0;
  for (int l = 0; l < 16; l++) sum += p.words[l];
  return (int)sum;
}
#undef _mm512_reduce_add_epi32
#define _mm512_reduce_add_epi32 emulated_sum
static inline float emulated_total(simde__m512 v) {
  emulated_parts p = FLOATS_OF(v);
  for (int width = 8; width > 0; width /= 2)
    for (int l = 0; l < width; l++) p.floats[l] += p.floats[l + width];
  return p.floats[0];
}
#undef _mm512_reduce_add_ps
#define _mm512_reduce_add_ps emulated_total
static inline int emulated_most_int(simde__m512i v) {
  emulated_parts p = PARTS_OF(v);
  for (int l = 1; l < 16; l++) p.ints[0] = p.ints[l] > p.ints[0] ? p.ints[l] : p.ints[0];
  return p.ints[0];
}
#undef _mm512_reduce_max_epi32
#define _mm512_reduce_max_epi32 emulated_most_int
static inline float emulated_most(simde__m512 v) {
  emulated_parts p = FLOATS_OF(v);
  for (int width = 8; width > 0; width /= 2)  // as the instruction does: the second where one is NaN
    for (int l = 0; l < width; l++)
      p.floats[l] = p.floats[l] > p.floats[l + width] ? p.floats[l] : p.floats[l + width];
  return p.floats[0];
}
#undef _mm512_reduce_max_ps
#define _mm512_reduce_max_ps emulated_most
#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32
#define __builtin_cpu_supports(feature) 1
#endif

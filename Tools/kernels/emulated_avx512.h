// AVX-512 and AVX-VNNI instructions on a machine that has only AVX2, through SIMDe.
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
static inline simde__m512i emulated_madd(simde__m512i a, simde__m512i b) {
  __m256i low = _mm256_madd_epi16(_mm512_castsi512_si256(a), _mm512_castsi512_si256(b));
  __m256i high = _mm256_madd_epi16(_mm512_extracti64x4_epi64(a, 1), _mm512_extracti64x4_epi64(b, 1));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
#undef _mm512_madd_epi16
#define _mm512_madd_epi16 emulated_madd
#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32
#define __builtin_cpu_supports(feature) 1

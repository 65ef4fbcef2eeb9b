// 256-bit vectors for x86_panels.h, for the instruction sets that have AVX2.
#define INLINE static inline __attribute__((always_inline))
enum { VECTORS = 2, TILE = 4 };  // 8 accumulators, 2-4 codes, 2 temporaries, the mask

typedef __m256i ivec;
typedef __m256 fvec;

INLINE ivec zero(void) { return _mm256_setzero_si256(); }
INLINE ivec load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE void store(uint8_t *p, ivec v) { _mm256_store_si256((__m256i *)p, v); }
INLINE ivec nibbles_low(ivec v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
INLINE ivec nibbles_high(ivec v) {
  return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}
INLINE ivec broadcast4(const int8_t *p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm256_set1_epi32(bits);
}
INLINE fvec load_floats(const float *p) { return _mm256_loadu_ps(p); }
INLINE void store_floats(float *p, fvec v) { _mm256_storeu_ps(p, v); }
INLINE fvec broadcast_float(const float *p) { return _mm256_broadcast_ss(p); }
INLINE fvec halves(const uint8_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
INLINE fvec mul(fvec a, fvec b) { return _mm256_mul_ps(a, b); }
INLINE fvec multiply_add(fvec a, fvec b, fvec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE fvec all_floats(float x) { return _mm256_set1_ps(x); }
INLINE ivec either(ivec a, ivec b) { return _mm256_or_si256(a, b); }
INLINE ivec add32(ivec a, ivec b) { return _mm256_add_epi32(a, b); }
INLINE fvec floats32(ivec v) { return _mm256_cvtepi32_ps(v); }
// `width` bits of each byte, from bit `at` on, moved to bit `to`.
INLINE ivec bits_of(ivec v, unsigned width, unsigned at, unsigned to) {
  ivec moved = at >= to ? _mm256_srli_epi16(v, (int)(at - to)) : _mm256_slli_epi16(v, (int)(to - at));
  return _mm256_and_si256(moved, _mm256_set1_epi8((char)(((1u << width) - 1) << to)));
}
// 8 bytes, or nibbles of bytes, as floats.
typedef enum { SIGNED, UNSIGNED, LOW_NIBBLES, HIGH_NIBBLES } byte_form;
INLINE fvec integers_of(const uint8_t *p, byte_form form) {
  const __m128i nibble = _mm_set1_epi8(15);
  __m128i bytes = _mm_loadl_epi64((const __m128i *)p);
  if (form == SIGNED) return floats32(_mm256_cvtepi8_epi32(bytes));
  if (form == HIGH_NIBBLES) bytes = _mm_srli_epi16(bytes, 4);
  if (form != UNSIGNED) bytes = _mm_and_si128(bytes, nibble);
  return floats32(_mm256_cvtepu8_epi32(bytes));
}

// 256-bit vectors for vector_attention.h, x86_vectors.h and x86_panels.h.
enum { LANES = 8, WIDE = 2 };    // 8 accumulators, a line's two halves, two temporaries
enum { VECTORS = 2, TILE = 4 };  // 8 accumulators, 2-4 codes, 2 temporaries, the mask
typedef __m256i ivec;
typedef __m256 fvec;

INLINE ivec load_bytes(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE ivec even_bytes(ivec v) { return _mm256_and_si256(v, _mm256_set1_epi16(255)); }
INLINE ivec odd_bytes(ivec v) { return _mm256_srli_epi16(v, 8); }
INLINE ivec broadcast_int(int32_t x) { return _mm256_set1_epi32(x); }
INLINE ivec broadcast_pair(const int16_t *p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm256_set1_epi32(bits);
}
INLINE ivec multiply_pairs(ivec sum, ivec a, ivec b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
INLINE ivec add_ints(ivec a, ivec b) { return _mm256_add_epi32(a, b); }
INLINE int32_t sum_ints(ivec v) {
  __m128i t = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1));
  return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e)));
}
INLINE fvec ints_to_floats(ivec v) { return _mm256_cvtepi32_ps(v); }
INLINE ivec floats_to_ints(fvec v) { return _mm256_cvtps_epi32(v); }

INLINE ivec lane_numbers(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
// Mask of the first n lanes.
INLINE ivec first_lanes(size_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), lane_numbers());
}
INLINE fvec load_floats(const float *p) { return _mm256_loadu_ps(p); }
INLINE void store_floats(float *p, fvec v) { _mm256_storeu_ps(p, v); }
// The first n lanes; the others are 0, or stay in memory.
INLINE fvec load_first(const float *p, size_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
INLINE void store_first(float *p, fvec v, size_t n) { _mm256_maskstore_ps(p, first_lanes(n), v); }
// The float at `p`, and the value `x`, in all lanes.
INLINE fvec broadcast_float(const float *p) { return _mm256_broadcast_ss(p); }
INLINE fvec splat(float x) { return _mm256_set1_ps(x); }
INLINE fvec add_floats(fvec a, fvec b) { return _mm256_add_ps(a, b); }
INLINE fvec subtract(fvec a, fvec b) { return _mm256_sub_ps(a, b); }
INLINE fvec multiply(fvec a, fvec b) { return _mm256_mul_ps(a, b); }
INLINE fvec divide(fvec a, fvec b) { return _mm256_div_ps(a, b); }
INLINE fvec multiply_add(fvec a, fvec b, fvec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE fvec max_floats(fvec a, fvec b) { return _mm256_max_ps(a, b); }
INLINE fvec min_floats(fvec a, fvec b) { return _mm256_min_ps(a, b); }
INLINE fvec absolute(fvec v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }
// The larger of two values without a sign, compared by their bits: a NaN is the largest.
INLINE fvec max_or_nan(fvec a, fvec b) {
  return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
// The largest lane, compared likewise.
INLINE float largest_lane_or_nan(fvec v) {
  __m128i m = _mm_castps_si128(_mm256_castps256_ps128(v));
  m = _mm_max_epi32(m, _mm_castps_si128(_mm256_extractf128_ps(v, 1)));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1))));
}
INLINE float largest_lane(fvec v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
INLINE float sum_floats(fvec v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
// All bits of each lane whose bit is set.
INLINE fvec mask_of_bits(uint32_t bits) {
  ivec lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  ivec set = _mm256_and_si256(_mm256_set1_epi32((int32_t)bits), lane);
  return _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane));
}
// Lanes whose bit is set; the others are -infinity, or 0.
INLINE fvec select_or_minus_infinity(fvec v, uint32_t bits) {
  return _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), v, mask_of_bits(bits));
}
INLINE fvec select_or_zero(fvec v, uint32_t bits) { return _mm256_and_ps(v, mask_of_bits(bits)); }
// A bit for each lane of a that is greater than b's, or at least b's.
INLINE uint32_t lanes_greater(fvec a, fvec b) {
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ));
}
INLINE uint32_t lanes_at_least(fvec a, fvec b) {
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ));
}
// index where a > b, else old
INLINE ivec select_greater(fvec a, fvec b, ivec index, ivec old) {
  return _mm256_blendv_epi8(old, index, _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GT_OQ)));
}
INLINE void store_ints(int32_t *p, ivec v) { _mm256_storeu_si256((__m256i *)p, v); }

INLINE __m128i narrow_to_words(ivec v) {
  return _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
INLINE void store_codes8(int8_t *p, ivec v, size_t n) {
  int64_t bytes = _mm_cvtsi128_si64(_mm_packs_epi16(narrow_to_words(v), _mm_setzero_si128()));
  if (n == LANES) memcpy(p, &bytes, LANES);
  else memcpy(p, &bytes, n);
}
// Rounds to 16-bit codes, stores them in the order of tsr_section, and returns them as integers.
INLINE ivec store_codes16(int16_t *p, fvec v) {
  ivec codes = _mm256_cvtps_epi32(v);
  __m128i words = narrow_to_words(codes);
  words = _mm_shufflehi_epi16(_mm_shufflelo_epi16(words, 0xd8), 0xd8);
  _mm_storeu_si128((__m128i *)p, words);
  return codes;
}

// e^x for x <= 88, to about 2 ulp: x = n ln 2 + r, |r| <= ln 2 / 2, and a polynomial of degree 6
// (Taylor's terms; the remainder is below r^7 / 5040 = 1.2e-7). Below -87 the result is 0; of NaN, NaN:
// minimum and maximum give their second operand then.
INLINE fvec exponential(fvec x) {
  fvec tiny = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_LT_OQ);
  x = _mm256_min_ps(_mm256_set1_ps(88.0f), _mm256_max_ps(_mm256_set1_ps(-87.0f), x));
  fvec n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                           _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  fvec r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693145752f), x);  // ln 2 in two parts
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(1.42860677e-6f), r);
  fvec p = _mm256_set1_ps(1.0f / 720);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  ivec power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_andnot_ps(tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(power)));
}

// A step of the Hadamard matrix: pairs `width` apart, a power of two below LANES.
INLINE fvec butterfly(fvec v, size_t width) {
  fvec other = width == 1   ? _mm256_permute_ps(v, 0xb1)
               : width == 2 ? _mm256_permute_ps(v, 0x4e)
                            : _mm256_permute2f128_ps(v, v, 1);
  fvec sign = width == 1   ? _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1)
              : width == 2 ? _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1)
                           : _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);
  return _mm256_fmadd_ps(v, sign, other);
}

// For panels -------------------------------------------------------------------------------------

INLINE ivec zero_ints(void) { return _mm256_setzero_si256(); }
INLINE void store_bytes(uint8_t *p, ivec v) { _mm256_store_si256((__m256i *)p, v); }
INLINE ivec low_nibbles(ivec v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
INLINE ivec high_nibbles(ivec v) {
  return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}
INLINE ivec or_bits(ivec a, ivec b) { return _mm256_or_si256(a, b); }
// Four codes in each 32-bit lane.
INLINE ivec broadcast_codes(const int8_t *p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm256_set1_epi32(bits);
}
// Half-precision numbers as floats.
INLINE fvec load_halves(const uint8_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
// `width` bits of each byte, from bit `at` on, moved to bit `to`.
INLINE ivec move_bits(ivec v, unsigned width, unsigned at, unsigned to) {
  ivec moved = at >= to ? _mm256_srli_epi16(v, (int)(at - to)) : _mm256_slli_epi16(v, (int)(to - at));
  return _mm256_and_si256(moved, _mm256_set1_epi8((char)(((1u << width) - 1) << to)));
}
// 8 bytes, or nibbles of bytes, as floats.
typedef enum { SIGNED, UNSIGNED, LOW_NIBBLES, HIGH_NIBBLES } byte_form;
INLINE fvec load_integers(const uint8_t *p, byte_form form) {
  const __m128i nibble = _mm_set1_epi8(15);
  __m128i bytes = _mm_loadl_epi64((const __m128i *)p);
  if (form == SIGNED) return ints_to_floats(_mm256_cvtepi8_epi32(bytes));
  if (form == HIGH_NIBBLES) bytes = _mm_srli_epi16(bytes, 4);
  if (form != UNSIGNED) bytes = _mm_and_si128(bytes, nibble);
  return ints_to_floats(_mm256_cvtepu8_epi32(bytes));
}

// 512-bit vectors for vector_attention.h and x86_vectors.h.
enum { LANES = 16, WIDE = 4 };  // 16 accumulators, a line's two halves, two temporaries
typedef __m512i ivec;
typedef __m512 fvec;

INLINE ivec load_bytes(const uint8_t *p) { return _mm512_loadu_si512(p); }
INLINE ivec even_bytes(ivec v) { return _mm512_and_si512(v, _mm512_set1_epi16(255)); }
INLINE ivec odd_bytes(ivec v) { return _mm512_srli_epi16(v, 8); }
INLINE ivec broadcast_int(int32_t x) { return _mm512_set1_epi32(x); }
INLINE ivec broadcast_pair(const int16_t *p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm512_set1_epi32(bits);
}
INLINE ivec multiply_pairs(ivec sum, ivec a, ivec b) { return _mm512_dpwssd_epi32(sum, a, b); }
INLINE ivec add_ints(ivec a, ivec b) { return _mm512_add_epi32(a, b); }
INLINE int32_t sum_ints(ivec v) { return _mm512_reduce_add_epi32(v); }
INLINE fvec ints_to_floats(ivec v) { return _mm512_cvtepi32_ps(v); }
INLINE ivec floats_to_ints(fvec v) { return _mm512_cvtps_epi32(v); }

// Mask of the first n lanes.
INLINE __mmask16 first_lanes(size_t n) { return (__mmask16)((1u << n) - 1); }
INLINE fvec load_floats(const float *p) { return _mm512_loadu_ps(p); }
INLINE void store_floats(float *p, fvec v) { _mm512_storeu_ps(p, v); }
// The first n lanes; the others are 0, or stay in memory.
INLINE fvec load_first(const float *p, size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
INLINE void store_first(float *p, fvec v, size_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
// The float at `p`, and the value `x`, in all lanes.
INLINE fvec broadcast_float(const float *p) { return _mm512_set1_ps(*p); }
INLINE fvec splat(float x) { return _mm512_set1_ps(x); }
INLINE fvec add_floats(fvec a, fvec b) { return _mm512_add_ps(a, b); }
INLINE fvec subtract(fvec a, fvec b) { return _mm512_sub_ps(a, b); }
INLINE fvec multiply(fvec a, fvec b) { return _mm512_mul_ps(a, b); }
INLINE fvec divide(fvec a, fvec b) { return _mm512_div_ps(a, b); }
INLINE fvec multiply_add(fvec a, fvec b, fvec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE fvec max_floats(fvec a, fvec b) { return _mm512_max_ps(a, b); }
INLINE fvec min_floats(fvec a, fvec b) { return _mm512_min_ps(a, b); }
INLINE fvec absolute(fvec v) { return _mm512_abs_ps(v); }
// The larger of two values without a sign, compared by their bits: a NaN is the largest.
INLINE fvec max_or_nan(fvec a, fvec b) {
  return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
// The largest lane, compared likewise.
INLINE float largest_lane_or_nan(fvec v) {
  int32_t bits = _mm512_reduce_max_epi32(_mm512_castps_si512(v));
  float most;
  memcpy(&most, &bits, sizeof most);
  return most;
}
INLINE float largest_lane(fvec v) { return _mm512_reduce_max_ps(v); }
INLINE float sum_floats(fvec v) { return _mm512_reduce_add_ps(v); }
// Lanes whose bit is set; the others are -infinity, or 0.
INLINE fvec select_or_minus_infinity(fvec v, uint32_t bits) {
  return _mm512_mask_blend_ps((__mmask16)bits, _mm512_set1_ps(-INFINITY), v);
}
INLINE fvec select_or_zero(fvec v, uint32_t bits) { return _mm512_maskz_mov_ps((__mmask16)bits, v); }
// A bit for each lane of a that is greater than b's, or at least b's.
INLINE uint32_t lanes_greater(fvec a, fvec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
INLINE uint32_t lanes_at_least(fvec a, fvec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
// index where a > b, else old
INLINE ivec select_greater(fvec a, fvec b, ivec index, ivec old) {
  return _mm512_mask_mov_epi32(old, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), index);
}
INLINE ivec lane_numbers(void) {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
INLINE void store_ints(int32_t *p, ivec v) { _mm512_storeu_si512(p, v); }

INLINE void store_codes8(int8_t *p, ivec v, size_t n) {
  _mm512_mask_cvtepi32_storeu_epi8(p, first_lanes(n), v);
}
// Rounds to 16-bit codes, stores them in the order of tsr_section, and returns them as integers.
INLINE ivec store_codes16(int16_t *p, fvec v) {
  ivec codes = _mm512_cvtps_epi32(v);
  __m256i words = _mm512_cvtepi32_epi16(codes);
  words = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xd8), 0xd8);
  _mm256_storeu_si256((__m256i *)p, words);
  return codes;
}

// e^x for x <= 88, to about 2 ulp: x = n ln 2 + r, |r| <= ln 2 / 2, and a polynomial of degree 6
// (Taylor's terms; the remainder is below r^7 / 5040 = 1.2e-7). Below -87 the result is 0; of NaN, NaN:
// the minimum gives its second operand then.
INLINE fvec exponential(fvec x) {
  __mmask16 some = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0f), _CMP_NLT_UQ);
  x = _mm512_min_ps(_mm512_set1_ps(88.0f), x);
  fvec n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
  fvec r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145752f), x);  // ln 2 in two parts
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860677e-6f), r);
  fvec p = _mm512_set1_ps(1.0f / 720);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_maskz_scalef_ps(some, p, n);
}

// A step of the Hadamard matrix: pairs `width` apart, a power of two below LANES.
INLINE fvec butterfly(fvec v, size_t width) {
  fvec other, sign;
  switch (width) {
    case 1: other = _mm512_permute_ps(v, 0xb1); break;
    case 2: other = _mm512_permute_ps(v, 0x4e); break;
    case 4: other = _mm512_shuffle_f32x4(v, v, 0xb1); break;
    default: other = _mm512_shuffle_f32x4(v, v, 0x4e); break;
  }
  __mmask16 second = width == 1 ? 0xaaaa : width == 2 ? 0xcccc : width == 4 ? 0xf0f0 : 0xff00;
  sign = _mm512_mask_blend_ps(second, _mm512_set1_ps(1), _mm512_set1_ps(-1));
  return _mm512_fmadd_ps(v, sign, other);
}

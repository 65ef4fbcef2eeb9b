// Sums over sections of the 8-bit cache on 128-bit vectors.
#include "neon.h"

#if defined(__aarch64__)
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define NAME(FUNCTION) tsr_neon_##FUNCTION
enum { LANES = 4, WIDE = 4 };  // 16 accumulators of 32 registers
typedef int32x4_t ivec;
typedef float32x4_t fvec;

INLINE ivec load_bytes(const uint8_t *p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
INLINE ivec even_bytes(ivec v) { return vandq_s32(v, vdupq_n_s32(0x00ff00ff)); }
INLINE ivec odd_bytes(ivec v) {
  return vreinterpretq_s32_u16(vshrq_n_u16(vreinterpretq_u16_s32(v), 8));
}
INLINE ivec broadcast_int(int32_t x) { return vdupq_n_s32(x); }
INLINE ivec broadcast_pair(const int16_t *p) {
  int32_t bits;
  memcpy(&bits, p, sizeof bits);
  return vdupq_n_s32(bits);
}
INLINE ivec multiply_pairs(ivec sum, ivec a, ivec b) {
  int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
  int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
  return vaddq_s32(sum, vpaddq_s32(low, vmull_high_s16(x, y)));
}
INLINE ivec add_ints(ivec a, ivec b) { return vaddq_s32(a, b); }
INLINE int32_t sum_ints(ivec v) { return vaddvq_s32(v); }
INLINE fvec ints_to_floats(ivec v) { return vcvtq_f32_s32(v); }
INLINE fvec load_floats(const float *p) { return vld1q_f32(p); }
INLINE void store_floats(float *p, fvec v) { vst1q_f32(p, v); }
INLINE fvec broadcast_float(const float *p) { return vld1q_dup_f32(p); }
INLINE fvec add_floats(fvec a, fvec b) { return vaddq_f32(a, b); }
INLINE fvec subtract(fvec a, fvec b) { return vsubq_f32(a, b); }
INLINE fvec multiply(fvec a, fvec b) { return vmulq_f32(a, b); }
INLINE fvec max_floats(fvec a, fvec b) { return vmaxq_f32(a, b); }
INLINE float largest_lane(fvec v) { return vmaxvq_f32(v); }
INLINE float sum_floats(fvec v) { return vaddvq_f32(v); }
INLINE fvec select_or_minus_infinity(fvec v, uint32_t bits) {
  const uint32_t lane[4] = {1, 2, 4, 8};
  return vbslq_f32(vtstq_u32(vdupq_n_u32(bits), vld1q_u32(lane)), v, vdupq_n_f32(-INFINITY));
}
INLINE fvec exponential(fvec x) { return tsr_neon_exponential(x); }
INLINE ivec store_codes16(int16_t *p, fvec v) {
  ivec codes = vcvtnq_s32_f32(v);
  int16x4_t words = vmovn_s32(codes);
  int16_t four[4];
  vst1_s16(four, words);
  p[0] = four[0], p[1] = four[2], p[2] = four[1], p[3] = four[3];
  return codes;
}

#include "vector_attention.h"
#endif

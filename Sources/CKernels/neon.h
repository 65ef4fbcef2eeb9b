// What neon.c takes from neon_matmul.c, neon_i8mm.c and neon_attention.c, and shares with them.
#ifndef TSR_NEON_H
#define TSR_NEON_H
#include "CKernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define TSR_PANEL_KERNEL(NAME) \
  void NAME(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens, float *out)
TSR_PANEL_KERNEL(tsr_neon_int8);
TSR_PANEL_KERNEL(tsr_neon_int4);
TSR_PANEL_KERNEL(tsr_neon_int4_affine);
size_t tsr_neon_mac_loop(size_t rounds);
void tsr_neon_trellis(const uint8_t *strand, size_t readable, size_t count, unsigned bits,
                      const uint8_t *table, uint8_t *out);
void tsr_neon_fold_section(const tsr_section *section);
// Only what the residuals add to `out`.
TSR_PANEL_KERNEL(tsr_neon_residuals_int8);
TSR_PANEL_KERNEL(tsr_neon_residuals_int4);
TSR_PANEL_KERNEL(tsr_neon_residuals_int4_affine);

TSR_PANEL_KERNEL(tsr_i8mm_int8);
TSR_PANEL_KERNEL(tsr_i8mm_int4);
TSR_PANEL_KERNEL(tsr_i8mm_int4_affine);
size_t tsr_i8mm_mac_loop(size_t rounds);

// Four half-precision values.
static inline __attribute__((always_inline)) float32x4_t tsr_neon_halves(const void *p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)p)));
}

// e^x for x <= 88, to about 2 ulp: x = n ln 2 + r, |r| <= ln 2 / 2, and a polynomial of degree 6
// (Taylor's terms; the remainder is below r^7 / 5040 = 1.2e-7). Below -87 the result is 0.
static inline __attribute__((always_inline)) float32x4_t tsr_neon_exponential(float32x4_t x) {
  uint32x4_t tiny = vcltq_f32(x, vdupq_n_f32(-87.0f));
  x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(-87.0f)), vdupq_n_f32(88.0f));
  float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
  float32x4_t r = vfmsq_n_f32(x, n, 0.693145752f);  // ln 2 in two parts
  r = vfmsq_n_f32(r, n, 1.42860677e-6f);
  float32x4_t p = vdupq_n_f32(1.0f / 720);
  p = vfmaq_f32(vdupq_n_f32(1.0f / 120), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f / 24), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f / 6), p, r);
  p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
  int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
  float32x4_t e = vmulq_f32(p, vreinterpretq_f32_s32(power));
  return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(e), tiny));
}
#endif
#endif

// Functions that neon.c, neon_matmul.c, neon_i8mm.c and neon_attention.c share.
#ifndef TSR_NEON_H
#define TSR_NEON_H
#include "CKernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define TSR_PANEL_KERNEL(NAME) \
  void NAME(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens, float *out)
// residuals: only what the residuals add to `out`.
#define TSR_NEON_PANEL(NAME, ENCODING)        \
  TSR_PANEL_KERNEL(tsr_neon_##NAME);           \
  TSR_PANEL_KERNEL(tsr_neon_residuals_##NAME); \
  TSR_PANEL_KERNEL(tsr_i8mm_##NAME);
TSR_SIMPLE_ENCODINGS(TSR_NEON_PANEL)
TSR_BIT_PLANE_ENCODINGS(TSR_NEON_PANEL)
size_t tsr_neon_mac_loop(size_t rounds);
void tsr_neon_trellis(const uint8_t *strand, size_t readable, size_t count, unsigned rate,
                      const uint8_t *table, uint8_t *out);
void tsr_neon_fold_section(const tsr_section *section);
size_t tsr_i8mm_mac_loop(size_t rounds);

// Four half-precision values.
static inline __attribute__((always_inline)) float32x4_t tsr_neon_halves(const void *p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)p)));
}

// Bits of a plane, at their place in the codes of 4 columns of 4 rows.
static inline __attribute__((always_inline)) uint8x16_t tsr_neon_plane_step(const uint8_t *codes,
                                                                            unsigned width,
                                                                            unsigned taken,
                                                                            unsigned step) {
  unsigned places = 8 / width, at = step % places * width;
  uint8x16_t line = vld1q_u8(codes + 64 * (taken + step / places));
  line = vshlq_u8(line, vdupq_n_s8((int8_t)((int)taken - (int)at)));
  return vandq_u8(line, vdupq_n_u8((uint8_t)(((1u << width) - 1) << taken)));
}

// Signed codes, their offset taken off, of 4 columns of rows 4 v ... 4 v + 3: step `step` of a group's 8.
static inline __attribute__((always_inline)) int8x16_t tsr_neon_code_step(const uint8_t *codes,
                                                                          tsr_panel_form form,
                                                                          unsigned step, int v) {
  uint8x16_t code = vdupq_n_u8(0);
  codes += 16 * v;
  if (form.bits & 4) code = tsr_neon_plane_step(codes, 4, 0, step);
  if (form.bits & 2) code = vorrq_u8(code, tsr_neon_plane_step(codes, 2, form.bits & 4, step));
  if (form.bits & 1) code = vorrq_u8(code, tsr_neon_plane_step(codes, 1, form.bits & 6, step));
  return vsubq_s8(vreinterpretq_s8_u8(code), vdupq_n_s8((int8_t)form.offset));
}

// 4 bytes, or nibbles of bytes, as floats.
static inline __attribute__((always_inline)) float32x4_t tsr_neon_integers(const uint8_t *p,
                                                                           bool is_signed,
                                                                           unsigned shift,
                                                                           unsigned mask) {
  uint32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(four));
  if (is_signed)
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(bytes)))));
  bytes = vand_u8(vshl_u8(bytes, vdup_n_s8((int8_t)-(int)shift)), vdup_n_u8((uint8_t)mask));
  return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
}

typedef struct {
  float32x4_t scale, minimum;
} tsr_neon_scaling;

// How rows 4 v ... 4 v + 3 are scaled in one part of a group. Offsets have been taken off the codes.
static inline __attribute__((always_inline)) tsr_neon_scaling tsr_neon_scaling_of(
    tsr_panel_form form, const uint8_t *panel, size_t groups, size_t group, unsigned part, int v) {
  const size_t rows = 4 * (size_t)v, at = 32 * group;
  if (!form.factors) {
    const uint8_t *scales = panel + at + 2 * rows;
    return (tsr_neon_scaling){
        tsr_neon_halves(scales),
        form.planes > 1 ? tsr_neon_halves(scales + tsr_plane_bytes(groups)) : vdupq_n_f32(0)};
  }
  const uint8_t *integers = panel + at + rows + 16 * part;
  const uint8_t *factors = tsr_factors(form, panel, groups, group) + 2 * rows;
  float32x4_t factor = tsr_neon_halves(factors);
  if (form.factors == 1)
    return (tsr_neon_scaling){vmulq_f32(factor, tsr_neon_integers(integers, true, 0, 255)),
                              vdupq_n_f32(0)};
  float32x4_t less = vnegq_f32(tsr_neon_halves(factors + 32));
  bool nibbles = form.parts == 2;
  return (tsr_neon_scaling){
      vmulq_f32(factor, tsr_neon_integers(integers, false, 0, nibbles ? 15 : 255)),
      vmulq_f32(less, nibbles ? tsr_neon_integers(integers, false, 4, 15)
                              : tsr_neon_integers(integers + 16, false, 0, 255))};
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

// What neon.c takes from neon_matmul.c and neon_i8mm.c.
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
#endif
#endif

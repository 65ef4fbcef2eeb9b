// What neon.c takes from neon_matmul.c.
#ifndef TSR_NEON_H
#define TSR_NEON_H
#include "CKernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

void tsr_neon_int8(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out);
void tsr_neon_int4(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out);
void tsr_neon_int4_affine(const uint8_t *panel, const tsr_activations *x, size_t first,
                          size_t tokens, float *out);
size_t tsr_neon_mac_loop(size_t rounds);

// Four half-precision values.
static inline __attribute__((always_inline)) float32x4_t tsr_neon_halves(const void *p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)p)));
}
#endif
#endif

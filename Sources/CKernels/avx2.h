// What avx2.c takes from avx2_matmul.c. Panel kernels of the AVX2 table.
#ifndef TSR_AVX2_H
#define TSR_AVX2_H
#include "CKernels.h"

void tsr_avx2_int8(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out);
void tsr_avx2_int4(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out);
void tsr_avx2_int4_affine(const uint8_t *panel, const tsr_activations *x, size_t first,
                          size_t tokens, float *out);
#endif

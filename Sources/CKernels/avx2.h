// The AVX2 kernels, which the tables of newer x86 instruction sets take over.
#ifndef TSR_AVX2_H
#define TSR_AVX2_H
#include "CKernels.h"

// Whether the processor runs what stands below.
bool tsr_avx2_usable(void);

void tsr_avx2_int8(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out);
void tsr_avx2_int4(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out);
void tsr_avx2_int4_affine(const uint8_t *panel, const tsr_activations *x, size_t first,
                          size_t tokens, float *out);
size_t tsr_avx2_mac_loop(size_t rounds);

void tsr_avx2_quantize(const tsr_activations *a, const float *x, size_t term, size_t count);
float tsr_avx2_dot_f32(const float *a, const float *b, size_t count);
float tsr_avx2_dot_f16(const uint16_t *a, const float *b, size_t count);
float tsr_avx2_largest(const float *x, size_t count);
void tsr_avx2_scores(const float *queries, size_t rows, const float *keys, size_t dim, float *out);
void tsr_avx2_weigh(const float *weights, size_t rows, const float *values, size_t dim,
                    float *out);
float tsr_avx2_narrow_int8(const float *x, size_t count, int8_t *codes);
void tsr_avx2_widen_int8(const int8_t *x, float scale, float *y, size_t count);
void tsr_avx2_widen_f16(const uint16_t *x, float *y, size_t count);
float tsr_avx2_exponentials(float *x, float max, size_t count);
void tsr_avx2_swiglu(const float *gate, const float *up, float *out, size_t count);

// Initializers of a table's entries but its name, panels and mac_loop.
#define TSR_AVX2_VECTOR_KERNELS                                                   \
  .quantize = tsr_avx2_quantize, .dot_f32 = tsr_avx2_dot_f32,                     \
  .dot_f16 = tsr_avx2_dot_f16, .largest = tsr_avx2_largest,                       \
  .scores = tsr_avx2_scores, .weigh = tsr_avx2_weigh,                             \
  .narrow_int8 = tsr_avx2_narrow_int8, .widen_int8 = tsr_avx2_widen_int8,         \
  .widen_f16 = tsr_avx2_widen_f16, .exponentials = tsr_avx2_exponentials,         \
  .swiglu = tsr_avx2_swiglu

#endif

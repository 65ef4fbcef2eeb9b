// The AVX2 kernels, which the tables of newer x86 instruction sets use too.
#ifndef TSR_AVX2_H
#define TSR_AVX2_H
#include "x86_kernels.h"

// Whether the processor runs these kernels.
bool tsr_avx2_usable(void);

#define TSR_AVX2_PANEL(NAME, ENCODING)                                                      \
  void tsr_avx2_##NAME(const uint8_t *panel, const tsr_activations *x, size_t first,        \
                       size_t tokens, float *out);
TSR_SIMPLE_ENCODINGS(TSR_AVX2_PANEL)
TSR_BIT_PLANE_ENCODINGS(TSR_AVX2_PANEL)
void tsr_avx2_int8_pair(const uint8_t *bytes, const tsr_activations *x, size_t first, size_t tokens,
                        float *out);
size_t tsr_avx2_mac_loop(size_t rounds);

float tsr_avx2_dot_f16(const uint16_t *a, const float *b, size_t count);
void tsr_avx2_scores(const float *queries, size_t rows, const float *keys, size_t dim, float *out);
void tsr_avx2_weigh(const float *weights, size_t rows, const float *values, size_t dim,
                    float *out);
void tsr_avx2_widen_f16(const uint16_t *x, float *y, size_t count);

// Initializers of a table's entries that take floats of a file or of a cache of floats.
#define TSR_AVX2_FLOAT_KERNELS                                      \
  .dot_f16 = tsr_avx2_dot_f16, .scores = tsr_avx2_scores,           \
  .weigh = tsr_avx2_weigh, .widen_f16 = tsr_avx2_widen_f16
// All entries except its name, panels and mac_loop.
#define TSR_AVX2_VECTOR_KERNELS TSR_AVX2_FLOAT_KERNELS, TSR_VECTOR_KERNELS(tsr_avx2_)

#endif

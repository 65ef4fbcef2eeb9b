// Kernels of the scalar table that other tables use where they have no faster ones.
#ifndef TSR_SCALAR_H
#define TSR_SCALAR_H
#include <string.h>

#include "CKernels.h"

// The largest |x|; a NaN counts as larger than every number.
static inline float tsr_largest_size(const float *x, size_t count) {
  uint32_t most = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffff;
    most = bits > most ? bits : most;
  }
  float size;
  memcpy(&size, &most, sizeof size);
  return size;
}

float tsr_scalar_dot_f32(const float *a, const float *b, size_t count);
float tsr_scalar_largest(const float *x, size_t count);
void tsr_scalar_scores(const float *queries, size_t rows, const float *keys, size_t dim,
                       float *out);
void tsr_scalar_weigh(const float *weights, size_t rows, const float *values, size_t dim,
                      float *out);
void tsr_scalar_fold_section(const tsr_section *section);
void tsr_scalar_hadamard(float *x, size_t count);
float tsr_scalar_narrow_int8(const float *x, size_t count, int8_t *codes);
float tsr_scalar_narrow_query(const float *x, size_t count, size_t dim, int16_t *codes,
                              int32_t *sum);
void tsr_scalar_widen_f16(const uint16_t *x, float *y, size_t count);
void tsr_scalar_normalize(const float *x, float factor, const float *weight, float *out,
                          size_t count);
void tsr_scalar_rotate(float *x, const float *cosines, const float *sines, size_t half,
                       float factor);
void tsr_scalar_choose_largest(const float *x, size_t count, size_t wanted, uint32_t *chosen);
void tsr_scalar_summarize(const float *row, size_t count, tsr_row_summary *summary);

#endif

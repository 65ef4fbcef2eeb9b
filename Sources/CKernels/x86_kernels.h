// Kernels written once for vectors of any length (vector_attention.h, x86_vectors.h, x86_summary.h), as
// AVX2 and AVX-512 instantiate them.
#ifndef TSR_X86_KERNELS_H
#define TSR_X86_KERNELS_H
#include "CKernels.h"

#define TSR_DECLARE_VECTOR_KERNELS(PREFIX)                                                     \
  void PREFIX##fold_section(const tsr_section *section);                                       \
  size_t PREFIX##quantize(const tsr_activations *a, const float *x, size_t term,               \
                          size_t count);                                                       \
  float PREFIX##dot_f32(const float *a, const float *b, size_t count);                         \
  float PREFIX##largest(const float *x, size_t count);                                         \
  void PREFIX##hadamard(float *x, size_t count);                                               \
  float PREFIX##narrow_int8(const float *x, size_t count, int8_t *codes);                      \
  float PREFIX##narrow_query(const float *x, size_t count, size_t dim, int16_t *codes,         \
                             int32_t *sum);                                                    \
  float PREFIX##exponentials(float *x, float max, size_t count);                               \
  void PREFIX##swiglu(const float *gate, const float *up, float *out, size_t count);           \
  void PREFIX##geglu(const float *gate, const float *up, float *out, size_t count);            \
  void PREFIX##normalize(const float *x, float factor, const float *weight, float *out,        \
                         size_t count);                                                        \
  void PREFIX##rotate(float *x, const float *cosines, const float *sines, size_t half,         \
                      float factor);                                                           \
  void PREFIX##choose_largest(const float *x, size_t count, size_t wanted, uint32_t *chosen);  \
  void PREFIX##summarize(const float *row, size_t count, tsr_row_summary *summary);

TSR_DECLARE_VECTOR_KERNELS(tsr_avx2_)
TSR_DECLARE_VECTOR_KERNELS(tsr_avx512_)
void tsr_rans_avx512(const tsr_rans_table *table, tsr_rans_streams *streams, size_t steps,
                     bool nibbles, uint8_t base, uint8_t *out);
void tsr_trellis_avx2(const uint8_t *strand, size_t readable, size_t count, unsigned rate,
                      const uint8_t *table, uint8_t *out);
void tsr_strands_vbmi(const tsr_trellis_tile *tile, size_t panel, size_t panels,
                      const tsr_activations *x, size_t first, size_t tokens, float *out);
void tsr_trellis_vbmi(const uint8_t *strand, size_t readable, size_t count, unsigned rate,
                      const uint8_t *table, uint8_t *out);

// Initializers of a table's entries.
#define TSR_VECTOR_KERNELS(PREFIX)                                                        \
  .quantize = PREFIX##quantize, .dot_f32 = PREFIX##dot_f32, .largest = PREFIX##largest,   \
  .fold_section = PREFIX##fold_section, .hadamard = PREFIX##hadamard,                     \
  .narrow_int8 = PREFIX##narrow_int8, .narrow_query = PREFIX##narrow_query,               \
  .exponentials = PREFIX##exponentials, .swiglu = PREFIX##swiglu,                         \
  .geglu = PREFIX##geglu,                                                                 \
  .normalize = PREFIX##normalize, .rotate = PREFIX##rotate,                               \
  .choose_largest = PREFIX##choose_largest, .summarize = PREFIX##summarize

#endif

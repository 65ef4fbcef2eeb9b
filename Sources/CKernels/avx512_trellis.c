// The multiplication of avx512vnni.c for matrices of class 4, where the processor has VBMI: codes are decoded in
// registers and multiplied from there.
#include "x86_kernels.h"

#if defined(__x86_64__)
#ifdef TSR_EMULATED  // Tools/check-avx512 compiles this file against an emulation
#include TSR_EMULATED
#else
#include <immintrin.h>
#pragma clang attribute push(                                                                 \
    __attribute__((target(                                                                    \
        "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,avx2,fma,f16c"))),          \
    apply_to = function)
#endif

#define TSR_STRANDS
#include "avx512_strands.h"
#include "avx512_panels.h"

void tsr_trellis_vbmi(const uint8_t *strand, size_t readable, size_t count, unsigned rate,
                      const uint8_t *table, uint8_t *out) {
  (void)readable;
  const strand_decoder decoder = make_decoder(rate, table);
  for (size_t i = 0; i < count; i += 64, strand += (size_t)4 * rate)
    _mm512_storeu_si512(out + i, decode_64(&decoder, strand));
}

void tsr_strands_vbmi(const tsr_trellis_tile *tile, size_t panel, size_t panels,
                      const tsr_activations *x, size_t first, size_t tokens, float *out) {
  const panel_source source = {.scales = tile->planes, .codes = tile->strands,
                               .scales_stride = tile->stride, .codes_stride = tile->strand_bytes,
                               .group_bytes = 32 * tile->rate,
                               .decoder = make_decoder(tile->rate, tile->table)};
  if (panels == 2) multiply_panels(&source, panel, 2, x, first, tokens, out, STRANDS);
  else multiply_panels(&source, panel, 1, x, first, tokens, out, STRANDS);
}

#ifndef TSR_EMULATED
#pragma clang attribute pop
#endif
#endif

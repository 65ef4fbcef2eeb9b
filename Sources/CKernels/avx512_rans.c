// Decodes the symbols of storage class 2 with AVX-512: sixteen states in a register, tables of 64 entries
// in two.
#include "x86_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(                                                   \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,popcnt"))), \
    apply_to = function)

#define INLINE static inline __attribute__((always_inline))

typedef struct {
  __m512i low, high;
} table64;

INLINE table64 load_table(const uint16_t *entries) {
  return (table64){_mm512_loadu_si512(entries), _mm512_loadu_si512(entries + 32)};
}

enum { EVEN = 0x55555555 };  // the low half of every 32-bit lane: the others become zero

INLINE __m512i look_up(__mmask32 lanes, table64 table, __m512i index) {
  return _mm512_maskz_permutex2var_epi16(lanes, table.low, index, table.high);
}

typedef struct {
  table64 divide, other, shift, own_frequency, other_frequency;
} tables;

// Sixteen symbols of a stream, whose states and next word move on.
INLINE __m512i take(const tables *t, __m512i *state, const uint8_t **next) {
  const __m512i six = _mm512_set1_epi32(63);
  __m512i x = *state, index = _mm512_srli_epi32(x, 6), rank = _mm512_and_si512(x, six);
  __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)*next));
  // Both of a bucket's symbols are looked up before it is known which one it is.
  __m512i other = look_up(EVEN, t->other, index), shift = look_up(EVEN, t->shift, index);
  __m512i frequency = look_up(EVEN, t->own_frequency, index);
  __m512i other_frequency = look_up(EVEN, t->other_frequency, index);
  __mmask16 others = _mm512_cmpge_epu32_mask(rank, look_up(EVEN, t->divide, index));
  frequency = _mm512_mask_mov_epi32(frequency, others, other_frequency);
  // Ranks are below 2^16, and so is their sum but for what a negative shift wraps around.
  __m512i shifted = _mm512_maskz_add_epi16(EVEN, rank, shift);
  rank = _mm512_mask_mov_epi32(rank, others, shifted);
  x = _mm512_add_epi32(_mm512_mullo_epi32(frequency, _mm512_srli_epi32(x, 12)), rank);
  __mmask16 poor = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(1 << 16));
  words = _mm512_maskz_expand_epi32(poor, words);
  *state = _mm512_mask_or_epi32(x, poor, _mm512_slli_epi32(x, 16), words);
  *next += 2 * __builtin_popcount(poor);
  return _mm512_mask_mov_epi32(_mm512_and_si512(index, six), others, other);
}

void tsr_rans_avx512(const tsr_rans_table *table, tsr_rans_streams *streams, size_t steps,
                     bool nibbles, uint8_t base, uint8_t *out) {
  uint16_t frequencies[TSR_RANS_SYMBOLS];
  for (int b = 0; b < TSR_RANS_SYMBOLS; b++) frequencies[b] = table->frequency[table->other[b]];
  const tables t = {load_table(table->divide), load_table(table->other), load_table(table->shift),
                    load_table(table->frequency), load_table(frequencies)};
  __m512i states[TSR_RANS_STREAMS];
  const uint8_t *next[TSR_RANS_STREAMS];
  for (int j = 0; j < TSR_RANS_STREAMS; j++) {
    states[j] = _mm512_loadu_si512(streams->states[j]);
    next[j] = streams->next[j];
  }
  const __m512i first = _mm512_set1_epi32(base);
  for (; steps > 0; steps--) {
    __m512i symbols[TSR_RANS_STREAMS];
#pragma clang loop unroll(full)
    for (int j = 0; j < TSR_RANS_STREAMS; j++) symbols[j] = take(&t, &states[j], &next[j]);
    if (nibbles) {
      for (int j = 0; j < TSR_RANS_STREAMS; j += 2, out += TSR_RANS_LANES)
        _mm_storeu_si128((__m128i *)out,
                         _mm512_cvtepi32_epi8(_mm512_or_si512(
                             symbols[j], _mm512_slli_epi32(symbols[j + 1], 4))));
    } else {
      for (int j = 0; j < TSR_RANS_STREAMS; j++, out += TSR_RANS_LANES)
        _mm_storeu_si128((__m128i *)out,
                         _mm512_cvtepi32_epi8(_mm512_add_epi32(symbols[j], first)));
    }
  }
  for (int j = 0; j < TSR_RANS_STREAMS; j++) {
    _mm512_storeu_si512(streams->states[j], states[j]);
    streams->next[j] = next[j];
  }
}

#pragma clang attribute pop
#endif

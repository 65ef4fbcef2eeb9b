// Decodes the symbols of storage class 2 with AVX-512: sixteen states in a register; those of two streams
// are looked up together, 16 bits each, in tables of 64 entries that lie in two registers.
#include "x86_kernels.h"

#if defined(__x86_64__)
#ifdef TSR_EMULATED  // Tools/check-avx512 compiles this file against an emulation
#include TSR_EMULATED
#else
#include <immintrin.h>
#pragma clang attribute push(                                                   \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,popcnt"))), \
    apply_to = function)
#endif

#define INLINE static inline __attribute__((always_inline))

typedef struct {
  __m512i low, high;
} table64;

INLINE table64 load_table(const uint16_t *entries) {
  return (table64){_mm512_loadu_si512(entries), _mm512_loadu_si512(entries + 32)};
}

INLINE __m512i look_up(table64 table, __m512i index) {
  return _mm512_permutex2var_epi16(table.low, index, table.high);
}

typedef struct {
  table64 divide, other, shift, own_frequency, other_frequency;
} tables;

enum { ODD = (int)0xAAAAAAAA };  // the upper halves of 32-bit lanes

// Moves a stream's states on: frequency * (x / 4096) + rank, then a word where they fell too low.
INLINE __m512i move_on(__m512i x, __m512i frequency, __m512i rank, const uint8_t **next) {
  __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)*next));
  x = _mm512_add_epi32(_mm512_mullo_epi32(frequency, _mm512_srli_epi32(x, 12)), rank);
  __mmask16 poor = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(1 << 16));
  words = _mm512_maskz_expand_epi32(poor, words);
  *next += 2 * __builtin_popcount(poor);
  return _mm512_mask_or_epi32(x, poor, _mm512_slli_epi32(x, 16), words);
}

// Sixteen symbols of each of two streams, in the lower and the upper halves of the lanes.
INLINE __m512i take(const tables *t, __m512i states[2], const uint8_t *next[2]) {
  const __m512i six = _mm512_set1_epi16(63), low = _mm512_set1_epi32(0xFFFF);
  __m512i x = _mm512_mask_blend_epi16(ODD, states[0], _mm512_slli_epi32(states[1], 16));
  __m512i index = _mm512_srli_epi16(x, 6), rank = _mm512_and_si512(x, six);
  // Both symbols of a bucket are looked up; the right one is chosen later.
  __m512i other = look_up(t->other, index), shift = look_up(t->shift, index);
  __m512i frequency = look_up(t->own_frequency, index);
  __m512i other_frequency = look_up(t->other_frequency, index);
  __mmask32 others = _mm512_cmpge_epu16_mask(rank, look_up(t->divide, index));
  frequency = _mm512_mask_mov_epi16(frequency, others, other_frequency);
  rank = _mm512_mask_add_epi16(rank, others, rank, shift);
  states[0] = move_on(states[0], _mm512_and_si512(frequency, low), _mm512_and_si512(rank, low),
                      &next[0]);
  states[1] = move_on(states[1], _mm512_srli_epi32(frequency, 16), _mm512_srli_epi32(rank, 16),
                      &next[1]);
  return _mm512_mask_mov_epi16(_mm512_and_si512(index, six), others, other);
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
  const __m512i first = _mm512_set1_epi16(base);
  for (; steps > 0; steps--) {
#pragma clang loop unroll(full)
    for (int j = 0; j < TSR_RANS_STREAMS; j += 2) {
      __m512i symbols = take(&t, states + j, next + j);
      if (nibbles) {
        symbols = _mm512_or_si512(symbols, _mm512_srli_epi32(symbols, 12));
        _mm_storeu_si128((__m128i *)out, _mm512_cvtepi32_epi8(symbols));
        out += TSR_RANS_LANES;
      } else {
        symbols = _mm512_add_epi16(symbols, first);
        _mm256_storeu_si256((__m256i *)out, _mm512_cvtepi16_epi8(symbols));
        out += 2 * TSR_RANS_LANES;
      }
    }
  }
  for (int j = 0; j < TSR_RANS_STREAMS; j++) {
    _mm512_storeu_si512(streams->states[j], states[j]);
    streams->next[j] = next[j];
  }
}

#ifndef TSR_EMULATED
#pragma clang attribute pop
#endif
#endif

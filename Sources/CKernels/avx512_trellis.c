// Decodes strands of class 3 with the byte permutations of AVX-512 VBMI (Ice Lake, Zen 4 and later): 64 codes by three
// of them. Eight codes take `bits` bytes, so that one spreads these to eight lanes, one cuts eight windows out of each
// lane, and one looks them up in the table, which two registers hold.
#include "x86_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(                                                          \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi"))), apply_to = function)

enum { STEP = 64, AHEAD = 24576 };

void tsr_trellis_vbmi(const uint8_t *strand, size_t readable, size_t count, unsigned bits,
                      const uint8_t *table, uint8_t *out) {
  const uint64_t ones = 0x0101010101010101, bytes = 0x0706050403020100;
  const __m512i low = _mm512_loadu_si512(table), high = _mm512_loadu_si512(table + STEP);
  // Byte b of lane q comes from byte q * bits + b; its window begins at bit b * bits of the lane.
  const __m512i spread = _mm512_add_epi64(
      _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0),
                         _mm512_set1_epi64((long long)(bits * ones))),
      _mm512_set1_epi64((long long)bytes));
  const __m512i starts = _mm512_set1_epi64((long long)(bits * bytes));
  size_t step = (size_t)STEP / 8 * bits, i = 0;
  for (; i + STEP <= count && readable >= STEP; i += STEP, strand += step, readable -= step) {
    _mm_prefetch((const char *)strand + AHEAD, _MM_HINT_T0);
    __m512i x = _mm512_permutexvar_epi8(spread, _mm512_loadu_si512(strand));
    x = _mm512_permutex2var_epi8(low, _mm512_multishift_epi64_epi8(starts, x), high);
    _mm512_storeu_si512(out + i, x);
  }
  for (; i < count; i += STEP, strand += step) {
    size_t left = count - i;
    __mmask64 there = readable >= STEP ? ~(__mmask64)0 : ((__mmask64)1 << readable) - 1;
    __mmask64 wanted = left >= STEP ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1;
    __m512i x = _mm512_permutexvar_epi8(spread, _mm512_maskz_loadu_epi8(there, strand));
    x = _mm512_permutex2var_epi8(low, _mm512_multishift_epi64_epi8(starts, x), high);
    _mm512_mask_storeu_epi8(out + i, wanted, x);
    readable -= readable < step ? readable : step;
  }
}

#pragma clang attribute pop
#endif

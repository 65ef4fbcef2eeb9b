// Codes of class 4 with the byte permutations of AVX-512 VBMI (Ice Lake, Zen 4 and later): 64 codes by three of
// them. Eight codes take `rate` halves of a byte, so that one spreads these to eight lanes, one cuts eight windows out of
// each lane, and one looks them up in the table, which two registers hold.
// Included with the target's attribute open.
#ifndef TSR_AVX512_STRANDS_H
#define TSR_AVX512_STRANDS_H

typedef struct {
  __m512i spread, starts;  // of bytes in the 64 that are loaded, of windows in their lane
  __m512i low, high;       // the table
  __mmask64 loaded;        // the bytes of 64 codes
} strand_decoder;

static inline __attribute__((always_inline)) strand_decoder make_decoder(unsigned rate,
                                                                         const uint8_t *table) {
  const uint64_t bytes = 0x0706050403020100;
  const __m512i each = _mm512_set1_epi8(1);
  // Lane q begins in byte q * rate / 2, half a byte later where that is no whole number; window b begins at bit
  // b * rate / 2 later.
  uint64_t windows = 0;
  for (unsigned b = 0; b < 8; b++) windows |= (uint64_t)tsr_trellis_start(b, rate) << 8 * b;
  __m512i halves = _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0),
                                      _mm512_set1_epi64((long long)rate));
  __m512i odd = _mm512_and_si512(halves, _mm512_set1_epi64(1));
  __m512i begin = _mm512_mullo_epi64(_mm512_srli_epi64(halves, 1), each);
  return (strand_decoder){
      .spread = _mm512_add_epi64(begin, _mm512_set1_epi64((long long)bytes)),
      .starts = _mm512_add_epi64(_mm512_mullo_epi64(_mm512_slli_epi64(odd, 2), each),
                                 _mm512_set1_epi64((long long)windows)),
      .low = _mm512_loadu_si512(table),
      .high = _mm512_loadu_si512(table + 64),
      .loaded = ((__mmask64)1 << (4 * rate + 1)) - 1,
  };
}

static inline __attribute__((always_inline)) __m512i decode_64(const strand_decoder *d,
                                                               const uint8_t *p) {
  __m512i x = _mm512_permutexvar_epi8(d->spread, _mm512_maskz_loadu_epi8(d->loaded, p));
  return _mm512_permutex2var_epi8(d->low, _mm512_multishift_epi64_epi8(d->starts, x), d->high);
}
#endif

// Decodes strands of class 3 with AVX2: 32 codes at a time, whose windows are cut out of pairs of bytes by
// multiplications and looked up in eight tables of 16.
#include "x86_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

enum { STEP = 32, TABLES = TSR_TRELLIS_TABLE / 16, LOADED = 16 };

typedef struct {
  __m256i bytes, factors;  // of 16 windows: their two bytes, and what moves them to the top
} cuts;

static cuts make_cuts(unsigned bits) {
  uint8_t bytes[32];
  uint16_t factors[16];
  for (unsigned i = 0; i < 16; i++) {
    bytes[2 * i] = (uint8_t)(i * bits / 8);
    bytes[2 * i + 1] = (uint8_t)(i * bits / 8 + 1);
    factors[i] = (uint16_t)(1 << (16 - TSR_TRELLIS_WINDOW - i * bits % 8));
  }
  return (cuts){_mm256_loadu_si256((const __m256i *)bytes),
                _mm256_loadu_si256((const __m256i *)factors)};
}

// Sixteen windows, as 16-bit numbers.
INLINE __m256i cut(const cuts *c, const uint8_t *p) {
  __m256i x = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
  x = _mm256_mullo_epi16(_mm256_shuffle_epi8(x, c->bytes), c->factors);
  return _mm256_srli_epi16(x, 16 - TSR_TRELLIS_WINDOW);
}

// Entries of all tables, of which only one is asked for what it has: of others the index's top bit is set.
INLINE __m256i look_up(const __m256i tables[TABLES], __m256i index) {
  __m256i found = _mm256_setzero_si256();
#pragma clang loop unroll(full)
  for (int t = 0; t < TABLES; t++) {
    __m256i own = _mm256_sub_epi8(index, _mm256_set1_epi8((char)(16 * t)));
    own = _mm256_adds_epu8(own, _mm256_set1_epi8(0x70));
    found = _mm256_or_si256(found, _mm256_shuffle_epi8(tables[t], own));
  }
  return found;
}

void tsr_trellis_avx2(const uint8_t *strand, size_t readable, size_t count, unsigned bits,
                      const uint8_t *table, uint8_t *out) {
  const cuts c = make_cuts(bits);
  const size_t half = 2 * bits, reach = half + LOADED;
  __m256i tables[TABLES];
  for (int t = 0; t < TABLES; t++)
    tables[t] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16 * t)));
  for (size_t i = 0; i < count; i += STEP, strand += 2 * half) {
    uint8_t rest[2 * LOADED] = {0};
    const uint8_t *from = strand;
    if (readable < reach) from = memcpy(rest, strand, readable);
    __m256i index = _mm256_packus_epi16(cut(&c, from), cut(&c, from + half));
    index = _mm256_permute4x64_epi64(index, _MM_SHUFFLE(3, 1, 2, 0));
    _mm256_storeu_si256((__m256i *)(out + i), look_up(tables, index));
    readable -= 2 * half;
  }
}

#pragma clang attribute pop
#endif

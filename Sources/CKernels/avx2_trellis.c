// Decodes strands of class 4 with AVX2: 32 codes at a time, whose windows are cut out of pairs of bytes by
// multiplications and looked up in eight tables of 16.
#include "x86_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

enum { STEP = 32, TABLES = TSR_TRELLIS_TABLE / 16, LOADED = 16 };

// For windows of 16 bits in each lane: the two bytes that hold each, and the factors that move it to the top.
typedef struct {
  __m256i bytes, factors;
} cuts;

// Windows first to first + 7 after a lane's start.
static cuts make_cuts(unsigned rate, unsigned first) {
  uint8_t bytes[16];
  uint16_t factors[8];
  for (unsigned i = 0; i < 8; i++) {
    unsigned at = (unsigned)tsr_trellis_start(first + i, rate);
    bytes[2 * i] = (uint8_t)(at / 8);
    bytes[2 * i + 1] = (uint8_t)(at / 8 + 1);
    factors[i] = (uint16_t)(1 << (16 - TSR_TRELLIS_WINDOW - at % 8));
  }
  return (cuts){_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)bytes)),
                _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)factors))};
}

INLINE __m256i cut(cuts c, __m256i strand) {
  strand = _mm256_mullo_epi16(_mm256_shuffle_epi8(strand, c.bytes), c.factors);
  return _mm256_srli_epi16(strand, 16 - TSR_TRELLIS_WINDOW);
}

// Where `bit` of an index is set the second, else the first.
INLINE __m256i choose(__m256i index, int bit, __m256i first, __m256i second) {
  return _mm256_blendv_epi8(first, second, _mm256_slli_epi16(index, 7 - bit));
}

// Entries of all tables, halved by each bit of the index above the four that a shuffle takes.
INLINE __m256i look_up(const __m256i tables[TABLES], __m256i index) {
  __m256i found[TABLES];
  for (int t = 0; t < TABLES; t++) found[t] = _mm256_shuffle_epi8(tables[t], index);
#pragma clang loop unroll(full)
  for (int bit = 4, left = TABLES / 2; left > 0; bit++, left /= 2)
    for (int t = 0; t < left; t++) found[t] = choose(index, bit, found[2 * t], found[2 * t + 1]);
  return found[0];
}

void tsr_trellis_avx2(const uint8_t *strand, size_t readable, size_t count, unsigned rate,
                      const uint8_t *table, uint8_t *out) {
  const cuts low = make_cuts(rate, 0), high = make_cuts(rate, 8);
  const size_t half = rate, reach = half + LOADED;
  __m256i tables[TABLES];
  for (int t = 0; t < TABLES; t++)
    tables[t] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16 * t)));
  for (size_t i = 0; i < count; i += STEP, strand += 2 * half) {
    uint8_t rest[2 * LOADED] = {0};
    const uint8_t *from = strand;
    if (readable < reach) from = memcpy(rest, strand, readable);
    // Sixteen codes begin at each lane, so that packing leaves all in order.
    __m256i lanes = _mm256_loadu2_m128i((const __m128i *)(from + half), (const __m128i *)from);
    __m256i index = _mm256_packus_epi16(cut(low, lanes), cut(high, lanes));
    _mm256_storeu_si256((__m256i *)(out + i), look_up(tables, index));
    readable -= 2 * half;
  }
}

#pragma clang attribute pop
#endif

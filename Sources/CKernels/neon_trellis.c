// Decodes strands of class 4 with NEON: sixteen codes at a time, looked up in two tables of 64.
#include "neon.h"

#if defined(__aarch64__)
#include <string.h>

enum { STEP = 16, LOADED = 16 };

void tsr_neon_trellis(const uint8_t *strand, size_t readable, size_t count, unsigned rate,
                      const uint8_t *table, uint8_t *out) {
  uint8_t bytes[2 * STEP];  // two of each window
  int16_t shifts[STEP];
  for (unsigned i = 0; i < STEP; i++) {
    unsigned at = (unsigned)tsr_trellis_start(i, rate);
    bytes[2 * i] = (uint8_t)(at / 8);
    bytes[2 * i + 1] = (uint8_t)(at / 8 + 1);
    shifts[i] = (int16_t) - (int)(at % 8);
  }
  const uint8x16_t bytes0 = vld1q_u8(bytes), bytes1 = vld1q_u8(bytes + STEP);
  const int16x8_t shifts0 = vld1q_s16(shifts), shifts1 = vld1q_s16(shifts + STEP / 2);
  const uint8x16x4_t low = vld1q_u8_x4(table), high = vld1q_u8_x4(table + 64);
  const uint8x16_t window = vdupq_n_u8(TSR_TRELLIS_TABLE - 1), half = vdupq_n_u8(64);
  for (size_t i = 0; i < count; i += STEP, strand += rate) {
    uint8_t rest[LOADED] = {0};
    const uint8_t *from = strand;
    if (readable < LOADED) from = memcpy(rest, strand, readable);
    uint8x16_t x = vld1q_u8(from);
    uint16x8_t a = vshlq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(x, bytes0)), shifts0);
    uint16x8_t b = vshlq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(x, bytes1)), shifts1);
    uint8x16_t index = vuzp1q_u8(vreinterpretq_u8_u16(a), vreinterpretq_u8_u16(b));
    index = vandq_u8(index, window);
    uint8x16_t codes = vqtbx4q_u8(vqtbl4q_u8(low, index), high, vsubq_u8(index, half));
    vst1q_u8(out + i, codes);
    readable -= readable < rate ? readable : rate;
  }
}
#endif

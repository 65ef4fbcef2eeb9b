// Stored tiles of class 3 (Formats/TSR.md, "Storage class 3"): what surrounds the strands, and how one is decoded.
#include "trellis.h"

#include <string.h>

#include "CKernels.h"

enum { HEAD = 8 + TSR_TRELLIS_TABLE, EXCEPTION = 8, LINE = 64 };

void tsr_trellis_scalar(const uint8_t *strand, size_t readable, size_t count, unsigned bits,
                        const uint8_t *table, uint8_t *out) {
  (void)readable;
  uint32_t window = *strand++, held = 8;
  for (size_t i = 0; i < count; i++) {
    if (held < TSR_TRELLIS_WINDOW) {
      window |= (uint32_t)*strand++ << held;
      held += 8;
    }
    out[i] = table[window % TSR_TRELLIS_TABLE];
    window >>= bits;
    held -= bits;
  }
}

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }

// Each row's scale for all of its groups.
static void spread_scales(const uint8_t *scales, size_t groups, uint8_t *plane) {
  enum { ROWS = 2 * TSR_PANEL_ROWS };
  for (size_t g = 0; g < groups; g++) memcpy(plane + g * ROWS, scales, ROWS);
  if (groups % 2) memset(plane + groups * ROWS, 0, ROWS);
}

bool tsr_trellis_decode(const uint8_t *stored, size_t size, tsr_trellis_loop loop, size_t panels,
                        size_t groups, uint8_t *out) {
  size_t count = groups * TSR_GROUP, plane = (groups + 1) / 2 * LINE;
  size_t panel_bytes = plane + TSR_TRELLIS_STRANDS * count, scales = panels * 2 * TSR_PANEL_ROWS;
  if (size < HEAD + scales || get32(stored) == 0 || get32(stored) > TSR_TRELLIS_MAX_BITS) return false;
  unsigned bits = get32(stored);
  size_t strand_bytes = tsr_trellis_strand_bytes(count, bits);
  size_t strands = panels * TSR_TRELLIS_STRANDS * strand_bytes, exceptions = get32(stored + 4);
  if (size - HEAD - scales < strands ||
      (size - HEAD - scales - strands) / EXCEPTION != exceptions ||
      (size - HEAD - scales - strands) % EXCEPTION != 0)
    return false;
  const uint8_t *table = stored + 8, *row_scales = stored + HEAD;
  for (size_t p = 0; p < panels; p++)
    spread_scales(row_scales + p * 2 * TSR_PANEL_ROWS, groups, out + p * panel_bytes);
  const uint8_t *exception = row_scales + scales, *end = stored + size;
  for (size_t i = 0, next = 0; i < exceptions; i++, exception += EXCEPTION) {
    size_t place = get32(exception), scale = groups * TSR_PANEL_ROWS;
    if (place < next || place >= panels * scale || get16(exception + 6) != 0) return false;
    memcpy(out + place / scale * panel_bytes + place % scale * 2, exception + 4, 2);
    next = place + 1;
  }
  const uint8_t *strand = exception;
  for (size_t p = 0; p < panels; p++) {
    uint8_t *codes = out + p * panel_bytes + plane;
    for (size_t s = 0; s < TSR_TRELLIS_STRANDS; s++, strand += strand_bytes) {
      if (strand[strand_bytes - 1] >> (TSR_TRELLIS_WINDOW - bits)) return false;
      loop(strand, (size_t)(end - strand), count, bits, table, codes + s * count);
    }
  }
  return true;
}

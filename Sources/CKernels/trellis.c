// Stored tiles of class 4 (Formats/TSR.md, "Storage class 4"): their parts, and how a strand is decoded.
#include "trellis.h"

#include <string.h>

#include "CKernels.h"

enum { HEAD = 8 + TSR_TRELLIS_TABLE, EXCEPTION = 8, LINE = 64 };

void tsr_trellis_scalar(const uint8_t *strand, size_t readable, size_t count, unsigned rate,
                        const uint8_t *table, uint8_t *out) {
  (void)readable;
  uint32_t window = *strand++, held = 8;
  for (size_t i = 0; i < count; i++) {
    if (held < TSR_TRELLIS_WINDOW) {
      window |= (uint32_t)*strand++ << held;
      held += 8;
    }
    out[i] = table[window % TSR_TRELLIS_TABLE];
    unsigned step = (unsigned)(tsr_trellis_start(i % 2 + 1, rate) - tsr_trellis_start(i % 2, rate));
    window >>= step;
    held -= step;
  }
}

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }

// Each row's scale for all of its groups, and zeros up to the next line.
static void spread_scales(const uint8_t *scales, size_t groups, uint8_t *plane) {
  enum { ROWS = 2 * TSR_PANEL_ROWS };
  for (size_t g = 0; g < groups; g++) memcpy(plane + g * ROWS, scales, ROWS);
  if (groups % 2) memset(plane + groups * ROWS, 0, ROWS);
}

bool tsr_trellis_open(const uint8_t *stored, size_t size, size_t panels, size_t groups,
                      uint8_t *planes, size_t stride, tsr_trellis_tile *tile) {
  const size_t row_scales = panels * 2 * TSR_PANEL_ROWS, scales = groups * TSR_PANEL_ROWS;
  if (size < HEAD + row_scales) return false;
  const uint32_t rate = get32(stored);
  if (rate < TSR_TRELLIS_MIN_RATE || rate > TSR_TRELLIS_MAX_RATE) return false;
  const size_t strand_bytes = tsr_trellis_strand_bytes(groups, rate);
  const size_t exceptions = (size_t)get32(stored + 4) * EXCEPTION;
  if (size != HEAD + row_scales + exceptions + panels * strand_bytes) return false;
  const uint8_t *each = stored + HEAD, *exception = each + row_scales;
  for (size_t p = 0; p < panels; p++)
    spread_scales(each + p * 2 * TSR_PANEL_ROWS, groups, planes + p * stride);
  const uint8_t *strands = exception + exceptions;
  for (size_t next = 0; exception < strands; exception += EXCEPTION) {
    size_t place = get32(exception);
    if (place < next || place >= panels * scales || get16(exception + 6) != 0) return false;
    memcpy(planes + place / scales * stride + place % scales * 2, exception + 4, 2);
    next = place + 1;
  }
  for (size_t p = 1; p <= panels; p++)
    if (strands[p * strand_bytes - 1] >> (TSR_TRELLIS_WINDOW - (rate + 1) / 2)) return false;
  *tile = (tsr_trellis_tile){.rate = rate, .table = stored + 8, .strands = strands,
                             .strand_bytes = strand_bytes, .planes = planes, .stride = stride};
  return true;
}

bool tsr_trellis_decode(const uint8_t *stored, size_t size, tsr_trellis_loop loop, size_t panels,
                        size_t groups, uint8_t *out) {
  size_t plane = (groups + 1) / 2 * LINE, codes = groups * TSR_GROUP * TSR_PANEL_ROWS;
  tsr_trellis_tile tile;
  if (!tsr_trellis_open(stored, size, panels, groups, out, plane + codes, &tile)) return false;
  for (size_t p = 0; p < panels; p++) {
    const uint8_t *strand = tile.strands + p * tile.strand_bytes;
    loop(strand, (size_t)(stored + size - strand), codes, tile.rate, tile.table,
         out + p * tile.stride + plane);
  }
  return true;
}

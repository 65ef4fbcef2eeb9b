// Panels from the codes of a quantized source: nothing is rounded.
#include <string.h>

#include "CKernels.h"
#include "clones.h"

// Copies `count` numbers of each row from [rows, count] to planes of 16 numbers, `stride` bytes apart.
static void put_numbers(const uint16_t *from, size_t rows, size_t count, size_t stride,
                        uint8_t *plane) {
  for (size_t row = 0; row < rows; row++)
    for (size_t i = 0; i < count; i++) memcpy(plane + i * stride + 2 * row, from + row * count + i, 2);
}

static void put_planes(const tsr_blocks *b, tsr_panel_form form, size_t groups, uint8_t *panel) {
  uint8_t *second = panel + tsr_plane_bytes(groups);
  if (!form.factors) {
    put_numbers(b->scales, b->rows, groups, 32, panel);
    if (form.planes > 1) put_numbers(b->minimums, b->rows, groups, 32, second);
    return;
  }
  size_t super_groups = (groups + TSR_SUPER_GROUP - 1) / TSR_SUPER_GROUP, stride = 32 * form.factors;
  put_numbers(b->scales, b->rows, super_groups, stride, second);
  if (form.factors > 1) put_numbers(b->minimums, b->rows, super_groups, stride, second + 32);
  for (size_t row = 0; row < b->rows; row++)
    for (size_t i = 0; i < 2 * groups; i++) panel[16 * i + row] = b->integers[row * 2 * groups + i];
}

static inline __attribute__((always_inline)) void put_codes(const tsr_blocks *b, uint8_t *codes,
                                                            uint32_t encoding) {
  const tsr_panel_form form = tsr_form(encoding);
  size_t padded = (b->columns + TSR_GROUP - 1) / TSR_GROUP * TSR_GROUP;
  for (size_t row = 0; row < TSR_PANEL_ROWS; row++) {
    for (size_t c = 0; c < padded; c++) {
      bool inside = row < b->rows && c < b->columns;
      unsigned code = inside ? b->codes[row * b->columns + c] : (unsigned)form.offset;
      tsr_put_code(form, codes + c / TSR_GROUP * 64 * form.bits, row, c % TSR_GROUP, code);
    }
  }
}

TSR_CLONES
void tsr_pack_blocks(const tsr_blocks *b, uint8_t *panel) {
  const tsr_panel_form form = tsr_form(b->encoding);
  size_t groups = (b->columns + TSR_GROUP - 1) / TSR_GROUP;
  uint8_t *codes = panel + tsr_planes_bytes(form, groups);
  memset(panel, 0, tsr_panel_bytes(b->encoding, groups));
  put_planes(b, form, groups, panel);
#define PUT(NAME, ENCODING) \
  case ENCODING: put_codes(b, codes, ENCODING); break;
  switch (b->encoding) {
    TSR_SIMPLE_ENCODINGS(PUT)
    TSR_BIT_PLANE_ENCODINGS(PUT)
    default: break;
  }
}

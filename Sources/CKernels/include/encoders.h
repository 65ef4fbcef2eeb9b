// Makes panels of the integer encodings (Formats/TSR.md, "Bytes of a tensor"), offline. Rows of a panel are the
// lanes of every loop, so that results do not depend on the instruction set.
#ifndef TSR_ENCODERS_H
#define TSR_ENCODERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

enum { TSR_ENCODED = -1, TSR_NOT_FINITE = -2 };

// At most 16 rows of a matrix, and how they are to be encoded.
typedef struct {
  const float *values;  // [rows, columns]
  size_t rows, columns;
  uint32_t encoding;    // TSR_INT8, TSR_INT4, TSR_INT4_AFFINE
  size_t candidates;    // of each 4-bit scale that is searched for
  // [rows]: the distance of two codes, a half-precision number; int8 and int4. Groups with values out of
  // reach take it times a power of two. NULL: each group has the scale that suits it best.
  const float *_Nullable steps;
} tsr_rows;

// Writes one panel and adds to sums: (value - stored)^2, value^2.
// Returns TSR_ENCODED, TSR_NOT_FINITE, or the row with a scale beyond half precision.
int tsr_encode_panel(const tsr_rows *rows, uint8_t *panel, double sums[_Nonnull 2]);

#pragma clang assume_nonnull end
#endif

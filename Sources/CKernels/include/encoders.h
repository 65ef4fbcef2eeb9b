// Makes panels of the integer encodings (Formats/TSR.md, "Bytes of a tensor"), offline. Rows of a panel are the
// lanes of every loop, so that results do not depend on the instruction set.
#ifndef TSR_ENCODERS_H
#define TSR_ENCODERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

enum { TSR_ENCODED = -1, TSR_NOT_FINITE = -2, TSR_NO_MEMORY = -3 };

// At most 16 rows of a matrix, and how they are to be encoded.
typedef struct {
  const float *values;  // [rows, columns]
  size_t rows, columns;
  uint32_t encoding;    // TSR_INT8, TSR_INT4, TSR_INT4_AFFINE, nested ones of 3 to 6 bits
  size_t candidates;    // of each scale that is searched for; not of int8
  // [rows]: the distance of two codes, a half-precision number; int8 and int4. Groups with values out of
  // reach take it times a power of two. NULL: each group has the scale that suits it best.
  const float *_Nullable steps;
  // With steps, the columns after a column in its block may take up its rounding error.
  // feedback[column * block + i]: what column i of the block loses per unit of error; 0 for i up to the
  // column itself. gains[column]: what the square of an error counts once the others have made up for it.
  const float *_Nullable feedback, *_Nullable gains;
  size_t block;  // columns, a multiple of 32, at most TSR_FEEDBACK_BLOCK
} tsr_rows;

enum { TSR_FEEDBACK_BLOCK = 256 };

// Makes the feedback and the gains of one block of `count` columns from the products of its inputs,
// products[count][block] (symmetric, overwritten with the feedback). An error of a column whose
// gain is 1 counts `unit`.
void tsr_make_feedback(float *products, size_t count, size_t block, double unit, float *gains);
// products[c][block] += over tokens: x[token][first + c] * x[token][first..<first + count].
void tsr_add_products(const float *x, size_t tokens, size_t stride, size_t count, size_t block,
                      float *products);
// Writes one panel and adds to sums: (value - stored)^2, with gains as they count it, and value^2.
// Returns TSR_ENCODED, TSR_NOT_FINITE, or the row with a scale beyond half precision.
int tsr_encode_panel(const tsr_rows *rows, uint8_t *panel, double sums[_Nonnull 2]);

// At most 16 rows whose codes are known, because a source has them.
typedef struct {
  const uint8_t *codes;                // [rows, columns], without their offset
  const uint16_t *scales;              // [rows, groups], of nested encodings [rows, super-groups]: half-precision
  const uint16_t *_Nullable minimums;  // likewise, where the encoding has them
  const uint8_t *_Nullable integers;   // [rows, groups, 2], of nested encodings: as a panel has them
  size_t rows, columns;
  uint32_t encoding;
} tsr_blocks;

// Writes one panel of these codes.
void tsr_pack_blocks(const tsr_blocks *blocks, uint8_t *panel);

#pragma clang assume_nonnull end
#endif

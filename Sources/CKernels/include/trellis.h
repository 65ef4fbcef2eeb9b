// A fixed-rate coder of int8 matrices (Formats/TSR.md, "Storage class 4"): trellis-coded quantization (Marcellin
// and Fischer 1990) in the bit-shift form of QTIP (Tseng et al. 2024). A code is looked up in a table of 128 by the last
// seven bits of a stream that moves on by a few each time, so that neighbours share bits: any code can be
// decoded by itself, many at a time, and the writer looks for the stream whose codes come nearest. Rates count
// half bits: at an odd rate each second code takes one more bit than the other.
#ifndef TSR_TRELLIS_H
#define TSR_TRELLIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

enum {
  TSR_TRELLIS_WINDOW = 7,  // bits that choose a code
  TSR_TRELLIS_TABLE = 128,
  TSR_TRELLIS_MIN_RATE = 2,  // half bits of each code
  TSR_TRELLIS_MAX_RATE = 12,
};

// The bit of a strand that code i begins with.
static inline size_t tsr_trellis_start(size_t i, unsigned rate) { return i * rate / 2; }

// A stored tile: the codes of each of its panels are one strand.
typedef struct {
  unsigned rate;
  const uint8_t *table;    // [TSR_TRELLIS_TABLE]
  const uint8_t *strands;  // [panels, strand_bytes]
  size_t strand_bytes;
  uint8_t *planes;  // the panels' scales, [groups, 16] of f16 each, `stride` bytes from one to the next
  size_t stride;
} tsr_trellis_tile;

// Bytes of the strand of a panel.
static inline size_t tsr_trellis_strand_bytes(size_t groups, unsigned rate) {
  return 32 * groups * rate + 1;
}

// Finds the parts of a stored tile and writes the scales to `planes`. False where the bytes are not those of a
// tile of exactly `panels` panels.
bool tsr_trellis_open(const uint8_t *stored, size_t size, size_t panels, size_t groups,
                      uint8_t *planes, size_t stride, tsr_trellis_tile *tile);

// Decodes a strand of `count` codes, a multiple of 512. `readable`: bytes from its start that may be read.
typedef void (*tsr_trellis_loop)(const uint8_t *strand, size_t readable, size_t count,
                                 unsigned rate, const uint8_t *table, uint8_t *out);
void tsr_trellis_scalar(const uint8_t *strand, size_t readable, size_t count, unsigned rate,
                        const uint8_t *table, uint8_t *out);

// The int8 panels that a stored tile holds; false as above.
bool tsr_trellis_decode(const uint8_t *stored, size_t size, tsr_trellis_loop loop, size_t panels,
                        size_t groups, uint8_t *out);

// Values that codes stand for, in units of a row's deviation: `unit` times (code - 128).
typedef struct {
  uint8_t codes[TSR_TRELLIS_TABLE];
  float unit;
} tsr_trellis_table;

// The table for a normal distribution; false without memory.
bool tsr_trellis_standard(unsigned rate, tsr_trellis_table *table);
// Makes a table better for values like x[count], a multiple of 512, whose deviation is 1; false likewise.
bool tsr_trellis_train(const float *x, size_t count, unsigned rate, tsr_trellis_table *table);

// Rows to store: whole panels except for the last.
typedef struct {
  const float *values;  // [rows, columns]
  size_t rows, columns;
  unsigned rate;
  const tsr_trellis_table *table;
  const float *_Nullable feedback, *_Nullable gains;  // as in tsr_rows, both or neither
  size_t block;
} tsr_trellis_rows;

// Bytes of a stored tile at most.
size_t tsr_trellis_bound(const tsr_trellis_rows *rows);
// Writes a tile and its size, and adds to sums: (value - stored)^2, with gains as they count it, and value^2.
// Returns what tsr_encode_panel does, or TSR_NO_MEMORY.
int tsr_trellis_encode(const tsr_trellis_rows *rows, uint8_t *stored, size_t *size,
                       double sums[_Nonnull 2]);

#pragma clang assume_nonnull end
#endif

// Sums over sections of the 8-bit cache, for vectors of any length. The file that includes this has opened a target
// attribute, defined NAME, the prefix, and the vector operations of x86_lanes256.h, x86_lanes512.h or neon_attention.c.
#include <math.h>
#include <string.h>

// Rows that share what is loaded of the cache, and their scores, then weights, and codes.
enum { ROWS = 4 };
typedef struct {
  const tsr_section *section;
  size_t first;  // row
  const uint32_t *visible[ROWS];
  _Alignas(64) float weights[ROWS][TSR_SECTION];
  _Alignas(64) int16_t codes[ROWS][TSR_SECTION];
  float best[ROWS], scales[ROWS];  // of the codes
  int32_t sums[ROWS];              // of the codes
} row_block;

// The excess of products of stored bytes, which are codes + 128. Codes of numbers that are not finite have any sum.
INLINE int32_t code_offset(int32_t sum) { return (int32_t)(-128u * (uint32_t)sum); }

// Adds the products of one line, four bytes a lane, and each row's four codes.
INLINE void multiply_line(ivec acc[ROWS], const uint8_t *line, const int16_t *const codes[ROWS],
                          size_t at, int rows) {
  ivec bytes = load_bytes(line), even = even_bytes(bytes), odd = odd_bytes(bytes);
  for (int r = 0; r < rows; r++) {
    acc[r] = multiply_pairs(acc[r], even, broadcast_pair(codes[r] + at));
    acc[r] = multiply_pairs(acc[r], odd, broadcast_pair(codes[r] + at + 2));
  }
}

// Scores of 2 * LANES slots from `slot` of tile number `tile` on.
INLINE void score_slots(row_block *b, size_t tile, size_t slot, fvec best[ROWS], int rows) {
  const tsr_section *s = b->section;
  size_t at = s->tiles[tile] * (size_t)TSR_SLOT_TILE + slot;
  const uint8_t *line[2];
  const int16_t *queries[ROWS];
  ivec acc[2][ROWS];
  for (size_t v = 0; v < 2; v++) {
    size_t begin = at + v * LANES;
    line[v] = s->keys + begin / 16 * 16 * s->dim + begin % 16 * 4;
  }
  for (int r = 0; r < rows; r++) {
    queries[r] = s->queries + (b->first + (size_t)r) * s->dim;
    acc[0][r] = acc[1][r] = broadcast_int(code_offset(s->query_sums[b->first + (size_t)r]));
  }
  for (size_t i = 0; i < s->dim; i += 4) {
    multiply_line(acc[0], line[0] + 16 * i, queries, i, rows);
    multiply_line(acc[1], line[1] + 16 * i, queries, i, rows);
  }
  for (size_t v = 0; v < 2; v++) {
    fvec key_scale = load_floats(s->key_scales + at + v * LANES);
    for (int r = 0; r < rows; r++) {
      fvec scale = multiply(key_scale, broadcast_float(s->query_scales + b->first + (size_t)r));
      fvec score = select_or_minus_infinity(multiply(ints_to_floats(acc[v][r]), scale), b->visible[r][tile] >> (slot + v * LANES));
      store_floats(b->weights[r] + tile * TSR_SLOT_TILE + slot + v * LANES, score);
      best[r] = max_floats(best[r], score);
    }
  }
}

INLINE void score_tiles(row_block *b, int rows) {
  const float none = -INFINITY;
  fvec best[ROWS];
  for (int r = 0; r < rows; r++) best[r] = broadcast_float(&none);
  for (size_t tile = 0; tile < b->section->tile_count; tile++)
    for (size_t slot = 0; slot < TSR_SLOT_TILE; slot += 2 * LANES)
      score_slots(b, tile, slot, best, rows);
  for (int r = 0; r < rows; r++) b->best[r] = largest_lane(best[r]);
}

// Turns a row's scores into codes of weights times the values' scales.
INLINE void weigh_row(row_block *b, int r) {
  const tsr_section *s = b->section;
  float *weights = b->weights[r], *state = s->states + 2 * (b->first + (size_t)r);
  size_t count = s->tile_count * TSR_SLOT_TILE;
  const float zero = 0, best = b->best[r] > -INFINITY ? b->best[r] : 0;
  fvec sum = broadcast_float(&zero), largest = sum, shift = broadcast_float(&best);
  for (size_t i = 0; i < count; i += LANES) {
    size_t slot = s->tiles[i / TSR_SLOT_TILE] * (size_t)TSR_SLOT_TILE + i % TSR_SLOT_TILE;
    fvec weight = exponential(subtract(load_floats(weights + i), shift));
    sum = add_floats(sum, weight);
    weight = multiply(weight, load_floats(s->value_scales + slot));
    largest = max_floats(largest, weight);
    store_floats(weights + i, weight);
  }
  float top = largest_lane(largest), inverse = top > 1e-30f ? TSR_CODE_LIMIT / top : 0;
  fvec factor = broadcast_float(&inverse);
  ivec codes = broadcast_int(0);
  for (size_t i = 0; i < count; i += LANES)
    codes = add_ints(codes, store_codes16(b->codes[r] + i, multiply(load_floats(weights + i), factor)));
  state[0] = b->best[r];
  state[1] = sum_floats(sum);
  b->scales[r] = inverse > 0 ? top / TSR_CODE_LIMIT : 0;
  b->sums[r] = sum_ints(codes);
}

// `wide` vectors of outputs from column `column` on.
INLINE void add_values(const row_block *b, size_t column, int wide, int rows) {
  const tsr_section *s = b->section;
  const int16_t *codes[ROWS];
  ivec acc[WIDE][ROWS];
  for (int r = 0; r < rows; r++) {
    codes[r] = b->codes[r];
    int32_t offset = code_offset(b->sums[r]);
    for (int w = 0; w < wide; w++) acc[w][r] = broadcast_int(offset);
  }
  for (size_t tile = 0; tile < s->tile_count; tile++) {
    const uint8_t *values = s->values + s->tiles[tile] * (size_t)TSR_SLOT_TILE * s->dim;
    for (size_t slot = 0; slot < TSR_SLOT_TILE; slot += 4)
      for (int w = 0; w < wide; w++)
        multiply_line(acc[w], values + slot * s->dim + 4 * (column + (size_t)w * LANES), codes,
                      tile * TSR_SLOT_TILE + slot, rows);
  }
  for (int r = 0; r < rows; r++) {
    float *out = s->outputs + (b->first + (size_t)r) * s->dim + column;
    for (int w = 0; w < wide; w++)
      store_floats(out + w * LANES, multiply(ints_to_floats(acc[w][r]), broadcast_float(b->scales + r)));
  }
}

INLINE void fold_rows(row_block *b, int rows) {
  for (int r = 0; r < rows; r++)
    b->visible[r] = b->section->visible +
                    (b->first + (size_t)r) / b->section->group * TSR_SECTION_TILES;
  score_tiles(b, rows);
  for (int r = 0; r < rows; r++) weigh_row(b, r);
  size_t column = 0, dim = b->section->dim;
  for (; column + WIDE * LANES <= dim; column += WIDE * LANES) add_values(b, column, WIDE, rows);
  for (; column < dim; column += LANES) add_values(b, column, 1, rows);
}

// Rows are cut into blocks of nearly equal size.
void NAME(fold_section)(const tsr_section *section) {
  row_block block;
  block.section = section;
  size_t blocks = (section->rows + ROWS - 1) / ROWS;
  for (size_t i = 0; i < blocks; i++) {
    block.first = section->rows * i / blocks;
    switch (section->rows * (i + 1) / blocks - block.first) {
      case 1: fold_rows(&block, 1); break;
      case 2: fold_rows(&block, 2); break;
      case 3: fold_rows(&block, 3); break;
      default: fold_rows(&block, 4); break;
    }
  }
}

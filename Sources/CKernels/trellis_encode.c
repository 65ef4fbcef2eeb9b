// Writes tiles of class 4: chooses scales, searches the entries of the strands, and makes up for errors where feedback is given.
// A strand is searched in sixteen parts at once; each must end where the next begins, which costs some of its last few
// codes a little. With feedback a part is a block of columns, and eight columns are settled at a time.
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"
#include "clones.h"
#include "trellis_search.h"

#pragma STDC FP_CONTRACT OFF

enum {
  LANES = TSR_SEARCH_LANES,
  ROWS = TSR_PANEL_ROWS,
  ENTRIES = TSR_TRELLIS_TABLE,
  MAX_STATES = ENTRIES / 2,
  HEAD = 8 + ENTRIES,
  SETTLED = 8 * ROWS,  // codes, with feedback
  FREE = -1,           // of a state: any
};
static const float IMPOSSIBLE = 1e30f;

size_t tsr_trellis_bound(const tsr_trellis_rows *r) {
  size_t groups = (r->columns + TSR_GROUP - 1) / TSR_GROUP;
  size_t panels = (r->rows + TSR_PANEL_ROWS - 1) / TSR_PANEL_ROWS;
  size_t strand = tsr_trellis_strand_bytes(groups, r->rate);
  return HEAD + panels * (2 * ROWS + 8 * groups * ROWS + strand);
}

static void put16(uint8_t *p, uint32_t x) {
  p[0] = (uint8_t)x;
  p[1] = (uint8_t)(x >> 8);
}

static void put32(uint8_t *p, uint32_t x) {
  put16(p, x);
  put16(p + 2, x >> 16);
}

// The scale of a row, in half precision; negative where that is too small a number.
static float row_scale(const float *row, size_t columns, float unit) {
  double sum = 0;
  for (size_t i = 0; i < columns; i++) sum += (double)row[i] * row[i];
  double scale = sqrt(sum / (double)columns) * unit;
  if (!(scale <= 65504)) return -1;
  return tsr_half_to_float(tsr_float_to_half((float)scale));
}

// The power of two by which a group's scale is to be multiplied. Values out of reach are cut; a coarser scale makes all
// errors of the group larger, by what codes of that rate are off: about 1.6^2 / 2^rate of a row's energy.
static float widening(const float *group, size_t count, float scale, float unit, unsigned rate) {
  float least = FLT_MAX, chosen = 1;
  for (float factor = 1; factor <= 4096 && scale * factor <= 65504; factor *= 2) {
    float reach = 127 * scale * factor, deviation = scale * factor / unit, cut = 0;
    for (size_t i = 0; i < count; i++) {
      float beyond = fabsf(group[i]) - reach;
      cut += beyond > 0 ? beyond * beyond : 0;
    }
    float error = cut + (float)count * deviation * deviation * 2.56f / (float)(1 << rate);
    if (error < least) least = error, chosen = factor;
    if (cut == 0) break;
  }
  return chosen;
}

// One panel while it is encoded.
typedef struct {
  const tsr_trellis_rows *rows;
  size_t columns, count;          // columns padded to groups; codes
  float values[ENTRIES];          // of entries
  float *targets, *scales;        // [columns, 16], [groups, 16]
  float *x, *weights;             // [part, LANES]: what is searched for
  uint8_t *paths, *part, *entries;  // [part, states, LANES], [part, LANES], [count]
} work;

// Where code `at` of a strand stands.
static size_t column_of(size_t at) { return at / 512 * 32 + at % 512 / 64 * 4 + at % 4; }
static size_t row_of(size_t at) { return at % 64 / 4; }

static void load_targets(const work *w, size_t panel) {
  const tsr_trellis_rows *r = w->rows;
  memset(w->targets, 0, w->columns * ROWS * sizeof *w->targets);
  for (size_t row = 0; row < ROWS && panel * ROWS + row < r->rows; row++)
    for (size_t c = 0; c < r->columns; c++)
      w->targets[c * ROWS + row] = r->values[(panel * ROWS + row) * r->columns + c];
}

// The values that `count` codes of a lane from `at` on should have, in units of the table, and the weights of their errors.
// All rows count the same; otherwise small rows would be left to chance next to large ones.
static void load_lane(const work *w, size_t lane, size_t at, size_t count) {
  const tsr_trellis_rows *r = w->rows;
  for (size_t i = 0; i < count; i++) {
    size_t column = column_of(at + i), row = row_of(at + i);
    float *x = w->x + i * LANES + lane, *weight = w->weights + i * LANES + lane;
    *x = *weight = 0;
    if (at + i >= w->count || column >= r->columns) continue;
    float scale = w->scales[column / TSR_GROUP * ROWS + row];
    if (scale == 0) continue;
    *x = w->targets[column * ROWS + row] / scale;
    *weight = r->gains ? r->gains[column] : 1;
  }
}

// Takes the errors of one column in; with feedback, the columns after it in its block make up for them.
TSR_CLONES
static double settle_column(const work *w, size_t column, const float codes[ROWS]) {
  const tsr_trellis_rows *r = w->rows;
  float *targets = w->targets + column * ROWS, errors[ROWS];
  const float *scales = w->scales + column / TSR_GROUP * ROWS;
  double sum = 0;
  for (size_t l = 0; l < ROWS; l++) errors[l] = targets[l] - scales[l] * codes[l];
  for (size_t l = 0; l < ROWS; l++) sum += (double)errors[l] * errors[l];
  if (!r->feedback) return sum;
  const float *row = r->feedback + column * r->block;
  size_t first = column / r->block * r->block, rest = r->columns - first;
  for (size_t i = column - first + 1; i < r->block && i < rest; i++) {
    float *x = w->targets + (first + i) * ROWS;
    for (size_t l = 0; l < ROWS; l++) x[l] -= row[i] * errors[l];
  }
  return r->gains[column] * sum;
}

// Codes at..<at + count, whole lines, have been found.
static double settle(const work *w, size_t at, size_t count) {
  double sum = 0;
  for (size_t first = at; first < at + count && first < w->count; first += 4 * ROWS) {
    for (size_t i = 0; i < 4 && column_of(first + i) < w->rows->columns; i++) {
      float codes[ROWS];
      for (size_t l = 0; l < ROWS; l++) codes[l] = w->values[w->entries[first + 4 * l + i]];
      sum += settle_column(w, column_of(first + i), codes);
    }
  }
  return sum;
}

// Finds the codes of `lanes` parts of `length` codes each from `at` on; the first part begins with state `begin`.
// Returns the state that the last one ends with.
static int search_parts(const work *w, size_t at, size_t lanes, size_t length, size_t step,
                        int begin, double *sum) {
  unsigned rate = w->rows->rate;
  size_t states = ENTRIES >> (rate + 1) / 2;  // between an even number of codes and the next
  int starts[LANES], now[LANES];
  for (size_t l = 0; l < LANES; l++) starts[l] = now[l] = l == 0 ? begin : FREE;
  for (size_t done = 0; done < length; done += step) {
    float costs[MAX_STATES * LANES] = {0};
    for (size_t l = 0; l < LANES; l++) {
      load_lane(w, l, l < lanes ? at + l * length + done : w->count, step);
      for (size_t s = 0; s < states && now[l] != FREE; s++)
        costs[s * LANES + l] = s == (size_t)now[l] ? 0 : IMPOSSIBLE;
    }
    tsr_search_forward(w->x, w->weights, step, w->values, rate, costs, w->paths);
    for (size_t l = lanes; l-- > 0;) {
      bool meets = done + step == length && l + 1 < lanes;
      now[l] = meets ? starts[l + 1] : (int)tsr_search_best(costs, rate, l);
      size_t before = tsr_search_back(w->paths, step, rate, l, (size_t)now[l], w->part);
      if (done == 0) starts[l] = (int)before;
      for (size_t i = 0, to = at + l * length + done; i < step && to + i < w->count; i++)
        w->entries[to + i] = w->part[i * LANES + l];
    }
    // Parts that are no blocks may end within a line: theirs are settled when all have been found.
    for (size_t l = 0; l < lanes && w->rows->feedback; l++)
      *sum += settle(w, at + l * length + done, step);
  }
  return now[lanes - 1];
}

// The bits of a strand.
static void put_strand(const work *w, uint8_t *strand) {
  unsigned rate = w->rows->rate;
  memset(strand, 0, tsr_trellis_start(w->count, rate) / 8 + 1);
  for (size_t i = 0; i < w->count; i++) {
    size_t at = tsr_trellis_start(i, rate);
    uint32_t window = (uint32_t)w->entries[i] << at % 8;
    strand[at / 8] |= (uint8_t)window;
    if (window >> 8) strand[at / 8 + 1] |= (uint8_t)(window >> 8);
  }
}

static double encode_panel(const work *w, size_t panel, uint8_t *out) {
  const tsr_trellis_rows *r = w->rows;
  load_targets(w, panel);
  size_t length = r->feedback ? r->block * ROWS : w->count / LANES;
  size_t step = r->feedback ? SETTLED : length, parts = (w->count + length - 1) / length;
  double sum = 0;
  int state = FREE;
  for (size_t first = 0; first < parts; first += LANES) {
    size_t lanes = parts - first < LANES ? parts - first : LANES;
    state = search_parts(w, first * length, lanes, length, step, state, &sum);
  }
  if (!r->feedback) sum = settle(w, 0, w->count);
  put_strand(w, out);
  return sum;
}

static float half_at(const uint8_t *p) {
  return tsr_half_to_float((uint16_t)(p[0] | p[1] << 8));
}

static float code_at(const work *w, size_t column, size_t row) {
  size_t at = column / 32 * 512 + column % 32 / 4 * 64 + row * 4 + column % 4;
  return w->values[w->entries[at]];
}

// Factor for each row's scales that makes the stored row as long as the given one, along the given one. The nearest codes
// are shorter, by the size of their error, and a sum of many products suffers from that more than from noise.
static void find_lengths(const work *w, size_t panel, float factors[ROWS]) {
  const tsr_trellis_rows *r = w->rows;
  for (size_t row = 0; row < ROWS; row++) {
    factors[row] = 1;
    if (panel * ROWS + row >= r->rows) continue;
    const float *values = r->values + (panel * ROWS + row) * r->columns;
    double square = 0, common = 0;
    for (size_t c = 0; c < r->columns; c++) {
      square += (double)values[c] * values[c];
      common += (double)values[c] * (w->scales[c / TSR_GROUP * ROWS + row] * code_at(w, c, row));
    }
    if (common > 0) factors[row] = (float)(square / common);
  }
}

static void scale_half(uint8_t *half, float factor) {
  float scaled = half_at(half) * factor;
  if (scaled <= 65504) put16(half, tsr_float_to_half(scaled));
}

// Makes the rows of a panel as long as they were, in its row scales and in those of the exceptions that are its own, and in
// w->scales. Returns the squared error that is left.
static double restore_lengths(const work *w, size_t panel, uint8_t *row_scales, uint8_t *exceptions,
                              size_t exception_count) {
  const tsr_trellis_rows *r = w->rows;
  const size_t groups = w->columns / TSR_GROUP;
  float factors[ROWS];
  double sum = 0;
  find_lengths(w, panel, factors);
  for (size_t row = 0; row < ROWS; row++) {
    scale_half(row_scales + 2 * row, factors[row]);
    float scale = half_at(row_scales + 2 * row);
    for (size_t g = 0; g < groups; g++) w->scales[g * ROWS + row] = scale;
  }
  for (uint8_t *e = exceptions; e < exceptions + 8 * exception_count; e += 8) {
    size_t place = e[0] | (size_t)e[1] << 8 | (size_t)e[2] << 16 | (size_t)e[3] << 24;
    if (place / (groups * ROWS) != panel) continue;
    scale_half(e + 4, factors[place % ROWS]);
    w->scales[place % (groups * ROWS)] = half_at(e + 4);
  }
  for (size_t row = 0; row < ROWS && panel * ROWS + row < r->rows; row++) {
    const float *values = r->values + (panel * ROWS + row) * r->columns;
    for (size_t c = 0; c < r->columns; c++) {
      float error = values[c] - w->scales[c / TSR_GROUP * ROWS + row] * code_at(w, c, row);
      sum += (double)error * error;
    }
  }
  return sum;
}

// Scales of a panel's groups: row scales to `out`, others to the list of exceptions.
static int choose_scales(const tsr_trellis_rows *r, size_t panel, float *scales, uint8_t *out,
                         uint8_t *exceptions, size_t *exception_count, double sums[2]) {
  size_t groups = (r->columns + TSR_GROUP - 1) / TSR_GROUP, first = panel * ROWS;
  memset(scales, 0, groups * ROWS * sizeof *scales);
  memset(out, 0, 2 * ROWS);
  for (size_t row = 0; row < ROWS && first + row < r->rows; row++) {
    const float *values = r->values + (first + row) * r->columns;
    for (size_t i = 0; i < r->columns; i++) {
      if (!(fabsf(values[i]) <= FLT_MAX)) return TSR_NOT_FINITE;
      sums[1] += (double)values[i] * values[i];
    }
    float scale = row_scale(values, r->columns, r->table->unit);
    if (scale < 0) return (int)(first + row);
    put16(out + 2 * row, tsr_float_to_half(scale));
    for (size_t g = 0; g < groups; g++) {
      size_t left = r->columns - g * TSR_GROUP, count = left < TSR_GROUP ? left : TSR_GROUP;
      scales[g * ROWS + row] =
          scale * widening(values + g * TSR_GROUP, count, scale, r->table->unit, r->rate);
    }
  }
  for (size_t i = 0; i < groups * ROWS; i++) {
    uint16_t half = tsr_float_to_half(scales[i]);
    if (half == (out[2 * (i % ROWS)] | out[2 * (i % ROWS) + 1] << 8)) continue;
    uint8_t *exception = exceptions + 8 * (*exception_count)++;
    put32(exception, (uint32_t)(panel * groups * ROWS + i));
    put16(exception + 4, half);
    put16(exception + 6, 0);
  }
  return TSR_ENCODED;
}

int tsr_trellis_encode(const tsr_trellis_rows *r, uint8_t *stored, size_t *size, double sums[2]) {
  size_t groups = (r->columns + TSR_GROUP - 1) / TSR_GROUP, count = groups * TSR_GROUP * ROWS;
  size_t panels = (r->rows + ROWS - 1) / ROWS, exceptions = 0;
  size_t step = r->feedback ? SETTLED : count / LANES;
  float *all_scales = malloc(panels * groups * ROWS * sizeof(float));
  work w = {.rows = r, .columns = groups * TSR_GROUP, .count = count, .scales = all_scales};
  w.targets = malloc(count * sizeof(float));
  w.x = malloc(step * LANES * sizeof(float));
  w.weights = malloc(step * LANES * sizeof(float));
  w.paths = malloc(step * LANES * (ENTRIES >> r->rate / 2));
  w.part = malloc(step * LANES);
  w.entries = malloc(count);
  for (int e = 0; e < ENTRIES; e++) w.values[e] = (float)r->table->codes[e] - 128;
  int result = w.scales && w.targets && w.x && w.weights && w.paths && w.part && w.entries
                   ? TSR_ENCODED
                   : TSR_NO_MEMORY;
  uint8_t *scales = stored + HEAD, *list = scales + panels * 2 * ROWS;
  for (size_t p = 0; p < panels && result == TSR_ENCODED; p++)
    result = choose_scales(r, p, all_scales + p * groups * ROWS, scales + p * 2 * ROWS, list,
                           &exceptions, sums);
  uint8_t *out = list + 8 * exceptions;
  for (size_t p = 0; p < panels && result == TSR_ENCODED; p++) {
    w.scales = all_scales + p * groups * ROWS;
    double counted = encode_panel(&w, p, out);
    double left = restore_lengths(&w, p, scales + p * 2 * ROWS, list, exceptions);
    sums[0] += r->feedback ? counted : left;
    out += tsr_trellis_strand_bytes(groups, r->rate);
  }
  put32(stored, r->rate);
  put32(stored + 4, (uint32_t)exceptions);
  memcpy(stored + 8, r->table->codes, ENTRIES);
  *size = (size_t)(out - stored);
  free(all_scales), free(w.targets), free(w.x), free(w.weights);
  free(w.paths), free(w.part), free(w.entries);
  return result;
}

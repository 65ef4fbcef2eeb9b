// Writes tiles of class 3. Of all streams of bits the one whose codes come nearest is found by Viterbi's
// algorithm; sixteen parts of a strand are the lanes of every loop, so that results do not depend on the
// instruction set. Each part must end where the next begins, which costs some of its last few codes a little.
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

enum {
  LANES = 16,
  ENTRIES = TSR_TRELLIS_TABLE,
  MAX_STATES = ENTRIES / 2,
  SAMPLE = 1 << 15,          // values that the standard table is made from
  FIRST_ROUNDS = 24,         // of making it: more bring less than 0.05 dB
  ROUNDS = 8,                // of making it fit a matrix
  HEAD = 8 + ENTRIES,
};
#define EACH_LANE for (size_t l = 0; l < LANES; l++)

// One step: of every state that follows, the least sum of squared errors and the entry that leads there. A state is the
// window without its oldest bits; entry e leads from state e mod S to state e / 2^bits.
static inline __attribute__((always_inline)) void advance(const float x[LANES],
                                                          const float values[ENTRIES],
                                                          unsigned bits, const float *costs,
                                                          float *next, uint8_t *entries) {
  size_t states = ENTRIES >> bits, branches = (size_t)1 << bits;
  for (size_t to = 0; to < states; to++) {
    float best[LANES];
    int32_t entry[LANES];
    EACH_LANE best[l] = FLT_MAX, entry[l] = 0;
    for (size_t e = to * branches; e < (to + 1) * branches; e++) {
      const float *from = costs + e % states * LANES;
      EACH_LANE {
        float error = x[l] - values[e];
        float cost = from[l] + error * error;
        bool better = cost < best[l];
        best[l] = better ? cost : best[l];
        entry[l] = better ? (int32_t)e : entry[l];
      }
    }
    EACH_LANE next[to * LANES + l] = best[l];
    EACH_LANE entries[to * LANES + l] = (uint8_t)entry[l];
  }
}

// The entries[count][LANES] whose values are nearest to x[count][LANES]: lanes one after the other are a strand.
// memory: [count][states][LANES].
CLONES
static void search(const float *x, size_t count, const float values[ENTRIES], unsigned bits,
                   uint8_t *memory, uint8_t *entries) {
  size_t states = ENTRIES >> bits, step = states * LANES;
  float costs[MAX_STATES * LANES] = {0}, next[MAX_STATES * LANES];
  for (size_t i = 0; i < count; i++) {
    advance(x + i * LANES, values, bits, costs, next, memory + i * step);
    // Sums stay small: only their differences matter.
    float least[LANES];
    EACH_LANE least[l] = next[l];
    for (size_t s = 1; s < states; s++) {
      EACH_LANE least[l] = next[s * LANES + l] < least[l] ? next[s * LANES + l] : least[l];
    }
    for (size_t s = 0; s < states; s++) {
      EACH_LANE costs[s * LANES + l] = next[s * LANES + l] - least[l];
    }
  }
  size_t state = 0, last = LANES - 1;
  for (size_t s = 1; s < states; s++)
    if (costs[s * LANES + last] < costs[state * LANES + last]) state = s;
  for (size_t l = LANES; l-- > 0;) {
    for (size_t i = count; i-- > 0;) {
      uint8_t entry = memory[i * step + state * LANES + l];
      entries[i * LANES + l] = entry;
      state = entry % states;
    }
  }
}

// Values of a normal distribution in equal parts, in an order without pattern.
static void normal_values(float *values, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    double part = (i + 0.5) / count, low = -6, high = 6;
    for (int k = 0; k < 40; k++) {
      double middle = (low + high) / 2;
      if (erfc(-middle * M_SQRT1_2) / 2 < part) low = middle;
      else high = middle;
    }
    values[i] = (float)low;
  }
  uint32_t random = 1;
  for (uint32_t i = count - 1; i > 0; i--) {
    random = random * 1664525 + 1013904223;
    uint32_t j = (uint32_t)((uint64_t)random * (i + 1) >> 32);
    float value = values[i];
    values[i] = values[j];
    values[j] = value;
  }
}

// Lloyd's algorithm: the values of entries become the means of what they were chosen for.
static bool improve(const float *x, size_t count, unsigned bits, int rounds,
                    float values[ENTRIES]) {
  uint8_t *memory = malloc(count * (ENTRIES >> bits)), *entries = malloc(count);
  bool done = memory && entries;
  for (int round = 0; done && round < rounds; round++) {
    double sums[ENTRIES] = {0};
    size_t counts[ENTRIES] = {0};
    search(x, count / LANES, values, bits, memory, entries);
    for (size_t i = 0; i < count; i++) {
      sums[entries[i]] += x[i];
      counts[entries[i]]++;
    }
    for (int e = 0; e < ENTRIES; e++)
      if (counts[e] > 0) values[e] = (float)(sums[e] / (double)counts[e]);
  }
  free(memory);
  free(entries);
  return done;
}

static void put_table(const float values[ENTRIES], tsr_trellis_table *table) {
  float largest = 0;
  for (int e = 0; e < ENTRIES; e++) largest = fmaxf(largest, fabsf(values[e]));
  table->unit = largest / 127;
  for (int e = 0; e < ENTRIES; e++)
    table->codes[e] = (uint8_t)(128 + (int)rintf(values[e] / table->unit));
}

// Branches of a state should lie far apart; no order of the first values was found that ends better than one without
// pattern.
bool tsr_trellis_standard(unsigned bits, tsr_trellis_table *table) {
  float values[ENTRIES], *sample = malloc(SAMPLE * sizeof *sample);
  if (!sample) return false;
  normal_values(sample, SAMPLE);
  normal_values(values, ENTRIES);
  bool done = improve(sample, SAMPLE, bits, FIRST_ROUNDS, values);
  free(sample);
  put_table(values, table);
  return done;
}

bool tsr_trellis_train(const float *x, size_t count, unsigned bits, tsr_trellis_table *table) {
  float values[ENTRIES];
  for (int e = 0; e < ENTRIES; e++) values[e] = ((float)table->codes[e] - 128) * table->unit;
  bool done = improve(x, count, bits, ROUNDS, values);
  put_table(values, table);
  return done;
}

size_t tsr_trellis_bound(const tsr_trellis_rows *r) {
  size_t groups = (r->columns + TSR_GROUP - 1) / TSR_GROUP;
  size_t panels = (r->rows + TSR_PANEL_ROWS - 1) / TSR_PANEL_ROWS;
  size_t strand = tsr_trellis_strand_bytes(groups, r->bits);
  return HEAD + panels * (2 * TSR_PANEL_ROWS + 8 * groups * TSR_PANEL_ROWS + strand);
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
// errors of the group larger, by what codes of so many bits are off: about 1.6^2 / 4^bits of a row's energy.
static float widening(const float *group, size_t count, float scale, float unit, unsigned bits) {
  float least = FLT_MAX, chosen = 1;
  for (float factor = 1; factor <= 4096 && scale * factor <= 65504; factor *= 2) {
    float reach = 127 * scale * factor, deviation = scale * factor / unit, cut = 0;
    for (size_t i = 0; i < count; i++) {
      float beyond = fabsf(group[i]) - reach;
      cut += beyond > 0 ? beyond * beyond : 0;
    }
    float error = cut + (float)count * deviation * deviation * 2.56f / (float)(1 << 2 * bits);
    if (error < least) least = error, chosen = factor;
    if (cut == 0) break;
  }
  return chosen;
}

// Where a code of a panel stands.
static void place_of(size_t at, size_t *group, size_t *row, size_t *column) {
  *group = at / 512;
  *row = at % 64 / 4;
  *column = at % 512 / 64 * 4 + at % 4;
}

// The bits of a strand, of lanes of `count` entries.
static void put_strand(const uint8_t *entries, size_t count, unsigned bits, uint8_t *strand) {
  memset(strand, 0, count * LANES * bits / 8 + 1);
  for (size_t at = 0; at < count * LANES; at++) {
    uint32_t window = (uint32_t)entries[at % count * LANES + at / count] << at * bits % 8;
    strand[at * bits / 8] |= (uint8_t)window;
    if (window >> 8) strand[at * bits / 8 + 1] |= (uint8_t)(window >> 8);
  }
}

// Room for the work on one panel.
typedef struct {
  float *x, *scales;  // [count, LANES], [groups, 16]
  uint8_t *memory, *entries;
} workspace;

// Scales of a panel's groups: row scales to `out`, others to the list of exceptions.
static int choose_scales(const tsr_trellis_rows *r, size_t panel, float *scales, uint8_t *out,
                         uint8_t *exceptions, size_t *exception_count, double sums[2]) {
  size_t groups = (r->columns + TSR_GROUP - 1) / TSR_GROUP, first = panel * TSR_PANEL_ROWS;
  memset(scales, 0, groups * TSR_PANEL_ROWS * sizeof *scales);
  memset(out, 0, 2 * TSR_PANEL_ROWS);
  for (size_t row = 0; row < TSR_PANEL_ROWS && first + row < r->rows; row++) {
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
      scales[g * TSR_PANEL_ROWS + row] =
          scale * widening(values + g * TSR_GROUP, count, scale, r->table->unit, r->bits);
    }
  }
  for (size_t i = 0; i < groups * TSR_PANEL_ROWS; i++) {
    uint16_t half = tsr_float_to_half(scales[i]);
    if (half == (out[2 * (i % TSR_PANEL_ROWS)] | out[2 * (i % TSR_PANEL_ROWS) + 1] << 8)) continue;
    uint8_t *exception = exceptions + 8 * (*exception_count)++;
    put32(exception, (uint32_t)(panel * groups * TSR_PANEL_ROWS + i));
    put16(exception + 4, half);
    put16(exception + 6, 0);
  }
  return TSR_ENCODED;
}

static void encode_panel(const tsr_trellis_rows *r, size_t panel, const workspace *w, uint8_t *out,
                         double sums[2]) {
  size_t count = (r->columns + TSR_GROUP - 1) / TSR_GROUP * TSR_GROUP;
  size_t first = panel * TSR_PANEL_ROWS;
  float values[ENTRIES];
  for (int e = 0; e < ENTRIES; e++) values[e] = (float)r->table->codes[e] - 128;
  for (size_t at = 0; at < count * LANES; at++) {
    size_t group, row, column;
    place_of(at, &group, &row, &column);
    column += group * TSR_GROUP;
    float scale = w->scales[group * TSR_PANEL_ROWS + row];
    bool exists = first + row < r->rows && column < r->columns && scale > 0;
    w->x[at % count * LANES + at / count] =
        exists ? r->values[(first + row) * r->columns + column] / scale : 0;
  }
  search(w->x, count, values, r->bits, w->memory, w->entries);
  put_strand(w->entries, count, r->bits, out);
  for (size_t at = 0; at < count * LANES; at++) {
    size_t group, row, column;
    place_of(at, &group, &row, &column);
    column += group * TSR_GROUP;
    if (first + row >= r->rows || column >= r->columns) continue;
    uint8_t entry = w->entries[at % count * LANES + at / count];
    double error = r->values[(first + row) * r->columns + column] -
                   (double)w->scales[group * TSR_PANEL_ROWS + row] * values[entry];
    sums[0] += error * error;
  }
}

int tsr_trellis_encode(const tsr_trellis_rows *r, uint8_t *stored, size_t *size, double sums[2]) {
  size_t groups = (r->columns + TSR_GROUP - 1) / TSR_GROUP, count = groups * TSR_GROUP;
  size_t panels = (r->rows + TSR_PANEL_ROWS - 1) / TSR_PANEL_ROWS, exceptions = 0;
  size_t each = groups * TSR_PANEL_ROWS, strand = tsr_trellis_strand_bytes(groups, r->bits);
  const workspace w = {.x = malloc(count * LANES * sizeof(float)),
                       .scales = malloc(panels * each * sizeof(float)),
                       .memory = malloc(count * LANES * (ENTRIES >> r->bits)),
                       .entries = malloc(count * LANES)};
  int result = w.x && w.scales && w.memory && w.entries ? TSR_ENCODED : TSR_NO_MEMORY;
  uint8_t *scales = stored + HEAD, *list = scales + panels * 2 * TSR_PANEL_ROWS;
  for (size_t p = 0; p < panels && result == TSR_ENCODED; p++)
    result = choose_scales(r, p, w.scales + p * each, scales + p * 2 * TSR_PANEL_ROWS, list,
                           &exceptions, sums);
  uint8_t *out = list + 8 * exceptions;
  for (size_t p = 0; p < panels && result == TSR_ENCODED; p++, out += strand) {
    workspace panel = w;
    panel.scales += p * each;
    encode_panel(r, p, &panel, out, sums);
  }
  put32(stored, r->bits);
  put32(stored + 4, (uint32_t)exceptions);
  memcpy(stored + 8, r->table->codes, ENTRIES);
  *size = (size_t)(out - stored);
  free(w.x);
  free(w.scales);
  free(w.memory);
  free(w.entries);
  return result;
}

// Looks for the entries of a trellis that come nearest to given values, by Viterbi's algorithm, and makes tables. Sixteen
// searches are the lanes of every loop, so that results do not depend on the instruction set.
#include "trellis_search.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "clones.h"

#pragma STDC FP_CONTRACT OFF

enum {
  LANES = TSR_SEARCH_LANES,
  ENTRIES = TSR_TRELLIS_TABLE,
  MAX_STATES = ENTRIES / 2,
  SAMPLE = 1 << 15,   // values that the standard table is made from
  FIRST_ROUNDS = 24,  // of making it: more bring less than 0.05 dB
  ROUNDS = 8,         // of making it fit a matrix
};
#define EACH_LANE for (size_t l = 0; l < LANES; l++)

// Bits by which a window moves on after code i, and states that there are then.
static inline unsigned step_of(size_t i, unsigned rate) {
  return (unsigned)(tsr_trellis_start(i % 2 + 1, rate) - tsr_trellis_start(i % 2, rate));
}
static inline size_t states_after(size_t i, unsigned rate) { return ENTRIES >> step_of(i, rate); }

// Step i: finds for every next state the least sum of errors and the entry that leads there. Entry e leads from state
// e mod S, where S are the states before, to state e / 2^bits.
static inline __attribute__((always_inline)) void advance(const float x[LANES],
                                                          const float weights[LANES],
                                                          const float values[ENTRIES],
                                                          unsigned rate, size_t i,
                                                          const float *costs, float *next,
                                                          uint8_t *entries) {
  size_t before = states_after(i + 1, rate), states = states_after(i, rate);
  size_t branches = (size_t)1 << step_of(i, rate);
  for (size_t to = 0; to < states; to++) {
    float best[LANES];
    int32_t entry[LANES];
    EACH_LANE best[l] = FLT_MAX, entry[l] = 0;
    for (size_t e = to * branches; e < (to + 1) * branches; e++) {
      const float *from = costs + e % before * LANES;
      EACH_LANE {
        float error = x[l] - values[e];
        float cost = from[l] + weights[l] * (error * error);
        bool better = cost < best[l];
        best[l] = better ? cost : best[l];
        entry[l] = better ? (int32_t)e : entry[l];
      }
    }
    EACH_LANE next[to * LANES + l] = best[l];
    EACH_LANE entries[to * LANES + l] = (uint8_t)entry[l];
  }
}

TSR_CLONES
void tsr_search_forward(const float *x, const float *weights, size_t count,
                        const float values[ENTRIES], unsigned rate, float *costs, uint8_t *paths) {
  const size_t step = states_after(0, rate) * LANES;
  float next[MAX_STATES * LANES];
  for (size_t i = 0; i < count; i++) {
    const size_t states = states_after(i, rate);
    advance(x + i * LANES, weights + i * LANES, values, rate, i, costs, next, paths + i * step);
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
}

size_t tsr_search_best(const float *costs, unsigned rate, size_t lane) {
  size_t state = 0;
  for (size_t s = 1; s < states_after(1, rate); s++)
    if (costs[s * LANES + lane] < costs[state * LANES + lane]) state = s;
  return state;
}

size_t tsr_search_back(const uint8_t *paths, size_t count, unsigned rate, size_t lane, size_t state,
                       uint8_t *entries) {
  const size_t step = states_after(0, rate) * LANES;
  for (size_t i = count; i-- > 0;) {
    uint8_t entry = paths[i * step + state * LANES + lane];
    entries[i * LANES + lane] = entry;
    state = entry % states_after(i + 1, rate);
  }
  return state;
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

// Lloyd's algorithm: the value of an entry becomes the mean of the values that it was chosen for.
static bool improve(const float *x, size_t count, unsigned rate, int rounds,
                    float values[ENTRIES]) {
  uint8_t *paths = malloc(count * states_after(0, rate)), *entries = malloc(count);
  float *weights = malloc(count * sizeof *weights);
  bool done = paths && entries && weights;
  for (size_t i = 0; done && i < count; i++) weights[i] = 1;
  for (int round = 0; done && round < rounds; round++) {
    double sums[ENTRIES] = {0};
    size_t counts[ENTRIES] = {0};
    float costs[MAX_STATES * LANES] = {0};
    tsr_search_forward(x, weights, count / LANES, values, rate, costs, paths);
    for (size_t l = 0; l < LANES; l++)
      tsr_search_back(paths, count / LANES, rate, l, tsr_search_best(costs, rate, l), entries);
    for (size_t i = 0; i < count; i++) {
      sums[entries[i]] += x[i];
      counts[entries[i]]++;
    }
    for (int e = 0; e < ENTRIES; e++)
      if (counts[e] > 0) values[e] = (float)(sums[e] / (double)counts[e]);
  }
  free(paths);
  free(entries);
  free(weights);
  return done;
}

static void put_table(const float values[ENTRIES], tsr_trellis_table *table) {
  float largest = 0;
  for (int e = 0; e < ENTRIES; e++) largest = fmaxf(largest, fabsf(values[e]));
  table->unit = largest / 127;
  for (int e = 0; e < ENTRIES; e++)
    table->codes[e] = (uint8_t)(128 + (int)rintf(values[e] / table->unit));
}

// Branches of a state should lie far apart. No order of the first values that was tried ends better than a random
// order.
bool tsr_trellis_standard(unsigned rate, tsr_trellis_table *table) {
  float values[ENTRIES], *sample = malloc(SAMPLE * sizeof *sample);
  if (!sample) return false;
  normal_values(sample, SAMPLE);
  normal_values(values, ENTRIES);
  bool done = improve(sample, SAMPLE, rate, FIRST_ROUNDS, values);
  free(sample);
  put_table(values, table);
  return done;
}

bool tsr_trellis_train(const float *x, size_t count, unsigned rate, tsr_trellis_table *table) {
  float values[ENTRIES];
  for (int e = 0; e < ENTRIES; e++) values[e] = ((float)table->codes[e] - 128) * table->unit;
  bool done = improve(x, count, rate, ROUNDS, values);
  put_table(values, table);
  return done;
}

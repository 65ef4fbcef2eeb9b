// The definition of attention: rotation, the cache's codes, and sums over the cache.
#pragma STDC FP_CONTRACT OFF
#include <float.h>
#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "scalar.h"

float tsr_scalar_largest(const float *x, size_t count) {
  float best = -INFINITY;
  for (size_t i = 0; i < count; i++) best = fmaxf(best, x[i]);
  return best;
}

void tsr_scalar_scores(const float *queries, size_t rows, const float *keys, size_t dim,
                       float *out) {
  for (size_t r = 0; r < rows; r++)
    for (size_t s = 0; s < TSR_SLOT_TILE; s++)
      out[r * TSR_SLOT_TILE + s] = tsr_scalar_dot_f32(queries + r * dim, keys + s * dim, dim);
}

void tsr_scalar_weigh(const float *weights, size_t rows, const float *values, size_t dim,
                      float *out) {
  for (size_t r = 0; r < rows; r++)
    for (size_t s = 0; s < TSR_SLOT_TILE; s++)
      for (size_t i = 0; i < dim; i++)
        out[r * dim + i] += weights[r * TSR_SLOT_TILE + s] * values[s * dim + i];
}

float tsr_scalar_narrow_int8(const float *x, size_t count, int8_t *codes) {
  float most = tsr_largest_size(x, count), inverse = most > 1e-30f ? 127.0f / most : 0;
  if (!(most <= FLT_MAX)) {
    memset(codes, 0, count);
    return NAN;
  }
  for (size_t i = 0; i < count; i++) codes[i] = (int8_t)rintf(x[i] * inverse);
  return inverse > 0 ? most / 127.0f : 0;
}

void tsr_scalar_widen_f16(const uint16_t *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = tsr_half_to_float(x[i]);
}

void tsr_scalar_rotate(float *x, const float *cosines, const float *sines, size_t half,
                       float factor) {
  for (size_t i = 0; i < half; i++) {
    float a = x[i], b = x[i + half];
    x[i] = (a * cosines[i] - b * sines[i]) * factor;
    x[i + half] = (b * cosines[i] + a * sines[i]) * factor;
  }
}

void tsr_scalar_hadamard(float *x, size_t count) {
  size_t block = count & (~count + 1);  // its lowest bit
  float factor = 1 / sqrtf((float)block);
  for (size_t i = 0; i < count; i++) x[i] *= factor;
  for (size_t width = 1; width < block; width *= 2) {
    for (size_t begin = 0; begin < count; begin += 2 * width) {
      for (size_t i = begin; i < begin + width; i++) {
        float a = x[i], b = x[i + width];
        x[i] = a + b;
        x[i + width] = a - b;
      }
    }
  }
}

// Place of code i: the second and third of each four are exchanged.
static size_t place(size_t i) { return (i & ~(size_t)3) | (i & 1) << 1 | (i >> 1 & 1); }

float tsr_scalar_narrow_query(const float *x, size_t count, size_t dim, int16_t *codes,
                              int32_t *sum) {
  float most = tsr_largest_size(x, count);
  float inverse = most > 1e-30f ? TSR_CODE_LIMIT / most : 0;
  memset(codes, 0, dim * sizeof *codes);
  *sum = 0;
  if (!(most <= FLT_MAX)) return NAN;
  for (size_t i = 0; i < count; i++) {
    codes[place(i)] = (int16_t)rintf(x[i] * inverse);
    *sum += codes[place(i)];
  }
  return inverse > 0 ? most / TSR_CODE_LIMIT : 0;
}

// Score of a row and a slot of the head.
static float score(const tsr_section *s, size_t row, size_t slot) {
  const uint8_t *key = s->keys + slot / 16 * 16 * s->dim + slot % 16 * 4;
  int32_t dot = 0;  // exact: |dot| <= 512 * 32639 * 127 < 2^31
  for (size_t i = 0; i < s->dim; i++)
    dot += s->queries[row * s->dim + place(i)] * (key[i / 4 * 64 + i % 4] - 128);
  return (float)dot * (s->key_scales[slot] * s->query_scales[row]);
}

// Codes of a row's weights times the values' scales; returns the codes' scale. `weights` holds scores. A
// score that is no number makes the sum of weights none.
static float narrow_weights(const tsr_section *s, size_t row, float *weights, int16_t *codes) {
  float best = tsr_scalar_largest(weights, TSR_SECTION), most = 0, sum = 0;
  for (size_t i = 0; i < TSR_SECTION; i++) {
    float weight = weights[i] == -INFINITY ? 0 : expf(weights[i] - best);
    sum += weight;
    if (weight > 0)
      weight *= s->value_scales[s->tiles[i / TSR_SLOT_TILE] * TSR_SLOT_TILE + i % TSR_SLOT_TILE];
    most = fmaxf(most, weight);
    weights[i] = weight;
  }
  float inverse = most > 1e-30f ? TSR_CODE_LIMIT / most : 0;
  for (size_t i = 0; i < TSR_SECTION; i++)
    codes[i] = weights[i] > 0 ? (int16_t)rintf(weights[i] * inverse) : 0;
  s->states[2 * row] = best;
  s->states[2 * row + 1] = sum;
  return inverse > 0 ? most / TSR_CODE_LIMIT : 0;
}

void tsr_scalar_fold_section(const tsr_section *s) {
  for (size_t row = 0; row < s->rows; row++) {
    float weights[TSR_SECTION];
    int16_t codes[TSR_SECTION];
    const uint32_t *visible = s->visible + row / s->group * TSR_SECTION_TILES;
    for (size_t i = 0; i < TSR_SECTION; i++) {
      size_t tile = i / TSR_SLOT_TILE, slot = i % TSR_SLOT_TILE;
      bool seen = tile < s->tile_count && visible[tile] >> slot & 1;
      weights[i] = seen ? score(s, row, s->tiles[tile] * TSR_SLOT_TILE + slot) : -INFINITY;
    }
    float scale = narrow_weights(s, row, weights, codes);
    for (size_t i = 0; i < s->dim; i++) {
      int32_t sum = 0;  // exact: |sum| <= 512 * 32639 * 127 < 2^31
      for (size_t at = 0; at < s->tile_count * TSR_SLOT_TILE; at++) {
        size_t slot = s->tiles[at / TSR_SLOT_TILE] * TSR_SLOT_TILE + at % TSR_SLOT_TILE;
        sum += codes[at] * (s->values[slot / 4 * 4 * s->dim + i * 4 + slot % 4] - 128);
      }
      s->outputs[row * s->dim + i] = scale * (float)sum;
    }
  }
}

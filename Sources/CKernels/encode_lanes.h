// Shared parts of the encoders of panels. A group of 32 columns is worked on as 32 vectors of 16 rows; loops over lanes are left to
// the compiler, which makes one form per instruction set. No sum crosses lanes, so all forms agree.
#ifndef TSR_ENCODE_LANES_H
#define TSR_ENCODE_LANES_H
#include <float.h>
#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "clones.h"

#pragma STDC FP_CONTRACT OFF

enum { LANES = TSR_PANEL_ROWS, GROUP = TSR_GROUP };

#define INLINE static inline __attribute__((always_inline))
#define EACH_LANE for (size_t l = 0; l < LANES; l++)

typedef struct {
  float v[LANES];
} lanes;

// Values of one group; `count` of its columns exist, the rest and missing rows are zero.
typedef struct {
  lanes x[GROUP];
  size_t count;
} group;

typedef struct {
  lanes scale, minimum, error;
} fit;

// The nearest integer, ties to even, of |x| < 2^22.
INLINE float nearest(float x) { return (x + 12582912.0f) - 12582912.0f; }

// x rounded to half precision, still a float; a number that is too large stays too large.
INLINE float half_rounded(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  uint32_t sign = bits & 0x80000000u, size = bits & 0x7fffffffu;
  uint32_t normal = (size + 0xfffu + (size >> 13 & 1)) & ~0x1fffu;
  float magnitude, small;
  memcpy(&magnitude, &size, 4);
  small = (magnitude + 0.5f) - 0.5f;  // multiples of 2^-24
  memcpy(&magnitude, &normal, 4);
  float result = size < 0x38800000u ? small : magnitude;
  memcpy(&bits, &result, 4);
  bits |= sign;
  memcpy(&result, &bits, 4);
  return result;
}

INLINE float clamp(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

INLINE lanes inverses(const lanes *scale) {
  lanes r;
  EACH_LANE r.v[l] = scale->v[l] == 0 ? 0 : 1 / scale->v[l];
  return r;
}

// Codes of column i, as integers from low to high: value ~ scale * code + minimum.
INLINE lanes codes_of(const group *g, size_t i, const fit *f, const lanes *inverse, float low,
                      float high) {
  lanes q;
  EACH_LANE {
    float at = (g->x[i].v[l] - f->minimum.v[l]) * inverse->v[l];
    q.v[l] = nearest(clamp(at, low - 1, high + 1));
    q.v[l] = clamp(q.v[l], low, high);
  }
  return q;
}

INLINE void keep_better(fit *best, const fit *other) {
  EACH_LANE {
    bool better = other->error.v[l] < best->error.v[l];
    best->scale.v[l] = better ? other->scale.v[l] : best->scale.v[l];
    best->minimum.v[l] = better ? other->minimum.v[l] : best->minimum.v[l];
    best->error.v[l] = better ? other->error.v[l] : best->error.v[l];
  }
}

// Returns whether all values are finite.
INLINE bool load(const tsr_rows *s, size_t first, group *g) {
  bool finite = true;
  size_t rest = s->columns - first;
  g->count = rest < GROUP ? rest : GROUP;
  if (g->count < GROUP || s->rows < LANES) memset(g->x, 0, sizeof g->x);
  for (size_t l = 0; l < s->rows; l++) {
    const float *row = s->values + l * s->columns + first;
    for (size_t i = 0; i < g->count; i++) {
      g->x[i].v[l] = row[i];
      finite &= fabsf(row[i]) <= FLT_MAX;
    }
  }
  return finite;
}

// Adds up the sums of one group, lane after lane; lanes without a row do not count.
INLINE void add_up(const tsr_rows *s, const group *g, const lanes *error, double sums[2]) {
  lanes energy = {0};
  for (size_t i = 0; i < g->count; i++) {
    EACH_LANE energy.v[l] += g->x[i].v[l] * g->x[i].v[l];
  }
  for (size_t l = 0; l < s->rows; l++) {
    sums[0] += error->v[l];
    sums[1] += energy.v[l];
  }
}

// A panel of a nested encoding, as tsr_encode_panel writes it.
int tsr_encode_nested(const tsr_rows *rows, uint8_t *panel, double sums[2]);
#endif

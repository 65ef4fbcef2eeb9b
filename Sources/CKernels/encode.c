// Encoders of panels with a scale for each group, or for each row.
#include "encode_lanes.h"

#pragma STDC FP_CONTRACT OFF

// Sums of a group's codes q and values x, for least squares.
typedef struct {
  lanes q, x, qx, qq;
} moments;

// The squared error of a fit, and the sums that a better fit is made from.
INLINE void judge(const group *g, fit *f, float low, float high, moments *m) {
  lanes inverse = inverses(&f->scale);
  memset(&f->error, 0, sizeof f->error);
  memset(m, 0, sizeof *m);
  for (size_t i = 0; i < g->count; i++) {
    lanes q = codes_of(g, i, f, &inverse, low, high);
    EACH_LANE {
      float x = g->x[i].v[l];
      float difference = x - (f->scale.v[l] * q.v[l] + f->minimum.v[l]);
      f->error.v[l] += difference * difference;
      m->q.v[l] += q.v[l];
      m->x.v[l] += x;
      m->qx.v[l] += q.v[l] * x;
      m->qq.v[l] += q.v[l] * q.v[l];
    }
  }
}

// 8 bits, scale = largest / 127.
INLINE fit fit_int8(const group *g) {
  fit f = {0};
  moments m;
  for (size_t i = 0; i < g->count; i++) {
    EACH_LANE {
      float size = fabsf(g->x[i].v[l]);
      f.scale.v[l] = size > f.scale.v[l] ? size : f.scale.v[l];
    }
  }
  EACH_LANE f.scale.v[l] = half_rounded(f.scale.v[l] / 127);
  judge(g, &f, -127, 127, &m);
  return f;
}

// 4 bits: the best of a few scales near extreme / -8, each improved by least squares once its codes
// are known.
INLINE fit fit_int4(const group *g, size_t candidates) {
  // Where the extreme value is put: at -8, a little inside or outside of it, or at +7.
  static const float divisors[] = {-8, -7.2f, -8.8f, 7.2f, -6.4f, -9.6f};
  lanes extreme = {0};
  for (size_t i = 0; i < g->count; i++) {
    EACH_LANE {
      float x = g->x[i].v[l];
      extreme.v[l] = fabsf(x) > fabsf(extreme.v[l]) ? x : extreme.v[l];
    }
  }
  fit best = {0};
  for (size_t c = 0; c < (candidates ? candidates : 1); c++) {
    fit f = {0};
    moments m;
    EACH_LANE f.scale.v[l] = half_rounded(extreme.v[l] / divisors[c % 6]);
    judge(g, &f, -8, 7, &m);
    if (c == 0) best = f;
    keep_better(&best, &f);
    if (!candidates) break;
    EACH_LANE f.scale.v[l] = m.qq.v[l] > 0 ? half_rounded(m.qx.v[l] / m.qq.v[l]) : f.scale.v[l];
    judge(g, &f, -8, 7, &m);
    keep_better(&best, &f);
  }
  return best;
}

// 4 bits over [minimum, minimum + 15 scale], improved by least-squares lines.
INLINE fit fit_int4_affine(const group *g, size_t candidates) {
  lanes low = g->x[0], high = g->x[0];
  for (size_t i = 0; i < g->count; i++) {
    EACH_LANE {
      float x = g->x[i].v[l];
      low.v[l] = x < low.v[l] ? x : low.v[l];
      high.v[l] = x > high.v[l] ? x : high.v[l];
    }
  }
  fit best = {0};
  moments m;
  EACH_LANE {
    best.scale.v[l] = half_rounded((high.v[l] - low.v[l]) / 15);
    best.minimum.v[l] = half_rounded(low.v[l]);
  }
  judge(g, &best, 0, 15, &m);
  for (size_t c = 0; c < candidates; c++) {
    fit f = best;
    float count = (float)g->count;
    EACH_LANE {
      float determinant = count * m.qq.v[l] - m.q.v[l] * m.q.v[l];
      float scale = (count * m.qx.v[l] - m.q.v[l] * m.x.v[l]) / determinant;
      bool solved = determinant > 0;
      f.scale.v[l] = solved ? half_rounded(scale) : f.scale.v[l];
      f.minimum.v[l] = solved ? half_rounded((m.x.v[l] - scale * m.q.v[l]) / count)
                              : f.minimum.v[l];
    }
    judge(g, &f, 0, 15, &m);
    keep_better(&best, &f);
  }
  return best;
}

// With given scales. Where a group's values are out of reach, the scale times the power of two that fits best; infinite
// where none reaches them.
INLINE fit fit_steps(const group *g, const lanes *steps, float low, float high) {
  fit best = {.scale = *steps};
  moments m;
  judge(g, &best, low, high, &m);
  lanes largest = {0};
  for (size_t i = 0; i < g->count; i++) {
    EACH_LANE {
      float size = fabsf(g->x[i].v[l]);
      largest.v[l] = size > largest.v[l] ? size : largest.v[l];
    }
  }
  fit f = best;
  for (int doubling = 0; doubling < 40; doubling++) {  // from the least number of 16 bits to the largest
    bool out = false;
    EACH_LANE out |= largest.v[l] > (high + 0.5f) * f.scale.v[l];
    if (!out) break;
    EACH_LANE {
      bool doubles = largest.v[l] > (high + 0.5f) * f.scale.v[l] && f.scale.v[l] < 32768;
      f.scale.v[l] = doubles ? 2 * f.scale.v[l] : f.scale.v[l];
    }
    judge(g, &f, low, high, &m);
    keep_better(&best, &f);
  }
  EACH_LANE {
    bool out = largest.v[l] > (high + 0.5f) * f.scale.v[l];
    best.scale.v[l] = out ? INFINITY : best.scale.v[l];
  }
  return best;
}

// The codes of a group, integers around zero, in their order.
INLINE void store_lines(lanes codes[GROUP], uint32_t encoding, uint8_t *out) {
  float offset = encoding == TSR_INT8 ? 128 : encoding == TSR_INT4 ? 8 : 0;
  uint8_t bytes[GROUP][LANES];
  for (size_t i = 0; i < GROUP; i++) {
    EACH_LANE bytes[i][l] = (uint8_t)(int32_t)(codes[i].v[l] + offset);
  }
  if (encoding == TSR_INT8) {
    for (size_t i = 0; i < GROUP; i++) {
      EACH_LANE out[i / 4 * 64 + 4 * l + i % 4] = bytes[i][l];
    }
    return;
  }
  for (size_t j = 0; j < GROUP / 8; j++) {
    for (size_t i = 0; i < 4; i++) {
      EACH_LANE out[j * 64 + 4 * l + i] = bytes[8 * j + i][l] | bytes[8 * j + 4 + i][l] << 4;
    }
  }
}

INLINE void store_codes(const group *g, const fit *f, uint32_t encoding, uint8_t *out) {
  float low = encoding == TSR_INT8 ? -127 : encoding == TSR_INT4 ? -8 : 0;
  float high = encoding == TSR_INT8 ? 127 : encoding == TSR_INT4 ? 7 : 15;
  lanes codes[GROUP] = {0};
  lanes inverse = inverses(&f->scale);
  for (size_t i = 0; i < g->count; i++) codes[i] = codes_of(g, i, f, &inverse, low, high);
  store_lines(codes, encoding, out);
}

INLINE fit fit_group(const tsr_rows *s, const group *g, const lanes *steps) {
  if (s->steps) {
    bool wide = s->encoding == TSR_INT8;
    return fit_steps(g, steps, wide ? -127 : -8, wide ? 127 : 7);
  }
  switch (s->encoding) {
    case TSR_INT8: return fit_int8(g);
    case TSR_INT4: return fit_int4(g, s->candidates);
    default: return fit_int4_affine(g, s->candidates);
  }
}

// Scales of a group; false, with the row, if a scale is beyond half precision.
INLINE bool store_scales(const tsr_rows *s, const fit *f, size_t at, size_t plane, uint8_t *panel,
                         size_t *row) {
  for (size_t l = 0; l < s->rows; l++) {
    *row = l;
    if (!(fabsf(f->scale.v[l]) <= 65504) || !(fabsf(f->minimum.v[l]) <= 65504)) return false;
    uint16_t scale = tsr_float_to_half(f->scale.v[l]), minimum = tsr_float_to_half(f->minimum.v[l]);
    memcpy(panel + (at * LANES + l) * 2, &scale, 2);
    if (s->encoding == TSR_INT4_AFFINE) memcpy(panel + plane + (at * LANES + l) * 2, &minimum, 2);
  }
  return true;
}

// Rounds a group column by column; each column's error changes those after it, in this group and in
// `rest` groups of its block.
INLINE void round_group(const tsr_rows *s, size_t column, group *block, size_t index, size_t groups,
                        fit *f, lanes codes[GROUP]) {
  float low = s->encoding == TSR_INT8 ? -127 : -8, high = s->encoding == TSR_INT8 ? 127 : 7;
  lanes inverse = inverses(&f->scale);
  group *g = &block[index];
  memset(&f->error, 0, sizeof f->error);
  for (size_t i = 0; i < g->count; i++) {
    codes[i] = codes_of(g, i, f, &inverse, low, high);
    const float *row = s->feedback + (column + i) * s->block;
    float gain = s->gains[column + i];
    lanes error;
    EACH_LANE {
      error.v[l] = g->x[i].v[l] - f->scale.v[l] * codes[i].v[l];
      f->error.v[l] += gain * (error.v[l] * error.v[l]);
    }
    for (size_t k = index * GROUP + i + 1; k < groups * GROUP; k++) {
      lanes *x = &block[k / GROUP].x[k % GROUP];
      EACH_LANE x->v[l] -= row[k] * error.v[l];
    }
  }
}

// A panel in blocks of columns that make up for each other's errors.
TSR_CLONES
static int encode_with_feedback(const tsr_rows *s, uint8_t *panel, double sums[2]) {
  size_t all = (s->columns + GROUP - 1) / GROUP, plane = (all * 32 + 63) / 64 * 64;
  size_t group_bytes = s->encoding == TSR_INT8 ? 512 : 256, row;
  lanes steps = {0}, nothing = {0};
  memset(panel, 0, plane);
  for (size_t l = 0; l < s->rows; l++) steps.v[l] = s->steps[l];
  for (size_t first = 0; first < all; first += s->block / GROUP) {
    group block[TSR_FEEDBACK_BLOCK / GROUP];
    size_t count = all - first < s->block / GROUP ? all - first : s->block / GROUP;
    for (size_t i = 0; i < count; i++) {
      if (!load(s, (first + i) * GROUP, &block[i])) return TSR_NOT_FINITE;
      add_up(s, &block[i], &nothing, sums);
    }
    for (size_t i = 0; i < count; i++) {
      size_t at = first + i;
      lanes codes[GROUP] = {0};
      fit f = fit_group(s, &block[i], &steps);
      if (!store_scales(s, &f, at, plane, panel, &row)) return (int)row;
      round_group(s, at * GROUP, block, i, count, &f, codes);
      for (size_t l = 0; l < s->rows; l++) sums[0] += f.error.v[l];
      store_lines(codes, s->encoding, panel + plane + at * group_bytes);
    }
  }
  return TSR_ENCODED;
}

TSR_CLONES
static int encode_panel(const tsr_rows *s, uint8_t *panel, double sums[2]) {
  size_t groups = (s->columns + GROUP - 1) / GROUP, plane = (groups * 32 + 63) / 64 * 64;
  size_t group_bytes = s->encoding == TSR_INT8 ? 512 : 256, row;
  uint8_t *codes = panel + (s->encoding == TSR_INT4_AFFINE ? 2 : 1) * plane;
  lanes steps = {0};
  memset(panel, 0, (size_t)(codes - panel));
  for (size_t l = 0; s->steps && l < s->rows; l++) steps.v[l] = s->steps[l];
  for (size_t at = 0; at < groups; at++) {
    group g;
    if (!load(s, at * GROUP, &g)) return TSR_NOT_FINITE;
    fit f = fit_group(s, &g, &steps);
    if (!store_scales(s, &f, at, plane, panel, &row)) return (int)row;
    add_up(s, &g, &f.error, sums);
    store_codes(&g, &f, s->encoding, codes + at * group_bytes);
  }
  return TSR_ENCODED;
}

int tsr_encode_panel(const tsr_rows *s, uint8_t *panel, double sums[2]) {
  if (tsr_form(s->encoding).factors) return tsr_encode_nested(s, panel, sums);
  return s->feedback ? encode_with_feedback(s, panel, sums) : encode_panel(s, panel, sums);
}

// Encoders of panels whose scales are integers times factors of a super-group (Formats/TSR.md, "Bytes of a tensor"). Each
// group, or each half of it, is fitted by itself; the integers and factors follow from the fits, and the codes from those.
// With feedback the columns after a rounded one take up its error; so each group is fitted once more, with the factors
// that the first fits gave, when the columns in front of it are rounded.
#include "encode_lanes.h"

#pragma STDC FP_CONTRACT OFF

enum { SUPER = TSR_SUPER_GROUP, HALF = GROUP / 2 };

// Sums for weighted least squares.
typedef struct {
  lanes w, q, x, qx, qq;
} weighted;

// Columns first..<end of a group, and the weights of their errors: an equal part for all, and more for large values,
// because they tend to meet large activations.
typedef struct {
  const group *g;
  size_t first, end;
  lanes floor;
} span;

INLINE span make_span(const group *g, size_t first, size_t count) {
  span s = {.g = g, .first = first, .end = first + count};
  if (s.end > g->count) s.end = g->count;
  for (size_t i = s.first; i < s.end; i++) EACH_LANE s.floor.v[l] += g->x[i].v[l] * g->x[i].v[l];
  EACH_LANE s.floor.v[l] = s.end > s.first ? sqrtf(s.floor.v[l] / (float)(s.end - s.first)) : 0;
  return s;
}

// The weighted error of a fit, and the sums that a better fit is made from.
INLINE void judge_span(const span *s, fit *f, float low, float high, weighted *m) {
  lanes inverse = inverses(&f->scale);
  memset(&f->error, 0, sizeof f->error);
  memset(m, 0, sizeof *m);
  for (size_t i = s->first; i < s->end; i++) {
    lanes q = codes_of(s->g, i, f, &inverse, low, high);
    EACH_LANE {
      float x = s->g->x[i].v[l], w = s->floor.v[l] + fabsf(x);
      float difference = x - (f->scale.v[l] * q.v[l] + f->minimum.v[l]);
      f->error.v[l] += w * (difference * difference);
      m->w.v[l] += w;
      m->q.v[l] += w * q.v[l];
      m->x.v[l] += w * x;
      m->qx.v[l] += w * (q.v[l] * x);
      m->qq.v[l] += w * (q.v[l] * q.v[l]);
    }
  }
}

// Codes 0...high and a minimum that is not above zero: ranges a little narrower and wider than the values', each improved
// by a least-squares line.
INLINE fit fit_range(const span *s, float high, size_t candidates) {
  lanes low = {0}, most = {0};
  for (size_t i = s->first; i < s->end; i++) {
    EACH_LANE {
      float x = s->g->x[i].v[l];
      low.v[l] = x < low.v[l] ? x : low.v[l];
      most.v[l] = x > most.v[l] ? x : most.v[l];
    }
  }
  fit best = {0};
  for (size_t c = 0; c <= 2 * candidates; c++) {
    fit f = {.minimum = low};
    weighted m;
    // Narrower and wider ranges take turns.
    float reach = high + (c % 2 ? 0.2f : -0.2f) * (float)((c + 1) / 2) * high / 15;
    EACH_LANE f.scale.v[l] = (most.v[l] - low.v[l]) / reach;
    judge_span(s, &f, 0, high, &m);
    if (c == 0) best = f;
    keep_better(&best, &f);
    for (int round = 0; round < 2; round++) {
      EACH_LANE {
        float determinant = m.w.v[l] * m.qq.v[l] - m.q.v[l] * m.q.v[l];
        float scale = (m.w.v[l] * m.qx.v[l] - m.q.v[l] * m.x.v[l]) / determinant;
        float minimum = (m.x.v[l] - scale * m.q.v[l]) / m.w.v[l];
        bool above = minimum > 0;
        scale = above ? m.qx.v[l] / m.qq.v[l] : scale;
        bool solved = determinant > 0 && scale > 0;
        f.scale.v[l] = solved ? scale : f.scale.v[l];
        f.minimum.v[l] = solved ? (above ? 0 : minimum) : f.minimum.v[l];
      }
      judge_span(s, &f, 0, high, &m);
      keep_better(&best, &f);
    }
  }
  return best;
}

// Codes -half...half - 1 without a minimum: the extreme value at either end, a little inside or outside.
INLINE fit fit_signed(const span *s, float half, size_t candidates) {
  lanes extreme = {0};
  for (size_t i = s->first; i < s->end; i++) {
    EACH_LANE {
      float x = s->g->x[i].v[l];
      extreme.v[l] = fabsf(x) > fabsf(extreme.v[l]) ? x : extreme.v[l];
    }
  }
  fit best = {0};
  for (size_t c = 0; c <= 2 * candidates; c++) {
    fit f = {0};
    weighted m;
    float reach = half + (c % 2 ? 0.2f : -0.2f) * (float)((c + 1) / 2) * half / 8;
    EACH_LANE f.scale.v[l] = extreme.v[l] / -reach;
    judge_span(s, &f, -half, half - 1, &m);
    if (c == 0) best = f;
    keep_better(&best, &f);
    EACH_LANE f.scale.v[l] = m.qq.v[l] > 0 ? m.qx.v[l] / m.qq.v[l] : f.scale.v[l];
    judge_span(s, &f, -half, half - 1, &m);
    keep_better(&best, &f);
  }
  return best;
}

INLINE fit fit_span(const span *s, tsr_panel_form form, size_t candidates) {
  return form.offset ? fit_signed(s, (float)form.offset, candidates)
                     : fit_range(s, (float)((1 << form.bits) - 1), candidates);
}

// The least number of half precision that, times `most`, reaches the largest of sizes.
INLINE lanes factor_of(lanes sizes, float most) {
  lanes factor;
  EACH_LANE {
    float wanted = sizes.v[l] / most, rounded = half_rounded(wanted);
    // The next number up: one part in 2048 more, or the least number where it is small.
    float more = half_rounded(wanted + (wanted * 0.0005f > 3e-8f ? wanted * 0.0005f : 3e-8f));
    factor.v[l] = rounded * most >= sizes.v[l] ? rounded : more;
  }
  return factor;
}

INLINE lanes integers_of(const lanes *sizes, const lanes *factor, float low, float high) {
  lanes r, inverse = inverses(factor);
  EACH_LANE r.v[l] = clamp(nearest(clamp(sizes->v[l] * inverse.v[l], low, high)), low, high);
  return r;
}

// The groups of a super-group, which begins at column `first` of the matrix.
typedef struct {
  group g[SUPER];
  size_t first, count;
} super_group;

// The columns after one of a super-group, in its block, take up its error.
INLINE void make_up(const tsr_rows *s, super_group *g, size_t column, const lanes *error) {
  size_t begin = column / s->block * s->block, end = begin + s->block;
  const float *row = s->feedback + (g->first + column) * s->block;
  if (end > g->count * GROUP) end = g->count * GROUP;
  for (size_t k = column + 1; k < end; k++) {
    lanes *x = &g->g[k / GROUP].x[k % GROUP];
    EACH_LANE x->v[l] -= row[k - begin] * error->v[l];
  }
}

// Writes the codes of a span with the scale as stored, and adds up its errors.
INLINE void store_span(const tsr_rows *s, const span *p, super_group *g, const fit *f,
                       tsr_panel_form form, float low, float high, uint8_t *out, double *sum) {
  lanes inverse = inverses(&f->scale);
  lanes sums = {0};
  for (size_t i = p->first; i < p->end; i++) {
    lanes q = codes_of(p->g, i, f, &inverse, low, high), error;
    size_t column = (size_t)(p->g - g->g) * GROUP + i;
    float gain = s->feedback ? s->gains[g->first + column] : 1;
    EACH_LANE {
      error.v[l] = p->g->x[i].v[l] - (f->scale.v[l] * q.v[l] + f->minimum.v[l]);
      sums.v[l] += gain * (error.v[l] * error.v[l]);
    }
    if (s->feedback) make_up(s, g, column, &error);
    for (size_t l = 0; l < s->rows; l++)
      tsr_put_code(form, out, l, i, (unsigned)((int)q.v[l] + form.offset));
  }
  for (size_t l = 0; l < s->rows; l++) *sum += sums.v[l];
}

// Padding has the code whose value is nearest to zero.
INLINE void pad(const group *g, tsr_panel_form form, size_t rows, uint8_t *out) {
  for (size_t l = 0; l < LANES; l++)
    for (size_t i = l < rows ? g->count : 0; i < GROUP; i++)
      tsr_put_code(form, out, l, i, (unsigned)form.offset);
}

INLINE bool put_factor(lanes factor, size_t rows, uint8_t *plane, size_t *row) {
  for (size_t l = 0; l < rows; l++) {
    *row = l;
    if (!(factor.v[l] <= 65504)) return false;
    uint16_t half = tsr_float_to_half(factor.v[l]);
    memcpy(plane + 2 * l, &half, 2);
  }
  return true;
}

INLINE int encode_nested(const tsr_rows *s, uint8_t *panel, double sums[2], uint32_t encoding) {
  const tsr_panel_form form = tsr_form(encoding);
  const size_t groups = (s->columns + GROUP - 1) / GROUP;
  const float low = (float)-form.offset, high = (float)((1 << form.bits) - 1 - form.offset);
  uint8_t *codes = panel + tsr_planes_bytes(form, groups);
  size_t row;
  memset(panel, 0, tsr_panel_bytes(encoding, groups));
  for (size_t first = 0; first < groups; first += SUPER) {
    super_group g = {.first = first * GROUP};
    fit fits[SUPER][2];
    lanes most = {0}, lowest = {0};
    g.count = groups - first < SUPER ? groups - first : SUPER;
    for (size_t i = 0; i < g.count; i++) {
      lanes nothing = {0};
      if (!load(s, (first + i) * GROUP, &g.g[i])) return TSR_NOT_FINITE;
      add_up(s, &g.g[i], &nothing, sums);
      for (size_t part = 0; part < form.parts; part++) {
        span p = make_span(&g.g[i], part * HALF, GROUP / form.parts);
        fit *f = &fits[i][part];
        *f = fit_span(&p, form, s->candidates);
        EACH_LANE {
          float size = fabsf(f->scale.v[l]), depth = -f->minimum.v[l];
          most.v[l] = size > most.v[l] ? size : most.v[l];
          lowest.v[l] = depth > lowest.v[l] ? depth : lowest.v[l];
        }
      }
    }
    lanes d = factor_of(most, form.offset ? 127 : 255), e = factor_of(lowest, 255);
    uint8_t *factors = (uint8_t *)tsr_factors(form, panel, groups, first);
    if (!put_factor(d, s->rows, factors, &row)) return (int)row;
    if (form.factors > 1 && !put_factor(e, s->rows, factors + 32, &row)) return (int)row;
    for (size_t i = 0; i < g.count; i++) {
      uint8_t *integers = panel + 32 * (first + i), *out = codes + (first + i) * 64 * form.bits;
      for (size_t part = 0; part < form.parts; part++) {
        span p = make_span(&g.g[i], part * HALF, GROUP / form.parts);
        fit *f = &fits[i][part], stored = {0};
        if (s->feedback) *f = fit_span(&p, form, s->candidates);
        lanes scale = integers_of(&f->scale, &d, form.offset ? -127 : 0, form.offset ? 127 : 255);
        lanes depth;
        EACH_LANE depth.v[l] = -f->minimum.v[l];
        depth = integers_of(&depth, &e, 0, 255);
        for (size_t l = 0; l < s->rows; l++) {
          integers[16 * part + l] = (uint8_t)(int)scale.v[l];
          if (!form.offset) integers[16 + l] = (uint8_t)(int)depth.v[l];
        }
        EACH_LANE stored.scale.v[l] = d.v[l] * scale.v[l];
        EACH_LANE stored.minimum.v[l] = form.offset ? 0 : -e.v[l] * depth.v[l];
        store_span(s, &p, &g, &stored, form, low, high, out, &sums[0]);
      }
      pad(&g.g[i], form, s->rows, out);
    }
  }
  return TSR_ENCODED;
}

TSR_CLONES
int tsr_encode_nested(const tsr_rows *s, uint8_t *panel, double sums[2]) {
  switch (s->encoding) {
    case TSR_INT3_NESTED: return encode_nested(s, panel, sums, TSR_INT3_NESTED);
    case TSR_INT4_NESTED: return encode_nested(s, panel, sums, TSR_INT4_NESTED);
    case TSR_INT5_NESTED: return encode_nested(s, panel, sums, TSR_INT5_NESTED);
    default: return encode_nested(s, panel, sums, TSR_INT6_NESTED);
  }
}

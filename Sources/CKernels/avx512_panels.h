// Panels of 16 rows times any number of tokens with AVX-512 VNNI. A group of 32 columns of one panel,
// or of two, is decoded into registers once and multiplied by all its entries, some at a time: the
// tokens, then the residuals of that group, which so share the weights too. One stream of entries is
// read from front to back. Two panels share each load of a code, and loads are the limit from a few
// tokens on: one panel's products each take one, and two is all that a core loads in a cycle.
// Included with the target's attribute open.
#ifndef TSR_AVX512_PANELS_H
#define TSR_AVX512_PANELS_H
#include <string.h>

#include "panels.h"

#define INLINE static inline __attribute__((always_inline))

enum { STEPS = 8 };     // of 4 columns
// Groups: how far ahead of its use a group is fetched, and one of strands, which is smaller.
enum { AHEAD = 12, STRANDS_AHEAD = 24 };
enum { AT_ONCE = 10 };  // sums that stay in registers next to two panels' weights: 5 entries of two

// What is multiplied, an encoding or strands: a constant everywhere.
typedef uint32_t matrix_form;
enum { STRANDS = 0 };

// Where panels lie: scales, and minimums or factors `plane` bytes after them, and codes; a stride is the way from one
// panel to the next.
typedef struct {
  const uint8_t *scales, *codes;
  size_t scales_stride, codes_stride, plane, group_bytes;  // of codes
#ifdef TSR_STRANDS
  strand_decoder decoder;
#endif
} panel_source;

// One group's weights of 16 rows: codes as stored, without their offset, and how they are scaled.
typedef struct {
  __m512i codes[STEPS];
  // For each part of the group. Where sums of codes are given as offsets, the minimum is -1/8 of what is stored.
  __m512 scale[2], minimum[2];
} group_weights;

INLINE __m512i four_codes(const int8_t *p) {
  int32_t bits;
  memcpy(&bits, p, sizeof bits);
  return _mm512_set1_epi32(bits);
}

INLINE __m512 load_halves(const uint8_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

INLINE panel_source plain_panels(const uint8_t *panels, size_t groups, matrix_form form) {
  const tsr_panel_form f = tsr_form(form);
  size_t plane = tsr_plane_bytes(groups), group_bytes = 64 * f.bits;
  size_t planes = tsr_planes_bytes(f, groups), stride = planes + groups * group_bytes;
  return (panel_source){.scales = panels, .codes = panels + planes, .scales_stride = stride,
                        .codes_stride = stride, .plane = plane, .group_bytes = group_bytes};
}

// Whether minimums are taken times sums of codes, and not an offset from the product.
INLINE bool has_minimums(matrix_form form) {
  return form != STRANDS && form != TSR_INT8 && form != TSR_INT4;
}

INLINE size_t parts_of(matrix_form form) { return form == STRANDS ? 1 : tsr_form(form).parts; }

// Codes of columns 4 step ... 4 step + 3: bits of a plane's line, each moved to its place in the code.
INLINE __m512i plane_bits(__m512i line, unsigned width, unsigned at, unsigned to) {
  __m512i moved = at >= to ? _mm512_srlv_epi16(line, _mm512_set1_epi16((short)(at - to)))
                           : _mm512_sllv_epi16(line, _mm512_set1_epi16((short)(to - at)));
  return _mm512_and_si512(moved, _mm512_set1_epi8((char)(((1u << width) - 1) << to)));
}

INLINE __m512i plane_step(const uint8_t *codes, unsigned width, unsigned taken, unsigned step) {
  unsigned places = 8 / width;
  __m512i line = _mm512_loadu_si512(codes + 64 * (taken + step / places));
  return plane_bits(line, width, step % places * width, taken);
}

INLINE __m512i code_step(const uint8_t *codes, unsigned bits, unsigned step) {
  __m512i code = _mm512_setzero_si512();
  if (bits & 4) code = plane_step(codes, 4, 0, step);
  if (bits & 2) code = _mm512_or_si512(code, plane_step(codes, 2, bits & 4, step));
  if (bits & 1) code = _mm512_or_si512(code, plane_step(codes, 1, bits & 6, step));
  return code;
}

// 16 unsigned or signed bytes as floats.
INLINE __m512 floats_of(__m128i bytes, bool is_signed) {
  return _mm512_cvtepi32_ps(is_signed ? _mm512_cvtepi8_epi32(bytes)
                                      : _mm512_cvtepu8_epi32(bytes));
}

// Scales and minimums of integers times factors.
INLINE void load_nested(group_weights *w, const uint8_t *integers, const uint8_t *factors,
                        tsr_panel_form f) {
  const __m128i nibble = _mm_set1_epi8(15);
  __m512 factor = load_halves(factors), less = factor;
  if (f.factors == 2)
    less = _mm512_mul_ps(load_halves(factors + 32), _mm512_set1_ps(f.parts == 1 ? 0.125f : -1));
  for (unsigned part = 0; part < f.parts; part++) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(integers + 16 * part)), scale = bytes;
    if (f.factors == 1) {
      w->scale[part] = _mm512_mul_ps(factor, floats_of(scale, true));
      w->minimum[part] = _mm512_mul_ps(w->scale[part], _mm512_set1_ps((float)-f.offset));
      continue;
    }
    __m128i minimum = _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble);
    if (f.parts == 1) minimum = _mm_loadu_si128((const __m128i *)(integers + 16));
    else scale = _mm_and_si128(bytes, nibble);
    w->scale[part] = _mm512_mul_ps(factor, floats_of(scale, false));
    w->minimum[part] = _mm512_mul_ps(less, floats_of(minimum, false));
  }
}

INLINE void load_scales(group_weights *w, const panel_source *s, const uint8_t *scales,
                        size_t group, matrix_form form) {
  if (form == STRANDS || tsr_form(form).factors == 0) {
    w->scale[0] = w->minimum[0] = load_halves(scales);
    if (!has_minimums(form)) return;
    bool affine = tsr_form(form).planes == 2;
    float factor = affine ? -0.125f : 0.125f * (float)tsr_form(form).offset;
    w->minimum[0] =
        _mm512_mul_ps(load_halves(affine ? scales + s->plane : scales), _mm512_set1_ps(factor));
    return;
  }
  const tsr_panel_form f = tsr_form(form);
  load_nested(w, scales,
              scales - group * 32 + s->plane + group / TSR_SUPER_GROUP * 32 * f.factors, f);
}

// Group `group` of a panel.
INLINE group_weights load_group(const panel_source *s, size_t panel, size_t group,
                                matrix_form form) {
  group_weights w;
  const uint8_t *codes = s->codes + panel * s->codes_stride + group * s->group_bytes;
#pragma clang loop unroll(full)
  for (unsigned step = 0; step < STEPS; step++) {
    switch (form) {
      case TSR_INT8: w.codes[step] = _mm512_loadu_si512(codes + 64 * step); break;
      case STRANDS:
#ifdef TSR_STRANDS
        w.codes[step] = decode_64(&s->decoder, codes + step * (s->group_bytes / STEPS));
#endif
        break;
      default: w.codes[step] = code_step(codes, tsr_form(form).bits, step);
    }
  }
  load_scales(&w, s, s->scales + panel * s->scales_stride + group * 32, group, form);
  return w;
}

// Fetches the group that comes AHEAD groups after `group`: in this panel, or in the panel `next` panels after it.
INLINE void fetch_ahead(const panel_source *s, size_t panel, size_t next, size_t group,
                        size_t groups, matrix_form form) {
  size_t coming = group + (form == STRANDS ? STRANDS_AHEAD : AHEAD);
  if (coming >= groups) panel += next, coming -= groups;
  const uint8_t *codes = s->codes + panel * s->codes_stride + coming * s->group_bytes;
  const uint8_t *scales = s->scales + panel * s->scales_stride + coming * 32;
  for (size_t at = 0; at < s->group_bytes; at += 64)
    _mm_prefetch((const char *)codes + at, _MM_HINT_T0);
  if (form == STRANDS) return;  // scales have just been written
  const tsr_panel_form f = tsr_form(form);
  _mm_prefetch((const char *)scales, _MM_HINT_T0);
  if (f.planes == 2) _mm_prefetch((const char *)scales + s->plane, _MM_HINT_T0);
  if (f.factors && coming % TSR_SUPER_GROUP == 0)
    _mm_prefetch((const char *)scales - coming * 32 + s->plane + coming * 4 * f.factors,
                 _MM_HINT_T0);
}

// Sums of unsigned codes of steps from..<to times the entries' signed ones, exact: at most 32 * 255 * 127.
INLINE void dots(const group_weights *w, int panels, const tsr_entry *e, int count, int from,
                 int to, __m512i sums[AT_ONCE]) {
  for (int i = 0; i < count * panels; i++) sums[i] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
  for (int step = 0; step < STEPS; step++)
    for (int i = 0; step >= from && step < to && i < count; i++) {
      __m512i codes = four_codes(e[i].codes + 4 * step);
      for (int p = 0; p < panels; p++)
        sums[i * panels + p] = _mm512_dpbusd_epi32(sums[i * panels + p], w[p].codes[step], codes);
    }
}

// The same for each part of a group.
INLINE void all_dots(const group_weights *w, int panels, matrix_form form, const tsr_entry *e,
                     int count, __m512i sums[2][AT_ONCE]) {
  if (parts_of(form) == 1) {
    dots(w, panels, e, count, 0, STEPS, sums[0]);
    return;
  }
  dots(w, panels, e, count, 0, STEPS / 2, sums[0]);
  dots(w, panels, e, count, STEPS / 2, STEPS, sums[1]);
}

// Adds one part of an entry's product to its token's sums, minimums with the entry's sums of codes.
INLINE __m512 add_part(const group_weights *w, size_t part, float total, const tsr_entry *e,
                       __m512i dot, __m512 sum) {
  sum = _mm512_fmadd_ps(w->minimum[part], _mm512_set1_ps(total), sum);
  __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(dot), _mm512_set1_ps(e->scale));
  return _mm512_fmadd_ps(w->scale[part], product, sum);
}

// Adds one entry's dot products to its token's sums; the stored offset leaves with the entry's.
INLINE __m512 add_entry(const group_weights *w, matrix_form form, const tsr_entry *e, __m512i dot,
                        __m512i other, __m512 sum) {
  if (parts_of(form) == 2)
    return add_part(w, 1, e->half_sums[1], e, other,
                    add_part(w, 0, e->half_sums[0], e, dot, sum));
  if (has_minimums(form)) return add_part(w, 0, e->offset4, e, dot, sum);
  __m512 offset = _mm512_set1_ps(form == TSR_INT4 ? e->offset4 : e->offset8);
  __m512 product = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_set1_ps(e->scale), offset);
  return _mm512_fmadd_ps(w->scale[0], product, sum);
}

// `count` entries, whose number is a constant. Two may be of the same token: it is added in order.
INLINE void multiply_entries(const group_weights *w, int panels, matrix_form form,
                             const tsr_entry *e, int count, float *out) {
  __m512i sums[2][AT_ONCE];
  all_dots(w, panels, form, e, count, sums);
  for (int i = 0; i < count; i++) {
    for (int p = 0; p < panels; p++) {
      float *sum = out + ((size_t)e[i].row * (size_t)panels + (size_t)p) * TSR_PANEL_ROWS;
      int at = i * panels + p;
      __m512 added = add_entry(&w[p], form, &e[i], sums[0][at], sums[parts_of(form) - 1][at],
                               _mm512_loadu_ps(sum));
      _mm512_storeu_ps(sum, added);
    }
  }
}

// Groups of at least four entries keep the multipliers busy: no product waits for the one before.
INLINE void multiply_group(const group_weights *w, int panels, matrix_form form,
                           const tsr_entry *e, size_t count, float *out) {
  enum { FEW = 4 };
  for (; count >= 2 * FEW; count -= FEW, e += FEW)
    multiply_entries(w, panels, form, e, FEW, out);
  if (count > 5) {
    multiply_entries(w, panels, form, e, 3, out);
    count -= 3, e += 3;
  }
  switch (count) {
    case 1: multiply_entries(w, panels, form, e, 1, out); break;
    case 2: multiply_entries(w, panels, form, e, 2, out); break;
    case 3: multiply_entries(w, panels, form, e, 3, out); break;
    case 4: multiply_entries(w, panels, form, e, 4, out); break;
    case 5: multiply_entries(w, panels, form, e, 5, out); break;
    default: break;
  }
}

// A group of one or two panels.
INLINE void load_panels(const panel_source *s, size_t panel, int panels, size_t group,
                        size_t groups, matrix_form form, group_weights w[2]) {
  for (int p = 0; p < panels; p++) {
    fetch_ahead(s, panel + (size_t)p, (size_t)panels, group, groups, form);
    w[p] = load_group(s, panel + (size_t)p, group, form);
  }
}

// One token: its sums stay in registers.
INLINE void multiply_token(const panel_source *s, size_t panel, int panels,
                           const tsr_activations *x, const tsr_entry *e, const uint32_t *ends,
                           matrix_form form, float *out) {
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (size_t group = 0; group < x->groups; group++) {
    group_weights w[2];
    load_panels(s, panel, panels, group, x->groups, form, w);
    const tsr_entry *end = e + 1 + (ends[group] - (group > 0 ? ends[group - 1] : 0));
    for (; e < end; e++) {
      __m512i dot[2][AT_ONCE];
      all_dots(w, panels, form, e, 1, dot);
      for (int p = 0; p < panels; p++)
        sums[p] = add_entry(&w[p], form, e, dot[0][p], dot[parts_of(form) - 1][p], sums[p]);
    }
  }
  for (int p = 0; p < panels; p++) _mm512_storeu_ps(out + p * TSR_PANEL_ROWS, sums[p]);
}

// Panel `panel` of `s`, or that and the next.
INLINE void multiply_panels(const panel_source *s, size_t panel, int panels,
                            const tsr_activations *x, size_t first, size_t tokens, float *out,
                            matrix_form form) {
  const tsr_entry *e = x->entries + first * x->terms;
  const uint32_t *ends = x->group_ends + first / TSR_TOKEN_BLOCK * x->groups;
  if (tokens == 1) {
    multiply_token(s, panel, panels, x, e, ends, form, out);
    return;
  }
  memset(out, 0, tokens * (size_t)panels * TSR_PANEL_ROWS * sizeof(float));
  for (size_t group = 0; group < x->groups; group++) {
    group_weights w[2];
    load_panels(s, panel, panels, group, x->groups, form, w);
    size_t count = tokens + ends[group] - (group > 0 ? ends[group - 1] : 0);
    multiply_group(w, panels, form, e, count, out);
    e += count;
  }
}
#endif

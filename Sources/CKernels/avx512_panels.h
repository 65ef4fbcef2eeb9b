// Panels of 16 rows times any number of tokens with AVX-512 VNNI. A group of 32 columns of one panel,
// or of two, is decoded into registers once and multiplied by all its entries, some at a time: the
// tokens, then the residuals of that group, which so share the weights too. One stream of entries is
// read from front to back. Two panels share each load of a code, and loads are the limit from a few
// tokens on: one panel's products each take one, and two is all that a core loads in a cycle.
// Included with the target's attribute open.
#ifndef TSR_AVX512_PANELS_H
#define TSR_AVX512_PANELS_H
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { STEPS = 8 };     // of 4 columns
// Groups: how far ahead of its use a group is fetched, and one of strands, which is smaller.
enum { AHEAD = 12, STRANDS_AHEAD = 24 };
enum { AT_ONCE = 10 };  // sums that stay in registers beside two panels' weights: 5 entries of two

// What is multiplied: a constant everywhere.
typedef enum { INT8, INT4, INT4_AFFINE, STRANDS } matrix_form;

// Where panels lie: scales, and minimums `plane` bytes behind them, and codes; a stride is the way from one panel to
// the next.
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
  __m512 scale, minimum;  // minimum: -1/8 of it, to be multiplied by entries' offsets
} group_weights;

INLINE __m512i four_codes(const int8_t *p) {
  int32_t bits;
  memcpy(&bits, p, sizeof bits);
  return _mm512_set1_epi32(bits);
}

INLINE __m512 halves(const uint8_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

INLINE panel_source plain_panels(const uint8_t *panels, size_t groups, matrix_form form) {
  size_t plane = (groups * 32 + 63) / 64 * 64, group_bytes = form == INT8 ? 512 : 256;
  size_t planes = (form == INT4_AFFINE ? 2 : 1) * plane, stride = planes + groups * group_bytes;
  return (panel_source){.scales = panels, .codes = panels + planes, .scales_stride = stride,
                        .codes_stride = stride, .plane = plane, .group_bytes = group_bytes};
}

// Group `group` of a panel.
INLINE group_weights load_group(const panel_source *s, size_t panel, size_t group,
                                matrix_form form) {
  group_weights w;
  const __m512i nibble = _mm512_set1_epi8(15);
  const uint8_t *codes = s->codes + panel * s->codes_stride + group * s->group_bytes;
  const uint8_t *scales = s->scales + panel * s->scales_stride + group * 32;
  for (size_t step = 0; step < STEPS; step++) {
    switch (form) {
      case INT8: w.codes[step] = _mm512_loadu_si512(codes + 64 * step); break;
      case STRANDS:
#ifdef TSR_STRANDS
        w.codes[step] = decode_64(&s->decoder, codes + step * (s->group_bytes / STEPS));
#endif
        break;
      default: {
        __m512i bytes = _mm512_loadu_si512(codes + 64 * (step / 2));
        if (step % 2) bytes = _mm512_srli_epi16(bytes, 4);
        w.codes[step] = _mm512_and_si512(bytes, nibble);
      }
    }
  }
  w.scale = w.minimum = halves(scales);
  if (form == INT4_AFFINE)
    w.minimum = _mm512_mul_ps(halves(scales + s->plane), _mm512_set1_ps(-0.125f));
  return w;
}

// Fetches the group that comes AHEAD of `group`: of this panel, or of the one `next` panels behind it.
INLINE void fetch_ahead(const panel_source *s, size_t panel, size_t next, size_t group,
                        size_t groups, matrix_form form) {
  size_t coming = group + (form == STRANDS ? STRANDS_AHEAD : AHEAD);
  if (coming >= groups) panel += next, coming -= groups;
  const uint8_t *codes = s->codes + panel * s->codes_stride + coming * s->group_bytes;
  const uint8_t *scales = s->scales + panel * s->scales_stride + coming * 32;
  for (size_t at = 0; at < s->group_bytes; at += 64)
    _mm_prefetch((const char *)codes + at, _MM_HINT_T0);
  if (form == STRANDS) return;  // scales have just been written
  _mm_prefetch((const char *)scales, _MM_HINT_T0);
  if (form == INT4_AFFINE) _mm_prefetch((const char *)scales + s->plane, _MM_HINT_T0);
}

// Sums of unsigned codes times the entries' signed ones, exact: at most 32 * 255 * 127.
INLINE void dots(const group_weights *w, int panels, const tsr_entry *e, int count,
                 __m512i sums[AT_ONCE]) {
  for (int i = 0; i < count * panels; i++) sums[i] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
  for (int step = 0; step < STEPS; step++)
    for (int i = 0; i < count; i++) {
      __m512i codes = four_codes(e[i].codes + 4 * step);
      for (int p = 0; p < panels; p++)
        sums[i * panels + p] = _mm512_dpbusd_epi32(sums[i * panels + p], w[p].codes[step], codes);
    }
}

// Adds one entry's dot product to its token's sums; the stored offset leaves with the entry's.
INLINE __m512 add_entry(const group_weights *w, matrix_form form, const tsr_entry *e, __m512i dot,
                        __m512 sum) {
  __m512 product = _mm512_cvtepi32_ps(dot), factor = _mm512_set1_ps(e->scale);
  if (form == INT4_AFFINE) {
    sum = _mm512_fmadd_ps(w->minimum, _mm512_set1_ps(e->offset4), sum);
    product = _mm512_mul_ps(product, factor);
  } else {
    float offset = form == INT4 ? e->offset4 : e->offset8;
    product = _mm512_fmadd_ps(product, factor, _mm512_set1_ps(offset));
  }
  return _mm512_fmadd_ps(w->scale, product, sum);
}

// `count` entries, whose number is a constant. Two may be of the same token: it is added in order.
INLINE void multiply_entries(const group_weights *w, int panels, matrix_form form,
                             const tsr_entry *e, int count, float *out) {
  __m512i sums[AT_ONCE];
  dots(w, panels, e, count, sums);
  for (int i = 0; i < count; i++) {
    for (int p = 0; p < panels; p++) {
      float *sum = out + ((size_t)e[i].row * (size_t)panels + (size_t)p) * TSR_PANEL_ROWS;
      __m512i dot = sums[i * panels + p];
      _mm512_storeu_ps(sum, add_entry(&w[p], form, &e[i], dot, _mm512_loadu_ps(sum)));
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
      __m512i dot[AT_ONCE];
      dots(w, panels, e, 1, dot);
      for (int p = 0; p < panels; p++) sums[p] = add_entry(&w[p], form, e, dot[p], sums[p]);
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

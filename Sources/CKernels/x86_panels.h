// A panel of 16 rows times any number of tokens, for the instruction sets with AVX2: the loops. The file that includes this
// has opened a target attribute, included x86_lanes256.h, and defined the arithmetic of its instruction set:
//   add4, add8         add the products of one step of 4 columns to a group's sums, for codes of up to 6 bits, and of 8
//   STEPS_5, STEPS_6   steps that add4 may take with codes of 5 and 6 bits before the sums must be widened by sum32
//   sum32              sums of add4 as 32-bit integers
//   finish4            sums of add4 as floats
//   finish8            sums of add8 as floats, times a factor, and without the stored offset of 128
// It defines panel_NAME for each encoding.
#include <string.h>

#include "panels.h"

enum {
  DECODE_FROM = 12,  // tokens from which decoding a span of nibbles once beats doing so in each tile
  // Groups from which one tile's lines had better be fetched in a short loop. Unrolled it takes a sixth less time where
  // weights are cached, and a twentieth more where they come from memory, as those of long panels do.
  LONG = 64,
};

// Planes of one panel: of half-precision numbers, or of integers and then factors.
typedef struct {
  const uint8_t *scales, *minimums, *codes;
} panel_planes;

INLINE panel_planes planes(const uint8_t *panel, size_t groups, tsr_panel_form form) {
  return (panel_planes){panel, panel + tsr_plane_bytes(groups),
                        panel + tsr_planes_bytes(form, groups)};
}

// PACKED as in the file, DECODED to one byte each, in 512 bytes a group.
typedef enum { PACKED, DECODED } code_form;

// Groups first..<last, a span: their codes, and all planes of the panel. While they are multiplied, the
// packed codes of the next span are fetched: the lines of each group in the range.
typedef struct {
  const tsr_activations *x;
  panel_planes planes;
  const uint8_t *codes;
  size_t first, last;
  const uint8_t *coming;
  size_t fetch_from, fetch_to;
} span_job;

// Up to TILE tokens: where their codes of one group lie among the activations' terms, and their
// sums over a panel's rows. Their number is a constant everywhere: all arrays are registers.
typedef struct {
  bool adjacent;  // tokens that follow each other: only the first term is given
  size_t terms[TILE];
  fvec sums[TILE][VECTORS];
} token_tile;

INLINE size_t term(const token_tile *tile, const tsr_activations *x, int t) {
  return tile->adjacent ? tile->terms[0] + (size_t)t * x->terms : tile->terms[t];
}

INLINE void load_sums(token_tile *tile, int t, const float *out) {
  for (int v = 0; v < VECTORS; v++)
    tile->sums[t][v] = load_floats(out + TSR_PANEL_ROWS / VECTORS * v);
}

INLINE void store_sums(const token_tile *tile, int t, float *out) {
  for (int v = 0; v < VECTORS; v++)
    store_floats(out + TSR_PANEL_ROWS / VECTORS * v, tile->sums[t][v]);
}

// 4 columns of 16 rows, from column `at` of each token's group.
INLINE void step4(ivec s[TILE][VECTORS], const ivec w[VECTORS], const tsr_activations *x,
                  const token_tile *tile, int at, int count) {
  for (int t = 0; t < count; t++) {
    ivec a = broadcast_codes(x->codes + term(tile, x, t) * TSR_GROUP + at);
    for (int v = 0; v < VECTORS; v++) s[t][v] = add4(s[t][v], w[v], a);
  }
}

// 8 columns: line `line` of a packed group, or two lines of a decoded one.
INLINE void line4(ivec s[TILE][VECTORS], const uint8_t *codes, code_form form,
                  const tsr_activations *x, const token_tile *tile, int line, int count) {
  ivec low[VECTORS], high[VECTORS];
  for (int v = 0; v < VECTORS; v++) {
    if (form == DECODED) {
      low[v] = load_bytes(codes + 128 * line + 64 / VECTORS * v);
      high[v] = load_bytes(codes + 128 * line + 64 + 64 / VECTORS * v);
    } else {
      ivec bytes = load_bytes(codes + 64 * line + 64 / VECTORS * v);
      low[v] = low_nibbles(bytes), high[v] = high_nibbles(bytes);
    }
  }
  step4(s, low, x, tile, 8 * line, count);
  step4(s, high, x, tile, 8 * line + 4, count);
}

// Adds one group's products to the tile's sums. The stored offset of 8 leaves them last, with the
// sum of each token's codes.
INLINE void group4(token_tile *tile, const span_job *job, code_form form, bool affine, int count,
                   size_t group) {
  const tsr_activations *x = job->x;
  const uint8_t *codes = job->codes + (group - job->first) * (form == PACKED ? 256 : 512);
  ivec s[TILE][VECTORS];
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++) s[t][v] = zero_ints();
  if (count == 1) {
#pragma clang loop unroll(full)
    for (int line = 0; line < 4; line++) line4(s, codes, form, x, tile, line, count);
  } else {
#pragma clang loop unroll(disable)
    for (int line = 0; line < 4; line++) line4(s, codes, form, x, tile, line, count);
  }
  for (int v = 0; v < VECTORS; v++) {
    size_t plane = group * 32 + 32 / VECTORS * (size_t)v;
    fvec scale = load_halves(job->planes.scales + plane), minimum = scale;
    if (affine) minimum = load_halves(job->planes.minimums + plane);
    for (int t = 0; t < count; t++) {
      fvec *sum = &tile->sums[t][v], factor = broadcast_float(x->scales + term(tile, x, t));
      if (affine) {
        fvec total = broadcast_float(x->sums + term(tile, x, t));
        *sum = multiply_add(minimum, total, *sum);
        *sum = multiply_add(scale, multiply(finish4(s[t][v]), factor), *sum);
      } else {
        fvec excess = broadcast_float(x->offsets + term(tile, x, t));
        *sum = multiply_add(scale, multiply_add(finish4(s[t][v]), factor, excess), *sum);
      }
    }
  }
}

INLINE void group8(token_tile *tile, const span_job *job, int count, size_t group) {
  const tsr_activations *x = job->x;
  const uint8_t *codes = job->codes + (group - job->first) * 512;
  ivec s[TILE][VECTORS];
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++) s[t][v] = zero_ints();
#pragma clang loop unroll(disable)
  for (int j = 0; j < 8; j++, codes += 64) {
    for (int v = 0; v < VECTORS; v++) {
      ivec w = load_bytes(codes + 64 / VECTORS * v);
      for (int t = 0; t < count; t++)
        s[t][v] = add8(s[t][v], w, broadcast_codes(x->codes + term(tile, x, t) * TSR_GROUP + 4 * j));
    }
  }
  for (int v = 0; v < VECTORS; v++) {
    fvec scale = load_halves(job->planes.scales + group * 32 + 32 / VECTORS * (size_t)v);
    for (int t = 0; t < count; t++) {
      fvec factor = broadcast_float(x->scales + term(tile, x, t));
      fvec dot = finish8(s[t][v], factor, x->offsets + term(tile, x, t));
      tile->sums[t][v] = multiply_add(scale, dot, tile->sums[t][v]);
    }
  }
}

// Codes of columns 4 step ... 4 step + 3 of a group: bits of each of its planes, moved to their place.
INLINE ivec plane_step(const uint8_t *codes, unsigned width, unsigned taken, unsigned step) {
  unsigned places = 8 / width;
  ivec line = load_bytes(codes + 64 * (taken + step / places));
  return move_bits(line, width, step % places * width, taken);
}

INLINE ivec code_step(const uint8_t *codes, code_form form, unsigned bits, unsigned step, int v) {
  codes += 64 / VECTORS * v;
  if (form == DECODED) return load_bytes(codes + 64 * step);
  ivec code = zero_ints();
  if (bits & 4) code = plane_step(codes, 4, 0, step);
  if (bits & 2) code = or_bits(code, plane_step(codes, 2, bits & 4, step));
  if (bits & 1) code = or_bits(code, plane_step(codes, 1, bits & 6, step));
  return code;
}

// Steps whose products add4 sums up without carrying over.
INLINE unsigned steps_at_once(unsigned bits) { return bits < 5 ? 8 : bits == 5 ? STEPS_5 : STEPS_6; }

// 4 columns of 16 rows for each step of from..<to, in runs of as many steps as add4 may take.
INLINE void sum_steps(ivec totals[TILE][VECTORS], const uint8_t *codes, code_form form,
                      unsigned bits, const tsr_activations *x, const token_tile *tile, int count,
                      unsigned from, unsigned to) {
  const unsigned length = steps_at_once(bits) < to - from ? steps_at_once(bits) : to - from;
  ivec s[TILE][VECTORS];
#pragma clang loop unroll(full)
  for (unsigned step = 0; step < 8; step++) {
    if (step < from || step >= to) continue;
    ivec w[VECTORS];
    for (int v = 0; v < VECTORS; v++) w[v] = code_step(codes, form, bits, step, v);
    for (int t = 0; step % length == 0 && t < count; t++)
      for (int v = 0; v < VECTORS; v++) s[t][v] = zero_ints();
    step4(s, w, x, tile, (int)(4 * step), count);
    for (int t = 0; step % length == length - 1 && t < count; t++)
      for (int v = 0; v < VECTORS; v++)
        totals[t][v] = step - from < length ? sum32(s[t][v])
                                            : add_ints(totals[t][v], sum32(s[t][v]));
  }
}

typedef struct {
  fvec scale, minimum;
} scaling;

// How the rows of vector v are scaled in one part of a group.
INLINE scaling scaling_of(const span_job *job, tsr_panel_form form, size_t group, unsigned part,
                          int v) {
  const size_t rows = TSR_PANEL_ROWS / VECTORS * (size_t)v, at = group * 32;
  if (!form.factors) {
    fvec scale = load_halves(job->planes.scales + at + 2 * rows);
    if (form.planes == 2) return (scaling){scale, load_halves(job->planes.minimums + at + 2 * rows)};
    return (scaling){scale, multiply(scale, splat((float)-form.offset))};
  }
  const uint8_t *integers = job->planes.scales + at + rows + 16 * part;
  const uint8_t *factors =
      job->planes.minimums + group / TSR_SUPER_GROUP * 32 * form.factors + 2 * rows;
  fvec factor = load_halves(factors);
  if (form.factors == 1) {
    fvec scale = multiply(factor, load_integers(integers, SIGNED));
    return (scaling){scale, multiply(scale, splat((float)-form.offset))};
  }
  fvec less = multiply(load_halves(factors + 32), splat(-1));
  if (form.parts == 2)
    return (scaling){multiply(factor, load_integers(integers, LOW_NIBBLES)),
                     multiply(less, load_integers(integers, HIGH_NIBBLES))};
  return (scaling){multiply(factor, load_integers(integers, UNSIGNED)),
                   multiply(less, load_integers(integers + 16, UNSIGNED))};
}

// A group of codes that lie in planes of bits, or whose scales are integers: part by part.
INLINE void group_planes(token_tile *tile, const span_job *job, uint32_t encoding, code_form coded,
                         int count, size_t group) {
  const tsr_panel_form form = tsr_form(encoding);
  const tsr_activations *x = job->x;
  const uint8_t *codes = job->codes + (group - job->first) * (coded == PACKED ? 64 * form.bits : 512);
  for (unsigned part = 0; part < form.parts; part++) {
    ivec s[TILE][VECTORS];
    unsigned steps = 8 / form.parts;
    sum_steps(s, codes, coded, form.bits, x, tile, count, part * steps, (part + 1) * steps);
    for (int v = 0; v < VECTORS; v++) {
      const scaling w = scaling_of(job, form, group, part, v);
      for (int t = 0; t < count; t++) {
        size_t at = term(tile, x, t);
        const float *total = form.parts == 1 ? x->sums + at : x->half_sums + 2 * at + part;
        fvec *sum = &tile->sums[t][v];
        *sum = multiply_add(w.minimum, broadcast_float(total), *sum);
        fvec product = multiply(ints_to_floats(s[t][v]), broadcast_float(x->scales + at));
        *sum = multiply_add(w.scale, product, *sum);
      }
    }
  }
}

// Bytes of `groups` groups: 8 lines of 4 columns each.
INLINE void decode_span(const uint8_t *codes, size_t groups, unsigned bits, uint8_t *bytes) {
  for (size_t group = 0; group < groups; group++, codes += 64 * bits) {
#pragma clang loop unroll(full)
    for (unsigned step = 0; step < 8; step++, bytes += 64)
      for (int v = 0; v < VECTORS; v++)
        store_bytes(bytes + 64 / VECTORS * v, code_step(codes, PACKED, bits, step, v));
  }
}

// Tokens from which a span is decoded once. Codes in planes of bits take many instructions, and one token has no use for
// longer tiles.
INLINE size_t decode_from(uint32_t encoding) {
  switch (encoding) {
    case TSR_INT8: return SIZE_MAX;
    case TSR_INT4:
    case TSR_INT4_AFFINE: return DECODE_FROM;
    default: return 2;
  }
}

// Lines of 64 bytes.
INLINE size_t group_lines(uint32_t encoding) { return tsr_form(encoding).bits; }

INLINE void fetch_lines(const span_job *job, uint32_t encoding, size_t group, size_t from,
                        size_t to) {
  size_t start = (group - job->first) * group_lines(encoding);
  for (size_t line = from; line < to; line++)  // none where nothing is coming
    _mm_prefetch((const char *)job->coming + (start + line) * 64, _MM_HINT_T0);
}

INLINE void group_any(token_tile *tile, const span_job *job, uint32_t encoding, code_form form,
                      int count, size_t group) {
  switch (encoding) {
    case TSR_INT8: group8(tile, job, count, group); break;
    case TSR_INT4: group4(tile, job, form, false, count, group); break;
    case TSR_INT4_AFFINE: group4(tile, job, form, true, count, group); break;
    default: group_planes(tile, job, encoding, form, count, group);
  }
}

// A span times `count` tokens, a constant, from `token` on. Where a tile fetches all lines, that can be a loop of constant length.
INLINE void multiply_tile(const span_job *job, uint32_t encoding, code_form form, bool all_lines,
                          int count, size_t token, float *out) {
  token_tile tile = {.adjacent = true};
  for (int t = 0; t < count; t++) load_sums(&tile, t, out + t * TSR_PANEL_ROWS);
  for (size_t group = job->first; group < job->last; group++) {
    tile.terms[0] = token * job->x->terms + group;
    if (all_lines) fetch_lines(job, encoding, group, 0, group_lines(encoding));
    else fetch_lines(job, encoding, group, job->fetch_from, job->fetch_to);
    group_any(&tile, job, encoding, form, count, group);
  }
  for (int t = 0; t < count; t++) store_sums(&tile, t, out + t * TSR_PANEL_ROWS);
}

// Residuals of one group of `count` tokens, a constant.
INLINE void multiply_residuals(const span_job *job, uint32_t encoding, code_form form, int count,
                               const tsr_residual *r, float *out) {
  token_tile tile = {.adjacent = false};
  for (int t = 0; t < count; t++) {
    load_sums(&tile, t, out + r[t].row * TSR_PANEL_ROWS);
    tile.terms[t] = r[t].term;
  }
  group_any(&tile, job, encoding, form, count, r->group);
  for (int t = 0; t < count; t++) store_sums(&tile, t, out + r[t].row * TSR_PANEL_ROWS);
}

// CALL with `count` as a constant.
#define WITH_COUNT(CALL)        \
  switch (count) {              \
    case 1: CALL(1); break;     \
    case 2: CALL(2); break;     \
    case 3: CALL(3); break;     \
    default: CALL(TILE); break; \
  }

// Tokens are cut into tiles of nearly equal size: none falls back to a slower kernel.
INLINE void all_tiles(span_job *job, uint32_t encoding, code_form form, size_t first,
                      size_t tokens, float *out) {
  if (form == PACKED && decode_from(encoding) == 2) {
    multiply_tile(job, encoding, form, true, 1, first, out);
    return;
  }
  if (form == PACKED && tokens <= TILE && job->x->groups < LONG) {
    size_t count = tokens;
#define ONLY_TILE(N) multiply_tile(job, encoding, form, true, N, first, out)
    WITH_COUNT(ONLY_TILE)
    return;
  }
  size_t tiles = (tokens + TILE - 1) / TILE;
  for (size_t i = 0; i < tiles; i++) {
    size_t at = tokens * i / tiles, count = tokens * (i + 1) / tiles - at;
    job->fetch_from = group_lines(encoding) * i / tiles;
    job->fetch_to = group_lines(encoding) * (i + 1) / tiles;
#define ONE_TILE(N) multiply_tile(job, encoding, form, false, N, first + at, out + at * TSR_PANEL_ROWS)
    WITH_COUNT(ONE_TILE)
  }
}

// Outlying columns are often the same in all tokens: those share the weights.
INLINE void all_residuals(const span_job *job, uint32_t encoding, code_form form,
                          const tsr_residual *r, const tsr_residual *end, float *out) {
  if (form == PACKED && decode_from(encoding) == 2) {
    for (; r < end; r++) multiply_residuals(job, encoding, form, 1, r, out);
    return;
  }
  while (r < end) {
    size_t count = 1;
    while (count < TILE && r + count < end && r[count].group == r->group) count++;
#define ONE_RUN(N) multiply_residuals(job, encoding, form, N, r, out)
    WITH_COUNT(ONE_RUN)
    r += count;
  }
}

INLINE void panel(const uint8_t *bytes, const tsr_activations *x, size_t first, size_t tokens,
                  float *out, uint32_t encoding) {
  _Alignas(64) uint8_t decoded[TSR_SPAN * 512];
  const tsr_panel_form panel_form = tsr_form(encoding);
  size_t group_bytes = group_lines(encoding) * 64;
  span_job job = {.x = x, .planes = planes(bytes, x->groups, panel_form)};
  const tsr_residual *list = x->residual_list + first * x->residuals, *next = list;
  const uint32_t *ends = x->group_ends + first / TSR_TOKEN_BLOCK * x->groups;
  memset(out, 0, tokens * TSR_PANEL_ROWS * sizeof(float));
  for (; job.first < x->groups; job.first = job.last) {
    job.last = x->groups - job.first < TSR_SPAN ? x->groups : job.first + TSR_SPAN;
    job.codes = job.planes.codes + job.first * group_bytes;
    job.coming = job.planes.codes + job.last * group_bytes;
    if (job.last == x->groups) {  // the next panel's planes lie between
      size_t plane_bytes = (size_t)(job.planes.codes - bytes);
      for (size_t at = 0; at < plane_bytes; at += 64)
        _mm_prefetch((const char *)job.coming + at, _MM_HINT_T0);
      job.coming += plane_bytes;
    }
    const tsr_residual *end = list + ends[job.last - 1];
    if (tokens >= decode_from(encoding)) {
      decode_span(job.codes, job.last - job.first, panel_form.bits, decoded);
      job.codes = decoded;
      all_tiles(&job, encoding, DECODED, first, tokens, out);
      all_residuals(&job, encoding, DECODED, next, end, out);
    } else {
      all_tiles(&job, encoding, PACKED, first, tokens, out);
      all_residuals(&job, encoding, PACKED, next, end, out);
    }
    next = end;
  }
}

#define PANEL(NAME, ENCODING)                                                              \
  static void panel_##NAME(const uint8_t *bytes, const tsr_activations *x, size_t first,   \
                           size_t tokens, float *out) {                                    \
    panel(bytes, x, first, tokens, out, ENCODING);                                         \
  }
TSR_SIMPLE_ENCODINGS(PANEL)
TSR_BIT_PLANE_ENCODINGS(PANEL)

#ifdef TSR_EMULATED
#define OPAQUE "+m"
#else
#define OPAQUE "+v"
#endif

// The multiplications of panel4 without its loads: 8 steps, then the end of a group.
static size_t mac_loop(size_t rounds) {
  enum { CHAINS = 8 };
  uint8_t bytes[64];
  float sink[16];
  memset(bytes, 3, sizeof bytes);
  ivec w = load_bytes(bytes), x = broadcast_codes((const int8_t *)bytes);
  memset(sink, 0, sizeof sink);
  fvec acc[CHAINS];
  for (int c = 0; c < CHAINS; c++) acc[c] = load_floats(sink);
  for (size_t r = 0; r < rounds; r++) {
    ivec s[CHAINS];
    for (int c = 0; c < CHAINS; c++) s[c] = zero_ints();
#pragma clang loop unroll(full)
    for (int step = 0; step < 8; step++) {
      for (int c = 0; c < CHAINS; c++) {
        __asm__ volatile("" : OPAQUE(x));  // to the compiler, every product is another one
        s[c] = add4(s[c], w, x);
      }
    }
    for (int c = 0; c < CHAINS; c++) acc[c] = multiply_add(finish4(s[c]), acc[c], acc[c]);
  }
  for (int c = 1; c < CHAINS; c++) acc[0] = multiply_add(acc[c], acc[c], acc[0]);
  store_floats(sink, acc[0]);
  return sink[0] < 0 ? 0 : rounds * 8 * CHAINS * 64 / VECTORS;
}

// A panel of 16 rows times any number of tokens, for the instruction sets with AVX2: the loops. The file
// that includes this has opened a target attribute and defined, for its vectors,
//   ivec, fvec   integers and floats; VECTORS of them hold a 64-byte line (16 int32, 16 floats)
//   TILE         tokens whose integer accumulators stay in registers
//   load, store, load_floats, store_floats, broadcast4 (four codes), broadcast_float, halves
//   nibbles_low, nibbles_high, mul, multiply_add
//   zero, add4, add8             start and extend a group's sums for 4- and 8-bit codes
//   finish4                      those sums as floats
//   finish8                      as floats too, times a factor and less the stored offset of 128
// and takes panel_int4, panel_int4_affine and panel_int8.
#include <string.h>

enum {
  DECODE_FROM = 12,  // tokens from which decoding a span once beats doing so in each tile
  // Groups from which one tile's lines had better be fetched in a short loop. Unrolled it takes a sixth less time where
  // weights are cached, and a twentieth more where they come from memory, as those of long panels do.
  LONG = 64,
};

// Planes of one panel.
typedef struct {
  const uint8_t *scales, *minimums, *codes;
} panel_planes;

INLINE panel_planes planes(const uint8_t *panel, size_t groups, int count) {
  size_t bytes = (groups * 32 + 63) / 64 * 64;
  return (panel_planes){panel, panel + bytes, panel + (size_t)count * bytes};
}

// PACKED as in the file, DECODED to one byte each: a group of 4-bit codes takes 256 or 512 bytes.
typedef enum { PACKED, DECODED } code_form;

// Groups first..<last, a span: their codes, and all planes of the panel. While they are multiplied, the
// packed codes of the next span are fetched: of each group, the lines in the range.
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
  bool adjacent;  // tokens behind each other: only the first term is given
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
    ivec a = broadcast4(x->codes + term(tile, x, t) * TSR_GROUP + at);
    for (int v = 0; v < VECTORS; v++) s[t][v] = add4(s[t][v], w[v], a);
  }
}

// 8 columns: line `line` of a packed group, or two lines of a decoded one.
INLINE void line4(ivec s[TILE][VECTORS], const uint8_t *codes, code_form form,
                  const tsr_activations *x, const token_tile *tile, int line, int count) {
  ivec low[VECTORS], high[VECTORS];
  for (int v = 0; v < VECTORS; v++) {
    if (form == DECODED) {
      low[v] = load(codes + 128 * line + 64 / VECTORS * v);
      high[v] = load(codes + 128 * line + 64 + 64 / VECTORS * v);
    } else {
      ivec bytes = load(codes + 64 * line + 64 / VECTORS * v);
      low[v] = nibbles_low(bytes), high[v] = nibbles_high(bytes);
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
    for (int v = 0; v < VECTORS; v++) s[t][v] = zero();
  if (count == 1) {
#pragma clang loop unroll(full)
    for (int line = 0; line < 4; line++) line4(s, codes, form, x, tile, line, count);
  } else {
#pragma clang loop unroll(disable)
    for (int line = 0; line < 4; line++) line4(s, codes, form, x, tile, line, count);
  }
  for (int v = 0; v < VECTORS; v++) {
    size_t plane = group * 32 + 32 / VECTORS * (size_t)v;
    fvec scale = halves(job->planes.scales + plane), minimum = scale;
    if (affine) minimum = halves(job->planes.minimums + plane);
    for (int t = 0; t < count; t++) {
      fvec *sum = &tile->sums[t][v], factor = broadcast_float(x->scales + term(tile, x, t));
      if (affine) {
        fvec total = broadcast_float(x->sums + term(tile, x, t));
        *sum = multiply_add(minimum, total, *sum);
        *sum = multiply_add(scale, mul(finish4(s[t][v]), factor), *sum);
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
    for (int v = 0; v < VECTORS; v++) s[t][v] = zero();
#pragma clang loop unroll(disable)
  for (int j = 0; j < 8; j++, codes += 64) {
    for (int v = 0; v < VECTORS; v++) {
      ivec w = load(codes + 64 / VECTORS * v);
      for (int t = 0; t < count; t++)
        s[t][v] = add8(s[t][v], w, broadcast4(x->codes + term(tile, x, t) * TSR_GROUP + 4 * j));
    }
  }
  for (int v = 0; v < VECTORS; v++) {
    fvec scale = halves(job->planes.scales + group * 32 + 32 / VECTORS * (size_t)v);
    for (int t = 0; t < count; t++) {
      fvec factor = broadcast_float(x->scales + term(tile, x, t));
      fvec dot = finish8(s[t][v], factor, x->offsets + term(tile, x, t));
      tile->sums[t][v] = multiply_add(scale, dot, tile->sums[t][v]);
    }
  }
}

// Bytes 0...15 of `groups` groups: 8 lines of 4 columns each.
INLINE void decode_span(const uint8_t *codes, size_t groups, uint8_t *bytes) {
  for (size_t line = 0; line < groups * 4; line++, bytes += 128) {
    for (int v = 0; v < VECTORS; v++) {
      ivec packed = load(codes + 64 * line + 64 / VECTORS * v);
      store(bytes + 64 / VECTORS * v, nibbles_low(packed));
      store(bytes + 64 + 64 / VECTORS * v, nibbles_high(packed));
    }
  }
}

// What is multiplied, and how: all constants but the job.
typedef enum { INT8, INT4, INT4_AFFINE } matrix_form;

INLINE size_t group_lines(matrix_form matrix) { return matrix == INT8 ? 8 : 4; }

INLINE void fetch_lines(const span_job *job, matrix_form matrix, size_t group, size_t from,
                        size_t to) {
  const uint8_t *codes = job->coming + (group - job->first) * group_lines(matrix) * 64;
  for (size_t line = from; line < to; line++)
    _mm_prefetch((const char *)codes + line * 64, _MM_HINT_T0);
}

INLINE void group_any(token_tile *tile, const span_job *job, matrix_form matrix, code_form form,
                      int count, size_t group) {
  if (matrix == INT8) group8(tile, job, count, group);
  else group4(tile, job, form, matrix == INT4_AFFINE, count, group);
}

// A span times `count` tokens from `token` on. Where a tile fetches all lines, that can be a loop of constant length.
INLINE void multiply_tile(const span_job *job, matrix_form matrix, code_form form, bool all_lines,
                          int count, size_t token, float *out) {
  token_tile tile = {.adjacent = true};
  for (int t = 0; t < count; t++) load_sums(&tile, t, out + t * TSR_PANEL_ROWS);
  for (size_t group = job->first; group < job->last; group++) {
    tile.terms[0] = token * job->x->terms + group;
    if (all_lines) fetch_lines(job, matrix, group, 0, group_lines(matrix));
    else fetch_lines(job, matrix, group, job->fetch_from, job->fetch_to);
    group_any(&tile, job, matrix, form, count, group);
  }
  for (int t = 0; t < count; t++) store_sums(&tile, t, out + t * TSR_PANEL_ROWS);
}

// Residuals of one group of `count` tokens.
INLINE void multiply_residuals(const span_job *job, matrix_form matrix, code_form form, int count,
                               const tsr_residual *r, float *out) {
  token_tile tile = {.adjacent = false};
  for (int t = 0; t < count; t++) {
    load_sums(&tile, t, out + r[t].row * TSR_PANEL_ROWS);
    tile.terms[t] = r[t].term;
  }
  group_any(&tile, job, matrix, form, count, r->group);
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
INLINE void all_tiles(span_job *job, matrix_form matrix, code_form form, size_t first,
                      size_t tokens, float *out) {
  if (form == PACKED && tokens <= TILE && job->x->groups < LONG) {
    size_t count = tokens;
#define ONLY_TILE(N) multiply_tile(job, matrix, form, true, N, first, out)
    WITH_COUNT(ONLY_TILE)
    return;
  }
  size_t tiles = (tokens + TILE - 1) / TILE;
  for (size_t i = 0; i < tiles; i++) {
    size_t at = tokens * i / tiles, count = tokens * (i + 1) / tiles - at;
    job->fetch_from = group_lines(matrix) * i / tiles;
    job->fetch_to = group_lines(matrix) * (i + 1) / tiles;
#define ONE_TILE(N) multiply_tile(job, matrix, form, false, N, first + at, out + at * TSR_PANEL_ROWS)
    WITH_COUNT(ONE_TILE)
  }
}

// Outlying columns are often the same in all tokens: those share the weights.
INLINE void all_residuals(const span_job *job, matrix_form matrix, code_form form,
                          const tsr_residual *r, const tsr_residual *end, float *out) {
  while (r < end) {
    size_t count = 1;
    while (count < TILE && r + count < end && r[count].group == r->group) count++;
#define ONE_RUN(N) multiply_residuals(job, matrix, form, N, r, out)
    WITH_COUNT(ONE_RUN)
    r += count;
  }
}

INLINE void panel(const uint8_t *bytes, const tsr_activations *x, size_t first, size_t tokens,
                  float *out, matrix_form matrix) {
  _Alignas(64) uint8_t decoded[TSR_SPAN * 512];
  size_t group_bytes = group_lines(matrix) * 64, plane_count = matrix == INT4_AFFINE ? 2 : 1;
  span_job job = {.x = x, .planes = planes(bytes, x->groups, (int)plane_count)};
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
    if (matrix != INT8 && tokens >= DECODE_FROM) {
      decode_span(job.codes, job.last - job.first, decoded);
      job.codes = decoded;
      all_tiles(&job, matrix, DECODED, first, tokens, out);
      all_residuals(&job, matrix, DECODED, next, end, out);
    } else {
      all_tiles(&job, matrix, PACKED, first, tokens, out);
      all_residuals(&job, matrix, PACKED, next, end, out);
    }
    next = end;
  }
}

static void panel_int8(const uint8_t *bytes, const tsr_activations *x, size_t first, size_t tokens,
                       float *out) {
  panel(bytes, x, first, tokens, out, INT8);
}

static void panel_int4(const uint8_t *bytes, const tsr_activations *x, size_t first, size_t tokens,
                       float *out) {
  panel(bytes, x, first, tokens, out, INT4);
}

static void panel_int4_affine(const uint8_t *bytes, const tsr_activations *x, size_t first,
                              size_t tokens, float *out) {
  panel(bytes, x, first, tokens, out, INT4_AFFINE);
}

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
  ivec w = load(bytes), x = broadcast4((const int8_t *)bytes);
  memset(sink, 0, sizeof sink);
  fvec acc[CHAINS];
  for (int c = 0; c < CHAINS; c++) acc[c] = load_floats(sink);
  for (size_t r = 0; r < rounds; r++) {
    ivec s[CHAINS];
    for (int c = 0; c < CHAINS; c++) s[c] = zero();
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

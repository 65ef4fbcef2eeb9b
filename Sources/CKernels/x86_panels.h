// A panel of 16 rows times any number of tokens, for every x86 instruction set: the loops. The file
// that includes this has opened a target attribute and defined, for its vectors,
//   ivec, fvec   integers and floats; VECTORS of them hold a 64-byte line (16 int32, 16 floats)
//   TILE         tokens whose integer accumulators stay in registers
//   load, store, load_floats, store_floats, broadcast4 (four codes), broadcast_float, halves
//   nibbles_low, nibbles_high, mul, multiply_add
//   begin4, add4, begin8, add8   start and extend a group's sums for 4- and 8-bit codes
//   finish4, finish8             those sums as floats
// and takes panel_int4, panel_int4_affine and panel_int8.
#include <string.h>

enum {
  SPAN = 16,         // groups that all tiles sweep before the next ones: 8 KiB decoded
  DECODE_FROM = 12,  // tokens from which decoding a span once beats decoding it in each tile
};

// Planes of one panel.
typedef struct {
  const uint8_t *scales, *minimums, *codes;
} panel_planes;

INLINE panel_planes planes(const uint8_t *panel, size_t groups, int count) {
  size_t bytes = (groups * 32 + 63) / 64 * 64;
  return (panel_planes){panel, panel + bytes, panel + (size_t)count * bytes};
}

// What a tile multiplies: groups first..<last of `count` tokens from `token` on, or with RESIDUAL
// such residuals of one token.
typedef struct {
  const tsr_activations *x;
  size_t token, first, last;
  float *out;  // [count][16], added to
} tile_job;

typedef enum { PACKED, DECODED, RESIDUAL } code_form;

// Where the codes of the i-th group of a job lie: in the panel, and as a term of its first token.
typedef struct {
  size_t group, term;
} group_place;

INLINE group_place place(const tile_job *job, code_form form, size_t i) {
  const tsr_activations *x = job->x;
  size_t term = job->token * x->terms + i;
  if (form != RESIDUAL) return (group_place){i, term};
  return (group_place){x->residual_groups[job->token * x->residuals + i], term + x->groups};
}

// 4 columns of 16 rows, for each token; x is [count][stride].
INLINE void step4(ivec sums[TILE][VECTORS], const ivec w[VECTORS], const int8_t *x, size_t stride,
                  int count) {
  for (int t = 0; t < count; t++) {
    ivec a = broadcast4(x + (size_t)t * stride);
    for (int v = 0; v < VECTORS; v++) sums[t][v] = add4(sums[t][v], w[v], a);
  }
}

// The integer sums of one group of 4-bit codes; `codes` is its first line.
INLINE void sum4(ivec sums[TILE][VECTORS], const uint8_t *codes, code_form form, const int8_t *x,
                 size_t stride, int count) {
#pragma clang loop unroll(disable)
  for (int j = 0; j < 4; j++, x += 8) {
    ivec low[VECTORS], high[VECTORS];
    for (int v = 0; v < VECTORS && form != DECODED; v++) {
      ivec bytes = load(codes + 64 / VECTORS * v);
      low[v] = nibbles_low(bytes), high[v] = nibbles_high(bytes);
    }
    for (int v = 0; v < VECTORS && form == DECODED; v++) {
      low[v] = load(codes + 64 / VECTORS * v);
      high[v] = load(codes + 64 + 64 / VECTORS * v);
    }
    codes += form == DECODED ? 128 : 64;
    if (form == PACKED && count <= 2) _mm_prefetch((const char *)codes + 2048, _MM_HINT_T0);
    step4(sums, low, x, stride, count);
    step4(sums, high, x + 4, stride, count);
  }
}

// `count` is a constant, so that all arrays are registers.
INLINE void tile4(panel_planes p, const uint8_t *codes, code_form form, bool affine, int count,
                  tile_job job) {
  const tsr_activations *x = job.x;
  fvec acc[TILE][VECTORS];
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++)
      acc[t][v] = load_floats(job.out + t * TSR_PANEL_ROWS + TSR_PANEL_ROWS / VECTORS * v);
  for (size_t i = job.first; i < job.last; i++, codes += form == PACKED ? 256 : 512) {
    group_place at = place(&job, form, i);
    if (form == RESIDUAL) codes = p.codes + at.group * 256;
    ivec s[TILE][VECTORS];
    for (int t = 0; t < count; t++)
      for (int v = 0; v < VECTORS; v++)
        s[t][v] = begin4(affine ? NULL : x->offsets + at.term + (size_t)t * x->terms);
    sum4(s, codes, form, x->codes + at.term * TSR_GROUP, x->terms * TSR_GROUP, count);
    for (int v = 0; v < VECTORS; v++) {
      size_t plane = at.group * 32 + 32 / VECTORS * (size_t)v;
      fvec scale = halves(p.scales + plane), minimum = scale;
      if (affine) minimum = halves(p.minimums + plane);
      for (int t = 0; t < count; t++) {
        size_t term = at.term + (size_t)t * x->terms;
        fvec dot = mul(finish4(s[t][v]), broadcast_float(x->scales + term));
        if (affine) acc[t][v] = multiply_add(minimum, broadcast_float(x->sums + term), acc[t][v]);
        acc[t][v] = multiply_add(scale, dot, acc[t][v]);
      }
    }
  }
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++)
      store_floats(job.out + t * TSR_PANEL_ROWS + TSR_PANEL_ROWS / VECTORS * v, acc[t][v]);
}

INLINE void tile8(panel_planes p, code_form form, int count, tile_job job) {
  const tsr_activations *x = job.x;
  const uint8_t *codes = p.codes + job.first * 512;
  fvec acc[TILE][VECTORS];
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++)
      acc[t][v] = load_floats(job.out + t * TSR_PANEL_ROWS + TSR_PANEL_ROWS / VECTORS * v);
  for (size_t i = job.first; i < job.last; i++) {
    group_place at = place(&job, form, i);
    if (form == RESIDUAL) codes = p.codes + at.group * 512;
    ivec s[TILE][VECTORS];
    for (int t = 0; t < count; t++)
      for (int v = 0; v < VECTORS; v++)
        s[t][v] = begin8(x->offsets + at.term + (size_t)t * x->terms);
    const int8_t *a = x->codes + at.term * TSR_GROUP;
#pragma clang loop unroll(disable)
    for (int j = 0; j < 8; j++, a += 4, codes += 64) {
      if (form == PACKED && count <= 2)
        _mm_prefetch((const char *)codes + 2048, _MM_HINT_T0);
      for (int v = 0; v < VECTORS; v++) {
        ivec w = load(codes + 64 / VECTORS * v);
        for (int t = 0; t < count; t++)
          s[t][v] = add8(s[t][v], w, broadcast4(a + (size_t)t * x->terms * TSR_GROUP));
      }
    }
    for (int v = 0; v < VECTORS; v++) {
      fvec scale = halves(p.scales + at.group * 32 + 32 / VECTORS * (size_t)v);
      for (int t = 0; t < count; t++) {
        fvec factor = broadcast_float(x->scales + at.term + (size_t)t * x->terms);
        acc[t][v] = multiply_add(scale, mul(finish8(s[t][v]), factor), acc[t][v]);
      }
    }
  }
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++)
      store_floats(job.out + t * TSR_PANEL_ROWS + TSR_PANEL_ROWS / VECTORS * v, acc[t][v]);
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

// CALL with `count` as a constant.
#if TILE_TOKENS > 4
#define WIDE_COUNTS(CALL)      \
  case 4: CALL(4); break;      \
  case 5: CALL(5); break;      \
  case 6: CALL(6); break;      \
  case 7: CALL(7); break;
#else
#define WIDE_COUNTS(CALL)
#endif
#define WITH_COUNT(CALL)        \
  switch (count) {              \
    case 1: CALL(1); break;     \
    case 2: CALL(2); break;     \
    case 3: CALL(3); break;     \
    WIDE_COUNTS(CALL)           \
    default: CALL(TILE); break; \
  }

// Tokens are cut into tiles of nearly equal size: none falls back to a slower kernel.
INLINE void panel4(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out, bool affine) {
  _Alignas(64) uint8_t bytes[SPAN * 512];
  panel_planes p = planes(panel, x->groups, affine ? 2 : 1);
  size_t tiles = (tokens + TILE - 1) / TILE;
  memset(out, 0, tokens * TSR_PANEL_ROWS * sizeof(float));
  for (size_t begin = 0; begin < x->groups; begin += SPAN) {
    size_t end = x->groups - begin < SPAN ? x->groups : begin + SPAN;
    const uint8_t *codes = p.codes + begin * 256;
    bool decoded = tokens >= DECODE_FROM;
    if (decoded) decode_span(codes, end - begin, bytes);
    for (size_t i = 0; i < tiles; i++) {
      size_t at = tokens * i / tiles, count = tokens * (i + 1) / tiles - at;
      tile_job job = {x, first + at, begin, end, out + at * TSR_PANEL_ROWS};
#define PACKED_TILE(N) tile4(p, codes, PACKED, affine, N, job)
#define DECODED_TILE(N) tile4(p, bytes, DECODED, affine, N, job)
      if (decoded) {
        WITH_COUNT(DECODED_TILE)
      } else {
        WITH_COUNT(PACKED_TILE)
      }
    }
  }
  for (size_t t = 0; t < tokens; t++) {
    tile_job job = {x, first + t, 0, x->residuals, out + t * TSR_PANEL_ROWS};
    tile4(p, p.codes, RESIDUAL, affine, 1, job);
  }
}

static void panel_int4(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                       float *out) {
  panel4(panel, x, first, tokens, out, false);
}

static void panel_int4_affine(const uint8_t *panel, const tsr_activations *x, size_t first,
                              size_t tokens, float *out) {
  panel4(panel, x, first, tokens, out, true);
}

static void panel_int8(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                       float *out) {
  panel_planes p = planes(panel, x->groups, 1);
  size_t tiles = (tokens + TILE - 1) / TILE;
  memset(out, 0, tokens * TSR_PANEL_ROWS * sizeof(float));
  for (size_t begin = 0; begin < x->groups; begin += SPAN) {
    size_t end = x->groups - begin < SPAN ? x->groups : begin + SPAN;
    for (size_t i = 0; i < tiles; i++) {
      size_t at = tokens * i / tiles, count = tokens * (i + 1) / tiles - at;
      tile_job job = {x, first + at, begin, end, out + at * TSR_PANEL_ROWS};
#define INT8_TILE(N) tile8(p, PACKED, N, job)
      WITH_COUNT(INT8_TILE)
    }
  }
  for (size_t t = 0; t < tokens; t++) {
    tile_job job = {x, first + t, 0, x->residuals, out + t * TSR_PANEL_ROWS};
    tile8(p, RESIDUAL, 1, job);
  }
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
    for (int c = 0; c < CHAINS; c++) s[c] = begin4(NULL);
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

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

// What a tile multiplies: `count` tokens from `token` on, groups first..<last.
typedef struct {
  const tsr_activations *x;
  size_t token, first, last;
  float *out;  // [count][16], added to
} tile_job;

INLINE fvec scaled(fvec dot, const tile_job *job, int t, size_t g) {
  return mul(dot, broadcast_float(job->x->scales + (job->token + (size_t)t) * job->x->groups + g));
}

// 4 columns of 16 rows, for each token.
INLINE void step4(ivec sums[TILE][VECTORS], const ivec w[VECTORS], const int8_t *x, size_t columns,
                  int count) {
  for (int t = 0; t < count; t++) {
    ivec a = broadcast4(x + (size_t)t * columns);
    for (int v = 0; v < VECTORS; v++) sums[t][v] = add4(sums[t][v], w[v], a);
  }
}

typedef enum { PACKED, DECODED } code_form;

// The integer sums of one group of 4-bit codes; `codes` is its first line.
INLINE void sum4(ivec sums[TILE][VECTORS], const uint8_t *codes, code_form form, const int8_t *x,
                 size_t columns, int count) {
#pragma clang loop unroll(disable)
  for (int j = 0; j < 4; j++, x += 8) {
    ivec low[VECTORS], high[VECTORS];
    for (int v = 0; v < VECTORS && form == PACKED; v++) {
      ivec bytes = load(codes + 64 / VECTORS * v);
      low[v] = nibbles_low(bytes), high[v] = nibbles_high(bytes);
    }
    for (int v = 0; v < VECTORS && form == DECODED; v++) {
      low[v] = load(codes + 64 / VECTORS * v);
      high[v] = load(codes + 64 + 64 / VECTORS * v);
    }
    codes += form == PACKED ? 64 : 128;
    if (form == PACKED && count <= 2) _mm_prefetch((const char *)codes + 2048, _MM_HINT_T0);
    step4(sums, low, x, columns, count);
    step4(sums, high, x + 4, columns, count);
  }
}

// `count` is a constant, so that all arrays are registers.
INLINE void tile4(panel_planes p, const uint8_t *codes, code_form form, bool affine, int count,
                  tile_job job) {
  const tsr_activations *x = job.x;
  const int8_t *xq = x->codes + job.token * x->columns;
  const float *sums = x->sums + job.token * x->groups;
  const uint32_t *offsets = x->offsets + job.token * x->groups;
  fvec acc[TILE][VECTORS];
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++)
      acc[t][v] = load_floats(job.out + t * TSR_PANEL_ROWS + TSR_PANEL_ROWS / VECTORS * v);
  for (size_t g = job.first; g < job.last; g++, codes += form == PACKED ? 256 : 512) {
    ivec s[TILE][VECTORS];
    for (int t = 0; t < count; t++)
      for (int v = 0; v < VECTORS; v++)
        s[t][v] = begin4(affine ? NULL : offsets + (size_t)t * x->groups + g);
    sum4(s, codes, form, xq + g * TSR_GROUP, x->columns, count);
    for (int v = 0; v < VECTORS; v++) {
      fvec scale = halves(p.scales + g * 32 + 32 / VECTORS * v), minimum = scale;
      if (affine) minimum = halves(p.minimums + g * 32 + 32 / VECTORS * v);
      for (int t = 0; t < count; t++) {
        fvec sum = broadcast_float(sums + (size_t)t * x->groups + g);
        if (affine) acc[t][v] = multiply_add(minimum, sum, acc[t][v]);
        acc[t][v] = multiply_add(scale, scaled(finish4(s[t][v]), &job, t, g), acc[t][v]);
      }
    }
  }
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++)
      store_floats(job.out + t * TSR_PANEL_ROWS + TSR_PANEL_ROWS / VECTORS * v, acc[t][v]);
}

INLINE void tile8(panel_planes p, int count, tile_job job) {
  const tsr_activations *x = job.x;
  const int8_t *xq = x->codes + job.token * x->columns;
  const uint32_t *offsets = x->offsets + job.token * x->groups;
  const uint8_t *codes = p.codes + job.first * 512;
  fvec acc[TILE][VECTORS];
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++)
      acc[t][v] = load_floats(job.out + t * TSR_PANEL_ROWS + TSR_PANEL_ROWS / VECTORS * v);
  for (size_t g = job.first; g < job.last; g++) {
    ivec s[TILE][VECTORS];
    for (int t = 0; t < count; t++)
      for (int v = 0; v < VECTORS; v++) s[t][v] = begin8(offsets + (size_t)t * x->groups + g);
    const int8_t *a = xq + g * TSR_GROUP;
#pragma clang loop unroll(disable)
    for (int j = 0; j < 8; j++, a += 4, codes += 64) {
      if (count <= 2) _mm_prefetch((const char *)codes + 2048, _MM_HINT_T0);
      for (int v = 0; v < VECTORS; v++) {
        ivec w = load(codes + 64 / VECTORS * v);
        for (int t = 0; t < count; t++)
          s[t][v] = add8(s[t][v], w, broadcast4(a + (size_t)t * x->columns));
      }
    }
    for (int v = 0; v < VECTORS; v++) {
      fvec scale = halves(p.scales + g * 32 + 32 / VECTORS * v);
      for (int t = 0; t < count; t++)
        acc[t][v] = multiply_add(scale, scaled(finish8(s[t][v]), &job, t, g), acc[t][v]);
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
#define INT8_TILE(N) tile8(p, N, job)
      WITH_COUNT(INT8_TILE)
    }
  }
}

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
        __asm__ volatile("" : "+v"(x));  // to the compiler, every product is another one
        s[c] = add4(s[c], w, x);
      }
    }
    for (int c = 0; c < CHAINS; c++) acc[c] = multiply_add(finish4(s[c]), acc[c], acc[c]);
  }
  for (int c = 1; c < CHAINS; c++) acc[0] = multiply_add(acc[c], acc[c], acc[0]);
  store_floats(sink, acc[0]);
  return sink[0] < 0 ? 0 : rounds * 8 * CHAINS * 64 / VECTORS;
}

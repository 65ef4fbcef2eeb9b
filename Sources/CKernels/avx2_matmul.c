// Integer matrix multiplication with AVX2, which multiplies unsigned by signed bytes and adds pairs
// of products with saturation (vpmaddubsw). The bounds beside each kernel show that none saturates.
#include "CKernels.h"
#include "avx2.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))
enum {
  TILE = 4,          // tokens at a time: 8 integer accumulators, 2 weights, 2 temporaries, the mask
  SPAN = 16,         // groups swept by all tiles before the next ones: 8 KiB decoded
  DECODE_FROM = 12,  // tokens from which decoding a span once beats decoding it in each tile
};

INLINE __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

INLINE __m256i broadcast4(const int8_t *p) {
  int32_t bits;
  memcpy(&bits, p, sizeof bits);
  return _mm256_set1_epi32(bits);
}

INLINE __m256 halves(const uint8_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

// Planes of one panel.
typedef struct {
  const uint8_t *scales, *minimums, *codes;
} panel_planes;

INLINE panel_planes planes(const uint8_t *panel, size_t groups, int count) {
  size_t bytes = (groups * 32 + 63) / 64 * 64;
  return (panel_planes){panel, panel + bytes, panel + (size_t)count * bytes};
}

typedef enum { PACKED, DECODED } code_form;

// 4 or 8 columns of the codes of 16 rows, taken from a 64-byte line.
INLINE void decode(const uint8_t *line, __m256i low[2], __m256i high[2]) {
  const __m256i mask = _mm256_set1_epi8(15);
  for (int h = 0; h < 2; h++) {
    __m256i bytes = load(line + 32 * h);
    low[h] = _mm256_and_si256(bytes, mask);
    high[h] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask);
  }
}

// 16 rows times 4 columns, for `count` tokens: sums += w * x. With w <= 15 and |x| <= 127 a step adds
// at most 2 * 15 * 127 = 3810 to a 16-bit lane; a group has 8 steps: 30480. Where the sums begin with
// the offsets they end at most 2 * 8 * 8 * 127 = 16256 from 0, whatever wraps around between.
INLINE void step(__m256i sums[TILE][2], const __m256i w[2], const int8_t *x, size_t columns,
                 int count) {
  for (int t = 0; t < count; t++) {
    __m256i a = broadcast4(x + (size_t)t * columns);
    sums[t][0] = _mm256_add_epi16(sums[t][0], _mm256_maddubs_epi16(w[0], a));
    sums[t][1] = _mm256_add_epi16(sums[t][1], _mm256_maddubs_epi16(w[1], a));
  }
}

// Adds groups first..<last of a panel times `count` tokens (a constant 1...4) to out[count][16].
INLINE void int4_tile(panel_planes p, size_t first, size_t last, const uint8_t *codes,
                      code_form form, const tsr_activations *x, size_t token, int count,
                      float *out, bool affine) {
  const size_t columns = x->columns, groups = x->groups;
  const int8_t *xq = x->codes + token * columns;
  const float *scales = x->scales + token * groups, *sums = x->sums + token * groups;
  const uint32_t *offsets = x->offsets + token * groups;
  __m256 acc[TILE][2];
  for (int t = 0; t < count; t++)
    for (int h = 0; h < 2; h++) acc[t][h] = _mm256_loadu_ps(out + t * TSR_PANEL_ROWS + 8 * h);
  for (size_t g = first; g < last; g++) {
    __m256i s[TILE][2];
    for (int t = 0; t < count; t++)
      s[t][0] = s[t][1] =
          affine ? _mm256_setzero_si256() : _mm256_set1_epi32((int)offsets[t * groups + g]);
    const int8_t *a = xq + g * TSR_GROUP;
#pragma clang loop unroll(disable)
    for (int j = 0; j < 4; j++, a += 8) {
      __m256i low[2], high[2];
      if (form == PACKED) {
        decode(codes, low, high);
        codes += 64;
        if (count <= 2) _mm_prefetch((const char *)codes + 2048, _MM_HINT_T0);
        step(s, low, a, columns, count);
        step(s, high, a + 4, columns, count);
      } else {
        low[0] = load(codes), low[1] = load(codes + 32);
        step(s, low, a, columns, count);
        high[0] = load(codes + 64), high[1] = load(codes + 96);
        step(s, high, a + 4, columns, count);
        codes += 128;
      }
    }
    const __m256i ones = _mm256_set1_epi16(1);
    for (int h = 0; h < 2; h++) {
      __m256 scale = halves(p.scales + g * 32 + h * 16);
      __m256 minimum = _mm256_setzero_ps();
      if (affine) minimum = halves(p.minimums + g * 32 + h * 16);
      for (int t = 0; t < count; t++) {
        __m256 dot = _mm256_cvtepi32_ps(_mm256_madd_epi16(s[t][h], ones));
        __m256 xs = _mm256_broadcast_ss(scales + (size_t)t * groups + g);
        if (affine) {
          __m256 sum = _mm256_broadcast_ss(sums + (size_t)t * groups + g);
          acc[t][h] = _mm256_fmadd_ps(minimum, sum, acc[t][h]);
        }
        dot = _mm256_mul_ps(dot, xs);
        acc[t][h] = _mm256_fmadd_ps(scale, dot, acc[t][h]);
      }
    }
  }
  for (int t = 0; t < count; t++)
    for (int h = 0; h < 2; h++) _mm256_storeu_ps(out + t * TSR_PANEL_ROWS + 8 * h, acc[t][h]);
}

// Unsigned bytes 0...15 of `groups` groups: 8 lines of 4 columns each.
INLINE void decode_span(const uint8_t *codes, size_t groups, uint8_t *bytes) {
  for (size_t line = 0; line < groups * 4; line++, bytes += 128) {
    __m256i low[2], high[2];
    decode(codes + 64 * line, low, high);
    for (int h = 0; h < 2; h++) {
      _mm256_store_si256((__m256i *)(bytes + 32 * h), low[h]);
      _mm256_store_si256((__m256i *)(bytes + 64 + 32 * h), high[h]);
    }
  }
}

#define COUNTS(CALL)                    \
  switch (count) {                      \
    case 1: CALL(1); break;             \
    case 2: CALL(2); break;             \
    case 3: CALL(3); break;             \
    default: CALL(4); break;            \
  }

INLINE void int4_panel(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
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
      float *o = out + at * TSR_PANEL_ROWS;
#define PACKED_TILE(N) int4_tile(p, begin, end, codes, PACKED, x, first + at, N, o, affine)
#define DECODED_TILE(N) int4_tile(p, begin, end, bytes, DECODED, x, first + at, N, o, affine)
      if (decoded) {
        COUNTS(DECODED_TILE)
      } else {
        COUNTS(PACKED_TILE)
      }
    }
  }
}

void tsr_avx2_int4(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out) {
  int4_panel(panel, x, first, tokens, out, false);
}

void tsr_avx2_int4_affine(const uint8_t *panel, const tsr_activations *x, size_t first,
                          size_t tokens, float *out) {
  int4_panel(panel, x, first, tokens, out, true);
}

// 8-bit codes as signed w: |w| <= 127 and |x| <= 127, so |w| * (x with w's sign) sums pairs to at
// most 2 * 127 * 127 = 32258; those are widened at once.
INLINE void int8_tile(panel_planes p, size_t first, size_t last, const tsr_activations *x,
                      size_t token, int count, float *out) {
  const size_t columns = x->columns, groups = x->groups;
  const __m256i flip = _mm256_set1_epi8((char)0x80), ones = _mm256_set1_epi16(1);
  const int8_t *xq = x->codes + token * columns;
  const float *scales = x->scales + token * groups;
  const uint8_t *codes = p.codes + first * 512;
  __m256 acc[TILE][2];
  for (int t = 0; t < count; t++)
    for (int h = 0; h < 2; h++) acc[t][h] = _mm256_loadu_ps(out + t * TSR_PANEL_ROWS + 8 * h);
  for (size_t g = first; g < last; g++) {
    __m256i s[TILE][2];
    for (int t = 0; t < count; t++) s[t][0] = s[t][1] = _mm256_setzero_si256();
    const int8_t *a = xq + g * TSR_GROUP;
#pragma clang loop unroll(disable)
    for (int j = 0; j < 8; j++, a += 4, codes += 64) {
      if (count <= 2) _mm_prefetch((const char *)codes + 2048, _MM_HINT_T0);
#pragma clang loop unroll(full)
      for (int h = 0; h < 2; h++) {
        __m256i w = _mm256_xor_si256(load(codes + 32 * h), flip);
        __m256i size = _mm256_abs_epi8(w);
        for (int t = 0; t < count; t++) {
          __m256i turned = _mm256_sign_epi8(broadcast4(a + (size_t)t * columns), w);
          __m256i pairs = _mm256_maddubs_epi16(size, turned);
          s[t][h] = _mm256_add_epi32(s[t][h], _mm256_madd_epi16(pairs, ones));
        }
      }
    }
    for (int h = 0; h < 2; h++) {
      __m256 scale = halves(p.scales + g * 32 + h * 16);
      for (int t = 0; t < count; t++) {
        __m256 xs = _mm256_broadcast_ss(scales + (size_t)t * groups + g);
        __m256 dot = _mm256_mul_ps(_mm256_cvtepi32_ps(s[t][h]), xs);
        acc[t][h] = _mm256_fmadd_ps(scale, dot, acc[t][h]);
      }
    }
  }
  for (int t = 0; t < count; t++)
    for (int h = 0; h < 2; h++) _mm256_storeu_ps(out + t * TSR_PANEL_ROWS + 8 * h, acc[t][h]);
}

void tsr_avx2_int8(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                   float *out) {
  panel_planes p = planes(panel, x->groups, 1);
  size_t tiles = (tokens + TILE - 1) / TILE;
  size_t span = tiles == 1 ? x->groups : SPAN;
  memset(out, 0, tokens * TSR_PANEL_ROWS * sizeof(float));
  for (size_t begin = 0; begin < x->groups; begin += span) {
    size_t end = x->groups - begin < span ? x->groups : begin + span;
    for (size_t i = 0; i < tiles; i++) {
      size_t at = tokens * i / tiles, count = tokens * (i + 1) / tiles - at;
      float *o = out + at * TSR_PANEL_ROWS;
#define INT8_TILE(N) int8_tile(p, begin, end, x, first + at, N, o)
      COUNTS(INT8_TILE)
    }
  }
}

#pragma clang attribute pop
#endif

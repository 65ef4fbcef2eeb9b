// Integer matrix multiplication with NEON's dot product (Armv8.2 dotprod: Cortex-A76, Neoverse N1,
// Apple M1 and later), which is signed: codes lose their offset before they are multiplied.
#include "CKernels.h"
#include "neon.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))
enum {
  TILE = 4,         // tokens: 16 accumulators, 8 vectors of codes, 4 of activations
  VECTORS = 4,      // of 4 rows each, in a 64-byte line
  DECODE_FROM = 9,  // tokens from which a span is decoded once
};

// INT4 codes are multiplied as 16 * (code - 8), which needs no second instruction for the sign;
// DECODED ones too, from signed bytes in the layout of INT8.
typedef enum { INT8, INT4, INT4_AFFINE, DECODED } code_form;

typedef struct {
  const uint8_t *scales, *minimums, *codes;
} panel_planes;

INLINE panel_planes planes(const uint8_t *panel, size_t groups, int count) {
  size_t bytes = (groups * 32 + 63) / 64 * 64;
  return (panel_planes){panel, panel + bytes, panel + (size_t)count * bytes};
}

// Groups first..<last of `count` tokens from `token` on, or with `residual`, such residuals of one.
typedef struct {
  const tsr_activations *x;
  size_t token, first, last;
  float *out;  // [count][16], added to
} tile_job;

// Codes of 4 rows: columns 0...3 in low and 4...7 in high.
INLINE void decode(const uint8_t *p, bool affine, int8x16_t *low, int8x16_t *high) {
  uint8x16_t bytes = vld1q_u8(p);
  if (affine) {
    *low = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
    *high = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
    return;
  }
  bytes = veorq_u8(bytes, vdupq_n_u8(0x88));
  *low = vreinterpretq_s8_u8(vshlq_n_u8(bytes, 4));
  *high = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(0xf0)));
}

// 4 columns of 16 rows, from lane `lane` (a constant) of each token's 16 columns.
INLINE void step(int32x4_t sums[TILE][VECTORS], const int8x16_t w[VECTORS],
                 const int8x16_t x[TILE], int lane, int count) {
  for (int t = 0; t < count; t++) {
    for (int v = 0; v < VECTORS; v++) {
      switch (lane) {
        case 0: sums[t][v] = vdotq_laneq_s32(sums[t][v], w[v], x[t], 0); break;
        case 1: sums[t][v] = vdotq_laneq_s32(sums[t][v], w[v], x[t], 1); break;
        case 2: sums[t][v] = vdotq_laneq_s32(sums[t][v], w[v], x[t], 2); break;
        default: sums[t][v] = vdotq_laneq_s32(sums[t][v], w[v], x[t], 3);
      }
    }
  }
}

// 16 columns from `codes` on.
INLINE void sum16(int32x4_t sums[TILE][VECTORS], const uint8_t *codes, code_form form,
                  const int8x16_t x[TILE], int count) {
  if (form == INT4 || form == INT4_AFFINE) {
    for (int line = 0; line < 2; line++) {
      int8x16_t low[VECTORS], high[VECTORS];
      for (int v = 0; v < VECTORS; v++)
        decode(codes + 64 * line + 16 * v, form == INT4_AFFINE, &low[v], &high[v]);
      step(sums, low, x, 2 * line, count);
      step(sums, high, x, 2 * line + 1, count);
    }
    return;
  }
  for (int line = 0; line < 4; line++) {
    int8x16_t w[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
      uint8x16_t bytes = vld1q_u8(codes + 64 * line + 16 * v);
      if (form == INT8) bytes = veorq_u8(bytes, vdupq_n_u8(0x80));
      w[v] = vreinterpretq_s8_u8(bytes);
    }
    step(sums, w, x, line, count);
  }
}

// `count` is a constant, so that all arrays are registers. Integer sums reach 32 * 128 * 127.
INLINE void tile(panel_planes p, const uint8_t *codes, code_form form, bool residual, int count,
                 tile_job job) {
  const tsr_activations *x = job.x;
  const size_t bytes = form == INT4 || form == INT4_AFFINE ? 128 : 256;  // of 16 columns
  float32x4_t acc[TILE][VECTORS];
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++) acc[t][v] = vld1q_f32(job.out + t * TSR_PANEL_ROWS + 4 * v);
  for (size_t i = job.first; i < job.last; i++) {
    size_t g = residual ? x->residual_groups[job.token * x->residuals + i] : i;
    size_t term = job.token * x->terms + (residual ? x->groups + i : i);
    if (residual) codes = p.codes + g * 2 * bytes;
    int32x4_t s[TILE][VECTORS];
    for (int t = 0; t < count; t++)
      for (int v = 0; v < VECTORS; v++) s[t][v] = vdupq_n_s32(0);
#pragma clang loop unroll(disable)
    for (int half = 0; half < 2; half++, codes += bytes) {
      int8x16_t xq[TILE];
      for (int t = 0; t < count; t++)
        xq[t] = vld1q_s8(x->codes + (term + (size_t)t * x->terms) * TSR_GROUP +
                         16 * (size_t)half);
      sum16(s, codes, form, xq, count);
    }
    for (int v = 0; v < VECTORS; v++) {
      size_t at = g * 32 + 8 * (size_t)v;
      float32x4_t scale = tsr_neon_halves(p.scales + at), minimum = scale;
      if (form == INT4_AFFINE) minimum = tsr_neon_halves(p.minimums + at);
      for (int t = 0; t < count; t++) {
        size_t index = term + (size_t)t * x->terms;
        bool sixteenths = form == INT4 || form == DECODED;
        float32x4_t dot = sixteenths ? vcvtq_n_f32_s32(s[t][v], 4) : vcvtq_f32_s32(s[t][v]);
        acc[t][v] = vfmaq_f32(acc[t][v], scale, vmulq_n_f32(dot, x->scales[index]));
        if (form == INT4_AFFINE) acc[t][v] = vfmaq_n_f32(acc[t][v], minimum, x->sums[index]);
      }
    }
  }
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++) vst1q_f32(job.out + t * TSR_PANEL_ROWS + 4 * v, acc[t][v]);
}

// Groups whose codes lie in planes of bits, or whose scales are integers: part by part. Integer sums as above.
INLINE void tile_of_planes(const uint8_t *panel, uint32_t encoding, bool residual, int count,
                           tile_job job) {
  const tsr_activations *x = job.x;
  const tsr_panel_form form = tsr_form(encoding);
  const uint8_t *codes = panel + tsr_planes_bytes(form, x->groups);
  const unsigned steps = 8 / form.parts;
  float32x4_t acc[TILE][VECTORS];
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++) acc[t][v] = vld1q_f32(job.out + t * TSR_PANEL_ROWS + 4 * v);
  for (size_t i = job.first; i < job.last; i++) {
    size_t g = residual ? x->residual_groups[job.token * x->residuals + i] : i;
    size_t term = job.token * x->terms + (residual ? x->groups + i : i);
    for (unsigned part = 0; part < form.parts; part++) {
      int32x4_t s[TILE][VECTORS];
      for (int t = 0; t < count; t++)
        for (int v = 0; v < VECTORS; v++) s[t][v] = vdupq_n_s32(0);
#pragma clang loop unroll(full)
      for (unsigned at = 0; at < 8; at++) {
        if (at / steps != part) continue;
        int8x16_t w[VECTORS], xq[TILE];
        for (int v = 0; v < VECTORS; v++)
          w[v] = tsr_neon_code_step(codes + g * 64 * form.bits, form, at, v);
        for (int t = 0; t < count; t++)
          xq[t] = vld1q_s8(x->codes + (term + (size_t)t * x->terms) * TSR_GROUP + at / 4 * 16);
        step(s, w, xq, (int)(at % 4), count);
      }
      for (int v = 0; v < VECTORS; v++) {
        const tsr_neon_scaling w = tsr_neon_scaling_of(form, panel, x->groups, g, part, v);
        for (int t = 0; t < count; t++) {
          size_t index = term + (size_t)t * x->terms;
          float total = form.parts == 1 ? x->sums[index] : x->half_sums[2 * index + part];
          float32x4_t dot = vmulq_n_f32(vcvtq_f32_s32(s[t][v]), x->scales[index]);
          acc[t][v] = vfmaq_f32(acc[t][v], w.scale, dot);
          if (form.offset == 0) acc[t][v] = vfmaq_n_f32(acc[t][v], w.minimum, total);
        }
      }
    }
  }
  for (int t = 0; t < count; t++)
    for (int v = 0; v < VECTORS; v++) vst1q_f32(job.out + t * TSR_PANEL_ROWS + 4 * v, acc[t][v]);
}

INLINE void run_of_planes(const uint8_t *panel, const tsr_activations *x, size_t first,
                          size_t tokens, float *out, uint32_t encoding) {
  memset(out, 0, tokens * TSR_PANEL_ROWS * sizeof(float));
  for (size_t t = 0; t < tokens; t += TILE) {
    tile_job job = {x, first + t, 0, x->groups, out + t * TSR_PANEL_ROWS};
    switch (tokens - t) {
      case 1: tile_of_planes(panel, encoding, false, 1, job); break;
      case 2: tile_of_planes(panel, encoding, false, 2, job); break;
      case 3: tile_of_planes(panel, encoding, false, 3, job); break;
      default: tile_of_planes(panel, encoding, false, TILE, job); break;
    }
  }
}

INLINE void residuals_of_planes(const uint8_t *panel, const tsr_activations *x, size_t first,
                                size_t tokens, float *out, uint32_t encoding) {
  for (size_t t = 0; t < tokens; t++) {
    tile_job job = {x, first + t, 0, x->residuals, out + t * TSR_PANEL_ROWS};
    tile_of_planes(panel, encoding, true, 1, job);
  }
}

static void decode_span(const uint8_t *codes, size_t groups, uint8_t *bytes) {
  for (size_t line = 0; line < groups * 4; line++, bytes += 128) {
    for (size_t v = 0; v < VECTORS; v++) {
      int8x16_t low, high;
      decode(codes + 64 * line + 16 * v, false, &low, &high);
      vst1q_s8((int8_t *)bytes + 16 * v, low);
      vst1q_s8((int8_t *)bytes + 64 + 16 * v, high);
    }
  }
}

// Tokens are cut into tiles of nearly equal size: none falls back to a slower kernel.
INLINE void run(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                float *out, code_form form) {
  uint8_t bytes[TSR_SPAN * 512];
  panel_planes p = planes(panel, x->groups, form == INT4_AFFINE ? 2 : 1);
  const size_t group_bytes = form == INT8 ? 512 : 256;
  size_t tiles = (tokens + TILE - 1) / TILE;
  memset(out, 0, tokens * TSR_PANEL_ROWS * sizeof(float));
  for (size_t begin = 0; begin < x->groups; begin += TSR_SPAN) {
    size_t end = x->groups - begin < TSR_SPAN ? x->groups : begin + TSR_SPAN;
    const uint8_t *codes = p.codes + begin * group_bytes;
    bool decoded = form == INT4 && tokens >= DECODE_FROM;
    if (decoded) decode_span(codes, end - begin, bytes);
    for (size_t i = 0; i < tiles; i++) {
      size_t at = tokens * i / tiles, count = tokens * (i + 1) / tiles - at;
      tile_job job = {x, first + at, begin, end, out + at * TSR_PANEL_ROWS};
      switch (decoded ? count + 4 : count) {
        case 1: tile(p, codes, form, false, 1, job); break;
        case 2: tile(p, codes, form, false, 2, job); break;
        case 3: tile(p, codes, form, false, 3, job); break;
        case 4: tile(p, codes, form, false, 4, job); break;
        case 5: tile(p, bytes, DECODED, false, 1, job); break;
        case 6: tile(p, bytes, DECODED, false, 2, job); break;
        case 7: tile(p, bytes, DECODED, false, 3, job); break;
        default: tile(p, bytes, DECODED, false, 4, job); break;
      }
    }
  }
}

// Adds the residuals of each token.
INLINE void residuals(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens,
                      float *out, code_form form) {
  panel_planes p = planes(panel, x->groups, form == INT4_AFFINE ? 2 : 1);
  for (size_t t = 0; t < tokens; t++) {
    tile_job job = {x, first + t, 0, x->residuals, out + t * TSR_PANEL_ROWS};
    tile(p, p.codes, form, true, 1, job);
  }
}

#define KERNELS(NAME, FORM, RUN, RESIDUALS)                                              \
  void tsr_neon_residuals_##NAME(const uint8_t *panel, const tsr_activations *x,         \
                                 size_t first, size_t tokens, float *out) {              \
    RESIDUALS(panel, x, first, tokens, out, FORM);                                       \
  }                                                                                      \
  void tsr_neon_##NAME(const uint8_t *panel, const tsr_activations *x, size_t first,     \
                       size_t tokens, float *out) {                                      \
    RUN(panel, x, first, tokens, out, FORM);                                             \
    RESIDUALS(panel, x, first, tokens, out, FORM);                                       \
  }
KERNELS(int8, INT8, run, residuals)
KERNELS(int4, INT4, run, residuals)
KERNELS(int4_affine, INT4_AFFINE, run, residuals)
#define PLANE_KERNELS(NAME, ENCODING) KERNELS(NAME, ENCODING, run_of_planes, residuals_of_planes)
TSR_BIT_PLANE_ENCODINGS(PLANE_KERNELS)

size_t tsr_neon_mac_loop(size_t rounds) {
  int8x16_t w = vdupq_n_s8(3), x = vdupq_n_s8(5);
  int32x4_t s[16];
  for (int i = 0; i < 16; i++) s[i] = vdupq_n_s32(0);
  for (size_t r = 0; r < rounds; r++) {
    __asm__ volatile("" : "+w"(x));  // every round's products are others
    for (int i = 0; i < 16; i++) s[i] = vdotq_laneq_s32(s[i], w, x, 0);
  }
  int32_t any = 0;
  for (int i = 0; i < 16; i++) any |= vaddvq_s32(s[i]);
  return any == 0 ? 0 : rounds * 16 * 16;
}

#pragma clang attribute pop
#endif

// Integer matrix multiplication with NEON's 8-bit matrix product (Armv8.6 i8mm: Neoverse V1 and
// N2, Apple M2 and later): 2 rows by 2 tokens by 8 columns at once, twice a dot product. A span of a panel is decoded once for all tokens; fewer than 4 tokens take neon_matmul.c's
// kernels, whose results these equal bit for bit.
#include "CKernels.h"
#include "neon.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("i8mm,dotprod"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))
enum {
  FROM_TOKENS = 4,
  PAIRS = 8,  // of rows, in a panel
};

typedef enum { INT8, INT4, INT4_AFFINE } matrix_form;

typedef struct {
  const tsr_activations *x;
  const uint8_t *scales, *minimums;
  const int8_t *bytes;  // decoded: by 8 columns, then pair of rows, then row
  size_t first, last;   // groups
} span_job;

// Signed codes of 4 rows, columns 0...3 in low and 4...7 in high. INT4 codes are 16 * (code - 8).
INLINE void decode(const uint8_t *codes, matrix_form form, int8x16_t *low, int8x16_t *high) {
  uint8x16_t bytes = vld1q_u8(codes);
  if (form == INT8) {
    *low = vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(0x80)));
    *high = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes + 64), vdupq_n_u8(0x80)));
  } else if (form == INT4) {
    bytes = veorq_u8(bytes, vdupq_n_u8(0x88));
    *low = vreinterpretq_s8_u8(vshlq_n_u8(bytes, 4));
    *high = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(0xf0)));
  } else {
    *low = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
    *high = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
  }
}

INLINE void decode_span(const uint8_t *codes, size_t groups, matrix_form form, int8_t *bytes) {
  size_t line = form == INT8 ? 128 : 64;  // bytes of 8 columns
  for (size_t i = 0; i < groups * 4; i++, codes += line) {
    for (size_t v = 0; v < 4; v++, bytes += 32) {
      int8x16_t low, high;
      decode(codes + 16 * v, form, &low, &high);
      int32x4_t a = vreinterpretq_s32_s8(low), b = vreinterpretq_s32_s8(high);
      vst1q_s8(bytes, vreinterpretq_s8_s32(vzip1q_s32(a, b)));
      vst1q_s8(bytes + 16, vreinterpretq_s8_s32(vzip2q_s32(a, b)));
    }
  }
}

// Sums of two rows and two tokens: row 0 of both tokens, then row 1.
typedef struct {
  float32x4_t v[PAIRS];
} pair_sums;

INLINE pair_sums load_sums(const float *first, const float *second) {
  pair_sums sums;
  for (int p = 0; p < PAIRS; p += 2) {
    float32x4_t a = vld1q_f32(first + 2 * p), b = vld1q_f32(second + 2 * p);
    sums.v[p] = vzip1q_f32(a, b);
    sums.v[p + 1] = vzip2q_f32(a, b);
  }
  return sums;
}

INLINE void store_sums(const pair_sums *sums, float *first, float *second) {
  for (int p = 0; p < PAIRS; p += 2) {
    vst1q_f32(second + 2 * p, vuzp2q_f32(sums->v[p], sums->v[p + 1]));
    vst1q_f32(first + 2 * p, vuzp1q_f32(sums->v[p], sums->v[p + 1]));
  }
}

// a and b, twice.
INLINE float32x4_t both(const float *a, const float *b) {
  float32x2_t two = vset_lane_f32(*b, vdup_n_f32(*a), 1);
  return vcombine_f32(two, two);
}

// Each of 4 half-precision values twice.
INLINE void doubled(const uint8_t *halves, float32x4_t *low, float32x4_t *high) {
  float32x4_t v = tsr_neon_halves(halves);
  *low = vzip1q_f32(v, v);
  *high = vzip2q_f32(v, v);
}

// One group of the tokens whose terms are `first` and `second`.
INLINE void group(pair_sums *sums, const span_job *job, matrix_form form, size_t index,
                  size_t first, size_t second) {
  const tsr_activations *x = job->x;
  const int8_t *bytes = job->bytes + (index - job->first) * 512;
  int32x4_t s[PAIRS];
  for (int p = 0; p < PAIRS; p++) s[p] = vdupq_n_s32(0);
#pragma clang loop unroll(full)
  for (size_t i = 0; i < 4; i++, bytes += 128) {
    int8x16_t xs = vcombine_s8(vld1_s8(x->codes + first * TSR_GROUP + 8 * i),
                               vld1_s8(x->codes + second * TSR_GROUP + 8 * i));
    for (int p = 0; p < PAIRS; p++) s[p] = vmmlaq_s32(s[p], vld1q_s8(bytes + 16 * p), xs);
  }
  float32x4_t factor = both(x->scales + first, x->scales + second);
  float32x4_t total = both(x->sums + first, x->sums + second);
  for (int p = 0; p < PAIRS; p += 2) {
    float32x4_t scales[2], minimums[2];
    size_t at = index * 32 + 4 * (size_t)p;
    doubled(job->scales + at, &scales[0], &scales[1]);
    if (form == INT4_AFFINE) doubled(job->minimums + at, &minimums[0], &minimums[1]);
    for (int i = 0; i < 2; i++) {
      float32x4_t *sum = &sums->v[p + i];
      float32x4_t dot = form == INT4 ? vcvtq_n_f32_s32(s[p + i], 4) : vcvtq_f32_s32(s[p + i]);
      *sum = vfmaq_f32(*sum, scales[i], vmulq_f32(dot, factor));
      if (form == INT4_AFFINE) *sum = vfmaq_f32(*sum, minimums[i], total);
    }
  }
}

// Tokens in pairs; the last of an odd number is its own partner.
INLINE void all_pairs(const span_job *job, matrix_form form, size_t first, size_t tokens,
                      float *out) {
  for (size_t t = 0; t < tokens; t += 2) {
    size_t partner = t + 1 < tokens ? t + 1 : t;
    size_t a = (first + t) * job->x->terms, b = (first + partner) * job->x->terms;
    pair_sums sums = load_sums(out + t * TSR_PANEL_ROWS, out + partner * TSR_PANEL_ROWS);
    for (size_t i = job->first; i < job->last; i++) group(&sums, job, form, i, a + i, b + i);
    store_sums(&sums, out + t * TSR_PANEL_ROWS, out + partner * TSR_PANEL_ROWS);
  }
}

INLINE void panel(const uint8_t *base, const tsr_activations *x, size_t first, size_t tokens,
                  float *out, matrix_form form) {
  int8_t bytes[TSR_SPAN * 512];
  size_t plane = (x->groups * 32 + 63) / 64 * 64, group_bytes = form == INT8 ? 512 : 256;
  const uint8_t *codes = base + (form == INT4_AFFINE ? 2 : 1) * plane;
  span_job job = {.x = x, .scales = base, .minimums = base + plane, .bytes = bytes};
  memset(out, 0, tokens * TSR_PANEL_ROWS * sizeof(float));
  for (; job.first < x->groups; job.first = job.last) {
    job.last = x->groups - job.first < TSR_SPAN ? x->groups : job.first + TSR_SPAN;
    decode_span(codes + job.first * group_bytes, job.last - job.first, form, bytes);
    all_pairs(&job, form, first, tokens, out);
  }
}

void tsr_i8mm_int8(const uint8_t *base, const tsr_activations *x, size_t first, size_t tokens,
                   float *out) {
  if (tokens < FROM_TOKENS) return tsr_neon_int8(base, x, first, tokens, out);
  panel(base, x, first, tokens, out, INT8);
  tsr_neon_residuals_int8(base, x, first, tokens, out);
}
void tsr_i8mm_int4(const uint8_t *base, const tsr_activations *x, size_t first, size_t tokens,
                   float *out) {
  if (tokens < FROM_TOKENS) return tsr_neon_int4(base, x, first, tokens, out);
  panel(base, x, first, tokens, out, INT4);
  tsr_neon_residuals_int4(base, x, first, tokens, out);
}
void tsr_i8mm_int4_affine(const uint8_t *base, const tsr_activations *x, size_t first,
                          size_t tokens, float *out) {
  if (tokens < FROM_TOKENS) return tsr_neon_int4_affine(base, x, first, tokens, out);
  panel(base, x, first, tokens, out, INT4_AFFINE);
  tsr_neon_residuals_int4_affine(base, x, first, tokens, out);
}

size_t tsr_i8mm_mac_loop(size_t rounds) {
  int8x16_t w = vdupq_n_s8(3), x = vdupq_n_s8(5);
  int32x4_t s[16];
  for (int i = 0; i < 16; i++) s[i] = vdupq_n_s32(0);
  for (size_t r = 0; r < rounds; r++) {
    __asm__ volatile("" : "+w"(x));  // every round's products are others
    for (int i = 0; i < 16; i++) s[i] = vmmlaq_s32(s[i], w, x);
  }
  int32_t any = 0;
  for (int i = 0; i < 16; i++) any |= vaddvq_s32(s[i]);
  return any == 0 ? 0 : rounds * 16 * 32;
}

#pragma clang attribute pop
#endif

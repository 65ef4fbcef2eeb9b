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

typedef struct {
  const tsr_activations *x;
  const uint8_t *panel;
  const int8_t *bytes;  // decoded: by 8 columns, then pair of rows, then row
  size_t first, last;   // groups
} span_job;

// Signed codes of 4 rows, columns 0...3 in low and 4...7 in high. INT4 codes are 16 * (code - 8).
INLINE void decode(const uint8_t *codes, uint32_t encoding, int8x16_t *low, int8x16_t *high) {
  uint8x16_t bytes = vld1q_u8(codes);
  if (encoding == TSR_INT8) {
    *low = vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(0x80)));
    *high = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes + 64), vdupq_n_u8(0x80)));
  } else if (encoding == TSR_INT4) {
    bytes = veorq_u8(bytes, vdupq_n_u8(0x88));
    *low = vreinterpretq_s8_u8(vshlq_n_u8(bytes, 4));
    *high = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(0xf0)));
  } else {
    *low = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
    *high = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
  }
}

INLINE bool lies_in_planes(uint32_t encoding) {
  return encoding != TSR_INT8 && encoding != TSR_INT4 && encoding != TSR_INT4_AFFINE;
}

INLINE void decode_span(const uint8_t *codes, size_t groups, uint32_t encoding, int8_t *bytes) {
  const tsr_panel_form form = tsr_form(encoding);
  for (size_t g = 0; g < groups; g++, codes += 64 * form.bits) {
#pragma clang loop unroll(full)
    for (unsigned i = 0; i < 4; i++) {  // 8 columns
      for (int v = 0; v < 4; v++, bytes += 32) {
        int8x16_t low, high;
        if (lies_in_planes(encoding)) {
          low = tsr_neon_code_step(codes, form, 2 * i, v);
          high = tsr_neon_code_step(codes, form, 2 * i + 1, v);
        } else {
          decode(codes + 16 * form.bits * i + 16 * (size_t)v, encoding, &low, &high);
        }
        int32x4_t a = vreinterpretq_s32_s8(low), b = vreinterpretq_s32_s8(high);
        vst1q_s8(bytes, vreinterpretq_s8_s32(vzip1q_s32(a, b)));
        vst1q_s8(bytes + 16, vreinterpretq_s8_s32(vzip2q_s32(a, b)));
      }
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

// Each of 4 values twice.
INLINE void twice(float32x4_t v, float32x4_t *low, float32x4_t *high) {
  *low = vzip1q_f32(v, v);
  *high = vzip2q_f32(v, v);
}

// Products of columns 8 from ... 8 to - 1 of one group.
INLINE void sum_products(int32x4_t s[PAIRS], const int8_t *bytes, const tsr_activations *x,
                         size_t first, size_t second, size_t from, size_t to) {
  for (int p = 0; p < PAIRS; p++) s[p] = vdupq_n_s32(0);
#pragma clang loop unroll(full)
  for (size_t i = 0; i < 4; i++) {
    if (i < from || i >= to) continue;
    int8x16_t xs = vcombine_s8(vld1_s8(x->codes + first * TSR_GROUP + 8 * i),
                               vld1_s8(x->codes + second * TSR_GROUP + 8 * i));
    for (int p = 0; p < PAIRS; p++)
      s[p] = vmmlaq_s32(s[p], vld1q_s8(bytes + 128 * i + 16 * (size_t)p), xs);
  }
}

// One part of one group of the tokens whose terms are `first` and `second`.
INLINE void group_part(pair_sums *sums, const span_job *job, uint32_t encoding, size_t index,
                       unsigned part, size_t first, size_t second) {
  const tsr_activations *x = job->x;
  const tsr_panel_form form = tsr_form(encoding);
  const size_t eights = 4 / form.parts;
  int32x4_t s[PAIRS];
  sum_products(s, job->bytes + (index - job->first) * 512, x, first, second, part * eights,
               (part + 1) * eights);
  float32x4_t factor = both(x->scales + first, x->scales + second);
  float32x4_t total = form.parts == 1 ? both(x->sums + first, x->sums + second)
                                      : both(x->half_sums + 2 * first + part,
                                             x->half_sums + 2 * second + part);
  for (int p = 0; p < PAIRS; p += 2) {
    const tsr_neon_scaling w =
        tsr_neon_scaling_of(form, job->panel, x->groups, index, part, p / 2);
    float32x4_t scales[2], minimums[2];
    twice(w.scale, &scales[0], &scales[1]);
    twice(w.minimum, &minimums[0], &minimums[1]);
    for (int i = 0; i < 2; i++) {
      float32x4_t *sum = &sums->v[p + i];
      float32x4_t dot = encoding == TSR_INT4 ? vcvtq_n_f32_s32(s[p + i], 4)
                                             : vcvtq_f32_s32(s[p + i]);
      *sum = vfmaq_f32(*sum, scales[i], vmulq_f32(dot, factor));
      if (form.offset == 0) *sum = vfmaq_f32(*sum, minimums[i], total);
    }
  }
}

INLINE void group(pair_sums *sums, const span_job *job, uint32_t encoding, size_t index,
                  size_t first, size_t second) {
  for (unsigned part = 0; part < tsr_form(encoding).parts; part++)
    group_part(sums, job, encoding, index, part, first, second);
}

// Tokens in pairs; the last of an odd number is its own partner.
INLINE void all_pairs(const span_job *job, uint32_t encoding, size_t first, size_t tokens,
                      float *out) {
  for (size_t t = 0; t < tokens; t += 2) {
    size_t partner = t + 1 < tokens ? t + 1 : t;
    size_t a = (first + t) * job->x->terms, b = (first + partner) * job->x->terms;
    pair_sums sums = load_sums(out + t * TSR_PANEL_ROWS, out + partner * TSR_PANEL_ROWS);
    for (size_t i = job->first; i < job->last; i++) group(&sums, job, encoding, i, a + i, b + i);
    store_sums(&sums, out + t * TSR_PANEL_ROWS, out + partner * TSR_PANEL_ROWS);
  }
}

INLINE void panel(const uint8_t *base, const tsr_activations *x, size_t first, size_t tokens,
                  float *out, uint32_t encoding) {
  int8_t bytes[TSR_SPAN * 512];
  const tsr_panel_form form = tsr_form(encoding);
  const uint8_t *codes = base + tsr_planes_bytes(form, x->groups);
  span_job job = {.x = x, .panel = base, .bytes = bytes};
  memset(out, 0, tokens * TSR_PANEL_ROWS * sizeof(float));
  for (; job.first < x->groups; job.first = job.last) {
    job.last = x->groups - job.first < TSR_SPAN ? x->groups : job.first + TSR_SPAN;
    decode_span(codes + job.first * 64 * form.bits, job.last - job.first, encoding, bytes);
    all_pairs(&job, encoding, first, tokens, out);
  }
}

#define KERNEL(NAME, ENCODING)                                                             \
  void tsr_i8mm_##NAME(const uint8_t *base, const tsr_activations *x, size_t first,        \
                       size_t tokens, float *out) {                                        \
    if (tokens < FROM_TOKENS) return tsr_neon_##NAME(base, x, first, tokens, out);         \
    panel(base, x, first, tokens, out, ENCODING);                                          \
    tsr_neon_residuals_##NAME(base, x, first, tokens, out);                                \
  }
TSR_SIMPLE_ENCODINGS(KERNEL)
TSR_BIT_PLANE_ENCODINGS(KERNEL)

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

// NEON (Armv8 Advanced SIMD): all kernels except the matrix multiplication.
#include "CKernels.h"
#include "neon.h"
#include "scalar.h"

#if defined(__aarch64__)
#include <float.h>
#include <math.h>
#include <string.h>
#include <sys/auxv.h>

static size_t quantize(const tsr_activations *a, const float *x, size_t term, size_t count) {
  int8_t *codes = a->codes + term * TSR_GROUP;
  size_t bad = 0;
  for (size_t at = term; at < term + count; at++, x += TSR_GROUP, codes += TSR_GROUP) {
    float32x4_t most = vdupq_n_f32(0);
    for (int i = 0; i < 8; i++) most = vmaxq_f32(most, vabsq_f32(vld1q_f32(x + 4 * i)));
    float largest = vmaxvq_f32(most);  // NaN where one value is
    float inverse = largest > 0 ? 127.0f / largest : 0;
    if (!(largest <= FLT_MAX)) {
      memset(codes, 0, TSR_GROUP);
      a->scales[at] = a->sums[at] = a->offsets[at] = 0;
      bad++;
      continue;
    }
    if (!(inverse <= 3.0e38f)) inverse = 0;
    int32x4_t total = vdupq_n_s32(0);
    for (int i = 0; i < 8; i += 2) {
      int32x4_t q0 = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4 * i), inverse));
      int32x4_t q1 = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4 * i + 4), inverse));
      total = vaddq_s32(total, vaddq_s32(q0, q1));
      int16x8_t narrow = vcombine_s16(vmovn_s32(q0), vmovn_s32(q1));
      vst1_s8(codes + 4 * i, vmovn_s16(narrow));
    }
    a->scales[at] = inverse > 0 ? largest / 127.0f : 0;
    a->sums[at] = a->scales[at] * (float)vaddvq_s32(total);
    a->offsets[at] = -8 * a->sums[at];
  }
  return bad;
}

static float dot_f32(const float *a, const float *b, size_t count) {
  float32x4_t s[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  size_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (size_t j = 0; j < 4; j++)
      s[j] = vfmaq_f32(s[j], vld1q_f32(a + i + 4 * j), vld1q_f32(b + i + 4 * j));
  float sum = vaddvq_f32(vaddq_f32(vaddq_f32(s[0], s[1]), vaddq_f32(s[2], s[3])));
  for (; i < count; i++) sum += a[i] * b[i];
  return sum;
}

static float dot_f16(const uint16_t *a, const float *b, size_t count) {
  float32x4_t s[2] = {vdupq_n_f32(0), vdupq_n_f32(0)};
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (size_t j = 0; j < 2; j++)
      s[j] = vfmaq_f32(s[j], tsr_neon_halves(a + i + 4 * j), vld1q_f32(b + i + 4 * j));
  float sum = vaddvq_f32(vaddq_f32(s[0], s[1]));
  for (; i < count; i++) sum += tsr_half_to_float(a[i]) * b[i];
  return sum;
}

static float largest(const float *x, size_t count) {
  float32x4_t most = vdupq_n_f32(-INFINITY);
  size_t i = 0;
  for (; i + 4 <= count; i += 4) most = vmaxq_f32(most, vld1q_f32(x + i));
  float best = vmaxvq_f32(most);
  for (; i < count; i++) best = x[i] > best ? x[i] : best;
  return best;
}

// One query times four keys at a time.
static void scores(const float *queries, size_t rows, const float *keys, size_t dim, float *out) {
  for (size_t r = 0; r < rows; r++, queries += dim, out += TSR_SLOT_TILE) {
    for (size_t s = 0; s < TSR_SLOT_TILE; s += 4) {
      const float *key = keys + s * dim;
      float32x4_t acc[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
      size_t i = 0;
      for (; i + 4 <= dim; i += 4)
        for (size_t j = 0; j < 4; j++)
          acc[j] = vfmaq_f32(acc[j], vld1q_f32(queries + i), vld1q_f32(key + j * dim + i));
      float32x4_t sums = vpaddq_f32(vpaddq_f32(acc[0], acc[1]), vpaddq_f32(acc[2], acc[3]));
      vst1q_f32(out + s, sums);
      for (; i < dim; i++)
        for (size_t j = 0; j < 4; j++) out[s + j] += queries[i] * key[j * dim + i];
    }
  }
}

// 16 columns of one output at a time.
static void weigh(const float *weights, size_t rows, const float *values, size_t dim, float *out) {
  for (size_t r = 0; r < rows; r++, weights += TSR_SLOT_TILE, out += dim) {
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) {
      float32x4_t acc[4];
      for (size_t j = 0; j < 4; j++) acc[j] = vld1q_f32(out + i + 4 * j);
      for (size_t s = 0; s < TSR_SLOT_TILE; s++)
        for (size_t j = 0; j < 4; j++)
          acc[j] = vfmaq_n_f32(acc[j], vld1q_f32(values + s * dim + i + 4 * j), weights[s]);
      for (size_t j = 0; j < 4; j++) vst1q_f32(out + i + 4 * j, acc[j]);
    }
    for (; i < dim; i++)
      for (size_t s = 0; s < TSR_SLOT_TILE; s++) out[i] += weights[s] * values[s * dim + i];
  }
}

static float narrow_int8(const float *x, size_t count, int8_t *codes) {
  float most = tsr_largest_size(x, count), inverse = most > 1e-30f ? 127.0f / most : 0;
  if (!(most <= FLT_MAX)) {
    memset(codes, 0, count);
    return NAN;
  }
  for (size_t i = 0; i < count; i++) codes[i] = (int8_t)vcvtns_s32_f32(x[i] * inverse);
  return inverse > 0 ? most / 127.0f : 0;
}

static void widen_f16(const uint16_t *x, float *y, size_t count) {
  size_t i = 0;
  for (; i + 4 <= count; i += 4) vst1q_f32(y + i, tsr_neon_halves(x + i));
  for (; i < count; i++) y[i] = tsr_half_to_float(x[i]);
}

static float exponentials(float *x, float max, size_t count) {
  float32x4_t sums = vdupq_n_f32(0), m = vdupq_n_f32(max);
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    float32x4_t e = tsr_neon_exponential(vsubq_f32(vld1q_f32(x + i), m));
    vst1q_f32(x + i, e);
    sums = vaddq_f32(sums, e);
  }
  float sum = vaddvq_f32(sums), tail[4] = {0};
  memcpy(tail, x + i, (count - i) * sizeof(float));
  vst1q_f32(tail, tsr_neon_exponential(vsubq_f32(vld1q_f32(tail), m)));
  for (size_t j = 0; i + j < count; j++) {
    x[i + j] = tail[j];
    sum += tail[j];
  }
  return sum;
}

// gate / (1 + exp(-slope)) * up
static inline float32x4_t gated4(float32x4_t gate, float32x4_t slope, float32x4_t up) {
  float32x4_t e = tsr_neon_exponential(vnegq_f32(slope));
  return vmulq_f32(vdivq_f32(gate, vaddq_f32(vdupq_n_f32(1), e)), up);
}

static inline float32x4_t gelu_slope4(float32x4_t x) {
  float32x4_t linear = vmulq_n_f32(x, TSR_GELU_LINEAR);
  return vfmaq_n_f32(linear, vmulq_f32(vmulq_f32(x, x), x), TSR_GELU_CUBIC);
}

static inline float32x4_t glu4(float32x4_t gate, float32x4_t up, bool gelu) {
  return gated4(gate, gelu ? gelu_slope4(gate) : gate, up);
}

static inline void glu(const float *gate, const float *up, float *out, size_t count, bool gelu) {
  size_t i = 0;
  for (; i + 4 <= count; i += 4)
    vst1q_f32(out + i, glu4(vld1q_f32(gate + i), vld1q_f32(up + i), gelu));
  if (i == count) return;
  float g[4] = {0}, u[4] = {0};
  memcpy(g, gate + i, (count - i) * sizeof(float));
  memcpy(u, up + i, (count - i) * sizeof(float));
  vst1q_f32(g, glu4(vld1q_f32(g), vld1q_f32(u), gelu));
  memcpy(out + i, g, (count - i) * sizeof(float));
}

static void swiglu(const float *gate, const float *up, float *out, size_t count) {
  glu(gate, up, out, count, false);
}

static void geglu(const float *gate, const float *up, float *out, size_t count) {
  glu(gate, up, out, count, true);
}

#define VECTOR_KERNELS                                                                      \
  .quantize = quantize, .dot_f32 = dot_f32, .dot_f16 = dot_f16, .largest = largest,         \
  .scores = scores, .weigh = weigh, .narrow_int8 = narrow_int8, .widen_f16 = widen_f16,         \
  .exponentials = exponentials, .swiglu = swiglu, .geglu = geglu,                         \
  .fold_section = tsr_neon_fold_section,                                                    \
  .hadamard = tsr_scalar_hadamard, .narrow_query = tsr_scalar_narrow_query,                 \
  .normalize = tsr_scalar_normalize, .rotate = tsr_scalar_rotate,                           \
  .choose_largest = tsr_scalar_choose_largest, .summarize = tsr_scalar_summarize

#define NEON(NAME, ENCODING) tsr_neon_##NAME,
const tsr_kernels *tsr_kernels_neon(void) {
  static const tsr_kernels table = {
      .name = "neon",
      .panel = {TSR_SIMPLE_ENCODINGS(NEON) TSR_BIT_PLANE_ENCODINGS(NEON)},
      .mac_loop = tsr_neon_mac_loop,
      .decode_symbols = tsr_rans_scalar,
      .decode_strand = tsr_neon_trellis,
      VECTOR_KERNELS,
  };
  enum { HAS_DOT_PRODUCT = 1 << 20 };  // HWCAP_ASIMDDP
  return getauxval(AT_HWCAP) & HAS_DOT_PRODUCT ? &table : NULL;
}

#define I8MM(NAME, ENCODING) tsr_i8mm_##NAME,
const tsr_kernels *tsr_kernels_i8mm(void) {
  static const tsr_kernels table = {
      .name = "i8mm",
      .panel = {TSR_SIMPLE_ENCODINGS(I8MM) TSR_BIT_PLANE_ENCODINGS(I8MM)},
      .mac_loop = tsr_i8mm_mac_loop,
      .decode_symbols = tsr_rans_scalar,
      .decode_strand = tsr_neon_trellis,
      VECTOR_KERNELS,
  };
  enum { HAS_MATRIX_PRODUCT = 1 << 13 };  // HWCAP2_I8MM
  return tsr_kernels_neon() && getauxval(AT_HWCAP2) & HAS_MATRIX_PRODUCT ? &table : NULL;
}

#else
const tsr_kernels *tsr_kernels_neon(void) { return NULL; }
const tsr_kernels *tsr_kernels_i8mm(void) { return NULL; }
#endif

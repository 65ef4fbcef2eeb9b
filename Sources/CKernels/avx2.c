// AVX2 with FMA and F16C: Haswell, Zen and later.
#include "CKernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))
enum { TOKEN_TILE = 4 };  // 2 x 4 accumulators, 4 weight vectors and the mask fill 16 registers

INLINE __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

INLINE __m256i broadcast4(const int8_t *p) {
  int32_t bits;
  memcpy(&bits, p, sizeof bits);
  return _mm256_set1_epi32(bits);
}

INLINE __m256 halves(const uint8_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

INLINE size_t plane_bytes(size_t groups) { return (groups * 32 + 63) / 64 * 64; }

static void quantize(const float *x, size_t groups, int8_t *codes, float *scales, float *sums) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (size_t g = 0; g < groups; g++, x += TSR_GROUP, codes += TSR_GROUP) {
    __m256 v[4], most = _mm256_setzero_ps();
    for (int i = 0; i < 4; i++) {
      v[i] = _mm256_loadu_ps(x + 8 * i);
      most = _mm256_max_ps(most, _mm256_andnot_ps(sign, v[i]));
    }
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    float largest = _mm_cvtss_f32(m);
    float inverse = largest > 0 ? 127.0f / largest : 0;
    if (!(inverse <= 3.0e38f)) inverse = 0;
    __m256 factor = _mm256_set1_ps(inverse);
    __m256i q[4];
    for (int i = 0; i < 4; i++) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], factor));
    __m256i total = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1));
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]),
                                       _mm256_packs_epi32(q[2], q[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)codes, bytes);
    scales[g] = inverse > 0 ? largest / 127.0f : 0;
    sums[g] = scales[g] * (float)_mm_cvtsi128_si32(t);
  }
}

// Sums pairs of 16-bit lanes to floats.
INLINE __m256 widen_sum(__m256i sums16) {
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(sums16, _mm256_set1_epi16(1)));
}

// One panel times `count` tokens, count a constant 1...4. Codes are 0...15 and |x| <= 127, so the 8
// products of two a 16-bit lane gathers over a group reach at most 8 * 2 * 15 * 127 = 30480.
INLINE void int4_tile(const uint8_t *panel, const tsr_activations *x, size_t first, int count,
                      float *out, bool affine) {
  const size_t groups = x->groups, plane = plane_bytes(groups);
  const uint8_t *codes = panel + (affine ? 2 * plane : plane);
  const __m256i mask = _mm256_set1_epi8(15);
  __m256 acc[TOKEN_TILE][2];
  const int8_t *xq[TOKEN_TILE];
  const float *scales[TOKEN_TILE], *sums[TOKEN_TILE];
  for (int t = 0; t < count; t++) {
    acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    xq[t] = x->codes + (first + t) * x->columns;
    scales[t] = x->scales + (first + t) * groups;
    sums[t] = x->sums + (first + t) * groups;
  }
  for (size_t g = 0; g < groups; g++, codes += 256) {
    __m256i s[TOKEN_TILE][2];
    for (int t = 0; t < count; t++) s[t][0] = s[t][1] = _mm256_setzero_si256();
    _mm_prefetch((const char *)(codes + 1024), _MM_HINT_T0);
    _mm_prefetch((const char *)(codes + 1088), _MM_HINT_T0);
    _mm_prefetch((const char *)(codes + 1152), _MM_HINT_T0);
    _mm_prefetch((const char *)(codes + 1216), _MM_HINT_T0);
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
      __m256i a = load(codes + 64 * j), b = load(codes + 64 * j + 32);
      __m256i low0 = _mm256_and_si256(a, mask), low1 = _mm256_and_si256(b, mask);
      __m256i high0 = _mm256_and_si256(_mm256_srli_epi16(a, 4), mask);
      __m256i high1 = _mm256_and_si256(_mm256_srli_epi16(b, 4), mask);
      for (int t = 0; t < count; t++) {
        __m256i even = broadcast4(xq[t] + g * TSR_GROUP + 8 * j);
        __m256i odd = broadcast4(xq[t] + g * TSR_GROUP + 8 * j + 4);
        s[t][0] = _mm256_add_epi16(s[t][0], _mm256_maddubs_epi16(low0, even));
        s[t][1] = _mm256_add_epi16(s[t][1], _mm256_maddubs_epi16(low1, even));
        s[t][0] = _mm256_add_epi16(s[t][0], _mm256_maddubs_epi16(high0, odd));
        s[t][1] = _mm256_add_epi16(s[t][1], _mm256_maddubs_epi16(high1, odd));
      }
    }
    for (int half = 0; half < 2; half++) {
      __m256 scale = halves(panel + g * 32 + half * 16);
      for (int t = 0; t < count; t++) {
        __m256 dot = _mm256_mul_ps(widen_sum(s[t][half]), _mm256_set1_ps(scales[t][g]));
        __m256 sum = _mm256_set1_ps(sums[t][g]);
        if (affine) {
          acc[t][half] = _mm256_fmadd_ps(scale, dot, acc[t][half]);
          acc[t][half] =
              _mm256_fmadd_ps(halves(panel + plane + g * 32 + half * 16), sum, acc[t][half]);
        } else {
          dot = _mm256_fnmadd_ps(_mm256_set1_ps(8), sum, dot);
          acc[t][half] = _mm256_fmadd_ps(scale, dot, acc[t][half]);
        }
      }
    }
  }
  for (int t = 0; t < count; t++) {
    _mm256_storeu_ps(out + t * TSR_PANEL_ROWS, acc[t][0]);
    _mm256_storeu_ps(out + t * TSR_PANEL_ROWS + 8, acc[t][1]);
  }
}

// One panel of signed bytes. |w| <= 127 and |x| <= 127, so a product of two sums to at most 32258.
INLINE void int8_tile(const uint8_t *panel, const tsr_activations *x, size_t first, int count,
                      float *out) {
  const size_t groups = x->groups;
  const uint8_t *codes = panel + plane_bytes(groups);
  const __m256i flip = _mm256_set1_epi8((char)0x80), ones = _mm256_set1_epi16(1);
  __m256 acc[TOKEN_TILE][2];
  const int8_t *xq[TOKEN_TILE];
  const float *scales[TOKEN_TILE];
  for (int t = 0; t < count; t++) {
    acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    xq[t] = x->codes + (first + t) * x->columns;
    scales[t] = x->scales + (first + t) * groups;
  }
  for (size_t g = 0; g < groups; g++, codes += 512) {
    __m256i s[TOKEN_TILE][2];
    for (int t = 0; t < count; t++) s[t][0] = s[t][1] = _mm256_setzero_si256();
#pragma clang loop unroll(full)
    for (int j = 0; j < 8; j++) {
      _mm_prefetch((const char *)(codes + 64 * j + 1536), _MM_HINT_T0);
      __m256i w0 = _mm256_xor_si256(load(codes + 64 * j), flip);
      __m256i w1 = _mm256_xor_si256(load(codes + 64 * j + 32), flip);
      __m256i size0 = _mm256_abs_epi8(w0), size1 = _mm256_abs_epi8(w1);
      for (int t = 0; t < count; t++) {
        __m256i a = broadcast4(xq[t] + g * TSR_GROUP + 4 * j);
        __m256i p0 = _mm256_maddubs_epi16(size0, _mm256_sign_epi8(a, w0));
        __m256i p1 = _mm256_maddubs_epi16(size1, _mm256_sign_epi8(a, w1));
        s[t][0] = _mm256_add_epi32(s[t][0], _mm256_madd_epi16(p0, ones));
        s[t][1] = _mm256_add_epi32(s[t][1], _mm256_madd_epi16(p1, ones));
      }
    }
    for (int half = 0; half < 2; half++) {
      __m256 scale = halves(panel + g * 32 + half * 16);
      for (int t = 0; t < count; t++) {
        __m256 dot = _mm256_mul_ps(_mm256_cvtepi32_ps(s[t][half]), _mm256_set1_ps(scales[t][g]));
        acc[t][half] = _mm256_fmadd_ps(scale, dot, acc[t][half]);
      }
    }
  }
  for (int t = 0; t < count; t++) {
    _mm256_storeu_ps(out + t * TSR_PANEL_ROWS, acc[t][0]);
    _mm256_storeu_ps(out + t * TSR_PANEL_ROWS + 8, acc[t][1]);
  }
}

// Cuts `tokens` into tiles of nearly equal size, at most 4, each with a constant count.
#define PANEL(NAME, TILE)                                                                        \
  static void NAME(const uint8_t *panel, const tsr_activations *x, size_t first, size_t tokens, \
                   float *out) {                                                                \
    size_t tiles = (tokens + TOKEN_TILE - 1) / TOKEN_TILE;                                       \
    for (size_t i = 0; i < tiles; i++) {                                                         \
      size_t begin = tokens * i / tiles, end = tokens * (i + 1) / tiles;                         \
      float *o = out + begin * TSR_PANEL_ROWS;                                                   \
      switch (end - begin) {                                                                     \
        case 1: TILE(1); break;                                                                  \
        case 2: TILE(2); break;                                                                  \
        case 3: TILE(3); break;                                                                  \
        default: TILE(4); break;                                                                 \
      }                                                                                          \
    }                                                                                            \
  }
#define INT8_TILE(N) int8_tile(panel, x, first + begin, N, o)
#define INT4_TILE(N) int4_tile(panel, x, first + begin, N, o, false)
#define INT4_AFFINE_TILE(N) int4_tile(panel, x, first + begin, N, o, true)
PANEL(panel_int8, INT8_TILE)
PANEL(panel_int4, INT4_TILE)
PANEL(panel_int4_affine, INT4_AFFINE_TILE)

INLINE float sum8(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static float dot_f32(const float *a, const float *b, size_t count) {
  __m256 s[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                 _mm256_setzero_ps()};
  size_t i = 0;
  for (; i + 32 <= count; i += 32)
    for (int j = 0; j < 4; j++)
      s[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j), _mm256_loadu_ps(b + i + 8 * j), s[j]);
  for (; i + 8 <= count; i += 8)
    s[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s[0]);
  float sum = sum8(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3])));
  for (; i < count; i++) sum += a[i] * b[i];
  return sum;
}

static float dot_f16(const uint16_t *a, const float *b, size_t count) {
  __m256 s[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  size_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int j = 0; j < 2; j++)
      s[j] = _mm256_fmadd_ps(halves((const uint8_t *)(a + i + 8 * j)),
                             _mm256_loadu_ps(b + i + 8 * j), s[j]);
  float sum = sum8(_mm256_add_ps(s[0], s[1]));
  for (; i < count; i++) sum += tsr_half_to_float(a[i]) * b[i];
  return sum;
}

static void add_scaled(float *y, float factor, const float *x, size_t count) {
  __m256 f = _mm256_set1_ps(factor);
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(y + i, _mm256_fmadd_ps(f, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  for (; i < count; i++) y[i] += factor * x[i];
}

static void widen_int8(const int8_t *x, float scale, float *y, size_t count) {
  __m256 f = _mm256_set1_ps(scale);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(x + i)));
    _mm256_storeu_ps(y + i, _mm256_mul_ps(f, _mm256_cvtepi32_ps(wide)));
  }
  for (; i < count; i++) y[i] = scale * (float)x[i];
}

static void widen_f16(const uint16_t *x, float *y, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(y + i, halves((const uint8_t *)(x + i)));
  for (; i < count; i++) y[i] = tsr_half_to_float(x[i]);
}

// e^x for x <= 88, to about 2 ulp: x = n ln 2 + r, |r| <= ln 2 / 2, and a polynomial of degree 6
// (Taylor's terms; the remainder is below r^7 / 5040 = 1.2e-7). Below -87 the result is 0.
INLINE __m256 exponential(__m256 x) {
  __m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_LT_OQ);
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.0f)), _mm256_set1_ps(88.0f));
  __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                             _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693145752f), x);  // ln 2 in two parts
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(1.42860677e-6f), r);
  __m256 p = _mm256_set1_ps(1.0f / 720);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n),
                                                     _mm256_set1_epi32(127)), 23);
  return _mm256_andnot_ps(tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(power)));
}

static float exponentials(float *x, float max, size_t count) {
  __m256 m = _mm256_set1_ps(max), sums = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m256 e = exponential(_mm256_sub_ps(_mm256_loadu_ps(x + i), m));
    _mm256_storeu_ps(x + i, e);
    sums = _mm256_add_ps(sums, e);
  }
  float sum = sum8(sums);
  if (i < count) {
    float tail[8] = {0};
    memcpy(tail, x + i, (count - i) * sizeof(float));
    _mm256_storeu_ps(tail, exponential(_mm256_sub_ps(_mm256_loadu_ps(tail), m)));
    for (size_t j = 0; i + j < count; j++) {
      x[i + j] = tail[j];
      sum += tail[j];
    }
  }
  return sum;
}

INLINE __m256 swiglu8(__m256 gate, __m256 up) {
  __m256 e = exponential(_mm256_sub_ps(_mm256_setzero_ps(), gate));
  return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1), e)), up);
}

static void swiglu(const float *gate, const float *up, float *out, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(out + i, swiglu8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
  if (i == count) return;
  float g[8] = {0}, u[8] = {0};
  memcpy(g, gate + i, (count - i) * sizeof(float));
  memcpy(u, up + i, (count - i) * sizeof(float));
  _mm256_storeu_ps(g, swiglu8(_mm256_loadu_ps(g), _mm256_loadu_ps(u)));
  memcpy(out + i, g, (count - i) * sizeof(float));
}

#pragma clang attribute pop

const tsr_kernels *tsr_kernels_avx2(void) {
  static const tsr_kernels table = {
      .name = "avx2",
      .quantize = quantize,
      .panel = {panel_int8, panel_int4, panel_int4_affine},
      .dot_f32 = dot_f32,
      .dot_f16 = dot_f16,
      .add_scaled = add_scaled,
      .widen_int8 = widen_int8,
      .widen_f16 = widen_f16,
      .exponentials = exponentials,
      .swiglu = swiglu,
  };
  bool usable = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                __builtin_cpu_supports("f16c");
  return usable ? &table : NULL;
}

#else
const tsr_kernels *tsr_kernels_avx2(void) { return NULL; }
#endif

// The two small matrix products of attention over a cache of floats, with AVX2.
#include "CKernels.h"
#include "avx2.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define INLINE static inline __attribute__((always_inline))

// Sums of the lanes of each of four vectors.
INLINE __m128 sums4(const __m256 v[4]) {
  __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
  return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

// `rows` (a constant 1...3) queries times four keys at a time: 12 accumulators.
INLINE void score_rows(const float *queries, int rows, const float *keys, size_t dim, float *out) {
  for (size_t s = 0; s < TSR_SLOT_TILE; s += 4, keys += 4 * dim) {
    __m256 acc[3][4];
    for (int r = 0; r < rows; r++)
      for (int j = 0; j < 4; j++) acc[r][j] = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= dim; i += 8) {
      __m256 q[3];
      for (int r = 0; r < rows; r++) q[r] = _mm256_loadu_ps(queries + (size_t)r * dim + i);
      for (size_t j = 0; j < 4; j++) {
        __m256 key = _mm256_loadu_ps(keys + j * dim + i);
        for (int r = 0; r < rows; r++) acc[r][j] = _mm256_fmadd_ps(q[r], key, acc[r][j]);
      }
    }
    for (int r = 0; r < rows; r++) {
      float *o = out + r * TSR_SLOT_TILE + s;
      _mm_storeu_ps(o, sums4(acc[r]));
      for (size_t rest = i; rest < dim; rest++)
        for (size_t j = 0; j < 4; j++)
          o[j] += queries[(size_t)r * dim + rest] * keys[j * dim + rest];
    }
  }
}

void tsr_avx2_scores(const float *queries, size_t rows, const float *keys, size_t dim,
                     float *out) {
  size_t blocks = (rows + 2) / 3;
  for (size_t i = 0; i < blocks; i++) {
    size_t at = rows * i / blocks, count = rows * (i + 1) / blocks - at;
    const float *q = queries + at * dim;
    float *o = out + at * TSR_SLOT_TILE;
    switch (count) {
      case 1: score_rows(q, 1, keys, dim, o); break;
      case 2: score_rows(q, 2, keys, dim, o); break;
      default: score_rows(q, 3, keys, dim, o); break;
    }
  }
}

// `rows` (a constant 1...4) outputs, 16 columns at a time.
INLINE void weigh_rows(const float *weights, int rows, const float *values, size_t dim,
                       float *out) {
  size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    __m256 acc[4][2];
    for (int r = 0; r < rows; r++)
      for (int h = 0; h < 2; h++) acc[r][h] = _mm256_loadu_ps(out + (size_t)r * dim + i + 8 * h);
    for (size_t s = 0; s < TSR_SLOT_TILE; s++) {
      __m256 v0 = _mm256_loadu_ps(values + s * dim + i);
      __m256 v1 = _mm256_loadu_ps(values + s * dim + i + 8);
      for (int r = 0; r < rows; r++) {
        __m256 w = _mm256_broadcast_ss(weights + r * TSR_SLOT_TILE + s);
        acc[r][0] = _mm256_fmadd_ps(w, v0, acc[r][0]);
        acc[r][1] = _mm256_fmadd_ps(w, v1, acc[r][1]);
      }
    }
    for (int r = 0; r < rows; r++)
      for (int h = 0; h < 2; h++) _mm256_storeu_ps(out + (size_t)r * dim + i + 8 * h, acc[r][h]);
  }
  for (int r = 0; r < rows; r++, weights += TSR_SLOT_TILE, out += dim)
    for (size_t rest = i; rest < dim; rest++)
      for (size_t s = 0; s < TSR_SLOT_TILE; s++) out[rest] += weights[s] * values[s * dim + rest];
}

void tsr_avx2_weigh(const float *weights, size_t rows, const float *values, size_t dim,
                    float *out) {
  size_t blocks = (rows + 3) / 4;
  for (size_t i = 0; i < blocks; i++) {
    size_t at = rows * i / blocks, count = rows * (i + 1) / blocks - at;
    const float *w = weights + at * TSR_SLOT_TILE;
    float *o = out + at * dim;
    switch (count) {
      case 1: weigh_rows(w, 1, values, dim, o); break;
      case 2: weigh_rows(w, 2, values, dim, o); break;
      case 3: weigh_rows(w, 3, values, dim, o); break;
      default: weigh_rows(w, 4, values, dim, o); break;
    }
  }
}

#pragma clang attribute pop
#endif

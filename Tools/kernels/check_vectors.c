// Kernels that take vectors of any length, tiles and sections of the cache.
#include "check.h"

static void check_floats(const tsr_kernels *k, size_t n) {
  float *a = allocate(4 * n), *b = allocate(4 * n), *c = allocate(4 * n);
  uint16_t *h = allocate(2 * n);
  double dot = 0, dot_half = 0, sizes = 0, sum = 0;
  for (size_t i = 0; i < n; i++) {
    a[i] = random_float(-2, 2), b[i] = random_float(-2, 2);
    h[i] = tsr_float_to_half(a[i]);
    dot += (double)a[i] * b[i], dot_half += (double)tsr_half_to_float(h[i]) * b[i];
    sizes += fabs((double)a[i] * b[i]);
  }
  double bound = (double)(n + 1) * FLT_EPSILON * sizes;
  expect_near(k, "dot_f32", n, k->dot_f32(a, b, n), dot, bound);
  expect_near(k, "dot_f16", n, k->dot_f16(h, b, n), dot_half, bound * 1.01);
  expect_near(k, "largest", n, k->largest(a, n), tsr_kernels_scalar()->largest(a, n), 0);
  int8_t *codes = allocate(n), *same = allocate(n);
  float scale = tsr_kernels_scalar()->narrow_int8(a, n, codes);
  expect_near(k, "narrow_int8's scale", n, k->narrow_int8(a, n, same), scale, 0);
  for (size_t i = 0; i < n; i++) expect_near(k, "narrow_int8", n, same[i], codes[i], 0);
  free(codes), free(same);
  k->widen_f16(h, c, n);
  for (size_t i = 0; i < n; i++) expect_near(k, "widen_f16", n, c[i], tsr_half_to_float(h[i]), 0);
  for (size_t i = 0; i < n; i++) c[i] = i == 1 ? -INFINITY : a[i] * 30 - 60;
  for (size_t i = 0; i < n; i++) sum += exp((double)c[i] - 3);
  memcpy(b, c, 4 * n);
  double total = k->exponentials(c, 3, n);
  expect_near(k, "sum of exponentials", n, total, sum, (double)(n + 8) * 4 * FLT_EPSILON * sum + 1e-35);
  for (size_t i = 0; i < n; i++) {
    double e = exp((double)(b[i] - 3.0f));
    expect_near(k, "exponential", n, c[i], e, 4 * FLT_EPSILON * e + 2e-38);
  }
  for (size_t i = 0; i < n; i++) a[i] *= 20, b[i] = random_float(-2, 2);
  k->swiglu(a, b, c, n);
  for (size_t i = 0; i < n; i++) {
    double wanted = a[i] / (1 + exp(-(double)a[i])) * b[i];
    expect_near(k, "swiglu", n, c[i], wanted, 8 * FLT_EPSILON * fabs(wanted) + 1e-30);
  }
  k->geglu(a, b, c, n);
  for (size_t i = 0; i < n; i++) {
    double x = a[i], slope = 2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x), wanted = x / (1 + exp(-slope)) * b[i];
    expect_near(k, "geglu", n, c[i], wanted, (8 + 4 * fabs(slope)) * FLT_EPSILON * fabs(wanted) + 1e-30);
  }
  free(a), free(b), free(c), free(h);
}

static void check_tiles(const tsr_kernels *k, size_t rows, size_t dim) {
  enum { TILE = TSR_SLOT_TILE };
  float *queries = allocate(rows * dim * 4), *tile = allocate(TILE * dim * 4);
  float *wanted = allocate(rows * (TILE + dim) * 4), *got = allocate(rows * (TILE + dim) * 4);
  for (size_t i = 0; i < rows * dim; i++) queries[i] = random_float(-1, 1);
  for (size_t i = 0; i < TILE * dim; i++) tile[i] = random_float(-1, 1);
  for (size_t i = 0; i < rows * dim; i++) wanted[rows * TILE + i] = got[rows * TILE + i] = 1;
  tsr_kernels_scalar()->scores(queries, rows, tile, dim, wanted);
  k->scores(queries, rows, tile, dim, got);
  tsr_kernels_scalar()->weigh(wanted, rows, tile, dim, wanted + rows * TILE);
  k->weigh(wanted, rows, tile, dim, got + rows * TILE);
  for (size_t i = 0; i < rows * TILE; i++)
    expect_near(k, "scores", dim, got[i], wanted[i], (double)(2 * dim) * dim * FLT_EPSILON);
  for (size_t i = rows * TILE; i < rows * (TILE + dim); i++)
    expect_near(k, "weigh", dim, got[i], wanted[i], 66.0 * (double)(TILE * dim + 1) * FLT_EPSILON);
  free(queries), free(tile), free(wanted), free(got);
}

// Codes and weighted sums of an 8-bit cache: integers and maxima are the same, sums within rounding.
static void check_section(const tsr_kernels *k, size_t rows, size_t dim) {
  enum { SLOTS = 2 * TSR_SECTION };
  const tsr_kernels *scalar = tsr_kernels_scalar();
  uint8_t *keys = allocate(SLOTS * dim), *values = allocate(SLOTS * dim);
  float *scales = allocate(2 * SLOTS * 4), *query_scales = allocate(rows * 4);
  int16_t *queries = allocate(rows * dim * 2), *same = allocate(rows * dim * 2);
  int32_t *sums = allocate(rows * 4), same_sum;
  float *wanted = allocate(rows * (dim + 2) * 4), *got = allocate(rows * (dim + 2) * 4);
  for (size_t i = 0; i < SLOTS * dim; i++) keys[i] = (uint8_t)(1 + random_bits() % 255);
  for (size_t i = 0; i < SLOTS * dim; i++) values[i] = (uint8_t)(1 + random_bits() % 255);
  for (size_t i = 0; i < 2 * SLOTS; i++) scales[i] = random_float(0, 0.02f);
  for (size_t r = 0; r < rows; r++) {
    float x[TSR_MAX_HEAD_DIM];
    for (size_t i = 0; i < dim; i++) x[i] = random_float(-1, 1);
    size_t count = dim - r % 4;
    query_scales[r] = scalar->narrow_query(x, count, dim, queries + r * dim, &sums[r]);
    float scale = k->narrow_query(x, count, dim, same + r * dim, &same_sum);
    expect_near(k, "query scale", dim, scale, query_scales[r], 0);
    expect_near(k, "query sum", dim, same_sum, sums[r], 0);
    for (size_t i = 0; i < dim; i++)
      expect_near(k, "query code", dim, same[r * dim + i], queries[r * dim + i], 0);
    query_scales[r] *= 4 / sqrtf((float)dim);
  }
  uint32_t tiles[TSR_SECTION_TILES], visible[64 * TSR_SECTION_TILES];
  size_t count = 1 + random_bits() % TSR_SECTION_TILES;
  for (size_t i = 0; i < count; i++) tiles[i] = (uint32_t)(rows % 2 * TSR_SECTION_TILES + i);
  for (size_t i = 0; i < 64 * TSR_SECTION_TILES; i++)
    visible[i] = i % 3 == 0 ? 0 : i % 3 == 1 ? UINT32_MAX : random_bits();
  tsr_section section = {keys, values, scales, scales + SLOTS, dim, tiles, count, visible, rows, 3,
                         queries, query_scales, sums, wanted, wanted + rows * dim};
  scalar->fold_section(&section);
  section.outputs = got, section.states = got + rows * dim;
  k->fold_section(&section);
  // |value| <= 127 * 0.02; a weight's code may round to the neighbour, of 32639 for the largest.
  double bound = TSR_SECTION * 2.54 * (1.0 / TSR_CODE_LIMIT + 8 * FLT_EPSILON);
  for (size_t i = 0; i < rows * dim; i++)
    expect_near(k, "section", dim, got[i], wanted[i], bound);
  for (size_t i = rows * dim; i < rows * (dim + 2); i += 2) {
    expect(got[i] == wanted[i], k->name, "maximum", dim, rows, got[i], wanted[i]);
    double size = (double)wanted[i + 1] * TSR_SECTION * 8 * FLT_EPSILON;
    expect_near(k, "sum of weights", dim, got[i + 1], wanted[i + 1], size);
  }
  free(keys), free(values), free(scales), free(query_scales), free(queries), free(same);
  free(sums), free(wanted), free(got);
}

static void check_ranks(const tsr_kernels *k, size_t n) {
  float *x = allocate(4 * n), *y = allocate(4 * n);
  uint32_t *wanted = allocate(4 * n), *got = allocate(4 * n);
  for (size_t i = 0; i < n; i++) x[i] = (float)(random_bits() % 20);
  for (size_t most = 1; most <= n; most += 1 + n / 5) {
    tsr_kernels_scalar()->choose_largest(x, n, most, wanted);
    k->choose_largest(x, n, most, got);
    for (size_t i = 0; i < most; i++) expect_near(k, "choose_largest", n, got[i], wanted[i], 0);
  }
  memcpy(y, x, 4 * n);
  tsr_kernels_scalar()->hadamard(x, n);
  k->hadamard(y, n);
  for (size_t i = 0; i < n; i++)
    expect_near(k, "hadamard", n, y[i], x[i], 20 * sqrt((double)n) * 16 * FLT_EPSILON);
  free(x), free(y), free(wanted), free(got);
}

// Rotation and the last step of a norm.
static void check_rotation(const tsr_kernels *k, size_t half) {
  size_t n = 2 * half;
  float *x = allocate(4 * n), *y = allocate(4 * n), *cosines = allocate(4 * n);
  float *sines = cosines + half, *weight = allocate(4 * n), *z = allocate(4 * n);
  for (size_t i = 0; i < n; i++) x[i] = y[i] = random_float(-1, 1), weight[i] = random_float(-2, 2);
  for (size_t i = 0; i < half; i++) cosines[i] = cosf(0.3f * i), sines[i] = sinf(0.3f * i);
  tsr_kernels_scalar()->normalize(x, 0.7f, weight, z, n);
  k->normalize(x, 0.7f, weight, y, n);
  for (size_t i = 0; i < n; i++) expect_near(k, "normalize", n, y[i], z[i], 0);
  memcpy(z, y, 4 * n);
  tsr_kernels_scalar()->rotate(z, cosines, sines, half, 1.3f);
  k->rotate(y, cosines, sines, half, 1.3f);
  for (size_t i = 0; i < n; i++) expect_near(k, "rotate", n, y[i], z[i], 8 * FLT_EPSILON);
  free(x), free(y), free(cosines), free(weight), free(z);
}

static void check_summary(const tsr_kernels *k, size_t n) {
  static const float odd[] = {-INFINITY, INFINITY, NAN, -NAN};
  float *x = allocate(4 * n);
  for (int kind = 0; kind < 5; kind++) {
    for (size_t i = 0; i < n; i++)
      x[i] = kind % 2 ? random_float(-20, 20) : (float)(random_bits() % 20);
    for (size_t i = 1; kind > 0 && i < n; i += 1 + n / 7) x[i] = odd[kind - 1];
    tsr_row_summary a, b;
    tsr_kernels_scalar()->summarize(x, n, &a);
    k->summarize(x, n, &b);
    expect_near(k, "not finite", n, b.not_finite, a.not_finite, 0);
    expect(b.argmax >= 0 && (size_t)b.argmax < n, k->name, "argmax", n, 1, b.argmax, a.argmax);
    if (kind > 1) continue;  // the rest says nothing
    expect_near(k, "argmax", n, b.argmax, a.argmax, 0);
    expect(b.max == a.max, k->name, "max", n, 1, b.max, a.max);
    expect(b.second == a.second, k->name, "second", n, 1, b.second, a.second);
    expect_near(k, "log-sum-exp", n, b.log_sum_exp, a.log_sum_exp, 1e-4);
    expect_near(k, "entropy", n, b.entropy, a.entropy, 1e-3);
  }
  free(x);
}

// Rows that cannot be narrowed: a scale that is NaN, and zeros.
static void check_bad_rows(const tsr_kernels *k, size_t n) {
  const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
  float x[TSR_MAX_HEAD_DIM] = {0};
  int8_t codes[TSR_MAX_HEAD_DIM];
  int16_t query[TSR_MAX_HEAD_DIM];
  int32_t sum = 1;
  for (size_t at = 0; at < n; at += 1 + n / 5) {
    for (size_t i = 0; i < n; i++) x[i] = random_float(-1, 1);
    x[at] = bad[at % 4];
    memset(codes, 1, sizeof codes), memset(query, 1, sizeof query);
    expect(isnan(k->narrow_int8(x, n, codes)), k->name, "scale of no number", n, at, 0, NAN);
    expect(isnan(k->narrow_query(x, n, (n + 15) / 16 * 16, query, &sum)) && sum == 0, k->name,
           "query of no number", n, at, sum, 0);
    for (size_t i = 0; i < n; i++)
      expect(codes[i] == 0 && query[i] == 0, k->name, "code of no number", n, at, codes[i], 0);
    float e[2] = {NAN, 1};
    k->exponentials(e, 1, 2);
    expect(isnan(e[0]) && fabsf(e[1] - 1) < 1e-6f, k->name, "exponential of NaN", n, at, e[0], NAN);
  }
}

void check_vectors(const tsr_kernels *k) {
  for (size_t n = 1; n < 70; n++) check_floats(k, n);
  for (size_t n = 1; n < 520; n += n < 140 ? 1 : 31) check_ranks(k, n), check_bad_rows(k, n < 512 ? n : 512);
  for (size_t half = 1; half < 140; half += half < 20 ? 1 : 17) check_rotation(k, half);
  for (size_t n = 1; n < 9000; n += n < 70 ? 1 : 1021) check_summary(k, n);
  for (size_t rows = 1; rows < 10; rows++)
    for (size_t dim = 16; dim <= TSR_MAX_HEAD_DIM; dim += dim < 80 ? 16 : dim)
      check_section(k, rows, dim);
  static const size_t dims[] = {1, 8, 20, 64, 80, 128};
  for (size_t rows = 1; rows < 10; rows++)
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) check_tiles(k, rows, dims[d]);
}

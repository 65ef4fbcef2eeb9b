// Compares tables of kernels with the scalar ones: codes exactly, floats within the rounding of their
// sums. Built by Tools/check-avx512 and Tools/check-neon for machines that are not at hand.
//   check NAME...   fails where a named table is missing or differs
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

// Coded tiles need libzstd and are checked by the tests.
const uint8_t *tsr_plain_tile(tsr_decoders *decoders, const tsr_matrix *matrix, size_t tile,
                              size_t worker) {
  (void)decoders, (void)matrix, (void)tile, (void)worker;
  return NULL;
}

bool tsr_open_tile(tsr_decoders *decoders, const tsr_matrix *matrix, size_t tile, size_t worker,
                   tsr_trellis_tile *opened) {
  (void)decoders, (void)matrix, (void)tile, (void)worker, (void)opened;
  return false;
}

static int failures = 0;
static uint64_t state = 1;

static uint32_t random_bits(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33);
}

static float random_float(float low, float high) {
  return low + (high - low) * (float)random_bits() / 2147483648.0f;
}

static void expect(bool ok, const char *table, const char *what, size_t columns, size_t tokens,
                   double got, double wanted) {
  if (ok) return;
  if (failures++ < 20)
    printf("%s: %s, %zu columns, %zu tokens: %.9g instead of %.9g\n", table, what, columns, tokens,
           got, wanted);
}

static void *allocate(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!p) exit(2);
  memset(p, 0, (bytes + 127) / 64 * 64);
  return p;
}

static tsr_activations activations(size_t columns, size_t tokens) {
  size_t groups = (columns + 31) / 32, residuals = (groups + 7) / 8, terms = groups + residuals;
  tsr_activations a = {
      .columns = groups * 32, .groups = groups, .residuals = residuals, .terms = terms};
  a.values = allocate(tokens * a.columns * sizeof(float));
  a.codes = allocate(tokens * terms * 32);
  a.scales = allocate(tokens * terms * sizeof(float));
  a.sums = allocate(tokens * terms * sizeof(float));
  a.half_sums = allocate(tokens * terms * 2 * sizeof(float));
  a.offsets = allocate(tokens * terms * sizeof(float));
  a.residual_groups = allocate(tokens * residuals * sizeof(uint32_t));
  a.residual_list = allocate(tokens * residuals * sizeof(tsr_residual));
  a.group_ends = allocate((tokens / TSR_TOKEN_BLOCK + 1) * groups * sizeof(uint32_t));
  a.entries = allocate(tokens * terms * sizeof(tsr_entry));
  return a;
}

static void release(tsr_activations *a) {
  free(a->values), free(a->codes), free(a->scales), free(a->sums), free(a->offsets);
  free(a->half_sums);
  free(a->residual_groups), free(a->residual_list), free(a->group_ends), free(a->entries);
}

static void check_quantize(const tsr_kernels *k, size_t columns, size_t tokens) {
  tsr_activations a = activations(columns, tokens), b = activations(columns, tokens);
  for (size_t t = 0; t < tokens; t++) {
    float size = powf(10, random_float(-6, 4));
    for (size_t i = 0; i < columns; i++) {
      float value = i / 32 % 5 == 3 ? 0 : random_float(-size, size);
      a.values[t * a.columns + i] = b.values[t * b.columns + i] = value;
    }
    tsr_quantize_token(tsr_kernels_scalar(), &a, t);
    tsr_quantize_token(k, &b, t);
  }
  for (size_t i = 0; i < tokens * a.terms * 32; i++)
    expect(a.codes[i] == b.codes[i], k->name, "code", columns, tokens, b.codes[i], a.codes[i]);
  for (size_t i = 0; i < tokens * a.terms; i++) {
    expect(a.scales[i] == b.scales[i], k->name, "scale", columns, tokens, b.scales[i], a.scales[i]);
    expect(a.sums[i] == b.sums[i], k->name, "sum", columns, tokens, b.sums[i], a.sums[i]);
    expect(a.offsets[i] == b.offsets[i], k->name, "offset", columns, tokens, b.offsets[i],
           a.offsets[i]);
  }
  for (size_t i = 0; i < 2 * tokens * a.terms; i++)
    expect(a.half_sums[i] == b.half_sums[i], k->name, "half sum", columns, tokens, b.half_sums[i],
           a.half_sums[i]);
  release(&a), release(&b);
}

// Fills a panel with random codes, or the smallest and largest ones, and scales of at most 0.02 or, of integers, at
// most 255 * 0.0001.
static uint8_t *random_panel(uint32_t encoding, size_t groups, bool extreme) {
  const tsr_panel_form form = tsr_form(encoding);
  size_t planes = tsr_planes_bytes(form, groups), plane = tsr_plane_bytes(groups);
  uint8_t *panel = allocate(tsr_panel_bytes(encoding, groups));
  for (size_t at = 0; at < planes; at += 2) {
    uint16_t half = tsr_float_to_half(at < plane ? random_float(0.001f, 0.02f) : random_float(-0.2f, 0));
    if (form.factors) half = tsr_float_to_half(random_float(-0.0001f, 0.0001f));
    if (form.factors && at < plane) half = (uint16_t)random_bits();
    memcpy(panel + at, &half, 2);
  }
  for (size_t i = planes; i < tsr_panel_bytes(encoding, groups); i++) {
    uint8_t byte = (uint8_t)random_bits();
    if (extreme) byte = (uint8_t)((byte & 1 ? 0xf0 : 0) | (byte & 2 ? 0x0f : 0));
    if (extreme && encoding != TSR_INT8 && i % 512 < 256) byte = 255;
    if (extreme && encoding == TSR_INT8) byte = byte & 1 ? 255 : 1;
    if (encoding == TSR_INT8 && byte == 0) byte = 1;
    panel[i] = byte;
  }
  return panel;
}

static void check_strand(const tsr_kernels *k, size_t groups, unsigned bits) {
  size_t count = 512 * groups, size = tsr_trellis_strand_bytes(groups, bits);
  uint8_t table[TSR_TRELLIS_TABLE], *strand = malloc(size);  // of that size to the byte
  uint8_t *wanted = allocate(count), *got = allocate(count);
  if (!strand) exit(2);
  for (size_t i = 0; i < sizeof table; i++) table[i] = (uint8_t)(random_bits() % 255 + 1);
  for (size_t i = 0; i < size; i++) strand[i] = (uint8_t)random_bits();
  tsr_trellis_scalar(strand, size, count, bits, table, wanted);
  k->decode_strand(strand, size, count, bits, table, got);
  for (size_t i = 0; i < count; i++)
    expect(got[i] == wanted[i], k->name, "strand", 32 * groups, bits, got[i], wanted[i]);
  free(strand), free(wanted), free(got);
}

#define NAMED(NAME, ENCODING) #NAME,

static void check_panel(const tsr_kernels *k, uint32_t encoding, size_t columns, size_t tokens,
                        bool extreme) {
  static const char *names[] = {TSR_SIMPLE_ENCODINGS(NAMED) TSR_BIT_PLANE_ENCODINGS(NAMED)};
  const size_t index = encoding - TSR_FIRST_PANEL;
  const size_t first = TSR_TOKEN_BLOCK;
  tsr_activations a = activations(columns, tokens + first);
  for (size_t t = 0; t < tokens + first; t++) {
    for (size_t i = 0; i < columns; i++) {
      float value = random_float(-3, 3);
      if (extreme) value = columns % 2 ? 3 : value < 0 ? -3 : 3;
      a.values[t * a.columns + i] = value;
    }
    tsr_quantize_token(tsr_kernels_scalar(), &a, t);
  }
  tsr_list_terms(&a, tokens + first);
  uint8_t *panel = random_panel(encoding, a.groups, extreme);
  float *wanted = allocate(tokens * 16 * sizeof(float)), *got = allocate(tokens * 16 * sizeof(float));
  memset(got, 0xff, tokens * 16 * sizeof(float));
  tsr_kernels_scalar()->panel[index](panel, &a, first, tokens, wanted);
  k->panel[index](panel, &a, first, tokens, got);
  // Every term adds up to four rounded terms, each at most 32 * 127 times the largest code or minimum.
  double largest = encoding == TSR_INT8 ? 255 * 0.02 : 31 * 0.02 + 0.2;
  if (tsr_form(encoding).factors) largest = 63 * 255 * 0.0001 + 255 * 0.0001;
  for (size_t t = 0; t < tokens; t++) {
    double sizes = 0;
    for (size_t term = 0; term < a.terms; term++)
      sizes += 32 * 127 * largest * (double)a.scales[(first + t) * a.terms + term];
    double bound = (double)(4 * a.terms + 4) * FLT_EPSILON * sizes;
    for (size_t r = 0; r < 16; r++) {
      float x = got[t * 16 + r], y = wanted[t * 16 + r];
      expect(fabs((double)x - y) <= bound, k->name, names[index], columns, tokens, x, y);
    }
  }
  free(panel), free(wanted), free(got), release(&a);
}

// A token's results are the same, bit for bit, whatever the other tokens.
static void check_batching(const tsr_kernels *k, uint32_t encoding, size_t columns, size_t tokens) {
  tsr_activations a = activations(columns, tokens);
  for (size_t i = 0; i < tokens * a.columns; i++)
    a.values[i] = random_float(-1, 1) * (random_bits() % 50 ? 1 : 30);
  for (size_t t = 0; t < tokens; t++) tsr_quantize_token(k, &a, t);
  uint8_t *panel = random_panel(encoding, a.groups, false);
  float *all = allocate(tokens * 16 * sizeof(float)), one[16];
  tsr_list_terms(&a, tokens);
  k->panel[encoding - TSR_FIRST_PANEL](panel, &a, 0, tokens, all);
  for (size_t t = 0; t < tokens; t++) {
    tsr_activations b = a;
    b.codes += t * a.terms * 32, b.scales += t * a.terms, b.sums += t * a.terms;
    b.offsets += t * a.terms, b.half_sums += 2 * t * a.terms, b.residual_groups += t * a.residuals;
    tsr_list_terms(&b, 1);
    k->panel[encoding - TSR_FIRST_PANEL](panel, &b, 0, 1, one);
    for (size_t r = 0; r < 16; r++)
      expect(memcmp(&one[r], &all[t * 16 + r], sizeof(float)) == 0, k->name, "batching", columns,
             tokens, all[t * 16 + r], one[r]);
  }
  free(panel), free(all), release(&a);
}

static void expect_near(const tsr_kernels *k, const char *what, size_t count, double got,
                        double wanted, double bound) {
  expect(fabs(got - wanted) <= bound, k->name, what, count, 1, got, wanted);
}

static void check_vectors(const tsr_kernels *k, size_t n) {
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
  free(a), free(b), free(c), free(h);
}

static void check_attention(const tsr_kernels *k, size_t rows, size_t dim) {
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
  tsr_row_summary a, b;
  tsr_kernels_scalar()->summarize(x, n, &a);
  k->summarize(x, n, &b);
  expect_near(k, "argmax", n, b.argmax, a.argmax, 0);
  expect(b.second == a.second, k->name, "second", n, 1, b.second, a.second);
  expect_near(k, "log-sum-exp", n, b.log_sum_exp, a.log_sum_exp, 1e-4);
  expect_near(k, "entropy", n, b.entropy, a.entropy, 1e-3);
  memcpy(y, x, 4 * n);
  tsr_kernels_scalar()->hadamard(x, n);
  k->hadamard(y, n);
  for (size_t i = 0; i < n; i++)
    expect_near(k, "hadamard", n, y[i], x[i], 20 * sqrt((double)n) * 16 * FLT_EPSILON);
  free(x), free(y), free(wanted), free(got);
}

static void check(const tsr_kernels *k) {
  static const size_t columns[] = {1, 31, 32, 33, 64, 100, 576, 1056};
  static const size_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 64};
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
    for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
      for (uint32_t e = TSR_FIRST_PANEL; e < TSR_FIRST_PANEL + TSR_PANEL_ENCODINGS; e++)
        for (int extreme = 0; extreme < 2; extreme++)
          check_panel(k, e, columns[c], tokens[t], extreme);
    check_quantize(k, columns[c], 7);
    for (unsigned bits = 1; bits <= TSR_TRELLIS_MAX_BITS; bits++)
      check_strand(k, (columns[c] + 31) / 32, bits);
    for (uint32_t e = TSR_FIRST_PANEL; e < TSR_FIRST_PANEL + TSR_PANEL_ENCODINGS; e++)
      for (size_t t = 2; t < 20; t += 5) check_batching(k, e, columns[c], t);
  }
  for (size_t n = 1; n < 70; n++) check_vectors(k, n);
  for (size_t n = 1; n < 520; n += n < 140 ? 1 : 31) check_ranks(k, n);
  for (size_t rows = 1; rows < 10; rows++)
    for (size_t dim = 16; dim <= TSR_MAX_HEAD_DIM; dim += dim < 80 ? 16 : dim)
      check_section(k, rows, dim);
  static const size_t dims[] = {1, 8, 20, 64, 80, 128};
  for (size_t rows = 1; rows < 10; rows++)
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) check_attention(k, rows, dims[d]);
}

int main(int count, char **names) {
  const tsr_kernels *tables[] = {tsr_kernels_avx512vnni(), tsr_kernels_avxvnni(),
                                 tsr_kernels_avx2(), tsr_kernels_neon(), tsr_kernels_i8mm()};
  for (int i = 1; i < count; i++) {
    const tsr_kernels *found = NULL;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
      if (tables[t] && strcmp(tables[t]->name, names[i]) == 0) found = tables[t];
    if (!found) {
      printf("%s: no such table here\n", names[i]);
      return 1;
    }
    int before = failures;
    check(found);
    printf("%s: %s\n", names[i], failures == before ? "same as scalar" : "DIFFERS");
  }
  return failures > 0;
}

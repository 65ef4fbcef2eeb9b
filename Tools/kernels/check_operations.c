// Operations of a pass as ops.c, place.c and attention.c build them on a table, and coded symbols.
#include "check.h"

enum { KV_HEADS = 2, GROUP = 3, HEADS = KV_HEADS * GROUP, SLOTS = 600, TOKENS = 5 };

static tsr_compute start(const tsr_kernels *k, size_t dim) {
  tsr_compute c = {.kernels = k, .pool = tsr_pool_create(1)};
  if (!c.pool) exit(2);
  c.scratch_floats = tsr_attention_scratch(GROUP, dim);
  c.scratch = allocate(c.scratch_floats * sizeof(float));
  c.not_finite = allocate(sizeof(uint64_t));
  return c;
}

static void stop(tsr_compute *c) {
  tsr_pool_destroy(c->pool);
  free(c->scratch), free(c->not_finite);
}

static size_t cache_bytes(const tsr_kv *kv) {
  size_t rows = kv->kv_heads * tsr_padded_slots(kv->slots), dim = tsr_padded_dim(kv->head_dim);
  return rows * dim * 4;  // enough for every encoding
}

static tsr_kv make_cache(uint32_t encoding, size_t dim) {
  tsr_kv kv = {.kv_heads = KV_HEADS, .slots = SLOTS, .head_dim = dim, .encoding = encoding};
  size_t scales = KV_HEADS * tsr_padded_slots(SLOTS) * sizeof(float);
  kv.keys = allocate(cache_bytes(&kv)), kv.values = allocate(cache_bytes(&kv));
  kv.key_scales = allocate(scales), kv.value_scales = allocate(scales);
  return kv;
}

static void free_cache(tsr_kv *kv) {
  free(kv->keys), free(kv->values), free(kv->key_scales), free(kv->value_scales);
}

// Fills a cache by the table's own kernels.
static void fill(const tsr_compute *c, tsr_kv *kv, const float *rows, const int32_t *slots) {
  size_t dim = kv->head_dim;
  tsr_placement p = {.stored_keys = rows, .values = rows + KV_HEADS * dim,
                     .stride = 2 * KV_HEADS * dim, .tokens = SLOTS, .slots = slots, .kv = kv};
  tsr_place(c, &p);
}

static void attend(const tsr_compute *c, const tsr_kv *kv, const float *queries,
                   const int32_t *visible, const tsr_activations *out) {
  tsr_attention a = {.queries = queries, .stride = HEADS * kv->head_dim, .heads = HEADS,
                     .tokens = TOKENS, .visible = visible, .scale = 0.3f, .kv = kv, .out = out};
  tsr_attend(c, &a);
}

// The same cache byte for byte, and the same results within the rounding of sums and of weights' codes.
static void check_cache(const tsr_kernels *k, uint32_t encoding, size_t dim) {
  static const char *names[] = {"", "int8 cache", "f16 cache", "f32 cache", "int4 cache"};
  const char *name = names[encoding];
  tsr_compute scalar = start(tsr_kernels_scalar(), dim), other = start(k, dim);
  tsr_kv wanted = make_cache(encoding, dim), got = make_cache(encoding, dim);
  float *rows = allocate(SLOTS * 2 * KV_HEADS * dim * sizeof(float));
  for (size_t i = 0; i < SLOTS * 2 * KV_HEADS * dim; i++) rows[i] = random_float(-2, 2);
  rows[7] = NAN;  // one key, which all tables refuse
  int32_t slots[SLOTS], visible[TOKENS * 8] = {0};
  for (int32_t i = 0; i < SLOTS; i++) slots[i] = SLOTS - 1 - i;
  fill(&scalar, &wanted, rows, slots), fill(&other, &got, rows, slots);
  expect(scalar.not_finite[0] == 1 && other.not_finite[0] == 1, k->name, name, dim, 1,
         (double)other.not_finite[0], 1);
  size_t bytes = cache_bytes(&wanted), scales = KV_HEADS * tsr_padded_slots(SLOTS) * 4;
  bool same = !memcmp(wanted.keys, got.keys, bytes) && !memcmp(wanted.values, got.values, bytes) &&
              !memcmp(wanted.key_scales, got.key_scales, scales) &&
              !memcmp(wanted.value_scales, got.value_scales, scales);
  expect(same, k->name, name, dim, SLOTS, 0, 1);
  for (int32_t t = 0; t < TOKENS; t++) {
    visible[8 * t] = t, visible[8 * t + 1] = 40 * t + 1;
    visible[8 * t + 2] = 300 + t, visible[8 * t + 3] = t == 2 ? 300 : SLOTS - 2 * t;
  }
  float *queries = allocate(TOKENS * HEADS * dim * sizeof(float));
  for (size_t i = 0; i < TOKENS * HEADS * dim; i++) queries[i] = random_float(-1, 1);
  tsr_activations a = activations(HEADS * dim, TOKENS), b = activations(HEADS * dim, TOKENS);
  attend(&scalar, &wanted, queries, visible, &a), attend(&other, &wanted, queries, visible, &b);
  // Values are at most 2 and a little; turned rows of a cache of codes may hold sqrt(dim) times that.
  double size = tsr_kv_has_codes(&wanted) ? 2.5 * sqrt((double)dim) : 2.5;
  double bound = size * (TSR_SECTION * 0.5 / TSR_CODE_LIMIT + 64 * (double)dim * FLT_EPSILON);
  for (size_t i = 0; i < TOKENS * a.columns; i++)
    expect(fabs((double)a.values[i] - b.values[i]) <= bound, k->name, name, dim, i / a.columns,
           b.values[i], a.values[i]);
  free(rows), free(queries), release(&a), release(&b), free_cache(&wanted), free_cache(&got);
  stop(&scalar), stop(&other);
}

static void expect_codes(const tsr_kernels *k, const char *what, const tsr_activations *a,
                         const tsr_activations *b, size_t tokens, double bound) {
  for (size_t i = 0; i < tokens * a->columns; i++) {
    double size = fabs((double)a->values[i]);
    expect(fabs((double)b->values[i] - a->values[i]) <= bound * size + 1e-30, k->name, what,
           a->columns, tokens, b->values[i], a->values[i]);
  }
  for (size_t i = 0; i < tokens * a->terms; i++)
    expect(fabs((double)b->scales[i] - a->scales[i]) <= 1e-3 * fabs((double)a->scales[i]) + 1e-6,
           k->name, what, a->columns, tokens, b->scales[i], a->scales[i]);
}

static void check_rows(const tsr_kernels *k, size_t columns) {
  tsr_compute scalar = start(tsr_kernels_scalar(), 64), other = start(k, 64);
  tsr_activations a = activations(columns, TOKENS), b = activations(columns, TOKENS);
  float *x = allocate(TOKENS * 2 * columns * sizeof(float)), *weight = allocate(columns * 4);
  const int32_t rows[TOKENS] = {3, 0, 4, 4, 1};
  // The last row's squares are no floats.
  for (size_t i = 0; i < TOKENS * 2 * columns; i++)
    x[i] = random_float(-3, 3) * (i / columns == 4 ? 1e25f : 1);
  for (size_t i = 0; i < columns; i++) weight[i] = random_float(0.5f, 2);
  tsr_rms_norm(&scalar, x, rows, TOKENS, columns, weight, 1e-5f, &a);
  tsr_rms_norm(&other, x, rows, TOKENS, columns, weight, 1e-5f, &b);
  expect_codes(k, "rms_norm", &a, &b, TOKENS, (double)(columns + 8) * FLT_EPSILON);
  for (size_t i = 0; i < TOKENS * 2 * columns; i++) x[i] = random_float(-20, 20);
  tsr_gated(&scalar, TSR_SILU, x, x + columns, 2 * columns, columns, TOKENS, &a);
  tsr_gated(&other, TSR_SILU, x, x + columns, 2 * columns, columns, TOKENS, &b);
  expect_codes(k, "swiglu", &a, &b, TOKENS, 10 * FLT_EPSILON);
  expect(other.not_finite[0] == 0, k->name, "finite rows", columns, TOKENS, 1, 0);
  free(x), free(weight), release(&a), release(&b), stop(&scalar), stop(&other);
}

// Queries and keys with their norms, turned and stored.
static void check_place(const tsr_kernels *k, size_t dim) {
  enum { STRIDE_HEADS = HEADS + 2 * KV_HEADS };
  const tsr_kernels *tables[2] = {tsr_kernels_scalar(), k};
  size_t half = dim / 2, stride = STRIDE_HEADS * dim, count = TOKENS * stride;
  float *x[2] = {allocate(count * 4), allocate(count * 4)}, *norm = allocate(dim * 4);
  float *cosines = allocate(TOKENS * half * 4), *sines = allocate(TOKENS * half * 4);
  float factors[TOKENS] = {1, 0.5f, 2, 1, 3};
  const int32_t slots[TOKENS] = {9, 0, 33, 70, 5};
  for (size_t i = 0; i < count; i++) x[0][i] = x[1][i] = random_float(-1, 1);
  for (size_t i = 0; i < dim; i++) norm[i] = random_float(0.5f, 2);
  for (size_t i = 0; i < TOKENS * half; i++) cosines[i] = cosf(0.1f * i), sines[i] = sinf(0.1f * i);
  for (int i = 0; i < 2; i++) {
    tsr_compute c = start(tables[i], dim);
    tsr_kv kv = make_cache(TSR_KV_F32, dim);
    tsr_rotation queries = {x[i], stride, HEADS, dim, TOKENS, cosines, sines, norm, factors, 1e-6f};
    tsr_rotation keys = queries;
    keys.x += HEADS * dim, keys.heads = KV_HEADS, keys.factors = NULL;
    tsr_placement p = {&queries, &keys, keys.x, keys.x + KV_HEADS * dim, stride, TOKENS, slots, &kv};
    tsr_place(&c, &p);
    for (size_t t = 0; t < TOKENS; t++) {
      const float *stored = (const float *)kv.keys + (SLOTS + (size_t)slots[t]) * dim;
      for (size_t d = 0; d < dim; d++)
        expect_near(k, "stored key", dim, stored[d], keys.x[t * stride + dim + d], 0);
    }
    free_cache(&kv), stop(&c);
  }
  for (size_t i = 0; i < count; i++)
    expect_near(k, "place", dim, x[1][i], x[0][i], (double)(dim + 16) * 8 * FLT_EPSILON * 3);
  free(x[0]), free(x[1]), free(norm), free(cosines), free(sines);
}

static void check_symbols(const tsr_kernels *k, size_t count, bool nibbles, unsigned spread) {
  uint8_t *plain = allocate(count), *got = allocate(count), *coded = malloc(tsr_rans_bound(count));
  if (!coded) exit(2);
  for (size_t i = 0; i < count; i++) {
    unsigned sum = 0;
    for (int j = 0; j < 4; j++) sum += random_bits() % (spread + 1);
    plain[i] = (uint8_t)(128 + sum - 2 * spread);
    if (random_bits() % 500 == 0) plain[i] = (uint8_t)random_bits();
  }
  size_t size = tsr_rans_encode(plain, count, nibbles, coded);
  bool whole = tsr_rans_decode(coded, size, k->decode_symbols, nibbles, got, count);
  expect(whole && memcmp(plain, got, count) == 0, k->name, "rANS", count, spread, whole, 1);
  free(plain), free(got), free(coded);
}

void check_operations(const tsr_kernels *k) {
  static const size_t dims[] = {2, 16, 20, 64, 80, 128};
  for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
    for (uint32_t encoding = TSR_KV_INT8; encoding <= TSR_KV_INT4; encoding++)
      check_cache(k, encoding, dims[d]);
    check_place(k, dims[d]);
  }
  static const size_t columns[] = {1, 15, 16, 33, 100, 576};
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) check_rows(k, columns[c]);
  for (size_t count = 128; count <= 4096; count *= 2)
    for (unsigned spread = 0; spread < 64; spread += 1 + spread)
      for (int nibbles = 0; nibbles < 2; nibbles++) check_symbols(k, count, nibbles, spread);
}

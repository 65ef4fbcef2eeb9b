// Rotary embedding, and writing to the KV cache.
#include <float.h>
#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "scalar.h"

enum {
  PLACE_TOKENS = 16,  // of one task: threads that write neighbouring slots would share cache lines
  QUERY_HEADS = 4,    // of one task
  FEW_HEADS = 48,     // of all tokens: cheaper done here than shared out
};

typedef struct {
  const tsr_compute *compute;
  const tsr_placement *placement;
  size_t query_tasks, key_tasks, value_tasks;  // of one block of tokens
  size_t block;
} place_job;

static void rotate_head(const tsr_kernels *k, const tsr_rotation *r, size_t token, size_t head) {
  size_t half = r->head_dim / 2;
  float *x = r->x + token * r->stride + head * r->head_dim;
  if (r->norm)
    k->normalize(x, tsr_norm_factor(k, x, r->head_dim, r->eps), r->norm, x, r->head_dim);
  k->rotate(x, r->cosines + token * half, r->sines + token * half, half,
            r->factors ? r->factors[token] : 1.0f);
}

// Codes of 4 bits, as 8-bit codes that are multiples of 16. The largest value gets the largest code or is cut off,
// whichever has the least squared error. Returns the scale, as narrow_int8 does.
static float narrow_int4(const float *x, size_t count, int8_t *codes) {
  enum { MOST = 7, TRIALS = 5 };
  float largest = tsr_largest_size(x, count), best = INFINITY, scale = 0;
  memset(codes, 0, count);
  if (!(largest <= FLT_MAX)) return NAN;
  for (int trial = 0; trial < TRIALS && largest > 1e-30f; trial++) {
    float step = largest * (1 - 0.08f * (float)trial) / MOST, factor = 1 / step, error = 0;
    int8_t tried[TSR_MAX_HEAD_DIM];
    for (size_t i = 0; i < count; i++) {
      float code = rintf(x[i] * factor);
      code = code > MOST ? MOST : code < -MOST ? -MOST : code;
      error += (x[i] - code * step) * (x[i] - code * step);
      tried[i] = (int8_t)(16 * (int)code);
    }
    if (error >= best) continue;
    best = error, scale = step / 16;
    memcpy(codes, tried, count);
  }
  return scale;
}

// Codes of a row, plus 128, padded with those of zeros, and their scale. A row with a value that is not
// finite becomes one of zeros; returns whether this one is finite.
static bool code_row(const tsr_kernels *k, const tsr_kv *kv, const float *x, uint8_t *bytes,
                     float *scale) {
  float turned[TSR_MAX_HEAD_DIM];
  int8_t codes[TSR_MAX_HEAD_DIM] = {0};
  size_t count = kv->head_dim;
  memcpy(turned, x, count * sizeof(float));
  k->hadamard(turned, count);
  *scale = kv->encoding == TSR_KV_INT4 ? narrow_int4(turned, count, codes)
                                       : k->narrow_int8(turned, count, codes);
  for (size_t i = 0; i < tsr_padded_dim(count); i++) bytes[i] = (uint8_t)codes[i] ^ 0x80;
  bool finite = *scale <= FLT_MAX;
  if (!finite) *scale = 0;
  return finite;
}

// Puts the upper half of a code where a 4-bit cache has it; `high` for the last 16 slots of a tile.
static void put_half(uint8_t *byte, uint8_t code, bool high) {
  *byte = high ? (uint8_t)((*byte & 0x0F) | (code & 0xF0)) : (uint8_t)((*byte & 0xF0) | code >> 4);
}

static bool store_key(const tsr_kernels *k, const tsr_kv *kv, size_t head, size_t slot,
                      const float *x) {
  uint8_t bytes[TSR_MAX_HEAD_DIM];
  size_t dim = tsr_padded_dim(kv->head_dim), row = head * tsr_padded_slots(kv->slots) + slot;
  bool finite = code_row(k, kv, x, bytes, &kv->key_scales[row]);
  if (kv->encoding == TSR_KV_INT4) {
    uint8_t *out = (uint8_t *)kv->keys + row / 32 * 16 * dim + row % 16 * 4;
    for (size_t i = 0; i < dim; i++) put_half(out + i / 4 * 64 + i % 4, bytes[i], row % 32 >= 16);
    return finite;
  }
  uint8_t *out = (uint8_t *)kv->keys + row / 16 * 16 * dim + row % 16 * 4;
  for (size_t i = 0; i < dim; i += 4) memcpy(out + 16 * i, bytes + i, 4);
  return finite;
}

static bool store_value(const tsr_kernels *k, const tsr_kv *kv, size_t head, size_t slot,
                        const float *x) {
  uint8_t bytes[TSR_MAX_HEAD_DIM];
  size_t dim = tsr_padded_dim(kv->head_dim), row = head * tsr_padded_slots(kv->slots) + slot;
  bool finite = code_row(k, kv, x, bytes, &kv->value_scales[row]);
  if (kv->encoding == TSR_KV_INT4) {
    uint8_t *out = (uint8_t *)kv->values + row / 32 * 16 * dim + row % 16 / 4 * 4 * dim + row % 4;
    for (size_t i = 0; i < dim; i++) put_half(out + 4 * i, bytes[i], row % 32 >= 16);
    return finite;
  }
  uint8_t *out = (uint8_t *)kv->values + row / 4 * 4 * dim + row % 4;
  for (size_t i = 0; i < dim; i++) out[4 * i] = bytes[i];
  return finite;
}

// A row with a value beyond the cache's numbers becomes one of zeros, so that slots which nobody sees may
// be multiplied by zero; returns whether this one is within.
static bool store_floats(const tsr_kv *kv, void *store, size_t head, size_t slot, const float *x) {
  size_t at = (head * kv->slots + slot) * kv->head_dim, count = kv->head_dim;
  const float half_max = 65504 + 16, most = kv->encoding == TSR_KV_F16 ? half_max : INFINITY;
  bool finite = tsr_largest_size(x, count) < most;
  for (size_t i = 0; i < count; i++) {
    float value = finite ? x[i] : 0;
    if (kv->encoding == TSR_KV_F32) ((float *)store)[at + i] = value;
    else ((uint16_t *)store)[at + i] = tsr_float_to_half(value);
  }
  return finite;
}

// Each returns the rows that could not be stored.
static size_t place_key(const place_job *job, size_t head, size_t token) {
  const tsr_placement *p = job->placement;
  const tsr_kernels *k = job->compute->kernels;
  if (p->keys) rotate_head(k, p->keys, token, head);
  if (!p->kv) return 0;
  const float *x = p->stored_keys + token * p->stride + head * p->kv->head_dim;
  size_t slot = (size_t)p->slots[token];
  return !(tsr_kv_has_codes(p->kv) ? store_key(k, p->kv, head, slot, x)
                                   : store_floats(p->kv, p->kv->keys, head, slot, x));
}

static size_t place_value(const place_job *job, size_t head, size_t token) {
  const tsr_placement *p = job->placement;
  const float *x = p->values + token * p->stride + head * p->kv->head_dim;
  size_t slot = (size_t)p->slots[token];
  return !(tsr_kv_has_codes(p->kv) ? store_value(job->compute->kernels, p->kv, head, slot, x)
                                   : store_floats(p->kv, p->kv->values, head, slot, x));
}

// Index: block of tokens, then some query heads, a key head or a value head.
static void place_task(void *context, size_t index, size_t worker) {
  const place_job *job = context;
  const tsr_placement *p = job->placement;
  size_t tasks = job->query_tasks + job->key_tasks + job->value_tasks, part = index % tasks;
  size_t first = index / tasks * job->block, last = first + job->block, bad = 0;
  for (size_t token = first; token < last && token < p->tokens; token++) {
    if (part < job->key_tasks) {
      bad += place_key(job, part, token);
    } else if (part < job->key_tasks + job->value_tasks) {
      bad += place_value(job, part - job->key_tasks, token);
    } else {
      size_t head = (part - job->key_tasks - job->value_tasks) * QUERY_HEADS;
      for (size_t i = head; i < head + QUERY_HEADS && i < p->queries->heads; i++)
        rotate_head(job->compute->kernels, p->queries, token, i);
    }
  }
  tsr_note_not_finite(job->compute, worker, bad);
}

void tsr_place(const tsr_compute *compute, const tsr_placement *p) {
  if (p->tokens == 0) return;
  place_job job = {.compute = compute, .placement = p};
  size_t queries = p->queries ? p->queries->heads : 0;
  job.query_tasks = (queries + QUERY_HEADS - 1) / QUERY_HEADS;
  job.value_tasks = p->kv ? p->kv->kv_heads : 0;
  job.key_tasks = p->kv ? p->kv->kv_heads : p->keys ? p->keys->heads : 0;
  size_t tasks = job.query_tasks + job.key_tasks + job.value_tasks;
  // Two slots share each byte of a 4-bit cache.
  job.block = p->kv && p->kv->encoding == TSR_KV_INT4 ? p->tokens : PLACE_TOKENS;
  size_t count = tasks * ((p->tokens + job.block - 1) / job.block);
  if (p->tokens * (queries + job.key_tasks + job.value_tasks) > FEW_HEADS)
    tsr_pool_run(compute->pool, place_task, &job, count);
  else
    for (size_t i = 0; i < count; i++) place_task(&job, i, 0);
}

// Attention of a few queries over the cache, without a temporary that grows with the context: slots
// are taken in tiles, with an online softmax (Milakov and Gimelshein, arXiv 1805.02867).
#include <math.h>
#include <string.h>

#include "CKernels.h"

enum {
  SLOT_TILE = 32,   // slots widened at a time
  QUERY_ROWS = 64,  // query heads that share a widened tile
};

// Per thread: tiles of keys and values, then per query row: output, maximum, sum, scores.
size_t tsr_attention_scratch(size_t group_heads, size_t head_dim) {
  size_t rows = QUERY_ROWS + group_heads;
  return 2 * SLOT_TILE * head_dim + rows * (head_dim + 2) + SLOT_TILE;
}

typedef struct {
  const tsr_compute *compute;
  const tsr_attention *attention;
  size_t group_heads;       // query heads per kv head
  size_t tokens_per_chunk;
  size_t chunks;            // of tokens
} attention_job;

static void widen(const tsr_kernels *k, const tsr_kv *kv, const void *store, const float *scales,
                  size_t head, size_t begin, size_t count, float *tile) {
  size_t row = head * kv->slots + begin, dim = kv->head_dim;
  if (kv->encoding == TSR_KV_F16) {
    k->widen_f16((const uint16_t *)store + row * dim, tile, count * dim);
  } else if (kv->encoding == TSR_KV_F32) {
    memcpy(tile, (const float *)store + row * dim, count * dim * sizeof(float));
  } else {
    for (size_t s = 0; s < count; s++)
      k->widen_int8((const int8_t *)store + (row + s) * dim, scales[row + s], tile + s * dim, dim);
  }
}

static bool sees(const int32_t *ranges, size_t slot) {
  for (size_t r = 0; r < TSR_VISIBLE_RANGES; r++)
    if ((int32_t)slot >= ranges[2 * r] && (int32_t)slot < ranges[2 * r + 1]) return true;
  return false;
}

// Whether a query of tokens [first, last) sees a slot of [begin, end).
static bool touched(const tsr_attention *a, size_t first, size_t last, size_t begin, size_t end) {
  for (size_t t = first; t < last; t++) {
    const int32_t *ranges = a->visible + t * 2 * TSR_VISIBLE_RANGES;
    for (size_t r = 0; r < TSR_VISIBLE_RANGES; r++)
      if (ranges[2 * r] < ranges[2 * r + 1] && ranges[2 * r] < (int32_t)end &&
          ranges[2 * r + 1] > (int32_t)begin)
        return true;
  }
  return false;
}

// Folds one tile into one query row's running output.
static void fold(const tsr_kernels *k, const float *query, const int32_t *ranges, float scale,
                 size_t begin, size_t count, size_t dim, const float *keys, const float *values,
                 float *scores, float *output, float *state) {
  float best = -INFINITY;
  for (size_t s = 0; s < count; s++) {
    bool visible = sees(ranges, begin + s);
    scores[s] = visible ? scale * k->dot_f32(query, keys + s * dim, dim) : -INFINITY;
    if (scores[s] > best) best = scores[s];
  }
  if (!(best > -INFINITY)) return;
  if (best > state[0]) {
    float factor = expf(state[0] - best);  // 0 the first time
    for (size_t i = 0; i < dim; i++) output[i] *= factor;
    state[1] *= factor;
    state[0] = best;
  }
  state[1] += k->exponentials(scores, state[0], count);
  for (size_t s = 0; s < count; s++)
    if (scores[s] > 0) k->add_scaled(output, scores[s], values + s * dim, dim);
}

static void attend_chunk(void *context, size_t index, size_t worker) {
  const attention_job *job = context;
  const tsr_attention *a = job->attention;
  const tsr_kv *kv = a->kv;
  const tsr_kernels *k = job->compute->kernels;
  size_t dim = kv->head_dim, group = job->group_heads;
  size_t kv_head = index / job->chunks;
  size_t first = index % job->chunks * job->tokens_per_chunk;
  size_t last = first + job->tokens_per_chunk < a->tokens ? first + job->tokens_per_chunk : a->tokens;
  float *keys = job->compute->scratch + worker * job->compute->scratch_floats;
  float *values = keys + SLOT_TILE * dim;
  float *scores = values + SLOT_TILE * dim;
  float *outputs = scores + SLOT_TILE;
  float *states = outputs + (last - first) * group * dim;
  memset(outputs, 0, (last - first) * group * dim * sizeof(float));
  for (size_t row = 0; row < (last - first) * group; row++) {
    states[2 * row] = -INFINITY;
    states[2 * row + 1] = 0;
  }
  for (size_t begin = 0; begin < kv->slots; begin += SLOT_TILE) {
    size_t count = kv->slots - begin < SLOT_TILE ? kv->slots - begin : SLOT_TILE;
    if (!touched(a, first, last, begin, begin + count)) continue;
    widen(k, kv, kv->keys, kv->key_scales, kv_head, begin, count, keys);
    widen(k, kv, kv->values, kv->value_scales, kv_head, begin, count, values);
    for (size_t t = first; t < last; t++) {
      for (size_t g = 0; g < group; g++) {
        size_t row = (t - first) * group + g;
        fold(k, a->queries + t * a->stride + (kv_head * group + g) * dim,
             a->visible + t * 2 * TSR_VISIBLE_RANGES, a->scale, begin, count, dim, keys, values,
             scores, outputs + row * dim, states + 2 * row);
      }
    }
  }
  for (size_t t = first; t < last; t++) {
    float *out = a->out->values + t * a->out->columns + kv_head * group * dim;
    for (size_t i = 0; i < group * dim; i++) {
      size_t row = (t - first) * group + i / dim;
      float sum = states[2 * row + 1];
      out[i] = sum > 0 ? outputs[row * dim + i % dim] / sum : 0;
    }
  }
}

void tsr_attend(const tsr_compute *compute, const tsr_attention *attention) {
  const tsr_kv *kv = attention->kv;
  size_t group = attention->heads / kv->kv_heads;
  size_t per_chunk = QUERY_ROWS / group > 0 ? QUERY_ROWS / group : 1;
  // Enough chunks for the threads, when there are tokens to share out.
  size_t threads = tsr_pool_threads(compute->pool);
  while (per_chunk > 1 &&
         (attention->tokens + per_chunk - 1) / per_chunk * kv->kv_heads < 2 * threads)
    per_chunk = (per_chunk + 1) / 2;
  size_t chunks = (attention->tokens + per_chunk - 1) / per_chunk;
  attention_job job = {compute, attention, group, per_chunk, chunks};
  tsr_pool_run(compute->pool, attend_chunk, &job, chunks * kv->kv_heads);
  tsr_quantize(compute, attention->out, attention->tokens);
}

// Attention of a few queries over the cache, without a temporary that grows with the context: slots
// are taken in tiles, with an online softmax (Milakov and Gimelshein, arXiv 1805.02867). Queries
// that share a kv head are multiplied with a tile together.
//
// Tiles and sections lie at fixed slots; each section starts from nothing and is joined to those
// before it. So what a query gets depends, to the last bit, on the slots it sees alone: not on the
// other queries, nor on whether the sections were shared out over the threads.
#include <math.h>
#include <string.h>

#include "CKernels.h"

enum {
  QUERY_ROWS = 64,       // query heads that share a widened tile
  TASKS_PER_THREAD = 4,  // enough to even out threads that run at different speeds
  SECTION = 16 * TSR_SLOT_TILE,
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// Rows of one task at most.
static size_t row_limit(size_t group_heads) {
  return group_heads > QUERY_ROWS ? group_heads : QUERY_ROWS;
}

size_t tsr_attention_scratch(size_t group_heads, size_t head_dim) {
  size_t row = head_dim + 2 * (head_dim + 2) + TSR_SLOT_TILE;
  return 2 * TSR_SLOT_TILE * head_dim + row_limit(group_heads) * row;
}

typedef struct {
  const tsr_compute *compute;
  const tsr_attention *attention;
  size_t group_heads;  // query heads per kv head
  size_t tokens_per_chunk, chunks;
  size_t first_section, sections;  // that any token sees something of
  bool shared;                     // every task takes one section
} attention_job;

// Sums over some slots for each row: outputs [rows, head_dim], not yet divided, and [rows, 2], the
// maximum score and the sum of weights.
typedef struct {
  float *outputs, *states;
} row_sums;

// What one task works on, in its thread's scratch.
typedef struct {
  float *keys, *values;  // [TSR_SLOT_TILE, head_dim], widened
  float *queries;        // [rows, head_dim], times the attention's scale
  float *scores;         // [rows, TSR_SLOT_TILE]
  row_sums part, total;  // of the section at hand, and of all
  size_t first, last;    // tokens; a row is a token and a query head of the group
  size_t kv_head, rows;
} attention_task;

static void clear(row_sums sums, size_t rows, size_t dim) {
  memset(sums.outputs, 0, rows * dim * sizeof(float));
  for (size_t row = 0; row < rows; row++) {
    sums.states[2 * row] = -INFINITY;
    sums.states[2 * row + 1] = 0;
  }
}

// Adds what a later section summed up for one row.
static void join(float *output, float *state, const float *part, const float *part_state,
                 size_t dim) {
  if (!(part_state[0] > -INFINITY)) return;
  float best = state[0] > part_state[0] ? state[0] : part_state[0];
  float old = expf(state[0] - best), new = expf(part_state[0] - best);  // old = 0 the first time
  for (size_t i = 0; i < dim; i++) output[i] = output[i] * old + part[i] * new;
  state[0] = best;
  state[1] = state[1] * old + part_state[1] * new;
}

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
  memset(tile + count * dim, 0, (TSR_SLOT_TILE - count) * dim * sizeof(float));
}

// One bit for each slot of begin..<begin + count that a token sees.
static uint32_t visible_bits(const int32_t *ranges, size_t begin, size_t count) {
  uint32_t bits = 0;
  for (size_t r = 0; r < TSR_VISIBLE_RANGES; r++) {
    int64_t low = ranges[2 * r] - (int64_t)begin, high = ranges[2 * r + 1] - (int64_t)begin;
    if (low < 0) low = 0;
    if (high > (int64_t)count) high = (int64_t)count;
    if (low < high) bits |= (uint32_t)((((uint64_t)1 << (high - low)) - 1) << low);
  }
  return bits;
}

// The first slot from `slot` on that any token of first..<last sees, or SIZE_MAX.
static size_t next_visible(const tsr_attention *a, size_t first, size_t last, size_t slot) {
  size_t next = SIZE_MAX;
  const int32_t *range = a->visible + first * 2 * TSR_VISIBLE_RANGES;
  const int32_t *end = a->visible + last * 2 * TSR_VISIBLE_RANGES;
  for (; range < end; range += 2) {
    size_t low = (size_t)range[0] > slot ? (size_t)range[0] : slot;
    if (low < (size_t)range[1] && low < next) next = low;
  }
  return next;
}

// Turns a row's scores into weights; what was summed up so far shrinks where the maximum grows.
static void weigh_row(const tsr_kernels *k, const attention_task *task, size_t row, size_t dim,
                      uint32_t visible) {
  float *scores = task->scores + row * TSR_SLOT_TILE, *state = task->part.states + 2 * row;
  float *output = task->part.outputs + row * dim;
  for (size_t s = 0; s < TSR_SLOT_TILE && visible != UINT32_MAX; s++)
    if (!(visible >> s & 1)) scores[s] = -INFINITY;
  float best = k->largest(scores, TSR_SLOT_TILE);
  if (!(best > -INFINITY)) {
    memset(scores, 0, TSR_SLOT_TILE * sizeof(float));
    return;
  }
  if (best > state[0]) {
    float factor = expf(state[0] - best);  // 0 the first time
    for (size_t i = 0; i < dim; i++) output[i] *= factor;
    state[1] *= factor;
    state[0] = best;
  }
  state[1] += k->exponentials(scores, state[0], TSR_SLOT_TILE);
}

static void fold_tile(const attention_job *job, const attention_task *task, size_t begin,
                      size_t count) {
  const tsr_attention *a = job->attention;
  const tsr_kernels *k = job->compute->kernels;
  const tsr_kv *kv = a->kv;
  widen(k, kv, kv->keys, kv->key_scales, task->kv_head, begin, count, task->keys);
  widen(k, kv, kv->values, kv->value_scales, task->kv_head, begin, count, task->values);
  k->scores(task->queries, task->rows, task->keys, kv->head_dim, task->scores);
  for (size_t row = 0; row < task->rows; row++) {
    size_t token = task->first + row / job->group_heads;
    const int32_t *ranges = a->visible + token * 2 * TSR_VISIBLE_RANGES;
    weigh_row(k, task, row, kv->head_dim, visible_bits(ranges, begin, count));
  }
  k->weigh(task->scores, task->rows, task->values, kv->head_dim, task->part.outputs);
}

static attention_task start_task(const attention_job *job, size_t index, size_t worker) {
  const tsr_attention *a = job->attention;
  size_t dim = a->kv->head_dim, group = job->group_heads, rows = row_limit(group);
  attention_task task = {.kv_head = index / job->chunks % a->kv->kv_heads};
  task.first = index % job->chunks * job->tokens_per_chunk;
  task.last = smaller(task.first + job->tokens_per_chunk, a->tokens);
  task.rows = (task.last - task.first) * group;
  task.keys = job->compute->scratch + worker * job->compute->scratch_floats;
  task.values = task.keys + TSR_SLOT_TILE * dim;
  task.queries = task.values + TSR_SLOT_TILE * dim;
  task.scores = task.queries + rows * dim;
  task.part.outputs = task.scores + rows * TSR_SLOT_TILE;
  task.part.states = task.part.outputs + rows * dim;
  task.total.outputs = task.part.states + rows * 2;
  task.total.states = task.total.outputs + rows * dim;
  clear(task.total, task.rows, dim);
  for (size_t row = 0; row < task.rows; row++) {
    const float *query = a->queries + (task.first + row / group) * a->stride +
                         (task.kv_head * group + row % group) * dim;
    for (size_t i = 0; i < dim; i++) task.queries[row * dim + i] = query[i] * a->scale;
    if (a->kv->encoding == TSR_KV_INT8) tsr_hadamard(task.queries + row * dim, dim);
  }
  return task;
}

// Sums up one section into the task's part.
static void fold_section(const attention_job *job, const attention_task *task, size_t section) {
  const tsr_attention *a = job->attention;
  size_t slot = section * SECTION, end = smaller(slot + SECTION, a->kv->slots);
  clear(task->part, task->rows, a->kv->head_dim);
  while ((slot = next_visible(a, task->first, task->last, slot)) < end) {
    slot = slot / TSR_SLOT_TILE * TSR_SLOT_TILE;
    fold_tile(job, task, slot, smaller(TSR_SLOT_TILE, a->kv->slots - slot));
    slot += TSR_SLOT_TILE;
  }
}

// A shared section's sums of one token and head: output, then maximum and sum.
static float *shared_sums(const attention_job *job, size_t section, size_t token, size_t head) {
  const tsr_attention *a = job->attention;
  size_t row = (section * a->tokens + token) * a->heads + head;
  return job->compute->partials + row * (a->kv->head_dim + 2);
}

static void finish_row(const tsr_kv *kv, float *out, const float *output, const float *state) {
  float factor = state[1] > 0 ? 1 / state[1] : 0;
  for (size_t i = 0; i < kv->head_dim; i++) out[i] = output[i] * factor;
  if (kv->encoding == TSR_KV_INT8) tsr_hadamard(out, kv->head_dim);
}

static float *result(const tsr_attention *a, size_t token, size_t head) {
  return a->out->values + token * a->out->columns + head * a->kv->head_dim;
}

// Index: section if they are shared, then kv head, then chunk of tokens.
static void attend_task(void *context, size_t index, size_t worker) {
  const attention_job *job = context;
  const tsr_attention *a = job->attention;
  size_t dim = a->kv->head_dim, group = job->group_heads;
  attention_task task = start_task(job, index, worker);
  size_t section = index / job->chunks / a->kv->kv_heads;
  if (job->shared) {
    fold_section(job, &task, job->first_section + section);
  } else {
    for (size_t i = 0; i < job->sections; i++) {
      fold_section(job, &task, job->first_section + i);
      for (size_t row = 0; row < task.rows; row++)
        join(task.total.outputs + row * dim, task.total.states + 2 * row,
             task.part.outputs + row * dim, task.part.states + 2 * row, dim);
    }
  }
  for (size_t row = 0; row < task.rows; row++) {
    size_t token = task.first + row / group, head = task.kv_head * group + row % group;
    if (job->shared) {
      float *sums = shared_sums(job, section, token, head);
      memcpy(sums, task.part.outputs + row * dim, dim * sizeof(float));
      memcpy(sums + dim, task.part.states + 2 * row, 2 * sizeof(float));
    } else {
      finish_row(a->kv, result(a, token, head), task.total.outputs + row * dim,
                 task.total.states + 2 * row);
    }
  }
}

static void finish_token(void *context, size_t token, size_t worker) {
  (void)worker;
  const attention_job *job = context;
  const tsr_attention *a = job->attention;
  size_t dim = a->kv->head_dim;
  for (size_t head = 0; head < a->heads && job->shared; head++) {
    float *output = result(a, token, head), state[2] = {-INFINITY, 0};
    memset(output, 0, dim * sizeof(float));
    for (size_t section = 0; section < job->sections; section++) {
      const float *sums = shared_sums(job, section, token, head);
      join(output, state, sums, sums + dim, dim);
    }
    finish_row(a->kv, output, output, state);
  }
  tsr_quantize_token(job->compute->kernels, a->out, token);
}

void tsr_attend(const tsr_compute *compute, const tsr_attention *a) {
  if (a->tokens == 0) return;
  size_t heads = a->kv->kv_heads, threads = tsr_pool_threads(compute->pool);
  attention_job job = {.compute = compute, .attention = a, .group_heads = a->heads / heads};
  size_t begin = next_visible(a, 0, a->tokens, 0), end = 0;
  for (size_t i = 0; i < a->tokens * TSR_VISIBLE_RANGES; i++)
    if (a->visible[2 * i] < a->visible[2 * i + 1] && (size_t)a->visible[2 * i + 1] > end)
      end = (size_t)a->visible[2 * i + 1];
  job.first_section = begin < end ? begin / SECTION : 0;
  job.sections = begin < end ? (end - 1) / SECTION - job.first_section + 1 : 0;
  job.tokens_per_chunk = smaller(a->tokens, row_limit(job.group_heads) / job.group_heads);
  job.chunks = (a->tokens + job.tokens_per_chunk - 1) / job.tokens_per_chunk;
  size_t wanted = threads > 1 ? TASKS_PER_THREAD * threads : 1;
  size_t floats = job.sections * a->tokens * a->heads * (a->kv->head_dim + 2);
  job.shared = job.chunks * heads < wanted && job.sections > 1 && floats <= compute->partial_floats;
  size_t shares = job.shared ? job.sections : 1;
  // Too short a context for that: fewer tokens per task.
  while (job.tokens_per_chunk > 1 && shares * job.chunks * heads < wanted / 2) {
    job.tokens_per_chunk = (job.tokens_per_chunk + 1) / 2;
    job.chunks = (a->tokens + job.tokens_per_chunk - 1) / job.tokens_per_chunk;
  }
  tsr_pool_run(compute->pool, attend_task, &job, shares * heads * job.chunks);
  tsr_pool_run(compute->pool, finish_token, &job, a->tokens);
}

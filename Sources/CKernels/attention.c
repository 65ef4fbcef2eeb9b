// Attention of a few queries over the cache, without a temporary that grows with the context: slots
// are taken in sections, with an online softmax (Milakov and Gimelshein, arXiv 1805.02867). Queries
// that share a kv head are multiplied with a section together.
//
// Sections lie at fixed slots; each starts from nothing and is joined to those before it. So a query's
// result depends, to the last bit, only on the slots that it sees: not on the other queries, nor on
// whether the sections were shared out over the threads.
#include "attention.h"

#include <math.h>
#include <string.h>

enum {
  QUERY_ROWS = 64,       // query heads that go through a section together
  TASKS_PER_THREAD = 4,  // enough to even out threads that run at different speeds
  ROW_COST = 8192,       // of coding a query and finishing its result, in products
  TASK_COST = 1 << 18,   // products from which sharing out is worth its wait
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// Rows of one task at most.
static size_t row_limit(size_t group_heads) {
  return group_heads > QUERY_ROWS ? group_heads : QUERY_ROWS;
}

size_t tsr_attention_scratch(size_t group_heads, size_t head_dim) {
  size_t width = tsr_padded_dim(head_dim);
  size_t row = width + 2 * (width + 2) + 2 + TSR_SECTION_TILES + TSR_SLOT_TILE;
  size_t section = TSR_SECTION * (2 * width / sizeof(float) + 2);  // codes of 4 bits, widened
  return 2 * TSR_SLOT_TILE * width + row_limit(group_heads) * row + section;
}

// Adds what a later section summed up for one row.
static void join(float *output, float *state, const float *part, const float *part_state,
                 size_t width) {
  if (part_state[1] == 0) return;  // nothing was seen
  float best = state[0] > part_state[0] ? state[0] : part_state[0];
  float old = expf(state[0] - best), new = expf(part_state[0] - best);  // old = 0 the first time
  for (size_t i = 0; i < width; i++) output[i] = output[i] * old + part[i] * new;
  state[0] = best;
  state[1] = state[1] * old + part_state[1] * new;
}

static attention_task start_task(const attention_job *job, size_t kv_head, size_t chunk,
                                 size_t worker) {
  size_t width = job->width, group = job->group_heads, rows = row_limit(group);
  attention_task task = {.kv_head = kv_head, .first = chunk * job->tokens_per_chunk};
  task.last = smaller(task.first + job->tokens_per_chunk, job->attention->tokens);
  task.rows = (task.last - task.first) * group;
  task.queries = job->compute->scratch + worker * job->compute->scratch_floats;
  task.keys = task.queries + rows * width;
  task.values = task.keys + TSR_SLOT_TILE * width;
  task.part.outputs = task.values + TSR_SLOT_TILE * width;
  task.total.outputs = task.part.outputs + rows * width;
  task.scores = task.total.outputs + rows * width;
  task.visible = (uint32_t *)(task.scores + rows * TSR_SLOT_TILE);
  task.part.states = (float *)(task.visible + rows * TSR_SECTION_TILES);
  task.total.states = task.part.states + rows * 2;
  task.scales = task.total.states + rows * 2;
  task.sums = (int32_t *)(task.scales + rows);
  task.widened_scales = (float *)(task.sums + rows);
  task.widened = (uint8_t *)(task.widened_scales + 2 * TSR_SECTION);
  tsr_note_not_finite(job->compute, worker, tsr_load_queries(job, &task));
  return task;
}

// A shared section's sums of one token and head: output, then maximum and sum.
static float *shared_sums(const attention_job *job, size_t section, size_t token, size_t head) {
  const tsr_attention *a = job->attention;
  size_t row = (section * a->tokens + token) * a->heads + head;
  return job->compute->partials + row * (job->width + 2);
}

static void finish_row(const attention_job *job, size_t token, size_t head, const float *output,
                       const float *state) {
  const tsr_attention *a = job->attention;
  size_t dim = a->kv->head_dim;
  float *out = a->out->values + (a->first_out + token) * a->out->columns + head * dim;
  float factor = state[1] == 0 ? 0 : 1 / state[1];  // NaN stays NaN
  for (size_t i = 0; i < dim; i++) out[i] = output[i] * factor;
  if (tsr_kv_has_codes(a->kv)) job->compute->kernels->hadamard(out, dim);
}

static void code_token(const attention_job *job, size_t token, size_t worker) {
  const tsr_attention *a = job->attention;
  size_t bad = tsr_quantize_token(job->compute->kernels, a->out, a->first_out + token);
  tsr_note_not_finite(job->compute, worker, bad);
}

// All sections of one kv head and chunk of tokens.
static void attend_head(const attention_job *job, size_t kv_head, size_t chunk, size_t worker) {
  attention_task task = start_task(job, kv_head, chunk, worker);
  row_sums *sums = job->sections == 1 ? &task.part : &task.total;
  if (job->sections != 1) tsr_clear_sums(task.total, task.rows, job->width);
  for (size_t i = 0; i < job->sections; i++) {
    tsr_fold_section(job, &task, job->first_section + i);
    for (size_t row = 0; row < task.rows && sums == &task.total; row++)
      join(sums->outputs + row * job->width, sums->states + 2 * row,
           task.part.outputs + row * job->width, task.part.states + 2 * row, job->width);
  }
  for (size_t row = 0; row < task.rows; row++)
    finish_row(job, task.first + row / job->group_heads,
               kv_head * job->group_heads + row % job->group_heads,
               sums->outputs + row * job->width, sums->states + 2 * row);
}

// Index: kv head, then chunk of tokens.
static void head_task(void *context, size_t index, size_t worker) {
  const attention_job *job = context;
  attend_head(job, index / job->chunks, index % job->chunks, worker);
}

// All heads of one chunk of tokens, so that its results can be coded at once.
static void chunk_task(void *context, size_t chunk, size_t worker) {
  const attention_job *job = context;
  const tsr_attention *a = job->attention;
  for (size_t head = 0; head < a->kv->kv_heads; head++) attend_head(job, head, chunk, worker);
  size_t first = chunk * job->tokens_per_chunk;
  for (size_t token = first; token < smaller(first + job->tokens_per_chunk, a->tokens); token++)
    code_token(job, token, worker);
}

// Index: section, then kv head, then chunk of tokens.
static void section_task(void *context, size_t index, size_t worker) {
  const attention_job *job = context;
  size_t width = job->width, heads = job->attention->kv->kv_heads;
  size_t section = index / job->chunks / heads, kv_head = index / job->chunks % heads;
  attention_task task = start_task(job, kv_head, index % job->chunks, worker);
  tsr_fold_section(job, &task, job->first_section + section);
  for (size_t row = 0; row < task.rows; row++) {
    float *sums = shared_sums(job, section, task.first + row / job->group_heads,
                              kv_head * job->group_heads + row % job->group_heads);
    memcpy(sums, task.part.outputs + row * width, width * sizeof(float));
    memcpy(sums + width, task.part.states + 2 * row, 2 * sizeof(float));
  }
}

static void finish_token(void *context, size_t token, size_t worker) {
  const attention_job *job = context;
  const tsr_attention *a = job->attention;
  float *output = job->compute->scratch + worker * job->compute->scratch_floats;
  for (size_t head = 0; head < a->heads && job->shared; head++) {
    float state[2] = {-INFINITY, 0};
    memset(output, 0, job->width * sizeof(float));
    for (size_t section = 0; section < job->sections; section++) {
      const float *sums = shared_sums(job, section, token, head);
      join(output, state, sums, sums + job->width, job->width);
    }
    finish_row(job, token, head, output, state);
  }
  code_token(job, token, worker);
}

static void cut_chunks(attention_job *job, size_t tokens) {
  job->tokens_per_chunk = tokens;
  job->chunks = (job->attention->tokens + tokens - 1) / tokens;
}

// Which sections are seen at all; returns the slots from the first to the last one seen.
static size_t find_sections(attention_job *job) {
  const tsr_attention *a = job->attention;
  size_t begin = SIZE_MAX, end = 0;
  for (size_t i = 0; i < a->tokens * TSR_VISIBLE_RANGES; i++) {
    if (a->visible[2 * i] >= a->visible[2 * i + 1]) continue;
    if ((size_t)a->visible[2 * i] < begin) begin = (size_t)a->visible[2 * i];
    if ((size_t)a->visible[2 * i + 1] > end) end = (size_t)a->visible[2 * i + 1];
  }
  if (end == 0) return 0;
  job->first_section = begin / TSR_SECTION;
  job->sections = (end - 1) / TSR_SECTION - job->first_section + 1;
  return end - begin;
}

void tsr_attend(const tsr_compute *compute, const tsr_attention *a) {
  if (a->tokens == 0) return;
  size_t heads = a->kv->kv_heads, threads = tsr_pool_threads(compute->pool);
  attention_job job = {.compute = compute, .attention = a, .group_heads = a->heads / heads};
  job.width = tsr_kv_has_codes(a->kv) ? tsr_padded_dim(a->kv->head_dim) : a->kv->head_dim;
  size_t slots = find_sections(&job), limit = row_limit(job.group_heads) / job.group_heads;
  size_t cost = a->tokens * a->heads * (slots * 2 * job.width + ROW_COST);
  size_t wanted = threads > 1 ? TASKS_PER_THREAD * threads : 1;
  if (cost < TASK_COST || (job.sections <= 1 && a->tokens >= 2 * threads)) {
    size_t parts = cost < TASK_COST ? 1 : 2 * threads;
    cut_chunks(&job, smaller(limit, (a->tokens + parts - 1) / parts));
    tsr_pool_run(compute->pool, chunk_task, &job, job.chunks);
    return;
  }
  cut_chunks(&job, smaller(a->tokens, limit));
  size_t floats = job.sections * a->tokens * a->heads * (job.width + 2);
  job.shared = job.chunks * heads < wanted && job.sections > 1 && floats <= compute->partial_floats;
  size_t shares = job.shared ? job.sections : 1;
  // Too short a context for that: fewer tokens per task.
  while (job.tokens_per_chunk > 1 && shares * job.chunks * heads < wanted / 2)
    cut_chunks(&job, (job.tokens_per_chunk + 1) / 2);
  tsr_pool_run(compute->pool, job.shared ? section_task : head_task, &job,
               shares * heads * job.chunks);
  tsr_pool_run(compute->pool, finish_token, &job, a->tokens);
}

// Sums over one section of the cache, for the rows of one task. An 8-bit cache is multiplied as it is
// stored; floats are widened a tile at a time.
#include <float.h>
#include <math.h>
#include <string.h>

#include "attention.h"

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

size_t tsr_padded_slots(size_t slots) {
  return (slots + TSR_SLOT_TILE - 1) / TSR_SLOT_TILE * TSR_SLOT_TILE;
}

size_t tsr_padded_dim(size_t head_dim) { return (head_dim + 15) / 16 * 16; }

void tsr_clear_sums(row_sums sums, size_t rows, size_t width) {
  memset(sums.outputs, 0, rows * width * sizeof(float));
  for (size_t row = 0; row < rows; row++) {
    sums.states[2 * row] = -INFINITY;
    sums.states[2 * row + 1] = 0;
  }
}

size_t tsr_load_queries(const attention_job *job, const attention_task *task) {
  size_t bad = 0;
  const tsr_attention *a = job->attention;
  const tsr_kernels *k = job->compute->kernels;
  size_t dim = a->kv->head_dim, group = job->group_heads;
  for (size_t row = 0; row < task->rows; row++) {
    const float *query = a->queries + (task->first + row / group) * a->stride +
                         (task->kv_head * group + row % group) * dim;
    if (!tsr_kv_has_codes(a->kv)) {
      for (size_t i = 0; i < dim; i++) task->queries[row * dim + i] = query[i] * a->scale;
      continue;
    }
    float turned[TSR_MAX_HEAD_DIM];
    memcpy(turned, query, dim * sizeof(float));
    k->hadamard(turned, dim);
    int16_t *codes = (int16_t *)task->queries + row * job->width;
    float scale = k->narrow_query(turned, dim, job->width, codes, &task->sums[row]);
    bool finite = scale <= FLT_MAX;
    task->scales[row] = finite ? a->scale * scale : 0;
    bad += !finite;
  }
  return bad;  // queries of floats make results that are not finite
}

// A bit for each slot of a section that a token sees, by tile.
static void see_section(const int32_t *ranges, size_t begin, uint32_t bits[TSR_SECTION_TILES]) {
  memset(bits, 0, TSR_SECTION_TILES * sizeof *bits);
  for (size_t r = 0; r < TSR_VISIBLE_RANGES; r++) {
    int64_t low = ranges[2 * r] - (int64_t)begin, high = ranges[2 * r + 1] - (int64_t)begin;
    if (low < 0) low = 0;
    if (high > TSR_SECTION) high = TSR_SECTION;
    for (int64_t end; low < high; low = end) {
      int64_t tile = low / TSR_SLOT_TILE, start = tile * TSR_SLOT_TILE;
      end = start + TSR_SLOT_TILE < high ? start + TSR_SLOT_TILE : high;
      uint64_t from_low = ~(uint64_t)0 << (low - start), to_end = ((uint64_t)1 << (end - start)) - 1;
      bits[tile] |= (uint32_t)(from_low & to_end);
    }
  }
}

// Finds the slots of a section that the task's tokens see: fills `visible`, lists the tiles that any token sees, and returns
// their number.
static size_t list_tiles(const attention_job *job, const attention_task *task, size_t section,
                         uint32_t tiles[TSR_SECTION_TILES]) {
  uint32_t any[TSR_SECTION_TILES] = {0};
  size_t tokens = task->last - task->first, count = 0;
  for (size_t token = 0; token < tokens; token++) {
    uint32_t *bits = task->visible + token * TSR_SECTION_TILES;
    const int32_t *ranges = job->attention->visible + (task->first + token) * 2 * TSR_VISIBLE_RANGES;
    see_section(ranges, section * TSR_SECTION, bits);
    for (size_t tile = 0; tile < TSR_SECTION_TILES; tile++) any[tile] |= bits[tile];
  }
  for (size_t tile = 0; tile < TSR_SECTION_TILES; tile++) {
    if (!any[tile]) continue;
    for (size_t token = 0; token < tokens; token++) {
      uint32_t *bits = task->visible + token * TSR_SECTION_TILES;
      bits[count] = bits[tile];
    }
    tiles[count++] = (uint32_t)(section * TSR_SECTION_TILES + tile);
  }
  return count;
}

static void widen(const tsr_kernels *k, const tsr_kv *kv, const void *store, size_t row,
                  size_t count, float *tile) {
  size_t dim = kv->head_dim;
  if (kv->encoding == TSR_KV_F16)
    k->widen_f16((const uint16_t *)store + row * dim, tile, count * dim);
  else
    memcpy(tile, (const float *)store + row * dim, count * dim * sizeof(float));
  memset(tile + count * dim, 0, (TSR_SLOT_TILE - count) * dim * sizeof(float));
}

// Turns a row's scores into weights; the sums so far shrink where the maximum grows.
static void weigh_row(const tsr_kernels *k, const attention_task *task, size_t row, size_t dim,
                      uint32_t visible) {
  float *scores = task->scores + row * TSR_SLOT_TILE, *state = task->part.states + 2 * row;
  float *output = task->part.outputs + row * dim;
  for (size_t s = 0; s < TSR_SLOT_TILE && visible != UINT32_MAX; s++)
    if (!(visible >> s & 1)) scores[s] = -INFINITY;
  if (visible == 0) {
    memset(scores, 0, TSR_SLOT_TILE * sizeof(float));
    return;
  }
  float best = k->largest(scores, TSR_SLOT_TILE);
  if (best > state[0]) {
    float factor = expf(state[0] - best);  // 0 the first time
    for (size_t i = 0; i < dim; i++) output[i] *= factor;
    state[1] *= factor;
    state[0] = best;
  }
  state[1] += k->exponentials(scores, state[0], TSR_SLOT_TILE);
}

static void fold_floats(const attention_job *job, const attention_task *task,
                        const uint32_t *tiles, size_t tile_count) {
  const tsr_kernels *k = job->compute->kernels;
  const tsr_kv *kv = job->attention->kv;
  tsr_clear_sums(task->part, task->rows, job->width);
  for (size_t i = 0; i < tile_count; i++) {
    size_t begin = tiles[i] * (size_t)TSR_SLOT_TILE, at = task->kv_head * kv->slots + begin;
    size_t count = smaller(TSR_SLOT_TILE, kv->slots - begin);
    widen(k, kv, kv->keys, at, count, task->keys);
    widen(k, kv, kv->values, at, count, task->values);
    k->scores(task->queries, task->rows, task->keys, kv->head_dim, task->scores);
    for (size_t row = 0; row < task->rows; row++)
      weigh_row(k, task, row, kv->head_dim,
                task->visible[row / job->group_heads * TSR_SECTION_TILES + i]);
    k->weigh(task->scores, task->rows, task->values, kv->head_dim, task->part.outputs);
  }
}

// The listed tiles of a 4-bit cache, in 8 bits and one after the other.
static void widen_codes(const uint8_t *store, const float *scales, const uint32_t *tiles,
                        size_t count, size_t dim, uint8_t *out, float *out_scales) {
  size_t half = TSR_SLOT_TILE / 2 * dim;
  for (size_t i = 0; i < count; i++, out += 2 * half, out_scales += TSR_SLOT_TILE) {
    const uint8_t *bytes = store + tiles[i] * half;
    for (size_t k = 0; k < half; k++) out[k] = (uint8_t)(bytes[k] << 4);
    for (size_t k = 0; k < half; k++) out[half + k] = bytes[k] & 0xF0;
    memcpy(out_scales, scales + tiles[i] * (size_t)TSR_SLOT_TILE, TSR_SLOT_TILE * sizeof(float));
  }
}

void tsr_fold_section(const attention_job *job, const attention_task *task, size_t section) {
  const tsr_kv *kv = job->attention->kv;
  uint32_t tiles[TSR_SECTION_TILES];
  size_t count = list_tiles(job, task, section, tiles);
  if (count == 0) {
    tsr_clear_sums(task->part, task->rows, job->width);
  } else if (!tsr_kv_has_codes(kv)) {
    fold_floats(job, task, tiles, count);
  } else {
    size_t slots = tsr_padded_slots(kv->slots), first = task->kv_head * slots;
    tsr_section part = {
        .keys = (const uint8_t *)kv->keys + first * job->width,
        .values = (const uint8_t *)kv->values + first * job->width,
        .key_scales = kv->key_scales + first, .value_scales = kv->value_scales + first,
        .dim = job->width, .tiles = tiles, .tile_count = count, .visible = task->visible,
        .rows = task->rows, .group = job->group_heads, .queries = (const int16_t *)task->queries,
        .query_scales = task->scales, .query_sums = task->sums, .outputs = task->part.outputs,
        .states = task->part.states};
    if (kv->encoding == TSR_KV_INT4) {
      uint8_t *keys = task->widened, *values = keys + TSR_SECTION * job->width;
      float *scales = task->widened_scales;
      widen_codes((const uint8_t *)kv->keys + first * job->width / 2, part.key_scales, tiles, count,
                  job->width, keys, scales);
      widen_codes((const uint8_t *)kv->values + first * job->width / 2, part.value_scales, tiles,
                  count, job->width, values, scales + TSR_SECTION);
      part.keys = keys, part.values = values;
      part.key_scales = scales, part.value_scales = scales + TSR_SECTION;
      for (size_t i = 0; i < count; i++) tiles[i] = (uint32_t)i;
    }
    job->compute->kernels->fold_section(&part);
  }
}

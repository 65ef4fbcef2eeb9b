// The operations of a pass, built on the inner kernels of one table and shared out over the pool.
#include <math.h>
#include <string.h>

#include "CKernels.h"

static inline float half_at(const uint8_t *plane, size_t index) {
  uint16_t bits;
  memcpy(&bits, plane + 2 * index, sizeof bits);
  return tsr_half_to_float(bits);
}

// Embedding ------------------------------------------------------------------------------------

// The 16-row panel that `row` lies in; float matrices: the row itself.
static const uint8_t *stored_panel(const tsr_compute *compute, const tsr_matrix *m, size_t row) {
  if (m->encoding == TSR_F32 || m->encoding == TSR_F16) return m->base + row * m->panel_bytes;
  size_t panel = row / TSR_PANEL_ROWS;
  if (!m->tiles) return m->base + panel * m->panel_bytes;
  size_t tile = panel / m->tile_panels;
  const uint8_t *bytes = tsr_plain_tile(compute->decoders, m, tile, 0);
  return bytes ? bytes + panel % m->tile_panels * m->panel_bytes : NULL;
}

static void decode_row(const tsr_matrix *m, const uint8_t *panel, size_t r, float *x) {
  if (m->encoding == TSR_F32) {
    memcpy(x, panel, m->columns * sizeof(float));
    return;
  }
  if (m->encoding == TSR_F16) {
    for (size_t i = 0; i < m->columns; i++) x[i] = half_at(panel, i);
    return;
  }
  size_t groups = (m->columns + TSR_GROUP - 1) / TSR_GROUP;
  size_t plane = (groups * 32 + 63) / 64 * 64;
  const bool affine = m->encoding == TSR_INT4_AFFINE;
  const uint8_t *codes = panel + (affine ? 2 : 1) * plane;
  for (size_t g = 0; g < groups; g++) {
    float scale = half_at(panel, g * TSR_PANEL_ROWS + r);
    float minimum = affine ? half_at(panel + plane, g * TSR_PANEL_ROWS + r) : 0;
    size_t count = m->columns - g * TSR_GROUP;
    for (size_t c = 0; c < TSR_GROUP && c < count; c++) {
      float *value = &x[g * TSR_GROUP + c];
      if (m->encoding == TSR_INT8) {
        *value = scale * (float)(codes[g * 512 + c / 4 * 64 + r * 4 + c % 4] - 128);
        continue;
      }
      uint8_t byte = codes[g * 256 + c / 8 * 64 + r * 4 + c % 4];
      int code = c % 8 < 4 ? byte & 15 : byte >> 4;
      *value = affine ? scale * (float)code + minimum : scale * (float)(code - 8);
    }
  }
}

void tsr_embed(const tsr_compute *compute, const tsr_matrix *matrix, const int32_t *ids,
               size_t count, float *x) {
  for (size_t t = 0; t < count; t++, x += matrix->columns) {
    size_t row = (size_t)ids[t];
    const uint8_t *panel = stored_panel(compute, matrix, row);
    if (panel) decode_row(matrix, panel, row % TSR_PANEL_ROWS, x);
    else memset(x, 0, matrix->columns * sizeof(float));
  }
}

// Norm, activation, quantization -----------------------------------------------------------------

typedef struct {
  const tsr_compute *compute;
  const float *x, *up, *weight;
  const int32_t *rows;
  size_t columns, stride;
  float eps;
  const tsr_activations *out;
} row_job;

// Floats that are not negative are in the order of their bits.
static uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Bits of the largest scale that at least `wanted` of a token's groups reach.
static uint32_t residual_threshold(const float *scales, size_t groups, size_t wanted) {
  uint32_t threshold = 0;
  for (uint32_t bit = 1u << 30; bit > 0; bit >>= 1) {
    size_t reach = 0;
    for (size_t g = 0; g < groups; g++) reach += float_bits(scales[g]) >= (threshold | bit);
    if (reach >= wanted) threshold |= bit;
    if (reach == wanted) break;
  }
  return threshold;
}

// The groups with the largest scales; of equal ones the first.
static void choose_residuals(const tsr_activations *a, size_t token) {
  const float *scales = a->scales + token * a->terms;
  uint32_t *chosen = a->residual_groups + token * a->residuals;
  uint32_t threshold = residual_threshold(scales, a->groups, a->residuals);
  size_t equal = a->residuals, count = 0;
  for (size_t g = 0; g < a->groups; g++) equal -= float_bits(scales[g]) > threshold;
  for (size_t g = 0; g < a->groups; g++) {
    uint32_t bits = float_bits(scales[g]);
    bool last = bits == threshold && equal > 0;
    if (last) equal--;
    if (last || bits > threshold) chosen[count++] = (uint32_t)g;
  }
}

void tsr_quantize_token(const tsr_kernels *k, const tsr_activations *a, size_t token) {
  const float *x = a->values + token * a->columns;
  size_t first = token * a->terms;
  k->quantize(a, x, first, a->groups);
  choose_residuals(a, token);
  for (size_t i = 0; i < a->residuals; i++) {
    float left[TSR_GROUP];
    size_t g = a->residual_groups[token * a->residuals + i];
    const int8_t *codes = a->codes + (first + g) * TSR_GROUP;
    float scale = a->scales[first + g];
    for (size_t c = 0; c < TSR_GROUP; c++)
      left[c] = x[g * TSR_GROUP + c] - scale * (float)codes[c];
    k->quantize(a, left, first + a->groups + i, 1);
  }
}

// Entries of one block, placed by counting: `ends` holds each group's number, then its next place.
static void list_block(const tsr_activations *a, size_t first, size_t tokens) {
  uint32_t *ends = a->group_ends + first / TSR_TOKEN_BLOCK * a->groups, total = 0;
  tsr_residual *list = a->residual_list + first * a->residuals;
  const uint32_t *groups = a->residual_groups + first * a->residuals;
  memset(ends, 0, a->groups * sizeof *ends);
  for (size_t i = 0; i < tokens * a->residuals; i++) ends[groups[i]]++;
  for (size_t group = 0; group < a->groups; group++) {
    uint32_t count = ends[group];
    ends[group] = total;
    total += count;
  }
  for (size_t row = 0; row < tokens; row++) {
    size_t term = (first + row) * a->terms + a->groups;
    for (size_t i = 0; i < a->residuals; i++, groups++)
      list[ends[*groups]++] = (tsr_residual){(uint32_t)row, *groups, (uint32_t)(term + i)};
  }
}

void tsr_list_residuals(const tsr_activations *a, size_t tokens) {
  for (size_t first = 0; first < tokens; first += TSR_TOKEN_BLOCK)
    list_block(a, first, tokens - first < TSR_TOKEN_BLOCK ? tokens - first : TSR_TOKEN_BLOCK);
}

static float mean_square(const tsr_kernels *k, const float *x, size_t count) {
  return k->dot_f32(x, x, count) / (float)count;
}

static void norm_row(void *context, size_t token, size_t worker) {
  (void)worker;
  const row_job *job = context;
  const float *x = job->x + (job->rows ? (size_t)job->rows[token] : token) * job->columns;
  float *y = job->out->values + token * job->out->columns;
  float factor = 1.0f / sqrtf(mean_square(job->compute->kernels, x, job->columns) + job->eps);
  for (size_t i = 0; i < job->columns; i++) y[i] = x[i] * factor * job->weight[i];
  tsr_quantize_token(job->compute->kernels, job->out, token);
}

void tsr_rms_norm(const tsr_compute *compute, const float *x, const int32_t *rows, size_t tokens,
                  size_t columns, const float *weight, float eps, const tsr_activations *out) {
  row_job job = {compute, x, NULL, weight, rows, columns, 0, eps, out};
  tsr_pool_run(compute->pool, norm_row, &job, tokens);
}

static void quantize_row(void *context, size_t token, size_t worker) {
  (void)worker;
  const row_job *job = context;
  tsr_quantize_token(job->compute->kernels, job->out, token);
}

void tsr_quantize(const tsr_compute *compute, const tsr_activations *a, size_t tokens) {
  row_job job = {.compute = compute, .out = a};
  tsr_pool_run(compute->pool, quantize_row, &job, tokens);
}

static void swiglu_row(void *context, size_t token, size_t worker) {
  (void)worker;
  const row_job *job = context;
  const tsr_activations *out = job->out;
  job->compute->kernels->swiglu(job->x + token * job->stride, job->up + token * job->stride,
                                out->values + token * out->columns, job->columns);
  tsr_quantize_token(job->compute->kernels, out, token);
}

void tsr_swiglu(const tsr_compute *compute, const float *gate, const float *up, size_t stride,
                size_t columns, size_t tokens, const tsr_activations *out) {
  row_job job = {compute, gate, up, NULL, NULL, columns, stride, 0, out};
  tsr_pool_run(compute->pool, swiglu_row, &job, tokens);
}

void tsr_add_bias(float *y, const float *bias, size_t count, size_t stride, size_t tokens) {
  for (size_t t = 0; t < tokens; t++)
    for (size_t i = 0; i < count; i++) y[t * stride + i] += bias[i];
}

// Matrix multiplication ------------------------------------------------------------------------

typedef struct {
  const tsr_compute *compute;
  const tsr_matrix *matrices;
  const tsr_part *parts;
  size_t matrix_count;
  const tsr_activations *x;
  size_t tokens, stride, units_per_chunk;
  float *y;
  bool adding;
} multiply_job;

static size_t panel_count(const tsr_matrix *m) {
  return (m->rows + TSR_PANEL_ROWS - 1) / TSR_PANEL_ROWS;
}

size_t tsr_units(const tsr_matrix *m) {
  return m->tiles ? (panel_count(m) + m->tile_panels - 1) / m->tile_panels : panel_count(m);
}

static void store_panel(const multiply_job *job, const tsr_matrix *m, size_t panel, size_t first,
                        size_t tokens, size_t offset, const float *out) {
  size_t row = panel * TSR_PANEL_ROWS;
  size_t rows = m->rows - row < TSR_PANEL_ROWS ? m->rows - row : TSR_PANEL_ROWS;
  for (size_t t = 0; t < tokens; t++) {
    float *y = job->y + (first + t) * job->stride + offset + row;
    const float *o = out + t * TSR_PANEL_ROWS;
    if (job->adding) {
      for (size_t r = 0; r < rows; r++) y[r] += o[r];
    } else {
      memcpy(y, o, rows * sizeof(float));
    }
  }
}

static void multiply_dense(const multiply_job *job, const tsr_matrix *m, size_t panel,
                           size_t first, size_t tokens, float *out) {
  const tsr_kernels *k = job->compute->kernels;
  for (size_t r = 0; r < TSR_PANEL_ROWS; r++) {
    size_t row = panel * TSR_PANEL_ROWS + r;
    if (row >= m->rows) return;
    const uint8_t *weights = m->base + row * m->panel_bytes;
    for (size_t t = 0; t < tokens; t++) {
      const float *x = job->x->values + (first + t) * job->x->columns;
      out[t * TSR_PANEL_ROWS + r] = m->encoding == TSR_F32
                                        ? k->dot_f32((const float *)weights, x, m->columns)
                                        : k->dot_f16((const uint16_t *)weights, x, m->columns);
    }
  }
}

static void multiply_panel(const multiply_job *job, const tsr_matrix *m, size_t panel,
                           const uint8_t *bytes, size_t offset) {
  float out[TSR_TOKEN_BLOCK * TSR_PANEL_ROWS];
  for (size_t first = 0; first < job->tokens; first += TSR_TOKEN_BLOCK) {
    size_t tokens = job->tokens - first < TSR_TOKEN_BLOCK ? job->tokens - first : TSR_TOKEN_BLOCK;
    if (m->encoding == TSR_F32 || m->encoding == TSR_F16)
      multiply_dense(job, m, panel, first, tokens, out);
    else
      job->compute->kernels->panel[m->encoding - TSR_INT8](bytes, job->x, first, tokens, out);
    store_panel(job, m, panel, first, tokens, offset, out);
  }
}

static void multiply_tile(const multiply_job *job, const tsr_matrix *m, size_t tile, size_t offset,
                          size_t worker) {
  const uint8_t *bytes = tsr_plain_tile(job->compute->decoders, m, tile, worker);
  if (!bytes) return;
  size_t first = tile * m->tile_panels, panels = panel_count(m);
  for (size_t i = 0; i < m->tile_panels && first + i < panels; i++)
    multiply_panel(job, m, first + i, bytes + i * m->panel_bytes, offset);
}

static void multiply_chunk(void *context, size_t chunk, size_t worker) {
  const multiply_job *job = context;
  size_t begin = chunk * job->units_per_chunk, end = begin + job->units_per_chunk;
  for (size_t i = 0; i < job->matrix_count && end > 0; i++) {
    const tsr_matrix *m = &job->matrices[i];
    const tsr_part *part = &job->parts[i];
    size_t units = part->end - part->begin;
    for (size_t unit = begin; unit < end && unit < units; unit++) {
      size_t at = part->begin + unit;
      if (m->tiles) multiply_tile(job, m, at, part->offset, worker);
      else multiply_panel(job, m, at, m->base + at * m->panel_bytes, part->offset);
    }
    begin = begin > units ? begin - units : 0;
    end = end > units ? end - units : 0;
  }
}

void tsr_multiply(const tsr_compute *compute, const tsr_matrix *matrices, const tsr_part *parts,
                  size_t matrix_count, const tsr_activations *x, size_t tokens, float *y,
                  size_t stride, bool adding) {
  tsr_list_residuals(x, tokens);
  size_t units = 0;
  for (size_t i = 0; i < matrix_count; i++) units += parts[i].end - parts[i].begin;
  if (units == 0) return;
  // Chunks small enough to even out the threads, large enough to read in long runs.
  size_t wanted = tsr_pool_threads(compute->pool) * 8;
  size_t per_chunk = (units + wanted - 1) / wanted;
  multiply_job job = {compute, matrices, parts,     matrix_count, x,
                      tokens,  stride,   per_chunk, y,            adding};
  tsr_pool_run(compute->pool, multiply_chunk, &job, (units + per_chunk - 1) / per_chunk);
}

// Rotary embedding and the cache ---------------------------------------------------------------

// For tasks of a microsecond or two: a few are cheaper done here than shared out.
static void share_tokens(const tsr_compute *compute, tsr_task task, void *job, size_t tokens) {
  if (tokens < 4) {
    for (size_t token = 0; token < tokens; token++) task(job, token, 0);
    return;
  }
  tsr_pool_run(compute->pool, task, job, tokens);
}

typedef struct {
  const tsr_compute *compute;
  const tsr_rotation *rotation;
} rotate_job;

static void rotate_token(void *context, size_t token, size_t worker) {
  (void)worker;
  const rotate_job *job = context;
  const tsr_rotation *r = job->rotation;
  size_t half = r->head_dim / 2;
  const float *cosines = r->cosines + token * half, *sines = r->sines + token * half;
  for (size_t h = 0; h < r->heads; h++) {
    float *x = r->x + token * r->stride + h * r->head_dim;
    if (r->norm) {
      float square = mean_square(job->compute->kernels, x, r->head_dim);
      float factor = 1.0f / sqrtf(square + r->eps);
      for (size_t i = 0; i < r->head_dim; i++) x[i] *= factor * r->norm[i];
    }
    float factor = r->factors ? r->factors[token] : 1.0f;
    for (size_t i = 0; i < half; i++) {
      float a = x[i], b = x[i + half];
      x[i] = (a * cosines[i] - b * sines[i]) * factor;
      x[i + half] = (b * cosines[i] + a * sines[i]) * factor;
    }
  }
}

void tsr_rotate(const tsr_compute *compute, const tsr_rotation *rotation) {
  rotate_job job = {compute, rotation};
  share_tokens(compute, rotate_token, &job, rotation->tokens);
}

typedef struct {
  const tsr_compute *compute;
  const float *keys, *values;
  size_t stride;
  const int32_t *slots;
  const tsr_kv *kv;
} store_job;

void tsr_hadamard(float *x, size_t count) {
  size_t block = count & (~count + 1);  // its lowest bit
  float factor = 1 / sqrtf((float)block);
  for (size_t i = 0; i < count; i++) x[i] *= factor;
  for (size_t width = 1; width < block; width *= 2) {
    for (size_t begin = 0; begin < count; begin += 2 * width) {
      for (size_t i = begin; i < begin + width; i++) {
        float a = x[i], b = x[i + width];
        x[i] = a + b;
        x[i + width] = a - b;
      }
    }
  }
}

static void store_row(const store_job *job, const float *x, void *store, float *scales, size_t row,
                      size_t worker) {
  const tsr_kv *kv = job->kv;
  size_t at = row * kv->head_dim;
  float *turned = job->compute->scratch + worker * job->compute->scratch_floats;
  switch (kv->encoding) {
    case TSR_KV_INT8:
      memcpy(turned, x, kv->head_dim * sizeof(float));
      tsr_hadamard(turned, kv->head_dim);
      scales[row] =
          job->compute->kernels->narrow_int8(turned, kv->head_dim, (int8_t *)store + at);
      break;
    case TSR_KV_F16:
      for (size_t i = 0; i < kv->head_dim; i++)
        ((uint16_t *)store)[at + i] = tsr_float_to_half(x[i]);
      break;
    default:
      memcpy((float *)store + at, x, kv->head_dim * sizeof(float));
  }
}

static void store_token(void *context, size_t token, size_t worker) {
  const store_job *job = context;
  const tsr_kv *kv = job->kv;
  for (size_t h = 0; h < kv->kv_heads; h++) {
    size_t from = token * job->stride + h * kv->head_dim;
    size_t row = h * kv->slots + (size_t)job->slots[token];
    store_row(job, job->keys + from, kv->keys, kv->key_scales, row, worker);
    store_row(job, job->values + from, kv->values, kv->value_scales, row, worker);
  }
}

void tsr_store_kv(const tsr_compute *compute, const float *keys, const float *values,
                  size_t stride, size_t tokens, const int32_t *slots, const tsr_kv *kv) {
  store_job job = {compute, keys, values, stride, slots, kv};
  share_tokens(compute, store_token, &job, tokens);
}

// Row summary ----------------------------------------------------------------------------------

enum { SUMMARY_BLOCK = 1024 };

tsr_row_summary tsr_summarize(const tsr_compute *compute, const float *row, size_t count,
                              float *scratch) {
  tsr_row_summary summary = {-INFINITY, 0, -INFINITY, 0, -INFINITY};
  for (size_t i = 0; i < count; i++) {
    if (row[i] > summary.max) {
      summary.second = summary.max;
      summary.max = row[i];
      summary.argmax = (int32_t)i;
    } else if (row[i] > summary.second) {
      summary.second = row[i];
    }
  }
  if (!(summary.max > -INFINITY)) return summary;
  // H = log S - (sum of e^(x - max) (x - max)) / S
  double sum = 0, weighted = 0;
  for (size_t begin = 0; begin < count; begin += SUMMARY_BLOCK) {
    size_t size = count - begin < SUMMARY_BLOCK ? count - begin : SUMMARY_BLOCK;
    memcpy(scratch, row + begin, size * sizeof(float));
    sum += compute->kernels->exponentials(scratch, summary.max, size);
    float block = 0;
    for (size_t i = 0; i < size; i++)
      block += scratch[i] > 0 ? scratch[i] * (row[begin + i] - summary.max) : 0;
    weighted += block;
  }
  summary.log_sum_exp = summary.max + (float)log(sum);
  summary.entropy = (float)fmax(0, log(sum) - weighted / sum);
  return summary;
}

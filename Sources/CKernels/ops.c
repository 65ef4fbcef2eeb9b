// The operations of a pass, built on the inner kernels of one table and shared out over the pool.
#include <float.h>
#include <math.h>
#include <string.h>

#include "CKernels.h"

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

static inline __attribute__((always_inline)) void decode_integers(const tsr_matrix *m,
                                                                  const uint8_t *panel, size_t r,
                                                                  float *x, uint32_t encoding) {
  const tsr_panel_form form = tsr_form(encoding);
  const size_t groups = (m->columns + TSR_GROUP - 1) / TSR_GROUP;
  const uint8_t *codes = panel + tsr_planes_bytes(form, groups);
  tsr_scaling s = {0};
  for (size_t c = 0; c < m->columns; c++) {
    size_t group = c / TSR_GROUP, i = c % TSR_GROUP;
    if (i % 16 == 0) s = tsr_scaling_of(form, panel, groups, group, r, i / 16 * (form.parts - 1));
    int code = (int)tsr_code(form, codes + group * 64 * form.bits, r, i) - form.offset;
    x[c] = s.scale * (float)code + s.minimum;
  }
}

static void decode_row(const tsr_matrix *m, const uint8_t *panel, size_t r, float *x) {
#define DECODE(NAME, ENCODING) \
  case ENCODING: decode_integers(m, panel, r, x, ENCODING); break;
  switch (m->encoding) {
    TSR_SIMPLE_ENCODINGS(DECODE)
    TSR_BIT_PLANE_ENCODINGS(DECODE)
    case TSR_F16:
      for (size_t i = 0; i < m->columns; i++) x[i] = tsr_half_at(panel, i);
      break;
    default: memcpy(x, panel, m->columns * sizeof(float));
  }
}

void tsr_embed(const tsr_compute *compute, const tsr_matrix *matrix, const int32_t *ids,
               size_t count, float scale, float *x) {
  for (size_t t = 0; t < count; t++, x += matrix->columns) {
    size_t row = (size_t)ids[t];
    const uint8_t *panel = stored_panel(compute, matrix, row);
    if (panel) decode_row(matrix, panel, row % TSR_PANEL_ROWS, x);
    else memset(x, 0, matrix->columns * sizeof(float));
    if (tsr_is_turned(matrix->storage)) compute->kernels->hadamard(x, matrix->columns);
    if (scale != 1)
      for (size_t i = 0; i < matrix->columns; i++) x[i] *= scale;
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
  void (*gated)(const float *gate, const float *up, float *out, size_t count);
  float *changed, *sum;
} row_job;

float tsr_norm_factor(const tsr_kernels *k, const float *x, size_t count, float eps) {
  float square = k->dot_f32(x, x, count) / (float)count;
  if (square <= FLT_MAX) return 1.0f / sqrtf(square + eps);
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
  return sum <= DBL_MAX ? (float)(1 / sqrt(sum / (double)count + (double)eps)) : NAN;
}

static void sum_halves(const tsr_activations *a, size_t first, size_t count) {
  for (size_t term = first; term < first + count; term++) {
    const int8_t *codes = a->codes + term * TSR_GROUP;
    for (size_t half = 0; half < 2; half++, codes += TSR_GROUP / 2) {
      int32_t sum = 0;
      for (size_t i = 0; i < TSR_GROUP / 2; i++) sum += codes[i];
      a->half_sums[2 * term + half] = a->scales[term] * (float)sum;
    }
  }
}

static size_t code_token(const tsr_kernels *k, const tsr_activations *a, size_t token) {
  const float *x = a->values + token * a->columns;
  size_t first = token * a->terms, bad = k->quantize(a, x, first, a->groups);
  k->choose_largest(a->scales + first, a->groups, a->residuals,
                    a->residual_groups + token * a->residuals);
  for (size_t i = 0; i < a->residuals; i++) {
    float left[TSR_GROUP];
    size_t g = a->residual_groups[token * a->residuals + i];
    const int8_t *codes = a->codes + (first + g) * TSR_GROUP;
    float scale = a->scales[first + g];
    for (size_t c = 0; c < TSR_GROUP; c++)
      left[c] = x[g * TSR_GROUP + c] - scale * (float)codes[c];
    k->quantize(a, left, first + a->groups + i, 1);
  }
  sum_halves(a, first, a->terms);
  return bad;
}

size_t tsr_quantize_token(const tsr_kernels *k, const tsr_activations *a, size_t token) {
  size_t bad = a->only_turned ? 0 : code_token(k, a, token);
  if (!a->turned) return bad;
  float *x = a->turned->values + token * a->columns;
  memcpy(x, a->values + token * a->columns, a->width * sizeof(float));
  k->hadamard(x, a->width);
  return bad + code_token(k, a->turned, token);
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

static tsr_entry entry(const tsr_activations *a, size_t term, size_t row) {
  tsr_entry e = {.scale = a->scales[term],
                 .offset4 = a->offsets[term],
                 .offset8 = 16 * a->offsets[term],
                 .row = (uint32_t)row,
                 .half_sums = {a->half_sums[2 * term], a->half_sums[2 * term + 1]}};
  memcpy(e.codes, a->codes + term * TSR_GROUP, TSR_GROUP);
  return e;
}

// The tokens of a group stand after the tokens and residuals of the groups before it.
static void arrange_block(const tsr_activations *a, size_t first, size_t tokens) {
  tsr_entry *out = a->entries + first * a->terms;
  const uint32_t *ends = a->group_ends + first / TSR_TOKEN_BLOCK * a->groups;
  const tsr_residual *r = a->residual_list + first * a->residuals, *list = r;
  for (size_t group = 0; group < a->groups; group++) {
    for (size_t row = 0; row < tokens; row++)
      *out++ = entry(a, (first + row) * a->terms + group, row);
    for (; r < list + ends[group]; r++) *out++ = entry(a, r->term, r->row);
  }
}

void tsr_list_terms(const tsr_activations *a, size_t tokens) {
  for (size_t first = 0; first < tokens; first += TSR_TOKEN_BLOCK) {
    size_t count = tokens - first < TSR_TOKEN_BLOCK ? tokens - first : TSR_TOKEN_BLOCK;
    list_block(a, first, count);
    if (a->entries) arrange_block(a, first, count);
  }
}

static void code_row(const row_job *job, size_t token, size_t worker) {
  size_t bad = tsr_quantize_token(job->compute->kernels, job->out, token);
  tsr_note_not_finite(job->compute, worker, bad);
}

static void norm_row(void *context, size_t token, size_t worker) {
  const row_job *job = context;
  const tsr_kernels *k = job->compute->kernels;
  const float *x = job->x + (job->rows ? (size_t)job->rows[token] : token) * job->columns;
  float *y = job->out->values + token * job->out->columns;
  if (job->weight)
    k->normalize(x, tsr_norm_factor(k, x, job->columns, job->eps), job->weight, y, job->columns);
  else
    memcpy(y, x, job->columns * sizeof(float));
  code_row(job, token, worker);
}

void tsr_rms_norm(const tsr_compute *compute, const float *x, const int32_t *rows, size_t tokens,
                  size_t columns, const float *weight, float eps, const tsr_activations *out) {
  row_job job = {.compute = compute, .x = x, .weight = weight, .rows = rows,
                 .columns = columns, .eps = eps, .out = out};
  tsr_pool_run(compute->pool, norm_row, &job, tokens);
}

static void quantize_row(void *context, size_t token, size_t worker) {
  code_row(context, token, worker);
}

void tsr_quantize(const tsr_compute *compute, const tsr_activations *a, size_t tokens) {
  row_job job = {.compute = compute, .out = a};
  tsr_pool_run(compute->pool, quantize_row, &job, tokens);
}

static void normalize_row(void *context, size_t token, size_t worker) {
  (void)worker;
  const row_job *job = context;
  const tsr_kernels *k = job->compute->kernels;
  float *x = job->changed + token * job->stride;
  k->normalize(x, tsr_norm_factor(k, x, job->columns, job->eps), job->weight, x, job->columns);
  if (!job->sum) return;
  float *sum = job->sum + token * job->columns;
  for (size_t i = 0; i < job->columns; i++) sum[i] += x[i];
}

void tsr_normalize_rows(const tsr_compute *compute, float *x, size_t stride, size_t columns,
                        size_t tokens, const float *weight, float eps, float *sum) {
  row_job job = {.compute = compute, .changed = x, .sum = sum, .weight = weight,
                 .columns = columns, .stride = stride, .eps = eps};
  tsr_pool_run(compute->pool, normalize_row, &job, tokens);
}

static void gated_row(void *context, size_t token, size_t worker) {
  const row_job *job = context;
  const tsr_activations *out = job->out;
  job->gated(job->x + token * job->stride, job->up + token * job->stride,
             out->values + token * out->columns, job->columns);
  code_row(job, token, worker);
}

void tsr_gated(const tsr_compute *compute, uint32_t activation, const float *gate, const float *up,
               size_t stride, size_t columns, size_t tokens, const tsr_activations *out) {
  const tsr_kernels *k = compute->kernels;
  row_job job = {.compute = compute, .x = gate, .up = up, .columns = columns, .stride = stride,
                 .out = out, .gated = activation == TSR_GELU_TANH ? k->geglu : k->swiglu};
  tsr_pool_run(compute->pool, gated_row, &job, tokens);
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

// Adds or copies out[tokens][panels * 16] to the rows of the output that `panel` and those after it
// stand for.
static void store_panels(const multiply_job *job, const tsr_matrix *m, size_t panel, size_t panels,
                         size_t first, size_t tokens, size_t offset, const float *out) {
  size_t row = panel * TSR_PANEL_ROWS, width = panels * TSR_PANEL_ROWS;
  size_t rows = m->rows - row < width ? m->rows - row : width;
  for (size_t t = 0; t < tokens; t++) {
    float *y = job->y + (first + t) * job->stride + offset + row;
    const float *o = out + t * width;
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

// Where panels are: the first of them at `bytes`, or in a tile of strands.
typedef struct {
  const uint8_t *_Nullable bytes;
  const tsr_trellis_tile *_Nullable strands;
} panels_at;

// Panels panel..<panel + panels, one or two; `index` panels are in front of them in `source`.
static void multiply_panels(const multiply_job *job, const tsr_matrix *m, size_t panel,
                            size_t panels, panels_at source, size_t index, size_t offset) {
  _Alignas(64) float out[TSR_TOKEN_BLOCK * 2 * TSR_PANEL_ROWS];
  const tsr_kernels *k = job->compute->kernels;
  const tsr_activations *x = tsr_is_turned(m->storage) ? job->x->turned : job->x;
  for (size_t first = 0; first < job->tokens; first += TSR_TOKEN_BLOCK) {
    size_t tokens = job->tokens - first < TSR_TOKEN_BLOCK ? job->tokens - first : TSR_TOKEN_BLOCK;
    if (source.strands)
      k->strands(source.strands, index, panels, x, first, tokens, out);
    else if (m->encoding == TSR_F32 || m->encoding == TSR_F16)
      multiply_dense(job, m, panel, first, tokens, out);
    else
      (panels == 2 ? k->pair : k->panel)[m->encoding - TSR_FIRST_PANEL](
          source.bytes + index * m->panel_bytes, x, first, tokens, out);
    store_panels(job, m, panel, panels, first, tokens, offset, out);
  }
}

// Panels begin..<end; `source` begins with the first.
static void multiply_run(const multiply_job *job, const tsr_matrix *m, size_t begin, size_t end,
                         panels_at source, size_t offset) {
  bool dense = m->encoding == TSR_F32 || m->encoding == TSR_F16;
  const tsr_kernels *k = job->compute->kernels;
  // One token reads faster from one strand than from two.
  bool pairs = source.strands ? job->tokens > 1
                              : !dense && job->tokens <= k->pair_tokens &&
                                    job->x->groups >= k->pair_groups &&
                                    k->pair[m->encoding - TSR_FIRST_PANEL];
  for (size_t panel = begin; panel < end;) {
    size_t panels = pairs && end - panel > 1 ? 2 : 1;
    multiply_panels(job, m, panel, panels, source, panel - begin, offset);
    panel += panels;
  }
}

static void multiply_tile(const multiply_job *job, const tsr_matrix *m, size_t tile, size_t offset,
                          size_t worker) {
  size_t first = tile * m->tile_panels, panels = panel_count(m);
  size_t end = first + m->tile_panels < panels ? first + m->tile_panels : panels;
  tsr_decoders *decoders = job->compute->decoders;
  tsr_trellis_tile opened;
  panels_at source = {0};
  if (m->storage == TSR_TRELLIS && job->compute->kernels->strands) {
    if (!tsr_open_tile(decoders, m, tile, worker, &opened)) return;
    source.strands = &opened;
  } else {
    source.bytes = tsr_plain_tile(decoders, m, tile, worker);
    if (!source.bytes) return;
  }
  multiply_run(job, m, first, end, source, offset);
}

static void multiply_chunk(void *context, size_t chunk, size_t worker) {
  const multiply_job *job = context;
  size_t begin = chunk * job->units_per_chunk, end = begin + job->units_per_chunk;
  for (size_t i = 0; i < job->matrix_count && end > 0; i++) {
    const tsr_matrix *m = &job->matrices[i];
    const tsr_part *part = &job->parts[i];
    size_t units = part->end - part->begin;
    size_t first = part->begin + begin, last = part->begin + (end < units ? end : units);
    if (!m->tiles) {
      panels_at source = {.bytes = m->base + first * m->panel_bytes};
      multiply_run(job, m, first, last, source, part->offset);
    } else {
      for (size_t tile = first; tile < last; tile++)
        multiply_tile(job, m, tile, part->offset, worker);
    }
    begin = begin > units ? begin - units : 0;
    end = end > units ? end - units : 0;
  }
}

void tsr_multiply(const tsr_compute *compute, const tsr_matrix *matrices, const tsr_part *parts,
                  size_t matrix_count, const tsr_activations *x, size_t tokens, float *y,
                  size_t stride, bool adding) {
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

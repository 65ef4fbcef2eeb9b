// The definition of every inner kernel: short, portable, never tuned. The files named after an
// instruction set must give the same integers, and floats within rounding of these.
#pragma STDC FP_CONTRACT OFF
#include <float.h>
#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "scalar.h"

float tsr_half_to_float(uint16_t half) {
  _Float16 value;
  memcpy(&value, &half, sizeof value);
  return (float)value;
}

uint16_t tsr_float_to_half(float value) {
  _Float16 half = (_Float16)value;
  uint16_t bits;
  memcpy(&bits, &half, sizeof bits);
  return bits;
}

static size_t quantize(const tsr_activations *a, const float *x, size_t term, size_t count) {
  int8_t *codes = a->codes + term * TSR_GROUP;
  size_t bad = 0;
  for (size_t at = term; at < term + count; at++, x += TSR_GROUP, codes += TSR_GROUP) {
    float largest = tsr_largest_size(x, TSR_GROUP);
    float inverse = largest > 0 && largest <= FLT_MAX ? 127.0f / largest : 0;
    if (!(inverse <= 3.0e38f)) inverse = 0;  // a denormal group is zero
    bad += !(largest <= FLT_MAX);
    int32_t sum = 0;
    for (size_t i = 0; i < TSR_GROUP; i++) {
      // |code| <= 127, to nearest even
      int32_t code = inverse > 0 ? (int32_t)rintf(x[i] * inverse) : 0;
      codes[i] = (int8_t)code;
      sum += code;
    }
    a->scales[at] = inverse > 0 ? largest / 127.0f : 0;
    a->sums[at] = a->scales[at] * (float)sum;
    a->offsets[at] = -8 * a->sums[at];
  }
  return bad;
}

// Group of columns that a token's term belongs to.
static inline size_t group_of(const tsr_activations *x, size_t token, size_t term) {
  return term < x->groups ? term : x->residual_groups[token * x->residuals + term - x->groups];
}

// Adds one row's product with one term. The sums of integers are exact: at most 32 * 255 * 127.
static inline __attribute__((always_inline)) float row_product(
    tsr_panel_form form, const uint8_t *panel, const tsr_activations *x, size_t term, size_t group,
    size_t row) {
  const uint8_t *codes = panel + tsr_planes_bytes(form, x->groups) + group * 64 * form.bits;
  size_t length = TSR_GROUP / form.parts;
  float product = 0;
  for (size_t part = 0; part < form.parts; part++) {
    int32_t dot = 0;
    for (size_t i = part * length; i < (part + 1) * length; i++)
      dot += (int32_t)tsr_code(form, codes, row, i) * x->codes[term * TSR_GROUP + i];
    float sum = form.parts == 1 ? x->sums[term] : x->half_sums[2 * term + part];
    tsr_scaling s = tsr_scaling_of(form, panel, x->groups, group, row, part);
    product += s.scale * (x->scales[term] * (float)dot - (float)form.offset * sum);
    product += s.minimum * sum;
  }
  return product;
}

static inline __attribute__((always_inline)) void panel_any(const uint8_t *panel,
                                                            const tsr_activations *x, size_t first,
                                                            size_t tokens, float *out,
                                                            uint32_t encoding) {
  const tsr_panel_form form = tsr_form(encoding);
  memset(out, 0, tokens * TSR_PANEL_ROWS * sizeof(float));
  for (size_t t = 0; t < tokens; t++) {
    for (size_t i = 0; i < x->terms; i++) {
      size_t term = (first + t) * x->terms + i, group = group_of(x, first + t, i);
      for (size_t row = 0; row < TSR_PANEL_ROWS; row++)
        out[t * TSR_PANEL_ROWS + row] += row_product(form, panel, x, term, group, row);
    }
  }
}

#define PANEL(NAME, ENCODING)                                                              \
  static void panel_##NAME(const uint8_t *panel, const tsr_activations *x, size_t first,   \
                           size_t tokens, float *out) {                                    \
    panel_any(panel, x, first, tokens, out, ENCODING);                                     \
  }
TSR_SIMPLE_ENCODINGS(PANEL)
TSR_BIT_PLANE_ENCODINGS(PANEL)

float tsr_scalar_dot_f32(const float *a, const float *b, size_t count) {
  float sum = 0;
  for (size_t i = 0; i < count; i++) sum += a[i] * b[i];
  return sum;
}

static float dot_f16(const uint16_t *a, const float *b, size_t count) {
  float sum = 0;
  for (size_t i = 0; i < count; i++) sum += tsr_half_to_float(a[i]) * b[i];
  return sum;
}

static float exponentials(float *x, float max, size_t count) {
  float sum = 0;
  for (size_t i = 0; i < count; i++) {
    x[i] = expf(x[i] - max);
    sum += x[i];
  }
  return sum;
}

static void swiglu(const float *gate, const float *up, float *out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void geglu(const float *gate, const float *up, float *out, size_t count) {
  for (size_t i = 0; i < count; i++)
    out[i] = gate[i] / (1.0f + expf(-tsr_gelu_slope(gate[i]))) * up[i];
}

void tsr_scalar_normalize(const float *x, float factor, const float *weight, float *out,
                          size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = x[i] * factor * weight[i];
}

// Floats that are not negative are in the order of their bits.
static uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

void tsr_scalar_choose_largest(const float *x, size_t count, size_t wanted, uint32_t *chosen) {
  uint32_t threshold = 0;  // bits of the largest value that at least `wanted` reach
  for (uint32_t bit = 1u << 30; bit > 0; bit >>= 1) {
    size_t reach = 0;
    for (size_t i = 0; i < count; i++) reach += float_bits(x[i]) >= (threshold | bit);
    if (reach >= wanted) threshold |= bit;
    if (reach == wanted) break;
  }
  size_t equal = wanted, found = 0;
  for (size_t i = 0; i < count; i++) equal -= float_bits(x[i]) > threshold;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits = float_bits(x[i]);
    bool last = bits == threshold && equal > 0;
    if (last) equal--;
    if (last || bits > threshold) chosen[found++] = (uint32_t)i;
  }
}

void tsr_scalar_summarize(const float *row, size_t count, tsr_row_summary *summary) {
  *summary = (tsr_row_summary){-INFINITY, 0, -INFINITY, 0, -INFINITY, 0};
  for (size_t i = 0; i < count; i++) {
    summary->not_finite += !(fabsf(row[i]) <= FLT_MAX);
    if (row[i] > summary->max) {
      summary->second = summary->max;
      summary->max = row[i];
      summary->argmax = (int32_t)i;
    } else if (row[i] > summary->second) {
      summary->second = row[i];
    }
  }
  if (!(summary->max > -INFINITY)) return;
  // H = log S - (sum of e^(x - max) (x - max)) / S
  double sum = 0, weighted = 0;
  for (size_t i = 0; i < count; i++) {
    float below = row[i] - summary->max, weight = expf(below);
    sum += weight;
    weighted += weight > 0 ? weight * below : 0;
  }
  summary->log_sum_exp = summary->max + (float)log(sum);
  summary->entropy = (float)fmax(0, log(sum) - weighted / sum);
}

static size_t mac_loop(size_t rounds) {
  enum { LANES = 64 };
  uint8_t w[LANES];
  int8_t x[LANES];
  int32_t sums[LANES] = {0};
  memset(w, 3, sizeof w);
  memset(x, 5, sizeof x);
  for (size_t r = 0; r < rounds; r++) {
    __asm__ volatile("" ::"r"(w), "r"(x) : "memory");  // every round's products are others
    for (size_t i = 0; i < LANES; i++) sums[i] += w[i] * x[i];
  }
  return sums[0] < 0 ? 0 : rounds * LANES;
}

#define NAMED(NAME, ENCODING) panel_##NAME,
const tsr_kernels *tsr_kernels_scalar(void) {
  static const tsr_kernels table = {
      .name = "scalar",
      .quantize = quantize,
      .panel = {TSR_SIMPLE_ENCODINGS(NAMED) TSR_BIT_PLANE_ENCODINGS(NAMED)},
      .dot_f32 = tsr_scalar_dot_f32,
      .dot_f16 = dot_f16,
      .largest = tsr_scalar_largest,
      .scores = tsr_scalar_scores,
      .weigh = tsr_scalar_weigh,
      .fold_section = tsr_scalar_fold_section,
      .hadamard = tsr_scalar_hadamard,
      .narrow_int8 = tsr_scalar_narrow_int8,
      .narrow_query = tsr_scalar_narrow_query,
      .widen_f16 = tsr_scalar_widen_f16,
      .exponentials = exponentials,
      .swiglu = swiglu,
      .geglu = geglu,
      .normalize = tsr_scalar_normalize,
      .rotate = tsr_scalar_rotate,
      .choose_largest = tsr_scalar_choose_largest,
      .summarize = tsr_scalar_summarize,
      .mac_loop = mac_loop,
      .decode_symbols = tsr_rans_scalar,
      .decode_strand = tsr_trellis_scalar,
  };
  return &table;
}

// Panels of every encoding, one and two at a time, strands of a trellis, and the codes they are multiplied
// with.
#include "check.h"

static void check_quantize(const tsr_kernels *k, size_t columns, size_t tokens) {
  tsr_activations a = activations(columns, tokens), b = activations(columns, tokens);
  for (size_t t = 0; t < tokens; t++) {
    float size = powf(10, random_float(-6, 4));
    for (size_t i = 0; i < columns; i++) {
      float value = i / 32 % 5 == 3 ? 0 : random_float(-size, size);
      a.values[t * a.columns + i] = b.values[t * b.columns + i] = value;
    }
    // Groups with a value that is not finite: zeros in all tables, and counted alike.
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t i = 0; t == 3 && i < columns; i += 97)
      a.values[t * a.columns + i] = b.values[t * a.columns + i] = bad[i % 4];
    size_t wanted = tsr_quantize_token(tsr_kernels_scalar(), &a, t);
    size_t got = tsr_quantize_token(k, &b, t);
    expect(got == wanted && (wanted > 0) == (t == 3), k->name, "groups that are not finite",
           columns, t, (double)got, (double)wanted);
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

static void check_strand(const tsr_kernels *k, size_t groups, unsigned rate) {
  size_t count = 512 * groups, size = tsr_trellis_strand_bytes(groups, rate);
  uint8_t table[TSR_TRELLIS_TABLE], *strand = malloc(size);  // of that size to the byte
  uint8_t *wanted = allocate(count), *got = allocate(count);
  if (!strand) exit(2);
  for (size_t i = 0; i < sizeof table; i++) table[i] = (uint8_t)(random_bits() % 255 + 1);
  for (size_t i = 0; i < size; i++) strand[i] = (uint8_t)random_bits();
  tsr_trellis_scalar(strand, size, count, rate, table, wanted);
  k->decode_strand(strand, size, count, rate, table, got);
  for (size_t i = 0; i < count; i++)
    expect(got[i] == wanted[i], k->name, "strand", 32 * groups, rate, got[i], wanted[i]);
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

// Two panels at a time, in memory or as strands, give what one after the other gives, bit for bit.
static void check_pair(const tsr_kernels *k, uint32_t encoding, size_t columns, size_t tokens) {
  const size_t index = encoding - TSR_FIRST_PANEL;
  tsr_activations a = activations(columns, tokens);
  for (size_t i = 0; i < tokens * a.columns; i++) a.values[i] = random_float(-1, 1);
  for (size_t t = 0; t < tokens; t++) tsr_quantize_token(k, &a, t);
  tsr_list_terms(&a, tokens);
  size_t bytes = tsr_panel_bytes(encoding, a.groups);
  uint8_t *both = allocate(2 * bytes);
  for (int p = 0; p < 2; p++) {
    uint8_t *panel = random_panel(encoding, a.groups, false);
    memcpy(both + p * bytes, panel, bytes);
    free(panel);
  }
  float *pair = allocate(tokens * 32 * sizeof(float)), *one = allocate(tokens * 16 * sizeof(float));
  k->pair[index](both, &a, 0, tokens, pair);
  for (size_t p = 0; p < 2; p++) {
    k->panel[index](both + p * bytes, &a, 0, tokens, one);
    for (size_t t = 0; t < tokens; t++)
      for (size_t r = 0; r < 16; r++)
        expect(pair[t * 32 + p * 16 + r] == one[t * 16 + r], k->name, "pair", columns, tokens,
               pair[t * 32 + p * 16 + r], one[t * 16 + r]);
  }
  free(both), free(pair), free(one), release(&a);
}

static void check_strands(const tsr_kernels *k, size_t columns, size_t tokens, unsigned rate) {
  tsr_activations a = activations(columns, tokens);
  for (size_t i = 0; i < tokens * a.columns; i++) a.values[i] = random_float(-1, 1);
  for (size_t t = 0; t < tokens; t++) tsr_quantize_token(k, &a, t);
  tsr_list_terms(&a, tokens);
  size_t plane = (a.groups * 32 + 63) / 64 * 64, codes = a.groups * 512;
  size_t strand = tsr_trellis_strand_bytes(a.groups, rate);
  uint8_t table[TSR_TRELLIS_TABLE], *strands = malloc(2 * strand);
  uint8_t *panels = allocate(2 * (plane + codes));
  if (!strands) exit(2);
  for (size_t i = 0; i < sizeof table; i++) table[i] = (uint8_t)(random_bits() % 255 + 1);
  for (size_t i = 0; i < 2 * strand; i++) strands[i] = (uint8_t)random_bits();
  for (size_t p = 0; p < 2; p++) {
    uint8_t *panel = random_panel(TSR_INT8, a.groups, false);
    memcpy(panels + p * (plane + codes), panel, plane);
    free(panel);
    tsr_trellis_scalar(strands + p * strand, strand, codes, rate, table,
                       panels + p * (plane + codes) + plane);
  }
  const tsr_trellis_tile tile = {.rate = rate, .table = table, .strands = strands,
                                 .strand_bytes = strand, .planes = panels,
                                 .stride = plane + codes};
  float *one = allocate(tokens * 16 * sizeof(float)), *got = allocate(tokens * 32 * sizeof(float));
  for (size_t panel = 0; panel < 2; panel++) {
    for (size_t count = 1; panel + count <= 2; count++) {
      k->strands(&tile, panel, count, &a, 0, tokens, got);
      for (size_t p = 0; p < count; p++) {
        k->panel[TSR_INT8 - TSR_FIRST_PANEL](panels + (panel + p) * (plane + codes), &a, 0, tokens, one);
        for (size_t i = 0; i < tokens * 16; i++) {
          float x = got[i / 16 * 16 * count + p * 16 + i % 16];
          expect(x == one[i], k->name, "strands", columns, tokens, x, one[i]);
        }
      }
    }
  }
  free(strands), free(panels), free(one), free(got), release(&a);
}

void check_products(const tsr_kernels *k) {
  static const size_t columns[] = {1, 31, 32, 33, 64, 100, 576, 1056};
  static const size_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 64};
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
    for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
      for (uint32_t e = TSR_FIRST_PANEL; e < TSR_FIRST_PANEL + TSR_PANEL_ENCODINGS; e++) {
        for (int extreme = 0; extreme < 2; extreme++)
          check_panel(k, e, columns[c], tokens[t], extreme);
        if (k->pair[e - TSR_FIRST_PANEL] && tokens[t] <= k->pair_tokens)
          check_pair(k, e, columns[c], tokens[t]);
      }
      for (unsigned rate = TSR_TRELLIS_MIN_RATE; k->strands && rate <= TSR_TRELLIS_MAX_RATE; rate++)
        check_strands(k, columns[c], tokens[t], rate);
    }
    check_quantize(k, columns[c], 7);
    for (unsigned rate = TSR_TRELLIS_MIN_RATE; rate <= TSR_TRELLIS_MAX_RATE; rate++)
      check_strand(k, (columns[c] + 31) / 32, rate);
    for (uint32_t e = TSR_FIRST_PANEL; e < TSR_FIRST_PANEL + TSR_PANEL_ENCODINGS; e++)
      for (size_t t = 2; t < 20; t += 5) check_batching(k, e, columns[c], t);
  }
}

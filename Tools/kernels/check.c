// Compares tables of kernels with the scalar ones: codes exactly, floats within the rounding of their
// sums. Built by Tools/check-avx512 and Tools/check-neon for machines that are not at hand, and by
// Tools/check-sanitizers.
//   check [NAME...]   fails where a named table is missing or differs; without a name: all that are here
#include "check.h"

// Tiles are opened by libzstd's caller, and checked by the tests.
const uint8_t *tsr_plain_tile(tsr_decoders *decoders, const tsr_matrix *matrix, size_t tile,
                              size_t worker) {
  (void)decoders, (void)matrix, (void)tile, (void)worker;
  return NULL;
}

bool tsr_open_tile(tsr_decoders *decoders, const tsr_matrix *matrix, size_t tile, size_t worker,
                   tsr_trellis_tile *opened) {
  (void)decoders, (void)matrix, (void)tile, (void)worker, (void)opened;
  return false;
}

int failures = 0;
static uint64_t state = 1;

uint32_t random_bits(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33);
}

float random_float(float low, float high) {
  return low + (high - low) * (float)random_bits() / 2147483648.0f;
}

void expect(bool ok, const char *table, const char *what, size_t columns, size_t tokens, double got,
            double wanted) {
  if (ok) return;
  if (failures++ < 20)
    printf("%s: %s, %zu columns, %zu tokens: %.9g instead of %.9g\n", table, what, columns, tokens,
           got, wanted);
}

void *allocate(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!p) exit(2);
  memset(p, 0, (bytes + 127) / 64 * 64);
  return p;
}

void expect_near(const tsr_kernels *k, const char *what, size_t count, double got, double wanted,
                 double bound) {
  expect(fabs(got - wanted) <= bound, k->name, what, count, 1, got, wanted);
}

tsr_activations activations(size_t columns, size_t tokens) {
  size_t groups = (columns + 31) / 32, residuals = (groups + 7) / 8, terms = groups + residuals;
  tsr_activations a = {
      .width = columns, .columns = groups * 32, .groups = groups, .residuals = residuals, .terms = terms};
  a.values = allocate(tokens * a.columns * sizeof(float));
  a.codes = allocate(tokens * terms * 32);
  a.scales = allocate(tokens * terms * sizeof(float));
  a.sums = allocate(tokens * terms * sizeof(float));
  a.half_sums = allocate(tokens * terms * 2 * sizeof(float));
  a.offsets = allocate(tokens * terms * sizeof(float));
  a.residual_groups = allocate(tokens * residuals * sizeof(uint32_t));
  a.residual_list = allocate(tokens * residuals * sizeof(tsr_residual));
  a.group_ends = allocate((tokens / TSR_TOKEN_BLOCK + 1) * groups * sizeof(uint32_t));
  a.entries = allocate(tokens * terms * sizeof(tsr_entry));
  return a;
}

void release(tsr_activations *a) {
  free(a->values), free(a->codes), free(a->scales), free(a->sums), free(a->offsets);
  free(a->half_sums);
  free(a->residual_groups), free(a->residual_list), free(a->group_ends), free(a->entries);
}

static void check_table(const tsr_kernels *k) {
  int before = failures;
  check_products(k);
  check_vectors(k);
  check_operations(k);
  printf("%s: %s\n", k->name, failures == before ? "same as scalar" : "DIFFERS");
}

int main(int count, char **names) {
  const tsr_kernels *tables[] = {tsr_kernels_avx512vnni(), tsr_kernels_avxvnni(),
                                 tsr_kernels_avx2(),       tsr_kernels_neon(),
                                 tsr_kernels_i8mm(),       tsr_kernels_scalar()};
  const size_t known = sizeof tables / sizeof *tables;
  for (size_t t = 0; count == 1 && t < known; t++)
    if (tables[t]) check_table(tables[t]);
  for (int i = 1; i < count; i++) {
    const tsr_kernels *found = NULL;
    for (size_t t = 0; t < known; t++)
      if (tables[t] && strcmp(tables[t]->name, names[i]) == 0) found = tables[t];
    if (!found) {
      printf("%s: no such table here\n", names[i]);
      return 1;
    }
    check_table(found);
  }
  return failures > 0;
}

// Shared by the checks of Tools/kernels: random inputs, and the report of a difference.
#ifndef CHECK_H
#define CHECK_H
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

extern int failures;
uint32_t random_bits(void);
float random_float(float low, float high);
void expect(bool ok, const char *table, const char *what, size_t columns, size_t tokens, double got,
            double wanted);
void expect_near(const tsr_kernels *k, const char *what, size_t count, double got, double wanted,
                 double bound);
// Zeros, aligned to cache lines.
void *allocate(size_t bytes);
tsr_activations activations(size_t columns, size_t tokens);
void release(tsr_activations *a);

// Panels, strands and codes of activations; check_panels.c.
void check_products(const tsr_kernels *k);
// Kernels that take vectors; check_vectors.c.
void check_vectors(const tsr_kernels *k);
// Whole operations: norms, activations, the cache in each encoding, attention over it, coded symbols;
// check_operations.c.
void check_operations(const tsr_kernels *k);

#endif

// Error feedback between the columns of a matrix (Frantar et al., arXiv 2210.17323, in blocks): the columns
// after a rounded one take up its error, as far as their inputs are correlated with its input.
#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "clones.h"

#pragma STDC FP_CONTRACT OFF

enum { BLOCK = TSR_FEEDBACK_BLOCK };
static const double DAMPING = 0.01;  // of the mean diagonal: inputs that a text does not show

// Some columns at a time, in registers.
enum { TOKENS = 128, LEFT = 4, RIGHT = 32, LANES = 16 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

// Adds the products of columns c..<c + LEFT with i..<i + RIGHT. `right` holds those of the second: [tokens][RIGHT].
static inline __attribute__((always_inline)) void add_tile(const float *x, const lanes *right,
                                                           size_t tokens, size_t stride,
                                                           size_t block, float *products) {
  lanes sums[LEFT][RIGHT / LANES] = {0};
  for (size_t token = 0; token < tokens; token++, x += stride, right += RIGHT / LANES) {
    for (size_t c = 0; c < LEFT; c++) {
      for (size_t part = 0; part < RIGHT / LANES; part++) sums[c][part] += right[part] * x[c];
    }
  }
  for (size_t c = 0; c < LEFT; c++) {
    for (size_t i = 0; i < RIGHT; i++)
      products[c * block + i] += sums[c][i / LANES][i % LANES];
  }
}

// The products of column c with i, one by one.
static inline __attribute__((always_inline)) void add_one(const float *x, size_t tokens,
                                                          size_t stride, size_t c, size_t i,
                                                          size_t block, float *products) {
  float sum = 0;
  for (size_t token = 0; token < tokens; token++) sum += x[token * stride + c] * x[token * stride + i];
  products[c * block + i] += sum;
}

// Tokens are summed up by blocks, from nothing: if the products of a long text were added one by one, a float would
// lose parts below 2^-24 of the sum. So a million tokens are off by some 3e-6 of it (the root of as many blocks,
// each 2^-24 / sqrt(3)), far below the damping. Products of columns c and i >= c are added up, and some of the others,
// which are equal to these.
TSR_CLONES
void tsr_add_products(const float *x, size_t tokens, size_t stride, size_t count, size_t block,
                      float *products) {
  for (size_t first = 0; first < tokens; first += TOKENS, x += TOKENS * stride) {
    size_t some = tokens - first < TOKENS ? tokens - first : TOKENS;
    for (size_t i = 0; i < count; i += RIGHT) {
      size_t end = i + RIGHT, c = 0;
      if (end <= count) {
        lanes right[TOKENS * RIGHT / LANES];
        for (size_t token = 0; token < some; token++)
          memcpy(right + token * (RIGHT / LANES), x + token * stride + i, RIGHT * sizeof *x);
        for (; c < end; c += LEFT)
          add_tile(x + c, right, some, stride, block, products + c * block + i);
      }
      for (end = end < count ? end : count; c < end; c++)
        for (size_t j = c > i ? c : i; j < end; j++) add_one(x, some, stride, c, j, block, products);
    }
  }
}

typedef struct {
  const float *x;
  size_t tokens, stride, columns, block;
  float *products;
} products_job;

static void add_block(void *context, size_t index, size_t worker) {
  const products_job *job = context;
  size_t first = index * job->block, rest = job->columns - first;
  (void)worker;
  tsr_add_products(job->x + first, job->tokens, job->stride, rest < job->block ? rest : job->block,
                   job->block, job->products + first * job->block);
}

void tsr_add_all_products(tsr_pool *pool, const float *x, size_t tokens, size_t stride,
                          size_t columns, size_t block, float *products) {
  products_job job = {x, tokens, stride, columns, block, products};
  tsr_pool_run(pool, add_block, &job, (columns + block - 1) / block);
}

// Sums of eight lanes, so that no sum depends on the instruction set.
TSR_CLONES
double tsr_expectation(const float *weights, const float *values, size_t count) {
  double sums[8] = {0}, sum = 0;
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (size_t l = 0; l < 8; l++) sums[l] += (double)weights[i + l] * values[i + l];
  for (; i < count; i++) sum += (double)weights[i] * values[i];
  for (size_t l = 0; l < 8; l++) sum += sums[l];
  return sum;
}

// In place, the upper triangle: a = transposed(u) * u.
static inline __attribute__((always_inline)) void factorize(double a[BLOCK][BLOCK], size_t n) {
  for (size_t j = 0; j < n; j++) {
    for (size_t k = 0; k < j; k++) {
      double factor = a[k][j];
      for (size_t i = j; i < n; i++) a[j][i] -= factor * a[k][i];
    }
    double root = sqrt(a[j][j]);
    for (size_t i = j; i < n; i++) a[j][i] /= root;
  }
}

// The columns after column c make up for its error as well as they can. The error that is left is the part of its
// input that their inputs do not explain: a pivot of the products, factorized from the last column on.
TSR_CLONES
void tsr_make_feedback(float *products, size_t count, size_t block, double unit, float *gains) {
  static _Thread_local double a[BLOCK][BLOCK];
  double mean = 0;
  for (size_t c = 0; c < count; c++) mean += products[c * block + c] / (double)count;
  double damping = mean > 0 ? DAMPING * mean : 1;
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j <= i; j++) {
      a[j][i] = products[(count - 1 - i) * block + count - 1 - j] + (i == j ? damping : 0);
    }
  }
  factorize(a, count);
  memset(products, 0, count * block * sizeof *products);
  for (size_t c = 0; c < count; c++) {
    // Regression of column c's input on those after it: solve U from the last row.
    size_t at = count - 1 - c;
    double pivot = a[at][at], solved[BLOCK];
    gains[c] = (float)(unit > 0 ? pivot * pivot / unit : 1);
    for (size_t j = at; j-- > 0;) {
      double sum = a[j][at];
      for (size_t k = j + 1; k < at; k++) sum -= a[j][k] * solved[k];
      solved[j] = sum / a[j][j];
      products[c * block + count - 1 - j] = (float)-solved[j];
    }
  }
}

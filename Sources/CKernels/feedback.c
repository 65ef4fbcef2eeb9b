// Error feedback between the columns of a matrix (Frantar et al., arXiv 2210.17323, in blocks): the columns
// after a rounded one take up what it left, as far as their inputs are correlated with its.
#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "clones.h"

#pragma STDC FP_CONTRACT OFF

enum { BLOCK = TSR_FEEDBACK_BLOCK };
static const double DAMPING = 0.01;  // of the mean diagonal: inputs that a text does not show

// Tokens are summed up by blocks, from nothing: of a long text's products, added one by one, a float would
// lose what is 2^-24 of the sum. So a million tokens are off by some 3e-6 of it (the root of as many blocks,
// each 2^-24 / sqrt(3)), far below the damping. Products of columns c and i >= c alone are added up: the others are theirs.
TSR_CLONES
void tsr_add_products(const float *x, size_t tokens, size_t stride, size_t count, size_t block,
                      float *products) {
  enum { TOKENS = 128 };
  for (size_t first = 0; first < tokens; first += TOKENS, x += TOKENS * stride) {
    size_t some = tokens - first < TOKENS ? tokens - first : TOKENS;
    for (size_t c = 0; c < count; c++) {
      float sums[BLOCK] = {0};
      for (size_t token = 0; token < some; token++) {
        const float *row = x + token * stride;
        for (size_t i = c; i < count; i++) sums[i] += row[c] * row[i];
      }
      for (size_t i = c; i < count; i++) products[c * block + i] += sums[i];
    }
  }
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

// What is left of an error of column c once those after it make up for it as well as they can is the part of its
// input that theirs do not explain: a pivot of the products, factorized from the last column on.
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

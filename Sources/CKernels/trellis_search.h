// The search of trellis_search.c for trellis_encode.c. A state is the part that a window shares with the next one:
// all bits except the oldest.
#ifndef TSR_TRELLIS_SEARCH_H
#define TSR_TRELLIS_SEARCH_H
#include "trellis.h"

enum { TSR_SEARCH_LANES = 16 };

// Goes on by `count` steps, an even number: costs[states][lanes], the least sum of weights[count][lanes] times squared errors of
// x[count][lanes] by state, differences only. paths[count][states][lanes]: the entries that lead to each state.
void tsr_search_forward(const float *x, const float *weights, size_t count, const float *values,
                        unsigned rate, float *costs, uint8_t *paths);
// The state that costs a lane least.
size_t tsr_search_best(const float *costs, unsigned rate, size_t lane);
// entries[count][lanes] of one lane, whose last one leads to `state`; returns the state before the first.
size_t tsr_search_back(const uint8_t *paths, size_t count, unsigned rate, size_t lane, size_t state,
                       uint8_t *entries);
#endif

// Summary of a row of logits, for every x86 instruction set: included after x86_vectors.h. One pass
// over the row: each block's maximum is found, and its exponentials summed up, while it is in L1.

enum { SUMMARY_BLOCK = 2048 };

typedef struct {
  fvec best, second;  // of each lane
  ivec where, index;  // of `best`, and of the current vector
  double sum, weighted;  // of e^(x - max), and of that times (x - max)
  float max;
  uint32_t not_finite;
} summary_state;

INLINE void rank_lanes(summary_state *s, const float *row, size_t n) {
  fvec x = load_up_to(row, n);
  uint32_t finite = lanes_at_least(splat(FLT_MAX), absolute(x));
  s->not_finite += LANES - (uint32_t)__builtin_popcount(finite);
  x = select_or_minus_infinity(x, bits_up_to(n));
  s->second = max_floats(s->second, min_floats(s->best, x));
  s->where = select_greater(x, s->best, s->index, s->where);
  s->best = max_floats(s->best, x);
  s->index = add_ints(s->index, broadcast_int(LANES));
}

INLINE void rank_block(summary_state *s, const float *row, size_t count) {
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES) rank_lanes(s, row + i, LANES);
  if (rest < count) rank_lanes(s, row + rest, count - rest);
}

// Adds e^(x - max) to a sum, and that times (x - max) to the other.
INLINE void sum_lanes(fvec *sum, fvec *weighted, const float *row, fvec max, size_t n) {
  fvec below = subtract(select_or_minus_infinity(load_up_to(row, n), bits_up_to(n)), max);
  fvec e = exponential(below);
  *sum = add_floats(*sum, e);
  *weighted = multiply_add(e, max_floats(below, splat(-1000)), *weighted);  // e is 0 there
}

// Adds a block whose values are at most s->max, which is finite.
INLINE void sum_block(summary_state *s, const float *row, size_t count) {
  fvec sum = splat(0), weighted = splat(0), max = splat(s->max);
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES) sum_lanes(&sum, &weighted, row + i, max, LANES);
  if (rest < count) sum_lanes(&sum, &weighted, row + rest, max, count - rest);
  s->sum += (double)sum_floats(sum);
  s->weighted += (double)sum_floats(weighted);
}

INLINE void raise_max(summary_state *s, float max) {
  if (!(max > s->max)) return;
  if (s->sum > 0) {
    double shift = (double)s->max - (double)max, factor = exp(shift);
    s->weighted = factor * (s->weighted + shift * s->sum);
    s->sum *= factor;
  }
  s->max = max;
}

// The two largest of all lanes, and the lowest index of the first.
INLINE void finish_ranks(const summary_state *s, tsr_row_summary *summary) {
  float best[LANES], second[LANES];
  int32_t where[LANES];
  store_floats(best, s->best);
  store_floats(second, s->second);
  store_ints(where, s->where);
  size_t winner = 0;
  for (size_t i = 1; i < LANES; i++)
    if (best[i] > best[winner] || (best[i] == best[winner] && where[i] < where[winner])) winner = i;
  summary->max = best[winner];
  summary->argmax = where[winner];
  for (size_t i = 0; i < LANES; i++) {
    float value = i == winner ? second[i] : best[i];
    if (value > summary->second) summary->second = value;
  }
}

void NAME(summarize)(const float *row, size_t count, tsr_row_summary *summary) {
  *summary = (tsr_row_summary){-INFINITY, 0, -INFINITY, 0, -INFINITY, 0};
  summary_state s = {.best = splat(-INFINITY), .second = splat(-INFINITY), .max = -INFINITY};
  s.where = broadcast_int(INT32_MAX), s.index = lane_numbers();
  for (size_t begin = 0; begin < count; begin += SUMMARY_BLOCK) {
    size_t size = count - begin < SUMMARY_BLOCK ? count - begin : SUMMARY_BLOCK;
    rank_block(&s, row + begin, size);
    raise_max(&s, largest_lane(s.best));
    if (s.max > -INFINITY) sum_block(&s, row + begin, size);
  }
  summary->not_finite = s.not_finite;
  // A NaN leaves a lane without an index.
  if (!(s.max > -INFINITY && s.max <= FLT_MAX)) return;
  finish_ranks(&s, summary);
  if (summary->argmax == INT32_MAX) summary->argmax = 0;
  summary->log_sum_exp = s.max + (float)log(s.sum);
  summary->entropy = (float)fmax(0, log(s.sum) - s.weighted / s.sum);
}

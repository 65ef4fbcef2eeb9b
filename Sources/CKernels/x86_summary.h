// Summary of a row of logits, for every x86 instruction set: included after x86_vectors.h. One pass
// over the row: each block's maximum is found, and its exponentials summed up, while it is in L1.

enum { SUMMARY_BLOCK = 2048 };

typedef struct {
  fvec best, second;  // of each lane
  ivec where, index;  // of `best`, and of the vector at hand
  double sum, weighted;  // of e^(x - max), and of that times (x - max)
  float max;
  uint32_t not_finite;
} summary_state;

INLINE void rank_block(summary_state *s, const float *row, size_t count) {
#define STEP(i, n)                                                \
  do {                                                            \
    fvec x = get(row + (i), n), limit = all(FLT_MAX);             \
    uint32_t finite = reaching(limit, size_of(x));                \
    s->not_finite += LANES - (uint32_t)__builtin_popcount(finite); \
    x = only(x, (1u << (n)) - 1);                                 \
    s->second = larger(s->second, smaller(s->best, x));           \
    s->where = index_above(x, s->best, s->index, s->where);       \
    s->best = larger(s->best, x);                                 \
    s->index = add(s->index, broadcast_int(LANES));               \
  } while (0)
  FOR_EACH_VECTOR(STEP);
#undef STEP
}

// Adds a block whose values are at most s->max, which is finite.
INLINE void sum_block(summary_state *s, const float *row, size_t count) {
  fvec sum = all(0), weighted = all(0), max = all(s->max);
#define STEP(i, n)                                                                     \
  do {                                                                                 \
    fvec below = sub(only(get(row + (i), n), (1u << (n)) - 1), max);                   \
    fvec e = exponential(below);                                                       \
    sum = plus(sum, e);                                                                \
    weighted = multiply_add(e, larger(below, all(-1000)), weighted); /* 0 there */     \
  } while (0)
  FOR_EACH_VECTOR(STEP);
#undef STEP
  s->sum += (double)total_floats(sum);
  s->weighted += (double)total_floats(weighted);
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
  summary_state s = {.best = all(-INFINITY), .second = all(-INFINITY), .max = -INFINITY};
  s.where = broadcast_int(INT32_MAX), s.index = lane_numbers();
  for (size_t begin = 0; begin < count; begin += SUMMARY_BLOCK) {
    size_t size = count - begin < SUMMARY_BLOCK ? count - begin : SUMMARY_BLOCK;
    rank_block(&s, row + begin, size);
    raise_max(&s, most(s.best));
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

// Element-wise operations, norms, codes and row summaries, for every x86 instruction set: on the vectors
// of x86_lanes256.h or x86_lanes512.h. NAME is the prefix.

// CALL(i, n) for each vector of `count` floats: n lanes from i on.
#define FOR_EACH_VECTOR(CALL)                                            \
  do {                                                                   \
    size_t whole = count & ~(size_t)(LANES - 1);                         \
    for (size_t i = 0; i < whole; i += LANES) CALL(i, (size_t)LANES);    \
    if (whole < count) CALL(whole, count - whole);                       \
  } while (0)

INLINE fvec get(const float *p, size_t n) { return n == LANES ? load_floats(p) : load_some(p, n); }
INLINE void put(float *p, fvec v, size_t n) {
  if (n == LANES) store_floats(p, v);
  else store_some(p, v, n);
}
INLINE fvec all(float x) { return broadcast_float(&x); }

float NAME(dot_f32)(const float *a, const float *b, size_t count) {
  fvec s[4] = {all(0), all(0), all(0), all(0)};
  size_t at = 0;
  for (; at + 4 * LANES <= count; at += 4 * LANES)
    for (size_t j = 0; j < 4; j++)
      s[j] = multiply_add(load_floats(a + at + LANES * j), load_floats(b + at + LANES * j), s[j]);
  a += at, b += at, count -= at;
#define ADD(i, n) s[0] = multiply_add(get(a + (i), n), get(b + (i), n), s[0])
  FOR_EACH_VECTOR(ADD);
#undef ADD
  return total_floats(plus(plus(s[0], s[1]), plus(s[2], s[3])));
}

float NAME(largest)(const float *x, size_t count) {
  fvec best = all(-INFINITY);
#define TAKE(i, n) best = larger(best, only(get(x + (i), n), (1u << (n)) - 1))
  FOR_EACH_VECTOR(TAKE);
#undef TAKE
  return most(best);
}

float NAME(exponentials)(float *x, float max, size_t count) {
  fvec m = all(max), sum = all(0);
#define STEP(i, n)                                              \
  do {                                                          \
    fvec e = exponential(only(sub(get(x + (i), n), m), (1u << (n)) - 1)); \
    put(x + (i), e, n);                                         \
    sum = plus(sum, e);                                         \
  } while (0)
  FOR_EACH_VECTOR(STEP);
#undef STEP
  return total_floats(sum);
}

void NAME(swiglu)(const float *gate, const float *up, float *out, size_t count) {
#define STEP(i, n)                                                         \
  do {                                                                     \
    fvec g = get(gate + (i), n), e = exponential(sub(all(0), g));          \
    put(out + (i), mul(divide(g, plus(all(1), e)), get(up + (i), n)), n);  \
  } while (0)
  FOR_EACH_VECTOR(STEP);
#undef STEP
}

void NAME(geglu)(const float *gate, const float *up, float *out, size_t count) {
#define STEP(i, n)                                                                      \
  do {                                                                                  \
    fvec g = get(gate + (i), n);                                                        \
    fvec slope = multiply_add(mul(mul(g, g), g), all(TSR_GELU_CUBIC), mul(g, all(TSR_GELU_LINEAR))); \
    fvec e = exponential(sub(all(0), slope));                                           \
    put(out + (i), mul(divide(g, plus(all(1), e)), get(up + (i), n)), n);               \
  } while (0)
  FOR_EACH_VECTOR(STEP);
#undef STEP
}

void NAME(normalize)(const float *x, float factor, const float *weight, float *out, size_t count) {
  fvec f = all(factor);
#define STEP(i, n) put(out + (i), mul(mul(get(x + (i), n), f), get(weight + (i), n)), n)
  FOR_EACH_VECTOR(STEP);
#undef STEP
}

void NAME(rotate)(float *x, const float *cosines, const float *sines, size_t half, float factor) {
  fvec f = all(factor);
  size_t count = half;
#define STEP(i, n)                                                        \
  do {                                                                    \
    fvec a = get(x + (i), n), b = get(x + half + (i), n);                 \
    fvec c = get(cosines + (i), n), s = get(sines + (i), n);              \
    put(x + (i), mul(sub(mul(a, c), mul(b, s)), f), n);                   \
    put(x + half + (i), mul(multiply_add(b, c, mul(a, s)), f), n);        \
  } while (0)
  FOR_EACH_VECTOR(STEP);
#undef STEP
}

void NAME(hadamard)(float *x, size_t count) {
  size_t block = count & (~count + 1);  // its lowest bit
  if (block < LANES) {
    tsr_scalar_hadamard(x, count);
    return;
  }
  fvec factor = all(1 / sqrtf((float)block));
  for (size_t i = 0; i < count; i += LANES) {
    fvec v = mul(load_floats(x + i), factor);
#pragma clang loop unroll(full)
    for (size_t width = 1; width < LANES; width *= 2) v = butterfly(v, width);
    store_floats(x + i, v);
  }
  for (size_t width = LANES; width < block; width *= 2) {
    for (size_t begin = 0; begin < count; begin += 2 * width) {
      for (size_t i = begin; i < begin + width; i += LANES) {
        fvec a = load_floats(x + i), b = load_floats(x + i + width);
        store_floats(x + i, plus(a, b));
        store_floats(x + i + width, sub(a, b));
      }
    }
  }
}

// A NaN counts as larger than every number.
INLINE float largest_size(const float *x, size_t count) {
  fvec best = all(0);
#define TAKE(i, n) best = larger_bits(best, size_of(get(x + (i), n)))
  FOR_EACH_VECTOR(TAKE);
#undef TAKE
  return most_bits(best);
}

float NAME(narrow_int8)(const float *x, size_t count, int8_t *codes) {
  float largest = largest_size(x, count), inverse = largest > 1e-30f ? 127.0f / largest : 0;
  if (!(largest <= FLT_MAX)) {
    memset(codes, 0, count);
    return NAN;
  }
  fvec factor = all(inverse);
#define STEP(i, n) store_codes8(codes + (i), to_int(mul(get(x + (i), n), factor)), n)
  FOR_EACH_VECTOR(STEP);
#undef STEP
  return inverse > 0 ? largest / 127.0f : 0;
}

float NAME(narrow_query)(const float *x, size_t count, size_t dim, int16_t *codes, int32_t *sum) {
  float largest = largest_size(x, count);
  float inverse = largest > 1e-30f ? TSR_CODE_LIMIT / largest : 0;
  if (!(largest <= FLT_MAX)) {
    memset(codes, 0, dim * sizeof *codes);
    *sum = 0;
    return NAN;
  }
  fvec factor = all(inverse);
  ivec sums = broadcast_int(0);
#define STEP(i, n) sums = add(sums, narrow16(codes + (i), mul(get(x + (i), n), factor)))
  FOR_EACH_VECTOR(STEP);
#undef STEP
  for (size_t i = (count + LANES - 1) / LANES * LANES; i < dim; i++) codes[i] = 0;
  *sum = total(sums);
  return inverse > 0 ? largest / TSR_CODE_LIMIT : 0;
}

// A group that holds a value which is not finite. Its scale and its sum are zero already.
static __attribute__((noinline)) void clear_group(const tsr_activations *a, size_t term) {
  memset(a->codes + term * TSR_GROUP, 0, TSR_GROUP);
  a->sums[term] = a->offsets[term] = 0;
}

// Up to LANES groups: their scales are divided, and sums multiplied, together.
INLINE size_t quantize_groups(const tsr_activations *a, const float *x, size_t term, size_t count) {
  enum { PARTS = TSR_GROUP / LANES };
  float most_of[LANES] = {0}, inverses[LANES];
  int32_t totals[LANES] = {0};
  for (size_t g = 0; g < count; g++) {
    fvec largest = size_of(load_floats(x + g * TSR_GROUP));
    for (size_t p = 1; p < PARTS; p++)
      largest = larger_bits(largest, size_of(load_floats(x + g * TSR_GROUP + p * LANES)));
    most_of[g] = most_bits(largest);
  }
  fvec sizes = load_floats(most_of), inverse = divide(all(127), sizes);
  uint32_t finite = reaching(all(FLT_MAX), sizes), bad = ~finite & ((1u << count) - 1);
  // A denormal group is zero.
  uint32_t usable = above(sizes, all(0)) & reaching(all(3.0e38f), inverse) & finite;
  store_floats(inverses, keep(inverse, usable));
  for (size_t g = 0; g < count; g++) {
    fvec factor = broadcast_float(inverses + g);
    ivec sum = broadcast_int(0);
    for (size_t p = 0; p < PARTS; p++) {
      ivec q = to_int(mul(load_floats(x + g * TSR_GROUP + p * LANES), factor));
      store_codes8(a->codes + (term + g) * TSR_GROUP + p * LANES, q, LANES);
      sum = add(sum, q);
    }
    totals[g] = total(sum);
  }
  fvec scale = keep(divide(sizes, all(127)), usable);
  fvec sum = mul(scale, to_float(load((const uint8_t *)totals)));
  put(a->scales + term, scale, count);
  put(a->sums + term, sum, count);
  put(a->offsets + term, mul(all(-8), sum), count);
  for (uint32_t left = bad; left; left &= left - 1)
    clear_group(a, term + (size_t)__builtin_ctz(left));
  return (size_t)__builtin_popcount(bad);
}

size_t NAME(quantize)(const tsr_activations *a, const float *x, size_t term, size_t count) {
  size_t bad = 0;
  for (; count > LANES; count -= LANES, term += LANES, x += LANES * TSR_GROUP)
    bad += quantize_groups(a, x, term, LANES);
  return bad + quantize_groups(a, x, term, count);
}

void NAME(choose_largest)(const float *x, size_t count, size_t wanted, uint32_t *chosen) {
  uint32_t threshold = 0;  // bits of the largest value that at least `wanted` reach
  float value;
  for (uint32_t bit = 1u << 30; bit > 0; bit >>= 1) {
    uint32_t next = threshold | bit;
    memcpy(&value, &next, sizeof value);
    size_t reach = 0;
#define COUNT(i, n) reach += (size_t)__builtin_popcount(reaching(get(x + (i), n), all(value)))
    FOR_EACH_VECTOR(COUNT);
#undef COUNT
    if (reach >= wanted) threshold = next;
    if (reach == wanted) break;
  }
  memcpy(&value, &threshold, sizeof value);
  size_t equal = wanted, found = 0;
#define COUNT(i, n) equal -= (size_t)__builtin_popcount(above(get(x + (i), n), all(value)))
  FOR_EACH_VECTOR(COUNT);
#undef COUNT
#define TAKE(i, n)                                                         \
  do {                                                                     \
    fvec v = get(x + (i), n);                                              \
    uint32_t more = above(v, all(value));                                  \
    uint32_t bits = reaching(v, all(value)) & (uint32_t)((1u << (n)) - 1); \
    for (; bits; bits &= bits - 1) {                                       \
      size_t lane = (size_t)__builtin_ctz(bits);                           \
      bool last = !(more >> lane & 1);                                     \
      if (last && equal == 0) continue;                                    \
      equal -= last;                                                       \
      chosen[found++] = (uint32_t)((i) + lane);                            \
    }                                                                      \
  } while (0)
  FOR_EACH_VECTOR(TAKE);
#undef TAKE
}

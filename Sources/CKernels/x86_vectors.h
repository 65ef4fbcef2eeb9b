// Element-wise operations, norms, codes and row summaries, for every x86 instruction set: on the vectors
// of x86_lanes256.h or x86_lanes512.h. NAME is the prefix.

// Elements that are in whole vectors. Loops take these first, and then the `n` < LANES others with the same function, whose
// `n` is a constant in the loop.
INLINE size_t whole(size_t count) { return count & ~(size_t)(LANES - 1); }

INLINE fvec load_up_to(const float *p, size_t n) {
  return n == LANES ? load_floats(p) : load_first(p, n);
}
INLINE void store_up_to(float *p, fvec v, size_t n) {
  if (n == LANES) store_floats(p, v);
  else store_first(p, v, n);
}
// A bit for each of the first n lanes.
INLINE uint32_t bits_up_to(size_t n) { return (uint32_t)((1u << n) - 1); }

float NAME(dot_f32)(const float *a, const float *b, size_t count) {
  fvec s[4] = {splat(0), splat(0), splat(0), splat(0)};
  size_t at = 0;
  for (; at + 4 * LANES <= count; at += 4 * LANES)
    for (size_t j = 0; j < 4; j++)
      s[j] = multiply_add(load_floats(a + at + LANES * j), load_floats(b + at + LANES * j), s[j]);
  a += at, b += at, count -= at;
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES)
    s[0] = multiply_add(load_floats(a + i), load_floats(b + i), s[0]);
  if (rest < count)
    s[0] = multiply_add(load_first(a + rest, count - rest), load_first(b + rest, count - rest), s[0]);
  return sum_floats(add_floats(add_floats(s[0], s[1]), add_floats(s[2], s[3])));
}

INLINE fvec largest_of(fvec best, const float *x, size_t n) {
  return max_floats(best, select_or_minus_infinity(load_up_to(x, n), bits_up_to(n)));
}

float NAME(largest)(const float *x, size_t count) {
  fvec best = splat(-INFINITY);
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES) best = largest_of(best, x + i, LANES);
  if (rest < count) best = largest_of(best, x + rest, count - rest);
  return largest_lane(best);
}

INLINE fvec exponentials_of(fvec sum, float *x, fvec max, size_t n) {
  fvec e = exponential(select_or_minus_infinity(subtract(load_up_to(x, n), max), bits_up_to(n)));
  store_up_to(x, e, n);
  return add_floats(sum, e);
}

float NAME(exponentials)(float *x, float max, size_t count) {
  fvec m = splat(max), sum = splat(0);
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES) sum = exponentials_of(sum, x + i, m, LANES);
  if (rest < count) sum = exponentials_of(sum, x + rest, m, count - rest);
  return sum_floats(sum);
}

// gate / (1 + e^-slope) * up
INLINE void store_gated(fvec gate, fvec slope, const float *up, float *out, size_t n) {
  fvec e = exponential(subtract(splat(0), slope));
  store_up_to(out, multiply(divide(gate, add_floats(splat(1), e)), load_up_to(up, n)), n);
}

INLINE void swiglu_of(const float *gate, const float *up, float *out, size_t n) {
  fvec g = load_up_to(gate, n);
  store_gated(g, g, up, out, n);
}

void NAME(swiglu)(const float *gate, const float *up, float *out, size_t count) {
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES) swiglu_of(gate + i, up + i, out + i, LANES);
  if (rest < count) swiglu_of(gate + rest, up + rest, out + rest, count - rest);
}

INLINE void geglu_of(const float *gate, const float *up, float *out, size_t n) {
  fvec g = load_up_to(gate, n), cube = multiply(multiply(g, g), g);
  fvec slope = multiply_add(cube, splat(TSR_GELU_CUBIC), multiply(g, splat(TSR_GELU_LINEAR)));
  store_gated(g, slope, up, out, n);
}

void NAME(geglu)(const float *gate, const float *up, float *out, size_t count) {
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES) geglu_of(gate + i, up + i, out + i, LANES);
  if (rest < count) geglu_of(gate + rest, up + rest, out + rest, count - rest);
}

INLINE void normalize_of(const float *x, fvec factor, const float *weight, float *out, size_t n) {
  store_up_to(out, multiply(multiply(load_up_to(x, n), factor), load_up_to(weight, n)), n);
}

void NAME(normalize)(const float *x, float factor, const float *weight, float *out, size_t count) {
  fvec f = splat(factor);
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES) normalize_of(x + i, f, weight + i, out + i, LANES);
  if (rest < count) normalize_of(x + rest, f, weight + rest, out + rest, count - rest);
}

INLINE void rotate_of(float *x, float *y, const float *cosines, const float *sines, fvec factor,
                      size_t n) {
  fvec a = load_up_to(x, n), b = load_up_to(y, n);
  fvec c = load_up_to(cosines, n), s = load_up_to(sines, n);
  store_up_to(x, multiply(subtract(multiply(a, c), multiply(b, s)), factor), n);
  store_up_to(y, multiply(multiply_add(b, c, multiply(a, s)), factor), n);
}

void NAME(rotate)(float *x, const float *cosines, const float *sines, size_t half, float factor) {
  fvec f = splat(factor);
  const size_t rest = whole(half);
  for (size_t i = 0; i < rest; i += LANES)
    rotate_of(x + i, x + half + i, cosines + i, sines + i, f, LANES);
  if (rest < half) rotate_of(x + rest, x + half + rest, cosines + rest, sines + rest, f, half - rest);
}

void NAME(hadamard)(float *x, size_t count) {
  size_t block = count & (~count + 1);  // its lowest bit
  if (block < LANES) {
    tsr_scalar_hadamard(x, count);
    return;
  }
  fvec factor = splat(1 / sqrtf((float)block));
  for (size_t i = 0; i < count; i += LANES) {
    fvec v = multiply(load_floats(x + i), factor);
#pragma clang loop unroll(full)
    for (size_t width = 1; width < LANES; width *= 2) v = butterfly(v, width);
    store_floats(x + i, v);
  }
  for (size_t width = LANES; width < block; width *= 2) {
    for (size_t begin = 0; begin < count; begin += 2 * width) {
      for (size_t i = begin; i < begin + width; i += LANES) {
        fvec a = load_floats(x + i), b = load_floats(x + i + width);
        store_floats(x + i, add_floats(a, b));
        store_floats(x + i + width, subtract(a, b));
      }
    }
  }
}

// A NaN counts as larger than every number.
INLINE float largest_absolute(const float *x, size_t count) {
  fvec best = splat(0);
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES) best = max_or_nan(best, absolute(load_floats(x + i)));
  if (rest < count) best = max_or_nan(best, absolute(load_first(x + rest, count - rest)));
  return largest_lane_or_nan(best);
}

float NAME(narrow_int8)(const float *x, size_t count, int8_t *codes) {
  float largest = largest_absolute(x, count), inverse = largest > 1e-30f ? 127.0f / largest : 0;
  if (!(largest <= FLT_MAX)) {
    memset(codes, 0, count);
    return NAN;
  }
  fvec factor = splat(inverse);
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES)
    store_codes8(codes + i, floats_to_ints(multiply(load_floats(x + i), factor)), LANES);
  if (rest < count)
    store_codes8(codes + rest, floats_to_ints(multiply(load_first(x + rest, count - rest), factor)), count - rest);
  return inverse > 0 ? largest / 127.0f : 0;
}

float NAME(narrow_query)(const float *x, size_t count, size_t dim, int16_t *codes, int32_t *sum) {
  float largest = largest_absolute(x, count);
  float inverse = largest > 1e-30f ? TSR_CODE_LIMIT / largest : 0;
  if (!(largest <= FLT_MAX)) {
    memset(codes, 0, dim * sizeof *codes);
    *sum = 0;
    return NAN;
  }
  fvec factor = splat(inverse);
  ivec sums = broadcast_int(0);
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES)
    sums = add_ints(sums, store_codes16(codes + i, multiply(load_floats(x + i), factor)));
  if (rest < count)
    sums = add_ints(sums, store_codes16(codes + rest, multiply(load_first(x + rest, count - rest), factor)));
  for (size_t i = (count + LANES - 1) / LANES * LANES; i < dim; i++) codes[i] = 0;
  *sum = sum_ints(sums);
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
    fvec largest = absolute(load_floats(x + g * TSR_GROUP));
    for (size_t p = 1; p < PARTS; p++)
      largest = max_or_nan(largest, absolute(load_floats(x + g * TSR_GROUP + p * LANES)));
    most_of[g] = largest_lane_or_nan(largest);
  }
  fvec sizes = load_floats(most_of), inverse = divide(splat(127), sizes);
  uint32_t finite = lanes_at_least(splat(FLT_MAX), sizes), bad = ~finite & ((1u << count) - 1);
  // A denormal group is zero.
  uint32_t usable = lanes_greater(sizes, splat(0)) & lanes_at_least(splat(3.0e38f), inverse) & finite;
  store_floats(inverses, select_or_zero(inverse, usable));
  for (size_t g = 0; g < count; g++) {
    fvec factor = broadcast_float(inverses + g);
    ivec sum = broadcast_int(0);
    for (size_t p = 0; p < PARTS; p++) {
      ivec q = floats_to_ints(multiply(load_floats(x + g * TSR_GROUP + p * LANES), factor));
      store_codes8(a->codes + (term + g) * TSR_GROUP + p * LANES, q, LANES);
      sum = add_ints(sum, q);
    }
    totals[g] = sum_ints(sum);
  }
  fvec scale = select_or_zero(divide(sizes, splat(127)), usable);
  fvec sum = multiply(scale, ints_to_floats(load_bytes((const uint8_t *)totals)));
  store_up_to(a->scales + term, scale, count);
  store_up_to(a->sums + term, sum, count);
  store_up_to(a->offsets + term, multiply(splat(-8), sum), count);
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

// How many of `count` values are greater than `value`, or with `or_equal` at least `value`.
INLINE size_t count_greater(const float *x, size_t count, float value, bool or_equal) {
  fvec limit = splat(value);
  size_t found = 0;
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES) {
    fvec v = load_floats(x + i);
    found += (size_t)__builtin_popcount(or_equal ? lanes_at_least(v, limit) : lanes_greater(v, limit));
  }
  if (rest < count) {
    fvec v = load_first(x + rest, count - rest);
    found += (size_t)__builtin_popcount(or_equal ? lanes_at_least(v, limit) : lanes_greater(v, limit));
  }
  return found;
}

// Appends the indices, from `first` on, of values above `value`, and of as many equal ones as `equal` allows.
INLINE size_t choose_above(const float *x, size_t first, float value, size_t *equal, size_t n,
                           uint32_t *chosen) {
  fvec v = load_up_to(x + first, n);
  uint32_t more = lanes_greater(v, splat(value));
  uint32_t bits = lanes_at_least(v, splat(value)) & bits_up_to(n);
  size_t found = 0;
  for (; bits; bits &= bits - 1) {
    size_t lane = (size_t)__builtin_ctz(bits);
    bool is_equal = !(more >> lane & 1);
    if (is_equal && *equal == 0) continue;
    *equal -= is_equal;
    chosen[found++] = (uint32_t)(first + lane);
  }
  return found;
}

void NAME(choose_largest)(const float *x, size_t count, size_t wanted, uint32_t *chosen) {
  uint32_t threshold = 0;  // bits of the largest value that at least `wanted` reach
  float value;
  for (uint32_t bit = 1u << 30; bit > 0; bit >>= 1) {
    uint32_t next = threshold | bit;
    memcpy(&value, &next, sizeof value);
    size_t reach = count_greater(x, count, value, true);
    if (reach >= wanted) threshold = next;
    if (reach == wanted) break;
  }
  memcpy(&value, &threshold, sizeof value);
  size_t equal = wanted - count_greater(x, count, value, false);
  const size_t rest = whole(count);
  for (size_t i = 0; i < rest; i += LANES) chosen += choose_above(x, i, value, &equal, LANES, chosen);
  if (rest < count) choose_above(x, rest, value, &equal, count - rest, chosen);
}

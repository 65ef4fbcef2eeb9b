// The entropy coder of storage class 2: tables, coding, and decoding one symbol at a time.
#include "rans.h"

#include <string.h>

enum {
  BUCKET = TSR_RANS_SLOTS / TSR_RANS_SYMBOLS,
  LOW = 1 << 16,  // the least state: a decoder takes a word when it falls below
  STEP = TSR_RANS_STREAMS * TSR_RANS_LANES,
};

static void put16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8); }
static void put32(uint8_t *p, uint32_t v) { put16(p, v), put16(p + 2, v >> 16); }
static uint32_t get16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t get32(const uint8_t *p) { return get16(p) | get16(p + 2) << 16; }

// A symbol with too few slots for its bucket leaves the others to the lowest symbol that has too many. Symbols do so in
// ascending order, and then in the order in which they came to have too few.
static void make_table(tsr_rans_table *t) {
  uint32_t rest[TSR_RANS_SYMBOLS], ranks[TSR_RANS_SYMBOLS];
  size_t poor[TSR_RANS_SYMBOLS], first = 0, last = 0, rich = 0;
  for (size_t s = 0; s < TSR_RANS_SYMBOLS; s++) {
    rest[s] = t->frequency[s];
    t->divide[s] = BUCKET;
    t->other[s] = (uint16_t)s;
    t->shift[s] = 0;
    if (rest[s] < BUCKET) poor[last++] = s;
  }
  while (first < last) {
    size_t s = poor[first++];
    while (rest[rich] <= BUCKET) rich++;  // there is one: the mean is BUCKET
    t->divide[s] = (uint16_t)rest[s];
    t->other[s] = (uint16_t)rich;
    rest[rich] -= BUCKET - rest[s];
    if (rest[rich] < BUCKET) poor[last++] = rich;
  }
  for (size_t s = 0; s < TSR_RANS_SYMBOLS; s++) ranks[s] = t->divide[s];
  for (size_t b = 0; b < TSR_RANS_SYMBOLS; b++) {
    if (t->divide[b] == BUCKET) continue;
    uint32_t *rank = &ranks[t->other[b]];
    t->shift[b] = (uint16_t)(*rank - t->divide[b]);
    *rank += BUCKET - (uint32_t)t->divide[b];
  }
}

// Decodes the symbol of a state and moves it on, without the word that it may need.
static inline uint32_t take(const tsr_rans_table *t, uint32_t *state) {
  uint32_t x = *state, bucket = x / BUCKET % TSR_RANS_SYMBOLS, rank = x % BUCKET, symbol = bucket;
  if (rank >= t->divide[bucket]) {
    symbol = t->other[bucket];
    rank = (rank + t->shift[bucket]) & 0xFFFF;
  }
  *state = t->frequency[symbol] * (x / TSR_RANS_SLOTS) + rank;
  return symbol;
}

void tsr_rans_scalar(const tsr_rans_table *table, tsr_rans_streams *streams, size_t steps,
                     bool nibbles, uint8_t base, uint8_t *out) {
  for (; steps > 0; steps--, out += nibbles ? STEP / 2 : STEP) {
    for (size_t j = 0; j < TSR_RANS_STREAMS; j++) {
      for (size_t lane = 0; lane < TSR_RANS_LANES; lane++) {
        uint32_t *x = &streams->states[j][lane];
        uint8_t symbol = (uint8_t)take(table, x);
        if (*x < LOW) {
          *x = *x << 16 | get16(streams->next[j]);
          streams->next[j] += 2;
        }
        if (!nibbles) out[(j / 2 * TSR_RANS_LANES + lane) * 2 + j % 2] = (uint8_t)(symbol + base);
        else if (j % 2 == 0) out[j / 2 * TSR_RANS_LANES + lane] = symbol;
        else out[j / 2 * TSR_RANS_LANES + lane] |= (uint8_t)(symbol << 4);
      }
    }
  }
}

// How bytes become symbols: (byte - base) >> drop, where the dropped bits are stored as they are.
typedef struct {
  uint8_t base;
  unsigned drop;
} symbol_form;

// Symbol `index` of a step, in the order of streams and lanes. Two streams take turns: bytes, or halves.
static inline uint32_t symbol_at(const uint8_t *bytes, size_t step, size_t index, bool nibbles,
                                 symbol_form form) {
  size_t stream = index / TSR_RANS_LANES, lane = index % TSR_RANS_LANES;
  size_t at = stream / 2 * TSR_RANS_LANES + lane;
  if (!nibbles)
    return (uint8_t)(bytes[step * STEP + at * 2 + stream % 2] - form.base) >> form.drop;
  uint8_t byte = bytes[step * STEP / 2 + at];
  return stream % 2 ? byte >> 4 : byte & 15;
}

static size_t step_count(size_t count, bool nibbles) { return count / (nibbles ? STEP / 2 : STEP); }

// The form that suits the bytes' range, and how often each symbol occurs.
static symbol_form count_symbols(const uint8_t *bytes, size_t count, bool nibbles,
                                 uint32_t counts[TSR_RANS_SYMBOLS]) {
  symbol_form form = {0, 0};
  if (!nibbles) {
    uint8_t least = 255, most = 0;
    for (size_t i = 0; i < count; i++) {
      if (bytes[i] < least) least = bytes[i];
      if (bytes[i] > most) most = bytes[i];
    }
    form.base = least;
    while ((most - least) >> form.drop >= TSR_RANS_SYMBOLS) form.drop++;
  }
  memset(counts, 0, TSR_RANS_SYMBOLS * sizeof *counts);
  for (size_t i = 0; i < step_count(count, nibbles); i++)
    for (size_t k = 0; k < STEP; k++) counts[symbol_at(bytes, i, k, nibbles, form)]++;
  return form;
}

// Frequencies that add up to TSR_RANS_SLOTS, at least 1 for every symbol that occurs.
static void scale_counts(const uint32_t counts[TSR_RANS_SYMBOLS], uint64_t total,
                         uint16_t frequency[TSR_RANS_SYMBOLS]) {
  uint32_t sum = 0;
  size_t likeliest = 0;
  for (size_t s = 0; s < TSR_RANS_SYMBOLS; s++) {
    uint64_t exact = ((uint64_t)counts[s] * TSR_RANS_SLOTS + total / 2) / total;
    frequency[s] = (uint16_t)(counts[s] > 0 && exact == 0 ? 1 : exact);
    sum += frequency[s];
    if (counts[s] > counts[likeliest]) likeliest = s;
  }
  // The sum is off by at most 64, through rounding and the 1 for rare symbols; the largest frequency is at least 64.
  while (sum > TSR_RANS_SLOTS) {
    size_t most = 0;
    for (size_t s = 1; s < TSR_RANS_SYMBOLS; s++)
      if (frequency[s] > frequency[most]) most = s;
    frequency[most]--, sum--;
  }
  frequency[likeliest] = (uint16_t)(frequency[likeliest] + (TSR_RANS_SLOTS - sum));
}

// head: base, dropped bits, symbols, 0; their frequencies; the dropped bits; sizes of the streams.
static size_t head_size(size_t symbols, size_t count, unsigned drop) {
  return 4 + 2 * symbols + count * drop / 8 + 4 * TSR_RANS_STREAMS;
}

size_t tsr_rans_bound(size_t count) {
  // At most one word per symbol, of two symbols per byte.
  return head_size(TSR_RANS_SYMBOLS, count, 2) + 4 * STEP + 4 * count;
}

// Codes one stream and returns its size. `room` has 2 bytes for every symbol.
static size_t encode_stream(const uint8_t *bytes, size_t steps, bool nibbles, symbol_form form,
                            const tsr_rans_table *t, const uint16_t *slots, const uint32_t *starts,
                            size_t stream, uint8_t *out) {
  uint32_t states[TSR_RANS_LANES];
  for (size_t lane = 0; lane < TSR_RANS_LANES; lane++) states[lane] = LOW;
  // Words are written backwards: the decoder takes the last first.
  uint8_t *const room = out + 4 * TSR_RANS_LANES + 2 * steps * TSR_RANS_LANES, *word = room;
  for (size_t step = steps; step-- > 0;) {
    for (size_t lane = TSR_RANS_LANES; lane-- > 0;) {
      uint32_t s = symbol_at(bytes, step, stream * TSR_RANS_LANES + lane, nibbles, form);
      uint32_t frequency = t->frequency[s], *x = &states[lane];
      if (*x >= (uint64_t)frequency << 20) {
        put16(word -= 2, *x & 0xFFFF);
        *x >>= 16;
      }
      *x = (*x / frequency * TSR_RANS_SLOTS) + slots[starts[s] + *x % frequency];
    }
  }
  for (size_t lane = 0; lane < TSR_RANS_LANES; lane++) put32(out + 4 * lane, states[lane]);
  memmove(out + 4 * TSR_RANS_LANES, word, (size_t)(room - word));
  return 4 * TSR_RANS_LANES + (size_t)(room - word);
}

size_t tsr_rans_encode(const uint8_t *bytes, size_t count, bool nibbles, uint8_t *out) {
  uint32_t counts[TSR_RANS_SYMBOLS], starts[TSR_RANS_SYMBOLS], sum = 0;
  uint16_t slots[TSR_RANS_SLOTS];
  tsr_rans_table t;
  size_t steps = step_count(count, nibbles), symbols = 1;
  symbol_form form = count_symbols(bytes, count, nibbles, counts);
  scale_counts(counts, (uint64_t)steps * STEP, t.frequency);
  make_table(&t);
  for (size_t s = 0; s < TSR_RANS_SYMBOLS; s++) {
    starts[s] = sum;
    sum += t.frequency[s];
    if (t.frequency[s] > 0) symbols = s + 1;
  }
  for (uint32_t slot = 0; slot < TSR_RANS_SLOTS; slot++) {
    uint32_t b = slot / BUCKET, rank = slot % BUCKET, s = b;
    if (rank >= t.divide[b]) s = t.other[b], rank = (rank + t.shift[b]) & 0xFFFF;
    slots[starts[s] + rank] = (uint16_t)slot;
  }
  uint8_t *p = out;
  *p++ = form.base, *p++ = (uint8_t)form.drop, *p++ = (uint8_t)symbols, *p++ = 0;
  for (size_t s = 0; s < symbols; s++, p += 2) put16(p, t.frequency[s]);
  size_t part = count * form.drop / 8;
  memset(p, 0, part);
  for (size_t i = 0; part > 0 && i < count; i++) {
    unsigned bits = (uint8_t)(bytes[i] - form.base) & ((1u << form.drop) - 1);
    p[i % part] |= (uint8_t)(bits << (i / part * form.drop));
  }
  p += part;
  uint8_t *sizes = p;
  p += 4 * TSR_RANS_STREAMS;
  for (size_t j = 0; j < TSR_RANS_STREAMS; j++) {
    size_t size = encode_stream(bytes, steps, nibbles, form, &t, slots, starts, j, p);
    put32(sizes + 4 * j, (uint32_t)size);
    p += size;
  }
  return (size_t)(p - out);
}

// Puts dropped bits back: byte = base + (byte - base) * 2^drop + bits. One byte of dropped bits holds those of as
// many bytes as it can. These lie far apart, so that neighbouring bytes shift alike.
static void restore_bits(uint8_t *out, size_t count, symbol_form form, const uint8_t *bits) {
  size_t part = count * form.drop / 8;
  for (unsigned shift = 0; shift < 8; shift += form.drop, out += part) {
    for (size_t i = 0; i < part; i++) {
      unsigned low = (bits[i] >> shift) & ((1u << form.drop) - 1);
      out[i] = (uint8_t)(((unsigned)(out[i] - form.base) << form.drop) + low + form.base);
    }
  }
}

bool tsr_rans_decode(const uint8_t *coded, size_t size, tsr_rans_loop loop, bool nibbles,
                     uint8_t *out, size_t count) {
  if (size < 4) return false;
  symbol_form form = {coded[0], coded[1]};
  size_t symbols = coded[2], head = head_size(symbols, count, form.drop), sum = 0;
  if (form.drop > (nibbles ? 0 : 2) || (nibbles && (form.base != 0 || symbols > 16)) ||
      symbols == 0 || symbols > TSR_RANS_SYMBOLS || coded[3] != 0 || size < head)
    return false;
  tsr_rans_table t = {0};
  for (size_t s = 0; s < symbols; s++) {
    t.frequency[s] = (uint16_t)get16(coded + 4 + 2 * s);
    sum += t.frequency[s];
  }
  if (sum != TSR_RANS_SLOTS || t.frequency[symbols - 1] == 0) return false;
  make_table(&t);
  tsr_rans_streams streams = {.end = coded + size};
  const uint8_t *sizes = coded + head - 4 * TSR_RANS_STREAMS, *starts[TSR_RANS_STREAMS + 1];
  starts[0] = coded + head;
  for (size_t j = 0; j < TSR_RANS_STREAMS; j++) {
    size_t bytes = get32(sizes + 4 * j);
    if (bytes < 4 * TSR_RANS_LANES || bytes > (size_t)(streams.end - starts[j])) return false;
    for (size_t lane = 0; lane < TSR_RANS_LANES; lane++)
      streams.states[j][lane] = get32(starts[j] + 4 * lane);
    streams.next[j] = starts[j] + 4 * TSR_RANS_LANES;
    starts[j + 1] = starts[j] + bytes;
  }
  if (starts[TSR_RANS_STREAMS] != streams.end) return false;
  // Each round takes so few steps that no stream can pass the end of the tile. The last steps read a copy with room after
  // it.
  size_t steps = step_count(count, nibbles);
  uint8_t last[TSR_RANS_STREAMS][4 * TSR_RANS_LANES];
  while (steps > 0) {
    size_t safe = steps;
    for (size_t j = 0; j < TSR_RANS_STREAMS; j++) {
      if (streams.next[j] > streams.end) return false;
      size_t left = (size_t)(streams.end - streams.next[j]) / (2 * TSR_RANS_LANES);
      if (left < safe) safe = left;
    }
    tsr_rans_streams copies = streams;
    if (safe == 0) {
      safe = 1;
      for (size_t j = 0; j < TSR_RANS_STREAMS; j++) {
        size_t left = (size_t)(streams.end - streams.next[j]);
        if (left > sizeof last[j] / 2) left = sizeof last[j] / 2;
        memset(last[j], 0, sizeof last[j]);
        memcpy(last[j], streams.next[j], left);
        copies.next[j] = last[j];
      }
      loop(&t, &copies, safe, nibbles, form.base, out);
      for (size_t j = 0; j < TSR_RANS_STREAMS; j++)
        streams.next[j] += (size_t)(copies.next[j] - last[j]);
      memcpy(streams.states, copies.states, sizeof copies.states);
    } else {
      loop(&t, &streams, safe, nibbles, form.base, out);
    }
    out += safe * (nibbles ? STEP / 2 : STEP);
    steps -= safe;
  }
  for (size_t j = 0; j < TSR_RANS_STREAMS; j++) {
    if (streams.next[j] != starts[j + 1]) return false;
    for (size_t lane = 0; lane < TSR_RANS_LANES; lane++)
      if (streams.states[j][lane] != LOW) return false;
  }
  if (form.drop > 0)
    restore_bits(out - count, count, form, coded + 4 + 2 * symbols);
  return true;
}

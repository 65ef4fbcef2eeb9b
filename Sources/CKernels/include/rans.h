// An entropy coder for code planes that decodes many symbols at a time (Formats/TSR.md, "Storage class 2"):
// 128 interleaved range coders (rANS, Duda 2013) whose symbols are looked up by the alias method (Vose
// 1991), so that one table of 64 entries, which registers hold, serves 4096 slots.
#ifndef TSR_RANS_H
#define TSR_RANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

enum {
  TSR_RANS_SYMBOLS = 64,
  TSR_RANS_SLOTS = 4096,  // that the symbols' frequencies add up to
  TSR_RANS_STREAMS = 8,
  TSR_RANS_LANES = 16,  // of each stream
};

// Slots of bucket b, which are 64 b ..< 64 (b + 1): the first `divide` belong to symbol b, the others to
// `other`. A slot's rank among its symbol's: its place in the bucket, plus `shift` for the others.
typedef struct {
  uint16_t divide[TSR_RANS_SYMBOLS], other[TSR_RANS_SYMBOLS], shift[TSR_RANS_SYMBOLS];
  uint16_t frequency[TSR_RANS_SYMBOLS];
} tsr_rans_table;

// Where decoding stands: the next 16-bit word of each stream, the end of all, and the states.
typedef struct {
  const uint8_t *_Nonnull next[TSR_RANS_STREAMS];
  const uint8_t *end;
  uint32_t states[TSR_RANS_STREAMS][TSR_RANS_LANES];
} tsr_rans_streams;

// Decodes `steps` times 128 symbols to as many bytes (plus `base`), or with `nibbles` to half as many. Each
// stream has 32 bytes for every step before the end, whatever they hold.
typedef void (*tsr_rans_loop)(const tsr_rans_table *table, tsr_rans_streams *streams, size_t steps,
                              bool nibbles, uint8_t base, uint8_t *out);
void tsr_rans_scalar(const tsr_rans_table *table, tsr_rans_streams *streams, size_t steps,
                     bool nibbles, uint8_t base, uint8_t *out);

// Bytes that `count` bytes may take at most.
size_t tsr_rans_bound(size_t count);
// Codes `count` bytes, a multiple of 128, as one symbol each or with `nibbles` as two; returns the size.
size_t tsr_rans_encode(const uint8_t *bytes, size_t count, bool nibbles, uint8_t *out);
// False where `coded` is not what exactly `count` bytes were coded to.
bool tsr_rans_decode(const uint8_t *coded, size_t size, tsr_rans_loop loop, bool nibbles,
                     uint8_t *out, size_t count);

#pragma clang assume_nonnull end
#endif

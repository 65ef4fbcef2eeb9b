// The operations of a transformer pass, in C. scalar.c defines each one; the files named after an
// instruction set hold faster forms of the inner kernels; ops.c shares work out over the threads.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "encoders.h"
#include "panels.h"
#include "rans.h"
#include "trellis.h"

#pragma clang assume_nonnull begin

enum { TSR_VISIBLE_RANGES = 4, TSR_SLOT_TILE = 32 };
// Tiles of slots that attention sums up at a time, from nothing.
enum { TSR_SECTION_TILES = 16, TSR_SECTION = TSR_SECTION_TILES * TSR_SLOT_TILE };
enum { TSR_MAX_HEAD_DIM = 512 };
// Groups that a panel kernel multiplies with all tokens before the next ones, and tokens of a block.
enum { TSR_SPAN = 32, TSR_TOKEN_BLOCK = 64 };

// Values of StorageClass (Formats/TSR.md, "Tiles").
enum { TSR_PLAIN = 0, TSR_ZSTD = 1, TSR_RANS = 2, TSR_TRELLIS = 4 };

// The stored bytes of one tile: whole panels, plain or coded; count 0: decoded before.
typedef struct {
  const uint8_t *bytes;
  size_t count;
} tsr_tile;

// A weight matrix [rows, columns] as it is stored: its panels one after the other from `base`, or
// tiles anywhere. What is multiplied at a time, a unit, is a panel or a tile.
typedef struct {
  const uint8_t *_Nullable base;
  size_t rows, columns;
  size_t panel_bytes;  // of 16 rows (integer encodings) or of one row (f32, f16)
  uint32_t encoding, storage;
  const tsr_tile *_Nullable tiles;  // instead of base; integer encodings only
  size_t tile_panels;               // panels of each tile but the last
} tsr_matrix;
size_t tsr_units(const tsr_matrix *matrix);
// Whether a matrix of this storage class holds its rows turned (tsr_kernels.hadamard), so that it multiplies
// activations which are turned alike.
static inline bool tsr_is_turned(uint32_t storage) { return storage == TSR_TRELLIS; }

// One residual, in the order in which panel kernels take them: `term` counts over all tokens.
typedef struct {
  uint32_t row;  // its token, counted from the block's first
  uint32_t group, term;
} tsr_residual;

// A term as the kernels of AVX-512 read it: by group, a block's tokens in order, then its residuals.
typedef struct {
  int8_t codes[TSR_GROUP];
  float scale, offset4, offset8;  // offsets: -8 and -128 times scale * sum of codes
  uint32_t row;  // its token, counted from the block's first
  float half_sums[2];  // as those of tsr_activations
} tsr_entry;

// Activations [tokens, columns], columns padded to a multiple of 32 with zeros, in two forms: values,
// and terms of 32 codes with one scale, |code| <= 127. A token's first terms are its groups of
// columns, value ~ scale * code. The terms after them, the residuals, code the rounding errors of some
// groups: those with the largest scales, because a few large values make their other values coarse.
typedef struct tsr_activations {
  float *values;  // [tokens, columns]
  int8_t *codes;  // [tokens, terms, 32]
  float *scales;  // [tokens, terms]
  float *sums;    // [tokens, terms]: scale * sum of codes
  float *half_sums;  // [tokens, terms, 2]: the same for the first and the last 16 codes
  float *offsets;  // [tokens, terms]: -8 * sums: what a 4-bit matrix's stored offset adds too much
  uint32_t *residual_groups;  // [tokens, residuals], ascending
  tsr_residual *residual_list;  // [tokens, residuals]: those of each block, by group, then token
  uint32_t *group_ends;         // [blocks, groups]: entries of a block's list up to each group
  tsr_entry *_Nullable entries;  // [tokens, terms], in the order of blocks; for AVX-512 only
  size_t width;               // columns without padding
  size_t columns;             // padded
  size_t groups;              // columns / 32
  size_t residuals;           // at most groups
  size_t terms;               // groups + residuals
  // The same activations turned, for turned matrices; NULL where none multiplies them.
  const struct tsr_activations *_Nullable turned;
  bool only_turned;  // no other matrix of integers multiplies them: `values` have no terms here
} tsr_activations;

enum { TSR_KV_INT8 = 1, TSR_KV_F16 = 2, TSR_KV_F32 = 3, TSR_KV_INT4 = 4 };

// Keys and values of one layer: [kv_heads, slots, head_dim]. INT8 has a scale per head and slot, and
// its rows are stored turned by the kernels' hadamard, which spreads what outlying columns hold over
// all. Its codes, plus 128, lie as attention multiplies them, like those of a weight panel: keys
// [kv_heads, slots / 16, dim / 4, 16, 4], values [kv_heads, slots / 4, dim, 4], where the slots are
// rounded up to a multiple of TSR_SLOT_TILE and dim to one of 16. INT4 has codes of at most 7, as those
// 8-bit codes are that are multiples of 16: a byte holds the upper halves of one of the first 16 slots of
// a tile (low bits) and of the one 16 slots after it.
typedef struct {
  void *keys, *values;
  float *key_scales, *value_scales;  // [kv_heads, slots], rounded up likewise
  size_t kv_heads, slots, head_dim;
  uint32_t encoding;
} tsr_kv;
// Those slots and that dim.
size_t tsr_padded_slots(size_t slots);
size_t tsr_padded_dim(size_t head_dim);
// Whether it holds codes, not floats.
static inline bool tsr_kv_has_codes(const tsr_kv *kv) {
  return kv->encoding == TSR_KV_INT8 || kv->encoding == TSR_KV_INT4;
}

// Some query rows over tiles of one head's 8-bit cache. Queries, and the weights of slots, are 16-bit
// codes of at most TSR_CODE_LIMIT, so that products of 512 terms are exact in 32 bits. The second
// and third of each four codes are exchanged: pairs of 16 bits meet the even and the odd bytes of a
// cache line.
enum { TSR_CODE_LIMIT = 32639 };  // 127 * 256 + 127: two signed bytes hold it
typedef struct {
  const uint8_t *keys, *values;             // of the head
  const float *key_scales, *value_scales;   // [slots]
  size_t dim;                               // padded
  const uint32_t *tiles;  // [tile_count], ascending, of one section: those that any row sees
  size_t tile_count;
  const uint32_t *visible;  // [rows / group, TSR_SECTION_TILES]: a bit for each slot of each of them
  size_t rows, group;       // rows that share visible bits
  const int16_t *queries;   // [rows, dim]
  const float *query_scales;
  const int32_t *query_sums;  // [rows]: sums of the codes
  float *outputs;             // [rows, dim]: values times weights e^(score - the row's maximum)
  float *states;              // [rows, 2]: that maximum, and the sum of weights
} tsr_section;

typedef struct {
  float max;
  int32_t argmax;         // lowest index among equals
  float log_sum_exp;      // of the whole row
  float entropy;          // nats, of softmax(row)
  float second;           // largest value but one
  uint32_t not_finite;    // values that are infinite or no number, -infinity among them
} tsr_row_summary;

// out[tokens][16] = panel * x, for one 16-row panel and tokens first..<first + tokens: a block, so
// `first` is a multiple of TSR_TOKEN_BLOCK and the other tokens are after them.
typedef void (*tsr_panel_kernel)(const uint8_t *panel, const tsr_activations *x, size_t first,
                                 size_t tokens, float *out);

// Inner kernels of one instruction set. None allocates; none can fail.
typedef struct {
  const char *name;
  // Codes, scales, sums and offsets of `count` terms from `term` on (counted over all tokens), which
  // stand for x[count][32]. Returns how many terms hold a value that is not finite: they get zeros.
  size_t (*quantize)(const tsr_activations *a, const float *x, size_t term, size_t count);
  bool reads_entries;                       // of activations, which panels then need
  tsr_panel_kernel _Nonnull panel[TSR_PANEL_ENCODINGS];  // at encoding - TSR_FIRST_PANEL
  // The same for two panels that lie one after the other, out[tokens][32]; the same bits. NULL where
  // two are no faster than one after the other; taken for at most `pair_tokens` and at least `pair_groups`.
  tsr_panel_kernel _Nullable pair[TSR_PANEL_ENCODINGS];
  size_t pair_tokens, pair_groups;
  float (*dot_f32)(const float *a, const float *b, size_t count);
  float (*dot_f16)(const uint16_t *a, const float *b, size_t count);
  float (*largest)(const float *x, size_t count);  // -infinity of nothing
  // out[rows][TSR_SLOT_TILE] = queries[rows][dim] times keys[TSR_SLOT_TILE][dim], transposed.
  void (*scores)(const float *queries, size_t rows, const float *keys, size_t dim, float *out);
  // out[rows][dim] += weights[rows][TSR_SLOT_TILE] times values[TSR_SLOT_TILE][dim].
  void (*weigh)(const float *weights, size_t rows, const float *values, size_t dim, float *out);
  // The same for an 8-bit cache: fills outputs and states. A row's depend on the slots it sees alone.
  void (*fold_section)(const tsr_section *section);
  // Turns x by the orthogonal Hadamard matrix, which is its own inverse, in blocks of the largest
  // power of two that divides `count`. Products of two rows so turned stay what they are.
  void (*hadamard)(float *x, size_t count);
  // Codes of `count` values with one scale, which is returned: value ~ scale * code. Where a value is
  // not finite the codes are zeros and the scale is NaN; so for the next.
  float (*narrow_int8)(const float *x, size_t count, int8_t *codes);
  // Codes of a query, in tsr_section's order, padded to `dim` with zeros; returns their scale.
  float (*narrow_query)(const float *x, size_t count, size_t dim, int16_t *codes, int32_t *sum);
  void (*widen_f16)(const uint16_t *x, float *y, size_t count);
  // x = exp(x - max) in place; returns the sum.
  float (*exponentials)(float *x, float max, size_t count);
  // out = gate / (1 + exp(-gate)) * up
  void (*swiglu)(const float *gate, const float *up, float *out, size_t count);
  // out = gate / (1 + exp(-slope)) * up, with slope = 2 sqrt(2 / pi) (gate + 0.044715 gate^3): GELU by tanh
  void (*geglu)(const float *gate, const float *up, float *out, size_t count);
  // out = x * factor * weight
  void (*normalize)(const float *x, float factor, const float *weight, float *out, size_t count);
  // Turns the pairs (x[i], x[half + i]) by their angles, times `factor`.
  void (*rotate)(float *x, const float *cosines, const float *sines, size_t half, float factor);
  // Indices of the `wanted` largest of `count` values that are not negative, ascending; of equal
  // ones the first.
  void (*choose_largest)(const float *x, size_t count, size_t wanted, uint32_t *chosen);
  // Entries of -infinity count as absent. With a NaN or +infinity in the row only `not_finite` says
  // anything.
  void (*summarize)(const float *row, size_t count, tsr_row_summary *summary);
  // Multiplies 4-bit codes by activations in registers only; returns the products added up.
  size_t (*mac_loop)(size_t rounds);
  tsr_rans_loop decode_symbols;
  tsr_trellis_loop decode_strand;
  // out[tokens][16 panels] = panels `panel` (and the next, where `panels` is 2) of a stored tile times x, as panel kernels
  // do it. NULL where tiles are decoded first.
  void (*_Nullable strands)(const tsr_trellis_tile *tile, size_t panel, size_t panels,
                            const tsr_activations *x, size_t first, size_t tokens, float *out);
} tsr_kernels;

const tsr_kernels *tsr_kernels_scalar(void);
// NULL where the processor lacks the instructions or the file was built for another architecture.
const tsr_kernels *_Nullable tsr_kernels_avx2(void);
const tsr_kernels *_Nullable tsr_kernels_avxvnni(void);
const tsr_kernels *_Nullable tsr_kernels_avx512vnni(void);
const tsr_kernels *_Nullable tsr_kernels_neon(void);
const tsr_kernels *_Nullable tsr_kernels_i8mm(void);

// Threads that wait for work: they spin for some microseconds, then park.
typedef struct tsr_pool tsr_pool;
tsr_pool *_Nullable tsr_pool_create(size_t threads);
void tsr_pool_destroy(tsr_pool *pool);
size_t tsr_pool_threads(const tsr_pool *pool);
// Lets the caller do everything itself until told otherwise; between regions only.
void tsr_pool_work_alone(tsr_pool *pool, bool alone);
typedef void (*tsr_task)(void *context, size_t index, size_t worker);
// Calls task(context, i, worker) for i in 0..<count on all threads, and returns when all are done.
void tsr_pool_run(tsr_pool *pool, tsr_task task, void *context, size_t count);

// tsr_add_products of each block of `columns` columns; products[columns][block].
void tsr_add_all_products(tsr_pool *pool, const float *x, size_t tokens, size_t stride,
                          size_t columns, size_t block, float *products);
// The sum of weights times values.
double tsr_expectation(const float *weights, const float *values, size_t count);

// Decodes coded tiles into a buffer of each thread.
typedef struct tsr_decoders tsr_decoders;
// For tiles of at most `tile_bytes` when plain; NULL without memory.
tsr_decoders *_Nullable tsr_decoders_create(const tsr_kernels *kernels, size_t threads,
                                            size_t tile_bytes);
void tsr_decoders_destroy(tsr_decoders *decoders);
// The plain bytes of a coded tile, in `worker`'s buffer until its next call. NULL if it is damaged,
// which is remembered.
const uint8_t *_Nullable tsr_decode_tile(tsr_decoders *decoders, const tsr_matrix *matrix,
                                         size_t tile, size_t worker);
// The plain bytes of a tile: where they lie if they are plain or have been decoded before, or decoded now.
const uint8_t *_Nullable tsr_plain_tile(tsr_decoders *_Nullable decoders,
                                        const tsr_matrix *matrix, size_t tile, size_t worker);
// Opens a tile of a trellis, with its scales in that buffer; false as above.
bool tsr_open_tile(tsr_decoders *decoders, const tsr_matrix *matrix, size_t tile, size_t worker,
                   tsr_trellis_tile *opened);
// Whether any tile was damaged.
bool tsr_decoders_failed(const tsr_decoders *decoders);
// Time that all threads together spent decoding since the last call; between regions only.
uint64_t tsr_decoders_take_nanoseconds(tsr_decoders *decoders);

typedef struct {
  const tsr_kernels *kernels;
  tsr_pool *pool;
  tsr_decoders *_Nullable decoders;  // where a matrix is coded
  float *scratch;         // [threads, scratch_floats]
  size_t scratch_floats;  // per thread
  float *partials;        // [partial_floats], of attention whose slots are shared out
  size_t partial_floats;
  uint64_t *not_finite;   // [threads]: terms and cache rows that held a value which is not finite
} tsr_compute;

static inline void tsr_note_not_finite(const tsr_compute *compute, size_t worker, size_t count) {
  if (count > 0) compute->not_finite[worker] += count;
}

// Decodes tiles first..<first + count of a coded matrix, all threads together, to `out`, each to its own
// tile_panels * panel_bytes. False where one is damaged.
bool tsr_decode_tiles(const tsr_compute *compute, const tsr_matrix *matrix, size_t first,
                      size_t count, uint8_t *out);

// Rows of a matrix, times `scale`.
void tsr_embed(const tsr_compute *compute, const tsr_matrix *matrix, const int32_t *ids,
               size_t count, float scale, float *x);
// Without a weight the values are taken as they are.
void tsr_rms_norm(const tsr_compute *compute, const float *x, const int32_t *_Nullable rows,
                  size_t tokens, size_t columns, const float *_Nullable weight, float eps,
                  const tsr_activations *out);
// Normalizes x[token * stride...] in place, and adds it to sum[token * columns...] where that is given.
void tsr_normalize_rows(const tsr_compute *compute, float *x, size_t stride, size_t columns,
                        size_t tokens, const float *weight, float eps, float *_Nullable sum);
// 1 / sqrt(mean square of x + eps), in double precision where squares are too large for floats; NaN
// where a value is not finite.
float tsr_norm_factor(const tsr_kernels *kernels, const float *x, size_t count, float eps);
// Codes of the values of one token, residuals included, and of `tokens`; turned ones too where they are wanted.
// Returns the terms with a value that is not finite.
size_t tsr_quantize_token(const tsr_kernels *kernels, const tsr_activations *a, size_t token);
// Lists the residuals of the first `tokens`, and all terms if there are entries, as panel kernels
// need them before tsr_multiply.
void tsr_list_terms(const tsr_activations *a, size_t tokens);
void tsr_quantize(const tsr_compute *compute, const tsr_activations *a, size_t tokens);
// Units begin..<end of a matrix, whose first row's product goes to column `offset` of the output.
typedef struct {
  size_t offset, begin, end;
} tsr_part;
// y[token * stride + parts[i].offset + row] = matrices[i] * x, or += with `adding`, for the rows of
// each part.
void tsr_multiply(const tsr_compute *compute, const tsr_matrix *matrices, const tsr_part *parts,
                  size_t matrix_count, const tsr_activations *x, size_t tokens, float *y,
                  size_t stride, bool adding);
void tsr_add_bias(float *y, const float *bias, size_t count, size_t stride, size_t tokens);
enum { TSR_SILU = 1, TSR_GELU_TANH = 2 };
// Activation of the gate times up.
void tsr_gated(const tsr_compute *compute, uint32_t activation, const float *gate, const float *up,
               size_t stride, size_t columns, size_t tokens, const tsr_activations *out);

typedef struct {
  float *x;       // first head of the first token
  size_t stride;  // between tokens
  size_t heads, head_dim, tokens;
  const float *cosines, *sines;     // [tokens, head_dim / 2]
  const float *_Nullable norm;      // [head_dim], RMSNorm of each head first
  const float *_Nullable factors;   // [tokens], applied last
  float eps;
} tsr_rotation;

// The steps between the projections and attention: queries and keys are rotated in place where they are
// given, then keys and values are stored where `kv` is given.
typedef struct {
  const tsr_rotation *_Nullable queries;
  const tsr_rotation *_Nullable keys;
  const float *_Nullable stored_keys;  // first head of the first token
  const float *_Nullable values;
  size_t stride, tokens;
  const int32_t *_Nullable slots;  // [tokens], all different
  const tsr_kv *_Nullable kv;
} tsr_placement;
void tsr_place(const tsr_compute *compute, const tsr_placement *placement);

typedef struct {
  const float *queries;  // first head of the first token
  size_t stride;         // between tokens
  size_t heads, tokens;
  const int32_t *visible;  // [tokens, 4, 2]: begin and end of up to four slot ranges
  float scale;
  const tsr_kv *kv;
  const tsr_activations *out;  // [first_out + tokens, heads * head_dim]
  size_t first_out;            // row of the first token
} tsr_attention;
// Needs scratch_floats >= tsr_attention_scratch(heads / kv_heads, head_dim).
// With partials, the slots of few tokens are shared out over the threads too; no bit depends on it.
void tsr_attend(const tsr_compute *compute, const tsr_attention *attention);
size_t tsr_attention_scratch(size_t group_heads, size_t head_dim);

// Limits: reads `count` bytes with all threads and returns how many; multiplies in registers, `blocks`
// shared out over the threads, and returns the products. `sinks`: one per thread.
size_t tsr_read_all(const tsr_compute *compute, const uint8_t *bytes, size_t count,
                    uint64_t *sinks);
uint64_t tsr_multiply_registers(const tsr_compute *compute, size_t blocks, uint64_t *sinks);

// A counter that runs evenly, read in a few nanoseconds; how fast it runs, the caller finds out.
static inline uint64_t tsr_ticks(void) {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
#endif
}

uint16_t tsr_float_to_half(float value);

// The slope of geglu is x times the first and its cube times the second.
#define TSR_GELU_LINEAR 1.5957691216057308f
#define TSR_GELU_CUBIC 0.07135481627260025f
static inline float tsr_gelu_slope(float x) {
  return x * TSR_GELU_LINEAR + x * x * x * TSR_GELU_CUBIC;
}

#pragma clang assume_nonnull end
#endif

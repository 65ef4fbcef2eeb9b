// The data of one task of attention: attention.c hands tasks out, and attention_fold.c sums up sections.
#ifndef TSR_ATTENTION_H
#define TSR_ATTENTION_H
#include "CKernels.h"

typedef struct {
  const tsr_compute *compute;
  const tsr_attention *attention;
  size_t group_heads;  // query heads per kv head
  size_t width;        // of an output row: the padded head_dim of an 8-bit cache, else head_dim
  size_t tokens_per_chunk, chunks;
  size_t first_section, sections;  // that any token sees something of
  bool shared;                     // every task takes one section
} attention_job;

// Sums over some slots for each row: outputs [rows, width], not yet divided, and [rows, 2], the
// maximum score and the sum of weights.
typedef struct {
  float *outputs, *states;
} row_sums;

// In its thread's scratch.
typedef struct {
  size_t first, last;  // tokens; a row is a token and a query head of the group
  size_t kv_head, rows;
  row_sums part, total;  // of the current section, and of all
  float *scales;         // [rows]; 8-bit cache: scales of the query codes
  int32_t *sums;         // [rows]: sums of those codes
  uint32_t *visible;     // [rows, TSR_SECTION_TILES], the first for tokens
  float *queries;        // [rows, width], times the attention's scale; 8-bit cache: int16 codes
  float *scores;         // [rows, TSR_SLOT_TILE]; not for an 8-bit cache, as what follows
  float *keys, *values;  // [TSR_SLOT_TILE, width], widened
  // A section of a 4-bit cache in 8 bits: keys, then values, [TSR_SECTION, width] each; their scales.
  uint8_t *widened;
  float *widened_scales;
} attention_task;

// Converts the queries of a task to the form that the cache is multiplied with. Returns how many hold a
// value that is not finite.
size_t tsr_load_queries(const attention_job *job, const attention_task *task);
// Sums up one section into the task's part.
void tsr_fold_section(const attention_job *job, const attention_task *task, size_t section);
void tsr_clear_sums(row_sums sums, size_t rows, size_t width);

#endif

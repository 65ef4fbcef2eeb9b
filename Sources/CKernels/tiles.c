// Coded tiles: a zstd frame of scales, then codes in another or in range coders; or a trellis's (Formats/TSR.md,
// "Tiles"). They are decoded into memory that stays in a core's cache and multiplied there at once.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#include "CKernels.h"

// One thread's buffer: the plain tile, then as much room again for its two kinds of planes.
typedef struct {
  ZSTD_DCtx *context;
  uint8_t *bytes;
  uint64_t nanoseconds;  // spent decoding; written by its own thread, read between regions
} tile_decoder;

struct tsr_decoders {
  const tsr_kernels *kernels;
  size_t threads, tile_bytes;
  _Atomic bool failed;
  tile_decoder each[];
};

enum { PADDING = 128 };  // kernels may read a little beyond a panel

tsr_decoders *tsr_decoders_create(const tsr_kernels *kernels, size_t threads, size_t tile_bytes) {
  tsr_decoders *d = calloc(1, sizeof *d + threads * sizeof *d->each);
  if (!d) return NULL;
  tile_bytes = (tile_bytes + 63) / 64 * 64;
  d->kernels = kernels;
  d->tile_bytes = tile_bytes;
  for (; d->threads < threads; d->threads++) {
    tile_decoder *each = &d->each[d->threads];
    each->context = ZSTD_createDCtx();
    each->bytes = aligned_alloc(64, 2 * tile_bytes + PADDING);
    if (each->context && each->bytes) continue;
    d->threads++;
    tsr_decoders_destroy(d);
    return NULL;
  }
  return d;
}

void tsr_decoders_destroy(tsr_decoders *d) {
  for (size_t i = 0; i < d->threads; i++) {
    ZSTD_freeDCtx(d->each[i].context);
    free(d->each[i].bytes);
  }
  free(d);
}

bool tsr_decoders_failed(const tsr_decoders *d) { return atomic_load(&d->failed); }

uint64_t tsr_decoders_take_nanoseconds(tsr_decoders *d) {
  uint64_t sum = 0;
  for (size_t i = 0; i < d->threads; i++) {
    sum += d->each[i].nanoseconds;
    d->each[i].nanoseconds = 0;
  }
  return sum;
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

// A frame that must hold exactly `bytes`.
static bool decode_frame(ZSTD_DCtx *context, const uint8_t *frame, size_t count, uint8_t *out,
                         size_t bytes) {
  return ZSTD_getFrameContentSize(frame, count) == bytes &&
         ZSTD_decompressDCtx(context, out, bytes, frame, count) == bytes;
}

static bool decode_codes(const tsr_decoders *d, const tile_decoder *each, const tsr_matrix *m,
                         const uint8_t *coded, size_t count, uint8_t *out, size_t bytes) {
  if (m->storage == TSR_ZSTD) return decode_frame(each->context, coded, count, out, bytes);
  return tsr_rans_decode(coded, count, d->kernels->decode_symbols, m->encoding != TSR_INT8, out,
                         bytes);
}

static size_t panels_of(const tsr_matrix *m, size_t tile) {
  size_t rest = (m->rows + TSR_PANEL_ROWS - 1) / TSR_PANEL_ROWS - tile * m->tile_panels;
  return rest < m->tile_panels ? rest : m->tile_panels;
}

// A tile whose scales and codes are two streams.
static bool decode_planes(const tsr_decoders *d, tile_decoder *each, const tsr_matrix *m,
                          tsr_tile stored, size_t panels) {
  size_t groups = (m->columns + TSR_GROUP - 1) / TSR_GROUP;
  size_t codes = groups * 64 * tsr_form(m->encoding).bits, planes = m->panel_bytes - codes;
  // A tile of one panel is decoded in place, others are put together from their planes.
  uint8_t *first = panels == 1 ? each->bytes : each->bytes + d->tile_bytes;
  uint8_t *second = first + panels * planes;
  uint32_t planes_count = 0;
  if (stored.count >= sizeof planes_count) memcpy(&planes_count, stored.bytes, 4);
  bool ok = stored.count >= 4 && planes_count <= stored.count - 4 &&
            decode_frame(each->context, stored.bytes + 4, planes_count, first, panels * planes) &&
            decode_codes(d, each, m, stored.bytes + 4 + planes_count,
                         stored.count - 4 - planes_count, second, panels * codes);
  for (size_t i = 0; ok && i < panels && panels > 1; i++) {
    memcpy(each->bytes + i * m->panel_bytes, first + i * planes, planes);
    memcpy(each->bytes + i * m->panel_bytes + planes, second + i * codes, codes);
  }
  return ok;
}

static const uint8_t *decode_tile(tsr_decoders *d, const tsr_matrix *m, size_t tile,
                                  size_t worker) {
  tile_decoder *each = &d->each[worker];
  const tsr_tile stored = m->tiles[tile];
  size_t panels = panels_of(m, tile), groups = (m->columns + TSR_GROUP - 1) / TSR_GROUP;
  bool fits = worker < d->threads && panels * m->panel_bytes <= d->tile_bytes;
  bool ok = fits && (m->storage == TSR_TRELLIS
                         ? tsr_trellis_decode(stored.bytes, stored.count, d->kernels->decode_strand,
                                              panels, groups, each->bytes)
                         : decode_planes(d, each, m, stored, panels));
  if (!ok) atomic_store(&d->failed, true);
  return ok ? each->bytes : NULL;
}

const uint8_t *tsr_decode_tile(tsr_decoders *d, const tsr_matrix *m, size_t tile, size_t worker) {
  uint64_t start = now();
  const uint8_t *bytes = decode_tile(d, m, tile, worker);
  if (worker < d->threads) d->each[worker].nanoseconds += now() - start;
  return bytes;
}

bool tsr_open_tile(tsr_decoders *d, const tsr_matrix *m, size_t tile, size_t worker,
                   tsr_trellis_tile *opened) {
  size_t groups = (m->columns + TSR_GROUP - 1) / TSR_GROUP, panels = panels_of(m, tile);
  size_t stride = (groups * 32 + 63) / 64 * 64;
  const tsr_tile stored = m->tiles[tile];
  bool ok = worker < d->threads && panels * stride <= d->tile_bytes &&
            tsr_trellis_open(stored.bytes, stored.count, panels, groups, d->each[worker].bytes,
                             stride, opened);
  if (!ok) atomic_store(&d->failed, true);
  return ok;
}

const uint8_t *tsr_plain_tile(tsr_decoders *d, const tsr_matrix *m, size_t tile, size_t worker) {
  if (m->storage == TSR_PLAIN || m->tiles[tile].count == 0) return m->tiles[tile].bytes;
  return tsr_decode_tile(d, m, tile, worker);
}

typedef struct {
  const tsr_compute *compute;
  const tsr_matrix *matrix;
  size_t first;
  uint8_t *out;
} decode_job;

static void decode_one(void *context, size_t index, size_t worker) {
  const decode_job *job = context;
  const tsr_matrix *m = job->matrix;
  size_t tile = job->first + index;
  const uint8_t *bytes = tsr_decode_tile(job->compute->decoders, m, tile, worker);
  if (!bytes) return;
  memcpy(job->out + index * m->tile_panels * m->panel_bytes, bytes,
         panels_of(m, tile) * m->panel_bytes);
}

bool tsr_decode_tiles(const tsr_compute *compute, const tsr_matrix *matrix, size_t first,
                      size_t count, uint8_t *out) {
  decode_job job = {compute, matrix, first, out};
  tsr_pool_run(compute->pool, decode_one, &job, count);
  return !tsr_decoders_failed(compute->decoders);
}

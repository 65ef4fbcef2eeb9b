// A thread pool for regions of a few microseconds: workers spin on a generation counter, then park
// on a futex. The caller is worker 0. Each worker claims the indices of a stretch of its own one by
// one, in order, so that it needs next the data that it has fetched ahead; then it helps the others from
// the ends of theirs. The caller waits only for claimed indices: a worker that the system does not
// run delays nobody.
#define _GNU_SOURCE
#include "CKernels.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPINS = 4000 };  // about 50-100 microseconds, longer than the serial parts of a pass

// Indices begin..<end that are left, `begin` in the upper half: one comparison and exchange claims an index.
// Where nothing is left a claim changes nothing and reads nothing else.
typedef struct {
  _Alignas(64) _Atomic uint64_t left;
} stretch;

enum { HALF = 32 };

struct tsr_pool {
  size_t threads;
  bool alone;          // the caller does everything itself
  _Atomic bool busy;   // a region runs
  pthread_t *handles;  // [threads - 1]
  tsr_task task;       // with `context`, stable from the region's start until its last index is done
  void *context;
  stretch *stretches;  // [threads]
  _Alignas(64) _Atomic uint32_t generation;  // bumps once per region
  _Alignas(64) _Atomic size_t done;  // indices of this region
  _Alignas(64) _Atomic uint32_t parked;
  _Atomic bool stopping;
};

typedef struct {
  tsr_pool *pool;
  size_t worker;
} worker_start;

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value) {
  syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word) {
  syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

// Returns when the generation differs from `seen`.
static uint32_t await_generation(tsr_pool *pool, uint32_t seen) {
  for (int spin = 0; spin < SPINS; spin++) {
    uint32_t now = atomic_load_explicit(&pool->generation, memory_order_acquire);
    if (now != seen) return now;
    relax();
  }
  for (;;) {
    atomic_fetch_add(&pool->parked, 1);
    uint32_t now = atomic_load(&pool->generation);
    if (now == seen) futex_wait(&pool->generation, seen);
    atomic_fetch_sub(&pool->parked, 1);
    now = atomic_load(&pool->generation);
    if (now != seen) return now;
  }
}

// Claims the first index that is left, or the last.
static bool claim(stretch *from, bool first, size_t *index) {
  uint64_t left = atomic_load_explicit(&from->left, memory_order_acquire);
  for (;;) {
    uint64_t begin = left >> HALF, end = left & UINT32_MAX;
    if (begin >= end) return false;
    uint64_t rest = first ? (begin + 1) << HALF | end : begin << HALF | (end - 1);
    if (atomic_compare_exchange_weak_explicit(&from->left, &left, rest, memory_order_acq_rel,
                                              memory_order_acquire)) {
      *index = first ? begin : end - 1;
      return true;
    }
  }
}

static void take_work(tsr_pool *pool, size_t worker) {
  size_t index;
  for (size_t i = 0; i < pool->threads; i++) {
    stretch *from = &pool->stretches[(worker + i) % pool->threads];
    while (claim(from, i == 0, &index)) {
      pool->task(pool->context, index, worker);
      atomic_fetch_add_explicit(&pool->done, 1, memory_order_release);
    }
  }
}

static void *worker_main(void *argument) {
  worker_start start = *(worker_start *)argument;
  free(argument);
  tsr_pool *pool = start.pool;
  uint32_t seen = 0;
  for (;;) {
    seen = await_generation(pool, seen);
    if (atomic_load(&pool->stopping)) return NULL;
    take_work(pool, start.worker);
  }
}

static void run_region(tsr_pool *pool, tsr_task task, void *context, size_t count) {
  pool->task = task;
  pool->context = context;
  atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
  for (size_t i = 0; i < pool->threads; i++) {
    uint64_t begin = count * i / pool->threads, end = count * (i + 1) / pool->threads;
    atomic_store_explicit(&pool->stretches[i].left, begin << HALF | end, memory_order_release);
  }
  atomic_fetch_add(&pool->generation, 1);
  if (atomic_load(&pool->parked) > 0) futex_wake(&pool->generation);
  take_work(pool, 0);
  // The system may have stopped a worker during an index: yield the processor to it.
  for (int spin = 0; atomic_load_explicit(&pool->done, memory_order_acquire) < count; spin++) {
    if (spin < SPINS) relax();
    else sched_yield();
  }
}

void tsr_pool_run(tsr_pool *pool, tsr_task task, void *context, size_t count) {
  // Two regions at a time would use the same scratch and give wrong results without an error.
  if (atomic_exchange_explicit(&pool->busy, true, memory_order_acquire)) {
    fputs("tessera: two threads use one pool of kernels at the same time\n", stderr);
    abort();
  }
  if (pool->alone || pool->threads == 1 || count <= 1) {
    for (size_t index = 0; index < count; index++) task(context, index, 0);
  } else {
    assert(count < UINT32_MAX);  // half a stretch; panels, tokens and heads are far fewer
    run_region(pool, task, context, count);
  }
  atomic_store_explicit(&pool->busy, false, memory_order_release);
}

size_t tsr_pool_threads(const tsr_pool *pool) { return pool->alone ? 1 : pool->threads; }

void tsr_pool_work_alone(tsr_pool *pool, bool alone) { pool->alone = alone; }

static void release(tsr_pool *pool) {
  free(pool->stretches);
  free(pool->handles);
  free(pool);
}

tsr_pool *tsr_pool_create(size_t threads) {
  if (threads == 0) threads = 1;
  tsr_pool *pool = aligned_alloc(64, (sizeof(tsr_pool) + 63) / 64 * 64);
  if (!pool) return NULL;
  memset(pool, 0, sizeof *pool);
  pool->threads = 1;
  pool->handles = calloc(threads, sizeof(pthread_t));
  pool->stretches = aligned_alloc(64, threads * sizeof(stretch));
  if (!pool->handles || !pool->stretches) {
    release(pool);
    return NULL;
  }
  memset(pool->stretches, 0, threads * sizeof(stretch));
  for (size_t worker = 1; worker < threads; worker++) {
    worker_start *start = malloc(sizeof *start);
    if (!start) break;
    *start = (worker_start){pool, worker};
    if (pthread_create(&pool->handles[worker - 1], NULL, worker_main, start) != 0) {
      free(start);
      break;  // fewer threads than asked for; tsr_pool_threads tells
    }
    pool->threads++;
  }
  return pool;
}

void tsr_pool_destroy(tsr_pool *pool) {
  atomic_store(&pool->stopping, true);
  atomic_fetch_add(&pool->generation, 1);
  futex_wake(&pool->generation);
  for (size_t worker = 1; worker < pool->threads; worker++)
    pthread_join(pool->handles[worker - 1], NULL);
  release(pool);
}

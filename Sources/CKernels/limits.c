// The limits of the machine, measured with the threads and instructions of the kernels. Measured speeds are divided by these
// figures.
#include "CKernels.h"

enum { READ_BLOCK = 1 << 18, MAC_ROUNDS = 2000 };

typedef struct {
  const tsr_compute *compute;
  const uint8_t *bytes;
  uint64_t *sinks;  // per thread
} limit_job;

static void read_block(void *context, size_t index, size_t worker) {
  const limit_job *job = context;
  const uint8_t *block = job->bytes + index * READ_BLOCK;
  uint64_t sums[8] = {0};
  for (size_t at = 0; at < READ_BLOCK; at += 64) {
    const uint64_t *line = (const uint64_t *)(block + at);
    __builtin_prefetch(block + at + 2048);
    for (int i = 0; i < 8; i++) sums[i] += line[i];
  }
  for (int i = 0; i < 8; i++) job->sinks[worker] += sums[i];
}

size_t tsr_read_all(const tsr_compute *compute, const uint8_t *bytes, size_t count,
                    uint64_t *sinks) {
  limit_job job = {compute, bytes, sinks};
  tsr_pool_run(compute->pool, read_block, &job, count / READ_BLOCK);
  return count / READ_BLOCK * READ_BLOCK;
}

static void multiply_block(void *context, size_t index, size_t worker) {
  (void)index;
  const limit_job *job = context;
  job->sinks[worker] += (uint64_t)job->compute->kernels->mac_loop(MAC_ROUNDS);
}

uint64_t tsr_multiply_registers(const tsr_compute *compute, size_t blocks, uint64_t *sinks) {
  limit_job job = {compute, NULL, sinks};
  size_t threads = tsr_pool_threads(compute->pool);
  for (size_t i = 0; i < threads; i++) sinks[i] = 0;
  tsr_pool_run(compute->pool, multiply_block, &job, blocks);
  uint64_t total = 0;
  for (size_t i = 0; i < threads; i++) total += sinks[i];
  return total;
}

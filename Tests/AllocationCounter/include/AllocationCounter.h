// Counts heap allocations of the calling thread, for tests that promise there are none.
#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

// Calls of malloc, calloc, realloc and their aligned relatives so far; -1 where they cannot be counted.
long tsr_allocation_count(void);

#endif

// All kernels except the matrix multiplication, on 256-bit vectors.
#include "x86_kernels.h"
#include "scalar.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <float.h>
#include <math.h>
#include <string.h>

#pragma clang attribute push(                                                             \
    __attribute__((target("avx2,fma,f16c,popcnt"))), \
    apply_to = function)

#define INLINE static inline __attribute__((always_inline))
#define NAME(FUNCTION) tsr_avx2_##FUNCTION
#include "x86_lanes256.h"
// The templates, in order: each uses those above it.
#include "x86_vectors.h"
#include "vector_attention.h"
#include "x86_summary.h"

#pragma clang attribute pop
#endif

// All kernels except the matrix multiplication, on 512-bit vectors.
#include "x86_kernels.h"
#include "scalar.h"

#if defined(__x86_64__)
#include <float.h>
#include <math.h>
#include <string.h>

#ifdef TSR_EMULATED  // Tools/check-avx512 compiles this file against an emulation
#include TSR_EMULATED
#else
#include <immintrin.h>
#pragma clang attribute push(                                                             \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c,popcnt"))), \
    apply_to = function)
#endif

#define INLINE static inline __attribute__((always_inline))
#define NAME(FUNCTION) tsr_avx512_##FUNCTION
#include "x86_lanes512.h"
// The templates, in order: each uses those above it.
#include "x86_vectors.h"
#include "vector_attention.h"
#include "x86_summary.h"

#ifndef TSR_EMULATED
#pragma clang attribute pop
#endif
#endif

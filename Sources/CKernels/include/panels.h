// The layout of a panel of 16 rows in a file, for each integer encoding (Formats/TSR.md, "Bytes of a tensor"). Kernels
// take a form as a constant, so that it costs no time.
#ifndef TSR_PANELS_H
#define TSR_PANELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma clang assume_nonnull begin

// Values of TensorEncoding.
enum {
  TSR_F32 = 1,
  TSR_F16,
  TSR_INT8,
  TSR_INT4,
  TSR_INT4_AFFINE,
  TSR_INT5,
  TSR_INT5_AFFINE,
  TSR_INT2_NESTED,
  TSR_INT3_NESTED,
  TSR_INT4_NESTED,
  TSR_INT5_NESTED,
  TSR_INT6_NESTED,
};
enum { TSR_FIRST_PANEL = TSR_INT8, TSR_PANEL_ENCODINGS = TSR_INT6_NESTED - TSR_FIRST_PANEL + 1 };
// The encodings whose codes lie in bytes or nibbles alone, and those that are put together from planes of bits, or whose
// scales are integers: CALL(name, encoding) for each.
#define TSR_SIMPLE_ENCODINGS(CALL) \
  CALL(int8, TSR_INT8) CALL(int4, TSR_INT4) CALL(int4_affine, TSR_INT4_AFFINE)
#define TSR_BIT_PLANE_ENCODINGS(CALL)                                             \
  CALL(int5, TSR_INT5)                                                            \
  CALL(int5_affine, TSR_INT5_AFFINE)                                              \
  CALL(int2_nested, TSR_INT2_NESTED)                                              \
  CALL(int3_nested, TSR_INT3_NESTED)                                              \
  CALL(int4_nested, TSR_INT4_NESTED)                                              \
  CALL(int5_nested, TSR_INT5_NESTED)                                              \
  CALL(int6_nested, TSR_INT6_NESTED)

// Rows of a panel, columns of a group, groups that share factors.
enum { TSR_PANEL_ROWS = 16, TSR_GROUP = 32, TSR_SUPER_GROUP = 8 };

// value = scale * (code - offset) + minimum
typedef struct {
  unsigned bits;     // of a code; a group has 64 bytes of codes for each of them
  int offset;
  unsigned planes;   // of a half-precision number per row and group: scales, then minimums
  unsigned factors;  // half-precision numbers per row and super-group, times integers of its groups; 0: none
  unsigned parts;    // of a group, with integers of their own
} tsr_panel_form;

static inline __attribute__((always_inline)) tsr_panel_form tsr_form(uint32_t encoding) {
  switch (encoding) {
    case TSR_INT8: return (tsr_panel_form){8, 128, 1, 0, 1};
    case TSR_INT4: return (tsr_panel_form){4, 8, 1, 0, 1};
    case TSR_INT4_AFFINE: return (tsr_panel_form){4, 0, 2, 0, 1};
    case TSR_INT5: return (tsr_panel_form){5, 16, 1, 0, 1};
    case TSR_INT5_AFFINE: return (tsr_panel_form){5, 0, 2, 0, 1};
    case TSR_INT2_NESTED: return (tsr_panel_form){2, 0, 0, 2, 2};
    case TSR_INT3_NESTED: return (tsr_panel_form){3, 4, 0, 1, 2};
    case TSR_INT4_NESTED: return (tsr_panel_form){4, 0, 0, 2, 1};
    case TSR_INT5_NESTED: return (tsr_panel_form){5, 0, 0, 2, 1};
    default: return (tsr_panel_form){6, 32, 0, 1, 2};
  }
}

// Bytes of a plane of 32 bytes per group, padded to a cache line.
static inline __attribute__((always_inline)) size_t tsr_plane_bytes(size_t groups) {
  return (groups * 32 + 63) / 64 * 64;
}

// Bytes in front of a panel's codes. Nested: a plane of integers, then the factors.
static inline __attribute__((always_inline)) size_t tsr_planes_bytes(tsr_panel_form form,
                                                                     size_t groups) {
  if (!form.factors) return form.planes * tsr_plane_bytes(groups);
  size_t super_groups = (groups + TSR_SUPER_GROUP - 1) / TSR_SUPER_GROUP;
  return tsr_plane_bytes(groups) + (super_groups * 32 * form.factors + 63) / 64 * 64;
}

// Bytes of a whole panel.
static inline size_t tsr_panel_bytes(uint32_t encoding, size_t groups) {
  tsr_panel_form form = tsr_form(encoding);
  return tsr_planes_bytes(form, groups) + groups * 64 * form.bits;
}

// Where the factors of a group's super-group are.
static inline __attribute__((always_inline)) const uint8_t *tsr_factors(tsr_panel_form form,
                                                                        const uint8_t *panel,
                                                                        size_t groups,
                                                                        size_t group) {
  return panel + tsr_plane_bytes(groups) + group / TSR_SUPER_GROUP * 32 * form.factors;
}

// The code of column i of a group. Its bits lie in lines of 64 bytes, a byte for each 8 / width columns: four of its
// bits if it has as many, then two, then one.
static inline __attribute__((always_inline)) unsigned tsr_code(tsr_panel_form form, const uint8_t *codes, size_t row, size_t i) {
  unsigned code = 0, taken = 0;
  size_t step = i / 4, byte = 4 * row + i % 4;
  if (form.bits == 8) return codes[64 * step + byte];
  for (unsigned width = 4; width > 0; width /= 2) {
    if (!(form.bits & width)) continue;
    size_t places = 8 / width;
    unsigned bits = codes[64 * (taken + step / places) + byte] >> step % places * width;
    code |= (bits & ((1u << width) - 1)) << taken;
    taken += width;
  }
  return code;
}

// Puts a code where tsr_code finds it; the bytes were zero.
static inline __attribute__((always_inline)) void tsr_put_code(tsr_panel_form form, uint8_t *codes,
                                                               size_t row, size_t i, unsigned code) {
  unsigned taken = 0;
  size_t step = i / 4, byte = 4 * row + i % 4;
  if (form.bits == 8) codes[64 * step + byte] = (uint8_t)code;
  for (unsigned width = 4; width > 0 && form.bits < 8; width /= 2) {
    if (!(form.bits & width)) continue;
    size_t places = 8 / width;
    unsigned bits = code >> taken & ((1u << width) - 1);
    codes[64 * (taken + step / places) + byte] |= (uint8_t)(bits << step % places * width);
    taken += width;
  }
}

float tsr_half_to_float(uint16_t half);

static inline float tsr_half_at(const uint8_t *plane, size_t index) {
  uint16_t bits;
  memcpy(&bits, plane + 2 * index, sizeof bits);
  return tsr_half_to_float(bits);
}

typedef struct {
  float scale, minimum;
} tsr_scaling;

// How the codes of one row and part of a group are scaled.
static inline __attribute__((always_inline)) tsr_scaling tsr_scaling_of(
    tsr_panel_form form, const uint8_t *panel, size_t groups, size_t group, size_t row, size_t part) {
  if (!form.factors) {
    size_t index = group * TSR_PANEL_ROWS + row;
    return (tsr_scaling){
        tsr_half_at(panel, index),
        form.planes > 1 ? tsr_half_at(panel + tsr_plane_bytes(groups), index) : 0};
  }
  const uint8_t *integers = panel + 32 * group + row;
  const uint8_t *factors = tsr_factors(form, panel, groups, group);
  float factor = tsr_half_at(factors, row);
  if (form.factors == 1) return (tsr_scaling){factor * (float)(int8_t)integers[16 * part], 0};
  bool nibbles = form.parts == 2;
  unsigned scale = nibbles ? integers[16 * part] & 15 : integers[0];
  unsigned minimum = nibbles ? integers[16 * part] >> 4 : integers[16];
  return (tsr_scaling){factor * (float)scale, -tsr_half_at(factors + 32, row) * (float)minimum};
}

#pragma clang assume_nonnull end
#endif

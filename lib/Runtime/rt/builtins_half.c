/* Conversions to and from halves that CPUs without such instructions call. */
#include <stdint.h>

static uint32_t float_bits(float value) {
  union {
    float f;
    uint32_t u;
  } both = {value};
  return both.u;
}

/* Rounds to nearest even. */
static uint16_t half_of(uint32_t bits) {
  uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) /* NaN stays one */
    return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x3ff));
  if (rest >= 0x47800000) /* 65536 and more */
    return (uint16_t)(sign | 0x7c00);
  if (rest < 0x33000000) /* less than half the smallest */
    return (uint16_t)sign;
  uint32_t drop = 13, value = rest - (112u << 23);
  if (rest < 0x38800000) { /* a subnormal half */
    drop = 126 - (rest >> 23);
    value = (rest & 0x7fffff) | 0x800000;
  }
  uint32_t result = value >> drop, cut = value & ((1u << drop) - 1);
  uint32_t middle = 1u << (drop - 1);
  if (cut > middle || (cut == middle && (result & 1)))
    ++result;
  return (uint16_t)(sign | result);
}

/* A float that rounds to the same half as the double: cut, with the last bit
 * set when anything was cut off. */
static uint32_t odd_float_bits(double value) {
  union {
    double d;
    uint64_t u;
  } both = {value};
  uint32_t sign = (uint32_t)(both.u >> 32) & 0x80000000;
  uint32_t exponent = (uint32_t)(both.u >> 52) & 0x7ff;
  uint64_t mantissa = both.u & 0xfffffffffffffull;
  if (exponent == 0x7ff && mantissa)
    return sign | 0x7fc00000;
  if (exponent > 1023 + 127)
    return sign | 0x7f800000;
  if (exponent < 1023 - 126) { /* a subnormal float, or less */
    uint32_t drop = 29 + 897 - exponent;
    mantissa |= (uint64_t)1 << 52;
    if (drop > 53)
      return sign | (both.u << 1 != 0);
    return sign | (uint32_t)(mantissa >> drop) |
           ((mantissa & (((uint64_t)1 << drop) - 1)) != 0);
  }
  return sign | (exponent - 896) << 23 | (uint32_t)(mantissa >> 29) |
         ((mantissa & 0x1fffffff) != 0);
}

static uint32_t float_bits_of(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = half >> 10 & 31, mantissa = half & 0x3ff;
  if (exponent == 31)
    return sign | 0x7f800000 | mantissa << 13;
  if (exponent)
    return sign | (exponent + 112) << 23 | mantissa << 13;
  if (!mantissa)
    return sign;
  uint32_t shift = (uint32_t)__builtin_clz(mantissa) - 21;
  return sign | (113 - shift) << 23 | (mantissa << shift & 0x3ff) << 13;
}

#if defined(__arm__)
/* The Arm run-time ABI passes these in integer registers. */
#define AAPCS __attribute__((pcs("aapcs")))
AAPCS uint16_t __aeabi_f2h(float value) { return half_of(float_bits(value)); }
AAPCS uint16_t __gnu_f2h_ieee(float value) {
  return half_of(float_bits(value));
}
AAPCS uint16_t __aeabi_d2h(double value) {
  return half_of(odd_float_bits(value));
}
AAPCS float __aeabi_h2f(uint16_t value) {
  union {
    uint32_t u;
    float f;
  } both = {float_bits_of(value)};
  return both.f;
}
AAPCS float __gnu_h2f_ieee(uint16_t value) { return __aeabi_h2f(value); }
#else
typedef union {
  uint16_t u;
  _Float16 f;
} half;

_Float16 __truncsfhf2(float value) {
  half both = {half_of(float_bits(value))};
  return both.f;
}
_Float16 __truncdfhf2(double value) {
  half both = {half_of(odd_float_bits(value))};
  return both.f;
}
float __extendhfsf2(_Float16 value) {
  half from;
  from.f = value;
  union {
    uint32_t u;
    float f;
  } both = {float_bits_of(from.u)};
  return both.f;
}
#endif

static uint16_t bfloat_of(uint32_t bits) {
  if ((bits & 0x7fffffff) > 0x7f800000)
    return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

typedef union {
  uint16_t u;
  __bf16 f;
} bfloat;

__bf16 __truncsfbf2(float value) {
  bfloat both = {bfloat_of(float_bits(value))};
  return both.f;
}
__bf16 __truncdfbf2(double value) {
  bfloat both = {bfloat_of(odd_float_bits(value))};
  return both.f;
}

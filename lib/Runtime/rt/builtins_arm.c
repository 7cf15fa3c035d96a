/* Integer division and 64-bit conversions of the Arm run-time ABI (IHI 0043),
 * which 32-bit code calls and libgcc would define. */
#if defined(__arm__)
#include <stdint.h>

#define AAPCS __attribute__((pcs("aapcs")))

static uint32_t divide32(uint32_t n, uint32_t d, uint32_t *rest) {
  uint32_t quotient = 0;
  if (d && n >= d) {
    int shift = __builtin_clz(d) - __builtin_clz(n);
    for (d <<= shift; shift >= 0; --shift, d >>= 1) {
      quotient <<= 1;
      if (n >= d) {
        n -= d;
        quotient |= 1;
      }
    }
  }
  *rest = n;
  return quotient;
}

static int leading(uint64_t value) {
  return value >> 32 ? __builtin_clz((uint32_t)(value >> 32))
                     : 32 + __builtin_clz((uint32_t)value);
}

static uint64_t divide64(uint64_t n, uint64_t d, uint64_t *rest) {
  if (!(n >> 32) && !(d >> 32)) {
    uint32_t low;
    uint32_t quotient = divide32((uint32_t)n, (uint32_t)d, &low);
    *rest = low;
    return quotient;
  }
  uint64_t quotient = 0;
  if (d && n >= d) {
    int shift = leading(d) - leading(n);
    for (d <<= shift; shift >= 0; --shift, d >>= 1) {
      quotient <<= 1;
      if (n >= d) {
        n -= d;
        quotient |= 1;
      }
    }
  }
  *rest = n;
  return quotient;
}

static int64_t divide64_signed(int64_t n, int64_t d, int64_t *rest) {
  uint64_t left;
  uint64_t quotient = divide64(n < 0 ? -(uint64_t)n : (uint64_t)n,
                               d < 0 ? -(uint64_t)d : (uint64_t)d, &left);
  *rest = (int64_t)(n < 0 ? -left : left);
  return (int64_t)((n < 0) != (d < 0) ? -quotient : quotient);
}

/* Quotient in r0, remainder in r1: the halves of one 64-bit result. */
uint64_t __aeabi_uidivmod(uint32_t n, uint32_t d) {
  uint32_t rest;
  uint32_t quotient = divide32(n, d, &rest);
  return (uint64_t)rest << 32 | quotient;
}

uint64_t __aeabi_idivmod(int32_t n, int32_t d) {
  uint32_t rest;
  uint32_t quotient = divide32(n < 0 ? -(uint32_t)n : (uint32_t)n,
                               d < 0 ? -(uint32_t)d : (uint32_t)d, &rest);
  if ((n < 0) != (d < 0))
    quotient = -quotient;
  if (n < 0)
    rest = -rest;
  return (uint64_t)rest << 32 | quotient;
}

uint32_t __aeabi_uidiv(uint32_t n, uint32_t d) {
  return (uint32_t)__aeabi_uidivmod(n, d);
}

int32_t __aeabi_idiv(int32_t n, int32_t d) {
  return (int32_t)__aeabi_idivmod(n, d);
}

/* Quotient in r0 and r1, remainder in r2 and r3: no C function returns that. */
#define DIVMOD(callee)                                                         \
  __asm__("push {r11, lr}\n"                                                   \
          "sub sp, sp, #16\n"                                                  \
          "add r12, sp, #8\n"                                                  \
          "str r12, [sp]\n"                                                    \
          "bl %c0\n"                                                           \
          "ldr r2, [sp, #8]\n"                                                 \
          "ldr r3, [sp, #12]\n"                                                \
          "add sp, sp, #16\n"                                                  \
          "pop {r11, pc}"                                                      \
          :                                                                    \
          : "X"(callee))

__attribute__((naked)) void __aeabi_uldivmod(void) { DIVMOD(divide64); }
__attribute__((naked)) void __aeabi_ldivmod(void) { DIVMOD(divide64_signed); }

/* Both products and sums are exact but for the last rounding. */
AAPCS double __aeabi_ul2d(uint64_t value) {
  return (double)(uint32_t)(value >> 32) * 4294967296.0 +
         (double)(uint32_t)value;
}

AAPCS double __aeabi_l2d(int64_t value) {
  return (double)(int32_t)(value >> 32) * 4294967296.0 +
         (double)(uint32_t)value;
}

/* Through a double that holds what matters of the value exactly: the bits that
 * it has no room for are gathered in its last one. */
AAPCS float __aeabi_ul2f(uint64_t value) {
  if (value >> 53)
    value = (value & ~0x7ffull) | ((value & 0x7ff) ? 0x800 : 0);
  return (float)__aeabi_ul2d(value);
}

AAPCS float __aeabi_l2f(int64_t value) {
  return value < 0 ? -__aeabi_ul2f(-(uint64_t)value)
                   : __aeabi_ul2f((uint64_t)value);
}

AAPCS uint64_t __aeabi_d2ulz(double value) {
  uint32_t high = (uint32_t)(value * (1.0 / 4294967296.0));
  uint32_t low = (uint32_t)(value - (double)high * 4294967296.0);
  return (uint64_t)high << 32 | low;
}

AAPCS int64_t __aeabi_d2lz(double value) {
  return value < 0 ? -(int64_t)__aeabi_d2ulz(-value)
                   : (int64_t)__aeabi_d2ulz(value);
}

AAPCS uint64_t __aeabi_f2ulz(float value) { return __aeabi_d2ulz(value); }
AAPCS int64_t __aeabi_f2lz(float value) { return __aeabi_d2lz(value); }
#endif

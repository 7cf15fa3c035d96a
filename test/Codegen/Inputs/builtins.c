/* Compares a model's divisions and conversions with the C compiler's own, and
 * halves with known bits. */
#include "builtins.h"
#include <stdio.h>

static const int64_t as[] = {
    0, 1, -1, 7, -7, 100, 1000000007, -1000000007, 0x7fffffff, -0x7fffffffLL,
    0x123456789abcdefLL, -0x123456789abcdefLL, INT64_MAX, INT64_MIN + 1,
    /* halfway between two floats, and around it */
    16777217, 0x4000004000000000LL, 0x4000004000000001LL, 0x7fffffbfffffffffLL,
    9007199254740993LL};
static const int64_t bs[] = {1,
                             3,
                             -3,
                             10,
                             127,
                             65536,
                             1000003,
                             -0x7fffffffLL,
                             0x100000001LL,
                             0x123456789LL,
                             -0x7000000000000003LL};
static const struct {
  float value;
  uint16_t half, half_tenth, bfloat, bfloat_tenth; /* of it and its tenth */
} fs[] = {
    {0, 0, 0, 0x0000, 0x0000},
    {1, 0x3c00, 0x2e66, 0x3f80, 0x3dcd},
    {-1.5f, 0xbe00, 0xb0cd, 0xbfc0, 0xbe1a},
    {65504, 0x7bff, 0x6e66, 0x4780, 0x45cd},
    {65519.99f, 0x7bff, 0x6e66, 0x4780, 0x45cd},
    {65520, 0x7c00, 0x6e66, 0x4780, 0x45cd},
    {-1e30f, 0xfc00, 0xfc00, 0xf14a, 0xefa2},
    {2.9802322e-8f, 0, 0, 0x3300, 0x314d},     /* half the smallest: to even */
    {2.99e-8f, 1, 0, 0x3300, 0x314d},          /* a little more */
    {6.1e-5f, 0x03ff, 0x0066, 0x3880, 0x36cd}, /* subnormal */
    {1.00048828125f, 0x3c00, 0x2e67, 0x3f80, 0x3dcd}, /* halfway: to even */
    {1.00146484375f, 0x3c02, 0x2e69, 0x3f80, 0x3dcd}};

int main(void) {
  int failed = 0;
  unsigned i, j, k;
  for (i = 0; i < sizeof as / sizeof *as; ++i)
    for (j = 0; j < sizeof bs / sizeof *bs; ++j)
      for (k = 0; k < sizeof fs / sizeof *fs; ++k) {
        int64_t a = as[i], b = bs[j], ints[8];
        int32_t a32 = (int32_t)a, b32 = (int32_t)b;
        float f = fs[k].value, floats[4];
        double doubles[2];
        uint16_t half[2], bfloat[2];
        builtins_inputs in;
        builtins_outputs out;
        int good;
        in.a = &a;
        in.b = &b;
        in.f = &f;
        out.ints = ints;
        out.floats = floats;
        out.half = half;
        out.doubles = doubles;
        out.bfloat = bfloat;
        if (builtins_run(&in, &out, NULL))
          return 2;
        good = ints[0] == a / b && ints[1] == a % b &&
               (uint64_t)ints[2] == (uint64_t)a / (uint64_t)b &&
               (uint64_t)ints[3] == (uint64_t)a % (uint64_t)b &&
               ints[4] == a32 / b32 && ints[5] == a32 % b32 &&
               ints[6] == (uint32_t)a32 / (uint32_t)b32 &&
               (f < -1e18f || ints[7] == (int64_t)f) && floats[0] == (float)a &&
               floats[1] == (float)(uint64_t)a && doubles[0] == (double)a &&
               doubles[1] == (double)(uint64_t)a && half[0] == fs[k].half &&
               half[1] == fs[k].half_tenth && bfloat[0] == fs[k].bfloat &&
               bfloat[1] == fs[k].bfloat_tenth;
        if (!good) {
          printf("wrong for %lld, %lld, %g: %04x %04x %04x %04x\n",
                 (long long)a, (long long)b, f, half[0], half[1], bfloat[0],
                 bfloat[1]);
          ++failed;
        }
      }
  printf("%d failed\n", failed);
  return failed != 0;
}

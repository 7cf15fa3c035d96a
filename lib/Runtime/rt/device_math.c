/* Functions of mathematics for GPUs, under the names of libm's: what passes
 * leave that is neither an instruction nor expanded inline. Codegen links those
 * that a kernel calls. All work in double, and are right to a few units in the
 * last place of it (pow: to 1e-13 where its result is very large or small). */

#define PI 3.14159265358979323846
#define INFINITE (__builtin_inf())
#define NO_NUMBER (__builtin_nan(""))

typedef unsigned long long u64;

static u64 bits_of(double x) {
  u64 bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

static double from_bits(u64 bits) {
  double x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

/* 2^k for -1022 <= k <= 1023 */
static double power_of_two(int k) { return from_bits((u64)(k + 1023) << 52); }

/* x 2^k, also where 2^k itself is no number. */
static double scale(double x, int k) {
  int half = k / 2;
  return x * power_of_two(half) * power_of_two(k - half);
}

/* exp(r) - 1 for |r| < 0.5: the series, from its end. */
static double small_expm1(double r) {
  double sum = 0;
  for (int n = 17; n > 1; --n)
    sum = (sum + 1) * r / n;
  return __builtin_copysign(r + r * sum, r);
}

double exp(double x) {
  if (!(x < 710))
    return x > 0 ? INFINITE : x;
  if (x < -746)
    return 0;
  double k = __builtin_rint(x * 1.4426950408889634);
  double r = __builtin_fma(-k, 6.93147180369123816490e-01, x);
  r = __builtin_fma(-k, 1.90821492927058770002e-10, r);
  return scale(1 + small_expm1(r), (int)k);
}

double exp2(double x) {
  if (!(x < 1025))
    return x > 0 ? INFINITE : x;
  if (x < -1080)
    return 0;
  double k = __builtin_rint(x);
  return scale(1 + small_expm1((x - k) * 0.69314718055994530942), (int)k);
}

double expm1(double x) {
  return __builtin_fabs(x) < 0.4 ? small_expm1(x) : exp(x) - 1;
}

/* x = 2^e m with m about 1; the logarithm of m. For positive numbers. */
static double log_of_mantissa(double x, int *e) {
  int shift = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    shift = -54;
  }
  u64 bits = bits_of(x);
  *e = (int)(bits >> 52) - 1023 + shift;
  double m = from_bits((bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++*e;
  }
  double f = m - 1, s = f / (2 + f), square = s * s, sum = 0;
  for (int n = 25; n > 1; n -= 2)
    sum = (sum + 1.0 / n) * square;
  /* 2 atanh(s) = f - s (f - 2 (atanh(s) / s - 1)) */
  return f - s * (f - 2 * sum);
}

/* What a logarithm is where it has no mantissa; 0 elsewhere. */
static int is_special(double x, double *result) {
  if (x > 0 && x < INFINITE)
    return 0;
  *result = x == 0 ? -INFINITE : x < 0 ? NO_NUMBER : x;
  return 1;
}

double log(double x) {
  double result;
  int e;
  if (is_special(x, &result))
    return result;
  double m = log_of_mantissa(x, &e);
  return e * 6.93147180369123816490e-01 + (m + e * 1.90821492927058770002e-10);
}

double log2(double x) {
  double result;
  int e;
  if (is_special(x, &result))
    return result;
  double m = log_of_mantissa(x, &e);
  return e + m * 1.4426950408889634;
}

double log10(double x) {
  double result;
  int e;
  if (is_special(x, &result))
    return result;
  double m = log_of_mantissa(x, &e);
  return e * 0.30102999566398119521 + m * 0.43429448190325182765;
}

double log1p(double x) {
  double u = 1 + x;
  if (u == 1 || u == INFINITE)
    return x;
  return log(u) * (x / (u - 1));
}

/* 2 / pi in binary, behind 64 zeros. */
static const u64 two_over_pi[] = {
    0,
    0xa2f9836e4e441529ULL,
    0xfc2757d1f534ddc0ULL,
    0xdb6295993c439041ULL,
    0xfe5163abdebbc561ULL,
    0xb7246e3a424dd2e0ULL,
    0x06492eea09d1921cULL,
    0xfe1deb1cb129a73eULL,
    0xe88235f52ebb4484ULL,
    0xe99c7026b45f7e41ULL,
    0x3991d639835339f4ULL,
    0x9c845f8bbdf9283bULL,
    0x1ff897ffde05980fULL,
    0xef2f118b5a0a6d1fULL,
    0x6d367ecf27cb09b7ULL,
    0x4f463f669e5fea2dULL,
    0x7527bac7ebe5f17bULL,
    0x3d0739f78a5292eaULL,
    0x6bfb5fb11f8d5d08ULL,
    0x56033046fc7b6babULL,
    0xf0cfbc209af4361dULL,
};

/* x = q pi / 2 + r; returns q modulo 4. For finite numbers. */
static int reduce(double x, double *r) {
  double size = __builtin_fabs(x);
  if (size < 0x1p20) {
    double k = __builtin_rint(x * (2 / PI));
    double rest = __builtin_fma(-k, 1.57079632679489655800e+00, x);
    rest = __builtin_fma(-k, 6.12323399573676603587e-17, rest);
    *r = __builtin_fma(-k, -1.49738490485916983e-33, rest);
    return (int)k & 3;
  }
  /* Payne and Hanek, "Radian reduction for trigonometric functions", 1983:
   * size = m 2^e. Of m 2^e 2 / pi only what is below 4 matters: of 2 / pi the
   * 192 bits from that of weight 2^-(e - 2) on. */
  u64 bits = bits_of(size);
  int e = (int)(bits >> 52) - 1075;
  u64 m = (bits & 0xfffffffffffffULL) | 0x10000000000000ULL;
  int first = e - 2 + 64, word = first / 64, shift = first % 64;
  u64 window[3], product[3];
  for (int i = 0; i < 3; ++i)
    window[i] = shift ? two_over_pi[word + i] << shift |
                            two_over_pi[word + i + 1] >> (64 - shift)
                      : two_over_pi[word + i];
  unsigned __int128 carry = 0;
  for (int i = 2; i >= 0; --i) {
    carry += (unsigned __int128)window[i] * m;
    product[i] = (u64)carry;
    carry >>= 64;
  }
  int quadrant = (int)(product[0] >> 62);
  u64 high = product[0] << 2 | product[1] >> 62;
  u64 low = product[1] << 2 | product[2] >> 62;
  int is_upper = (int)(high >> 63);
  if (is_upper) {
    /* The next quadrant is nearer. */
    quadrant += 1;
    high = ~high;
    low = ~low;
  }
  double fraction = (double)high * 0x1p-64 + (double)low * 0x1p-128;
  if ((is_upper != 0) != (x < 0))
    fraction = -fraction;
  *r = fraction * (PI / 2);
  return (x < 0 ? -quadrant : quadrant) & 3;
}

/* Sine and cosine for |r| <= pi / 4 (and a little): the series. */
static double small_sin(double r) {
  double square = r * r, sum = 0;
  for (int n = 18; n > 0; n -= 2)
    sum = (sum + 1) * -square / (n * (n + 1));
  return __builtin_copysign(r + r * sum, r);
}

static double small_cos(double r) {
  double square = r * r, sum = 0;
  for (int n = 17; n > 0; n -= 2)
    sum = (sum + 1) * -square / (n * (n + 1));
  return 1 + sum;
}

static double sin_of_quadrant(double x, int more) {
  double r;
  if (x == 0 && !more)
    return x;
  if (!(__builtin_fabs(x) < INFINITE))
    return NO_NUMBER;
  int quadrant = (reduce(x, &r) + more) & 3;
  double result = quadrant & 1 ? small_cos(r) : small_sin(r);
  return quadrant & 2 ? -result : result;
}

double sin(double x) { return sin_of_quadrant(x, 0); }
double cos(double x) { return sin_of_quadrant(x, 1); }
double tan(double x) { return sin(x) / cos(x); }

double atan(double x) {
  double t = __builtin_fabs(x);
  int is_large = t > 1;
  if (is_large)
    t = 1 / t;
  /* Twice half the angle, twice. */
  for (int i = 0; i < 2; ++i)
    t = t / (1 + __builtin_sqrt(1 + t * t));
  double square = t * t, sum = 0;
  for (int n = 21; n > 1; n -= 2)
    sum = (sum + 1.0 / n) * -square;
  double angle = 4 * (t + t * sum);
  return __builtin_copysign(is_large ? PI / 2 - angle : angle, x);
}

double atan2(double y, double x) {
  if (x != x || y != y)
    return x + y;
  double ax = __builtin_fabs(x), ay = __builtin_fabs(y), angle;
  if (ay == 0)
    angle = 0;
  else if (ax == ay)
    angle = PI / 4;
  else
    angle = ay > ax ? PI / 2 - atan(ax / ay) : atan(ay / ax);
  if (bits_of(x) >> 63)
    angle = PI - angle;
  return __builtin_copysign(angle, y);
}

double asin(double x) { return atan2(x, __builtin_sqrt((1 - x) * (1 + x))); }

double acos(double x) { return atan2(__builtin_sqrt((1 - x) * (1 + x)), x); }

double tanh(double x) {
  double size = __builtin_fabs(x);
  if (size > 22)
    return __builtin_copysign(1, x);
  double e = expm1(2 * size);
  return x != x ? x : __builtin_copysign(e / (e + 2), x);
}

double sinh(double x) {
  double size = __builtin_fabs(x);
  double half = exp(size / 2);
  double e = expm1(size);
  double result = size < 1 ? (e + e / (e + 1)) / 2
                           : half / 2 * half - 1 / (2 * half * half);
  return __builtin_copysign(result, x);
}

double cosh(double x) {
  double half = exp(__builtin_fabs(x) / 2);
  return half / 2 * half + 1 / (2 * half * half);
}

double asinh(double x) {
  double size = __builtin_fabs(x);
  double result =
      size > 0x1p28
          ? log(size) + 0.69314718055994530942
          : log1p(size + size * size / (1 + __builtin_sqrt(1 + size * size)));
  return __builtin_copysign(result, x);
}

double acosh(double x) {
  if (x < 1)
    return NO_NUMBER;
  if (x > 0x1p28)
    return log(x) + 0.69314718055994530942;
  return log1p(x - 1 + __builtin_sqrt((x - 1) * (x + 1)));
}

double atanh(double x) { return (log1p(x) - log1p(-x)) / 2; }

double cbrt(double x) {
  double size = __builtin_fabs(x);
  if (size == 0 || !(size < INFINITE))
    return x;
  double root = exp(log(size) / 3);
  root -= (root - size / (root * root)) / 3;
  return __builtin_copysign(root, x);
}

/* The series without differences: Abramowitz and Stegun, 7.1.6. */
static double small_erf(double x) {
  double sum = 1, term = 1;
  for (int n = 1; n < 70; ++n) {
    term *= 2 * x * x / (2 * n + 1);
    sum += term;
  }
  return 1.12837916709551257390 * x * exp(-x * x) * sum;
}

/* The continued fraction, from its end: 7.1.14. */
static double large_erfc(double x) {
  double fraction = x;
  for (int n = 80; n > 0; --n)
    fraction = x + n * 0.5 / fraction;
  return exp(-x * x) * 0.56418958354775628695 / fraction;
}

double erf(double x) {
  double size = __builtin_fabs(x);
  if (!(size < 6))
    return x != x ? x : __builtin_copysign(1, x);
  return size < 2 ? small_erf(x) : __builtin_copysign(1 - large_erfc(size), x);
}

double erfc(double x) {
  if (x > 28)
    return 0;
  return x > 2 ? large_erfc(x) : 1 - erf(x);
}

double round(double x) {
  double whole = __builtin_trunc(x);
  if (__builtin_fabs(x - whole) >= 0.5)
    whole += __builtin_copysign(1, x);
  return __builtin_copysign(whole, x);
}

/* What is left of x when y is taken away as often as it fits. Exact: each
 * quotient has at most 53 bits, and each product is subtracted unrounded. */
double fmod(double x, double y) {
  double rest = __builtin_fabs(x), by = __builtin_fabs(y);
  if (!(rest < INFINITE) || by == 0 || y != y)
    return NO_NUMBER;
  while (rest >= by && by < INFINITE) {
    int from = (int)(bits_of(rest) >> 52), to = (int)(bits_of(by) >> 52);
    int k = from - to > 1 ? from - to - 1 : 0;
    double part = scale(by, k);
    while (rest >= part)
      rest -= part;
  }
  return __builtin_copysign(rest, x);
}

double pow(double x, double y) {
  if (y == 0 || x == 1)
    return 1;
  if (x != x || y != y)
    return x + y;
  double size = __builtin_fabs(x), magnitude = __builtin_fabs(y);
  int is_integer =
      magnitude >= 0x1p53 || __builtin_trunc(magnitude) == magnitude;
  int is_odd = is_integer && magnitude < 0x1p53 && ((u64)magnitude & 1);
  double result;
  if (x < 0 && size < INFINITE && !is_integer)
    return NO_NUMBER;
  if (size == 1)
    result = 1;
  else if (magnitude == INFINITE || size == 0 || size == INFINITE)
    result = (size > 1) == (y > 0) ? INFINITE : 0;
  else if (is_integer && magnitude <= 64) {
    double base = size;
    result = 1;
    for (unsigned n = (unsigned)magnitude; n; n >>= 1) {
      if (n & 1)
        result *= base;
      base *= base;
    }
    result = y < 0 ? 1 / result : result;
  } else
    result = exp(y * log(size));
  return is_odd && bits_of(x) >> 63 ? -result : result;
}

#define IN_FLOAT(name)                                                         \
  float name##f(float x) { return (float)name(x); }
IN_FLOAT(exp)
IN_FLOAT(exp2)
IN_FLOAT(expm1)
IN_FLOAT(log)
IN_FLOAT(log2)
IN_FLOAT(log10)
IN_FLOAT(log1p)
IN_FLOAT(sin)
IN_FLOAT(cos)
IN_FLOAT(tan)
IN_FLOAT(asin)
IN_FLOAT(acos)
IN_FLOAT(atan)
IN_FLOAT(sinh)
IN_FLOAT(cosh)
IN_FLOAT(tanh)
IN_FLOAT(asinh)
IN_FLOAT(acosh)
IN_FLOAT(atanh)
IN_FLOAT(cbrt)
IN_FLOAT(erf)
IN_FLOAT(erfc)
IN_FLOAT(round)
float atan2f(float y, float x) { return (float)atan2(y, x); }
float powf(float x, float y) { return (float)pow(x, y); }
float fmodf(float x, float y) { return (float)fmod(x, y); }

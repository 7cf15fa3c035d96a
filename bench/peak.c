/* What this machine can do: multiply-adds of float32, and dot products of pairs
 * of bfloat16, out of registers, and reads of memory. bench/kernels makes a
 * shared library of it. */
#if defined(__AVX512BF16__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#include <arm_neon.h>
#endif
#include <stddef.h>
#include <time.h>

#if defined(__AVX512F__)
enum { bytes = 64, sums = 24 };
#elif defined(__AVX__)
enum { bytes = 32, sums = 12 };
#else
enum { bytes = 16, sums = 24 };
#endif
typedef float vector __attribute__((vector_size(bytes)));

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Operations a second, a multiply-add being two; the fastest of `rounds`. */
double peak_operations(int rounds) {
  const long turns = 200000;
  double best = 0;
  vector a[sums];
  for (int i = 0; i < sums; ++i)
    a[i] = (vector){0} + (float)i;
  for (int round = 0; round < rounds; ++round) {
    vector x = (vector){0} + 0.5f, y = (vector){0} + 0.25f;
    __asm__ volatile("" : "+m"(x), "+m"(y)); /* known to nobody */
    double start = now();
    for (long turn = 0; turn < turns; ++turn)
#pragma GCC unroll 32
      for (int i = 0; i < sums; ++i)
        a[i] = a[i] * x + y;
    double seconds = now() - start;
    double rate =
        2.0 * sums * (bytes / sizeof(float)) * (double)turns / seconds;
    best = rate > best ? rate : best;
    __asm__ volatile("" : "+m"(a));
  }
  return best;
}

/* The same of bfloat16, of which a lane multiplies two pairs and adds both; 0
 * on a machine without such dot products. */
double peak_pair_operations(int rounds) {
#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
  const long turns = 200000;
  double best = 0;
  vector a[sums];
  for (int i = 0; i < sums; ++i)
    a[i] = (vector){0} + (float)i;
  for (int round = 0; round < rounds; ++round) {
    vector x = (vector){0} + 0.5f, y = (vector){0} + 0.25f;
    __asm__ volatile("" : "+m"(x), "+m"(y)); /* known to nobody */
    double start = now();
    for (long turn = 0; turn < turns; ++turn)
#pragma GCC unroll 32
      for (int i = 0; i < sums; ++i)
#if defined(__AVX512BF16__)
        a[i] = (vector)_mm512_dpbf16_ps((__m512)a[i], (__m512bh)x, (__m512bh)y);
#else
        a[i] = (vector)vbfdotq_f32((float32x4_t)a[i], (bfloat16x8_t)x,
                                   (bfloat16x8_t)y);
#endif
    double seconds = now() - start;
    double rate =
        4.0 * sums * (bytes / sizeof(float)) * (double)turns / seconds;
    best = rate > best ? rate : best;
    __asm__ volatile("" : "+m"(a));
  }
  return best;
#else
  (void)rounds;
  return 0;
#endif
}

/* Bytes a second of reading `data`; the fastest of `rounds`. */
double read_bandwidth(const float *data, size_t size, int rounds) {
  double best = 0;
  size_t step = 8 * bytes / sizeof(float);
  for (int round = 0; round < rounds; ++round) {
    vector sum[8] = {{0}};
    double start = now();
    for (size_t i = 0; i + step <= size / sizeof(float); i += step)
#pragma GCC unroll 8
      for (int k = 0; k < 8; ++k)
        sum[k] +=
            *(const vector *)(data + i + (size_t)k * bytes / sizeof(float));
    double seconds = now() - start;
    __asm__ volatile("" : "+m"(sum));
    best = (double)size / seconds > best ? (double)size / seconds : best;
  }
  return best;
}

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

/* NAME(rounds): operations a second of STEP, which adds products of `x` and `y`
 * to the sum `a` and is LANE operations for each lane; the fastest of all
 * rounds. */
#define DEFINE_PEAK(NAME, LANE, STEP)                                          \
  double NAME(int rounds) {                                                    \
    const long turns = 200000;                                                 \
    double best = 0;                                                           \
    vector all[sums];                                                          \
    for (int i = 0; i < sums; ++i)                                             \
      all[i] = (vector){0} + (float)i;                                         \
    for (int round = 0; round < rounds; ++round) {                             \
      vector x = (vector){0} + 0.5f, y = (vector){0} + 0.25f;                  \
      __asm__ volatile("" : "+m"(x), "+m"(y)); /* known to nobody */           \
      double start = now();                                                    \
      for (long turn = 0; turn < turns; ++turn)                                \
        _Pragma("GCC unroll 32") for (int i = 0; i < sums; ++i) {              \
          vector a = all[i];                                                   \
          all[i] = STEP;                                                       \
        }                                                                      \
      double seconds = now() - start;                                          \
      double rate =                                                            \
          (LANE) * sums * (bytes / sizeof(float)) * (double)turns / seconds;   \
      best = rate > best ? rate : best;                                        \
      __asm__ volatile("" : "+m"(all));                                        \
    }                                                                          \
    return best;                                                               \
  }

/* A multiply-add is two. */
DEFINE_PEAK(peak_operations, 2.0, a *x + y)

/* The same of bfloat16, of which a lane multiplies two pairs and adds both; 0
 * on a machine without such dot products. */
#if defined(__AVX512BF16__)
DEFINE_PEAK(peak_vector_pairs, 4.0,
            (vector)_mm512_dpbf16_ps((__m512)a, (__m512bh)x, (__m512bh)y))

#if defined(__AMX_BF16__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
/* By tiles, where Linux lets this process use them. */
double peak_pair_operations(int rounds) {
  enum { request_permission = 0x1023, tile_data = 18, turns = 50000 };
  unsigned char shapes[64] = {1};
  double best = 0;
  if (syscall(SYS_arch_prctl, request_permission, tile_data))
    return peak_vector_pairs(rounds);
  for (int tile = 0; tile < 8; ++tile)
    shapes[16 + 2 * tile] = 64, shapes[48 + tile] = 16;
  _tile_loadconfig(shapes);
  for (int round = 0; round < rounds; ++round) {
    double start = now();
    for (int turn = 0; turn < turns; ++turn) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    double rate = 2.0 * 4 * 16 * 16 * 32 * turns / (now() - start);
    best = rate > best ? rate : best;
  }
  _tile_release();
  return best;
}
#else
double peak_pair_operations(int rounds) { return peak_vector_pairs(rounds); }
#endif
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
/* bfmmla has twice the products of bfdot. */
DEFINE_PEAK(peak_pair_operations, 8.0,
            (vector)vbfmmlaq_f32((float32x4_t)a, (bfloat16x8_t)x,
                                 (bfloat16x8_t)y))
#else
double peak_pair_operations(int rounds) {
  (void)rounds;
  return 0;
}
#endif

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

/* The instructions of a warp that kernels for tensor cores use, as the manual
 * of PTX describes them: which thread has which element of a matrix, and what
 * is computed. Copies of cp.async arrive as late as they may. */
#include "emulator.h"
#include <math.h>
#include <string.h>

enum { most_copies = 256, max_threads = 1024 };

static float from_half(uint32_t bits) {
  uint32_t sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31,
           fraction = bits & 0x3ff;
  float value;
  if (exponent == 0) {
    value = (float)fraction / (1 << 24);
    return sign ? -value : value;
  }
  exponent = exponent == 31 ? 255 : exponent + 112;
  uint32_t word = sign | exponent << 23 | fraction << 13;
  memcpy(&value, &word, sizeof value);
  return value;
}

static float from_bits(uint32_t word) {
  float value;
  memcpy(&value, &word, sizeof value);
  return value;
}

/* An element of a matrix in the fragments that a warp offers. */
enum kind { half, bfloat, tfloat };

static float element(enum kind kind, const uint32_t *words, int index) {
  if (kind == tfloat) /* the low bits are not looked at */
    return from_bits(words[index] & ~0x1fffu);
  uint32_t bits = words[index / 2] >> index % 2 * 16 & 0xffff;
  return kind == half ? from_half(bits) : from_bits(bits << 16);
}

uint32_t dlc_emulated_shuffle(uint32_t mask, uint32_t value, uint32_t from,
                              uint32_t clamp) {
  (void)mask, (void)clamp;
  struct dlc_offer offer = {{value}, 0};
  return dlc_emulated_meet(&offer)[from % warp_threads].words[0];
}

uint32_t dlc_emulated_shuffle_xor(uint32_t mask, uint32_t value, uint32_t bits,
                                  uint32_t clamp) {
  return dlc_emulated_shuffle(mask, value,
                              (uint32_t)dlc_emulated_lane() ^ bits, clamp);
}

/* The instruction is less exact: its results have two wrong bits. */
float dlc_emulated_exp2(float exponent) {
  float value = exp2f(exponent);
  if (!(value > 0) || isinf(value))
    return value;
  return value + 2 * (nextafterf(value, INFINITY) - value);
}

/* Matrix i of four has the rows that threads 8i ... 8i + 7 point to. */
static void load_matrix(uint32_t *out, const void *row, int is_transposed) {
  struct dlc_offer offer = {{0}, row};
  const struct dlc_offer *all = dlc_emulated_meet(&offer);
  int lane = dlc_emulated_lane();
  for (int i = 0; i < 4; ++i) {
    uint16_t halves[2];
    for (int one = 0; one < 2; ++one) {
      int r = lane / 4, c = lane % 4 * 2 + one;
      const char *from = all[8 * i + (is_transposed ? c : r)].pointer;
      memcpy(&halves[one], from + 2 * (is_transposed ? r : c), 2);
    }
    out[i] = halves[0] | (uint32_t)halves[1] << 16;
  }
}

void dlc_emulated_ldmatrix(uint32_t *out, const void *row) {
  load_matrix(out, row, 0);
}

void dlc_emulated_ldmatrix_trans(uint32_t *out, const void *row) {
  load_matrix(out, row, 1);
}

/* 16 x `terms` by `terms` x 8. `per_word` elements are in a word of a fragment;
 * of a row each four threads have `per_word` side by side, in each group of
 * terms. */
static void multiply(float *out, enum kind kind, int terms, int num_a,
                     const struct dlc_offer *offer, const float *sums) {
  const struct dlc_offer *all = dlc_emulated_meet(offer);
  int lane = dlc_emulated_lane(), per_word = kind == tfloat ? 1 : 2;
  int group = 4 * per_word;
  for (int i = 0; i < 4; ++i) {
    int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    float sum = sums[i];
    for (int k = 0; k < terms; ++k) {
      int quad = k % group / per_word, in_word = k % per_word;
      const uint32_t *a = all[row % 8 * 4 + quad].words;
      const uint32_t *b = all[column * 4 + quad].words + num_a;
      int word = k / group;
      sum += element(kind, a, (row / 8 + 2 * word) * per_word + in_word) *
             element(kind, b, word * per_word + in_word);
    }
    out[i] = sum;
  }
}

#define MMA_4_2(name, kind, terms)                                             \
  void name(float *out, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,    \
            uint32_t b0, uint32_t b1, float c0, float c1, float c2,            \
            float c3) {                                                        \
    struct dlc_offer offer = {{a0, a1, a2, a3, b0, b1}, 0};                    \
    const float sums[] = {c0, c1, c2, c3};                                     \
    multiply(out, kind, terms, 4, &offer, sums);                               \
  }

MMA_4_2(dlc_emulated_mma_m16n8k16_f16, half, 16)
MMA_4_2(dlc_emulated_mma_m16n8k16_bf16, bfloat, 16)
MMA_4_2(dlc_emulated_mma_m16n8k8_tf32, tfloat, 8)

void dlc_emulated_mma_m16n8k8_f16(float *out, uint32_t a0, uint32_t a1,
                                  uint32_t b0, float c0, float c1, float c2,
                                  float c3) {
  struct dlc_offer offer = {{a0, a1, b0}, 0};
  const float sums[] = {c0, c1, c2, c3};
  multiply(out, half, 8, 2, &offer, sums);
}

/* Four products of 8 x 4 by 4 x 8: one for each four threads and the four 16
 * behind them, of which each has a row of A and a column of B. */
void dlc_emulated_mma_m8n8k4_f16(float *out, uint32_t a0, uint32_t a1,
                                 uint32_t b0, uint32_t b1, float c0, float c1,
                                 float c2, float c3, float c4, float c5,
                                 float c6, float c7) {
  struct dlc_offer offer = {{a0, a1, b0, b1}, 0};
  const float sums[] = {c0, c1, c2, c3, c4, c5, c6, c7};
  const struct dlc_offer *all = dlc_emulated_meet(&offer);
  int lane = dlc_emulated_lane(), first = lane % 16 / 4 * 4;
  for (int i = 0; i < 8; ++i) {
    int row = (lane & 1) + (i & 2) + (lane >= 16 ? 4 : 0);
    int column = (i & 4) + (lane & 2) + (i & 1);
    const uint32_t *a = all[first + row % 4 + row / 4 * 16].words;
    const uint32_t *b = all[first + column % 4 + column / 4 * 16].words + 2;
    out[i] = sums[i];
    for (int k = 0; k < 4; ++k)
      out[i] += element(half, a, k) * element(half, b, k);
  }
}

/* Bytes: `rows` (8 or 16) x `terms` by `terms` x 8, four terms a word. */
static void multiply_bytes(int32_t *out, int rows, int terms, int a_unsigned,
                           int b_unsigned, const struct dlc_offer *offer,
                           const int32_t *sums) {
  const struct dlc_offer *all = dlc_emulated_meet(offer);
  int lane = dlc_emulated_lane(), halves = rows / 8,
      num_a = halves * terms / 16;
  for (int i = 0; i < 2 * halves; ++i) {
    int row = lane / 4, half = i / 2, column = lane % 4 * 2 + i % 2;
    uint32_t sum = (uint32_t)sums[i];
    for (int k = 0; k < terms; ++k) {
      int quad = k % 16 / 4, shift = k % 4 * 8, word = k / 16;
      uint32_t a = all[row * 4 + quad].words[half + halves * word] >> shift;
      uint32_t b = all[column * 4 + quad].words[num_a + word] >> shift;
      int32_t x = a_unsigned ? (uint8_t)a : (int8_t)a;
      int32_t y = b_unsigned ? (uint8_t)b : (int8_t)b;
      sum += (uint32_t)(x * y);
    }
    out[i] = (int32_t)sum;
  }
}

#define MMA_BYTES(suffix, a_unsigned, b_unsigned)                              \
  void dlc_emulated_mma_m16n8k32_##suffix(                                     \
      int32_t *out, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,        \
      uint32_t b0, uint32_t b1, int32_t c0, int32_t c1, int32_t c2,            \
      int32_t c3) {                                                            \
    struct dlc_offer offer = {{a0, a1, a2, a3, b0, b1}, 0};                    \
    const int32_t sums[] = {c0, c1, c2, c3};                                   \
    multiply_bytes(out, 16, 32, a_unsigned, b_unsigned, &offer, sums);         \
  }                                                                            \
  void dlc_emulated_mma_m8n8k16_##suffix(                                      \
      int32_t *out, uint32_t a0, uint32_t b0, int32_t c0, int32_t c1) {        \
    struct dlc_offer offer = {{a0, b0}, 0};                                    \
    const int32_t sums[] = {c0, c1};                                           \
    multiply_bytes(out, 8, 16, a_unsigned, b_unsigned, &offer, sums);          \
  }

MMA_BYTES(ss, 0, 0)
MMA_BYTES(su, 0, 1)
MMA_BYTES(us, 1, 0)
MMA_BYTES(uu, 1, 1)

/* Of each thread the copies that were not waited for, and the groups that were
 * closed behind them. */
static struct {
  int count, groups;
  struct {
    void *to;
    const void *from;
    uint32_t bytes;
    int group;
  } copies[most_copies];
} pending[max_threads];

void dlc_emulated_begin_copies(void) {
  for (int i = 0; i < max_threads; ++i)
    pending[i].count = pending[i].groups = 0;
}

void dlc_emulated_copy(void *to, const void *from, uint32_t bytes) {
  int thread = dlc_emulated_thread(), i = pending[thread].count++;
  if ((uintptr_t)to % 16 || (bytes && (uintptr_t)from % 16) || bytes > 16 ||
      i >= most_copies)
    __builtin_trap();
  pending[thread].copies[i].to = to;
  pending[thread].copies[i].from = from;
  pending[thread].copies[i].bytes = bytes;
  pending[thread].copies[i].group = pending[thread].groups;
  /* Until it arrives there is no number. */
  memset(to, 0xff, 16);
}

void dlc_emulated_commit(void) { ++pending[dlc_emulated_thread()].groups; }

/* All but the last `count` groups arrive. */
void dlc_emulated_wait(uint32_t count) {
  int thread = dlc_emulated_thread(), kept = 0;
  for (int i = 0; i < pending[thread].count; ++i) {
    if (pending[thread].copies[i].group >=
        pending[thread].groups - (int)count) {
      pending[thread].copies[kept++] = pending[thread].copies[i];
      continue;
    }
    memset(pending[thread].copies[i].to, 0, 16);
    if (pending[thread].copies[i].bytes)
      memcpy(pending[thread].copies[i].to, pending[thread].copies[i].from,
             pending[thread].copies[i].bytes);
  }
  pending[thread].count = kept;
}

/* The Mersenne Twister (Matsumoto and Nishimura, 1998), seeded as its authors'
 * init_genrand and numpy.random.seed do: what ONNX's reference draws. */
#include "dlc_rt.h"

enum { size = 624, middle = 397 };

struct twister {
  uint32_t state[size];
  int next;
};

static void seed_with(struct twister *t, uint32_t seed) {
  t->state[0] = seed;
  for (uint32_t i = 1; i < size; ++i)
    t->state[i] = 1812433253u * (t->state[i - 1] ^ t->state[i - 1] >> 30) + i;
  t->next = size;
}

static uint32_t draw(struct twister *t) {
  if (t->next == size) {
    for (int i = 0; i < size; ++i) {
      uint32_t both = (t->state[i] & 0x80000000u) |
                      (t->state[(i + 1) % size] & 0x7fffffffu);
      t->state[i] = t->state[(i + middle) % size] ^ both >> 1 ^
                    (both & 1 ? 0x9908b0dfu : 0);
    }
    t->next = 0;
  }
  uint32_t y = t->state[t->next++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680u;
  y ^= y << 15 & 0xefc60000u;
  return y ^ y >> 18;
}

/* `count` numbers in [0, 1). */
void dlc_rt_twister(struct dlc_rt_ctx *ctx, int64_t seed, intptr_t count,
                    struct dlc_rt_view *out) {
  out->shape[0] = count;
  size_t bytes = dlc_rt_bytes(sizeof(double), 1, out->shape);
  double *to =
      dlc_rt_alloc(ctx, bytes == SIZE_MAX ? INT64_MAX : (int64_t)bytes);
  if (!to)
    return;
  out->data = to;
  struct twister t;
  seed_with(&t, (uint32_t)seed);
  for (intptr_t i = 0; i < count; ++i) {
    uint32_t high = draw(&t) >> 5, low = draw(&t) >> 6;
    to[i] = ((double)high * 67108864.0 + (double)low) / 9007199254740992.0;
  }
}

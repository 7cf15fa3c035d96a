/* A model of unknown sizes in a workspace: what a run says that it needs is
 * enough, and with less the rest is from malloc. */
#include "memory.h"
#include "check.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { most = 300 };

/* glibc's own, behind a malloc that counts. */
void *__libc_malloc(size_t size);
static int allocations;

void *malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}

static float x[most * 8], expected[most * 8], y[most * 8];
static char memory[4 * most * most * 8 + 64];

/* The status of a run of `rows` rows in `size` bytes, 0: none are given, with
 * the results in `result` and what it needs in `needed`. */
static int run(int rows, size_t size, float *result, size_t *needed) {
  memory_inputs in;
  memory_outputs out;
  dlc_options options;
  memset(&out, 0, sizeof out);
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.threads = 1;
  options.workspace_needed = needed;
  if (size) {
    options.workspace = memory + (64 - (uintptr_t)memory % 64) % 64;
    options.workspace_size = size;
  }
  in.x = x;
  in.n = rows;
  out.y = result;
  out.y_capacity = sizeof y;
  allocations = 0;
  return memory_run(&in, &out, &options);
}

int main(void) {
  static const int rows[] = {0, 1, 7, 64, most};
  size_t last = 0;
  unsigned r, i;
  for (i = 0; i < most * 8; ++i)
    x[i] = (float)(i * 7919 % 101) / 64 - 1;
  for (r = 0; r < sizeof rows / sizeof *rows; ++r) {
    size_t needed = 0, again = 0, bytes = sizeof(float) * 8 * (size_t)rows[r];
    CHECK(run(rows[r], 0, expected, &needed) == DLC_OK);
    CHECK(allocations > 0 && needed > 0 && needed >= last);
    /* One product of all rows is there at a time: the first one is a part of
     * attention, whose scratch has a size of its own. */
    CHECK(needed < MEMORY_WORKSPACE_SIZE +
                       sizeof(float) * (size_t)rows[r] * (size_t)rows[r] +
                       6 * bytes + 4096);
    last = needed;
    CHECK(run(rows[r], needed, y, &again) == DLC_OK);
    CHECK(allocations == 0 && again == needed);
    CHECK(memcmp(y, expected, bytes) == 0);
    CHECK(run(rows[r], needed - 64, y, &again) == DLC_OK);
    CHECK(allocations > 0 && again == needed);
    CHECK(memcmp(y, expected, bytes) == 0);
    CHECK(run(rows[r], needed / 2 + MEMORY_WORKSPACE_SIZE, y, NULL) == DLC_OK);
    CHECK(memcmp(y, expected, bytes) == 0);
  }
  printf("%d failed\n", failed);
  return failed != 0;
}

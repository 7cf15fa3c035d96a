/* Where no thread can be had, a run does without, and does not ask again. */
#include "rows.h"
#include "wide.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int calls;
static float x[2 * 9 * 11 * 48], one[2 * 9 * 11 * 72], other[2 * 9 * 11 * 72];

/* Takes the place of libc's. */
int pthread_create(void *thread, const void *attributes, void *(*start)(void *),
                   void *argument) {
  (void)thread, (void)attributes, (void)start, (void)argument;
  ++calls;
  return 11; /* EAGAIN */
}

int main(void) {
  dlc_options options;
  wide_inputs in = {x};
  wide_outputs out = {one};
  int i;
  for (i = 0; i < 2 * 9 * 11 * 48; ++i)
    x[i] = (float)(i % 11);
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.threads = 1;
  if (wide_run(&in, &out, &options) || calls)
    return 1;
  out.y = other;
  options.threads = 4;
  for (i = 0; i < 3; ++i)
    if (wide_run(&in, &out, &options) || memcmp(one, other, sizeof one))
      return 2;
  printf("%d call\n", calls);
  return 0;
}

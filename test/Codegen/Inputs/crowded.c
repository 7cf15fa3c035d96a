/* A worker that sleeps is told to wake on another CPU than that of the run,
 * wherever it fell asleep, and may go anywhere then. */
#define _GNU_SOURCE
#include "rows.h"
#include "wide.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static pthread_t caller;
static int callers_cpu = 2, workers_cpu, fails, calls;
static unsigned char masks[2];
static float x[2 * 9 * 11 * 48], one[2 * 9 * 11 * 72], other[2 * 9 * 11 * 72];

/* These take the place of libc's: four CPUs, and the caller is on number 2 at
 * first. */
int sched_getaffinity(pid_t process, size_t size, cpu_set_t *set) {
  (void)process;
  memset(set, 0, size);
  *(unsigned char *)set = 15;
  return 0;
}

int sched_getcpu(void) {
  return pthread_equal(pthread_self(), caller) ? callers_cpu : workers_cpu;
}

int pthread_setaffinity_np(pthread_t thread, size_t size,
                           const cpu_set_t *set) {
  (void)thread, (void)size;
  masks[calls++ & 1] = *(const unsigned char *)set;
  return fails ? 22 : 0; /* EINVAL */
}

/* Runs until `wanted` calls have been made, each time with a worker that had
 * time to fall asleep, and not counting the first runs, before which it fell
 * asleep elsewhere; true if the outputs are right. */
static int runs(int wanted) {
  dlc_options options;
  wide_inputs in = {x};
  wide_outputs out = {other};
  struct timespec pause = {0, 20000000};
  int i;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.threads = 2;
  for (i = -3; i < 50 && (i < 3 || calls < wanted); ++i) {
    nanosleep(&pause, NULL);
    if (i == 0)
      calls = 0;
    if (wide_run(&in, &out, &options) || memcmp(one, other, sizeof one))
      return 0;
  }
  return 1;
}

int main(void) {
  wide_inputs in = {x};
  wide_outputs out = {one};
  int i;
  caller = pthread_self();
  for (i = 0; i < 2 * 9 * 11 * 48; ++i)
    x[i] = (float)(i % 11);
  if (wide_run(&in, &out, NULL))
    return 1;

  for (workers_cpu = -1; workers_cpu < 4; ++workers_cpu) {
    if (!runs(2) || calls % 2)
      return 2;
    printf("at first %d, then %d\n", masks[0], masks[1]);
  }
  fails = 1; /* then nothing is to be undone */
  if (!runs(1) || masks[0] != 11 || masks[1] != (calls > 1 ? 11 : 15))
    return 4;
  fails = 0;
  callers_cpu = -1; /* the system does not know */
  return runs(2) && masks[0] == 15 && masks[1] == 15 ? 0 : 5;
}

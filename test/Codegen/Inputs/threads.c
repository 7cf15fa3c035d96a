/* Runs two models with several numbers of threads, with the program's own, at
 * once, and behind fork(). All outputs must have the same bits. */
#include "rows.h"
#include "wide.h"
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { wide_in = 2 * 9 * 11 * 48, wide_out = 2 * 9 * 11 * 72, n = 133 };

static int failed;
static float x[wide_in], reference[wide_out], rows_x[n * 300];
static float rows_reference[n * 200];

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      printf("line %d: %s\n", __LINE__, #condition);                           \
      ++failed;                                                                \
    }                                                                          \
  } while (0)

static dlc_options with(int32_t threads) {
  dlc_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.threads = threads;
  return options;
}

/* True if both models give the bits of the first runs. */
static int same(const dlc_options *options) {
  float *y = malloc(sizeof reference), *z = malloc(sizeof rows_reference);
  wide_inputs in = {x};
  wide_outputs out = {y};
  rows_inputs rows_in = {rows_x, n};
  rows_outputs rows_out = {z, sizeof rows_reference, {0, 0}};
  int good = wide_run(&in, &out, options) == DLC_OK &&
             rows_run(&rows_in, &rows_out, options) == DLC_OK &&
             !memcmp(y, reference, sizeof reference) &&
             !memcmp(z, rows_reference, sizeof rows_reference);
  free(y);
  free(z);
  return good;
}

/* One thread's results, against plain sums in double. */
static void make_references(void) {
  dlc_options one = with(1);
  wide_inputs in = {x};
  wide_outputs out = {reference};
  rows_inputs rows_in = {rows_x, n};
  rows_outputs rows_out = {rows_reference, sizeof rows_reference, {0, 0}};
  int i, j;
  for (i = 0; i < wide_in; ++i)
    x[i] = (float)(i * 7 % 101) / 101;
  for (i = 0; i < n * 300; ++i)
    rows_x[i] = (float)(i * 7 % 103) / 103 - 0.5f;
  CHECK(wide_run(&in, &out, &one) == DLC_OK);
  CHECK(rows_run(&rows_in, &rows_out, &one) == DLC_OK);
  for (i = 0; i < wide_out; ++i)
    CHECK(fabs(reference[i] - 1.0 / 72) < 1e-6);
  for (i = 0; i < n; ++i) {
    double sum = 0;
    for (j = 0; j < 300; ++j)
      sum += rows_x[i * 300 + j];
    for (j = 0; j < 200; ++j)
      CHECK(fabs(rows_reference[i * 200 + j] - tanh(sum / 32)) < 1e-5);
  }
}

/* The threads of this process, as Linux lists them. */
static int count_threads(void) {
  DIR *folder = opendir("/proc/self/task");
  int count = 0;
  while (readdir(folder))
    ++count;
  closedir(folder);
  return count;
}

static int calls;

static void backwards(void *context, void (*body)(void *, int32_t), void *data,
                      int32_t count) {
  *(int *)context = count;
  ++calls;
  while (count-- > 0)
    body(data, count);
}

struct part {
  void (*body)(void *, int32_t);
  void *data;
  int32_t index;
};

static void *run_part(void *argument) {
  struct part *part = argument;
  part->body(part->data, part->index);
  return NULL;
}

static void on_threads(void *context, void (*body)(void *, int32_t), void *data,
                       int32_t count) {
  pthread_t ids[8];
  struct part parts[8];
  int i;
  (void)context;
  for (i = 0; i < count; ++i) {
    parts[i].body = body;
    parts[i].data = data;
    parts[i].index = i;
    if (pthread_create(&ids[i], NULL, run_part, &parts[i]))
      abort();
  }
  for (i = 0; i < count; ++i)
    pthread_join(ids[i], NULL);
}

static void own_threads(void) {
  dlc_options options = with(4);
  int count = 0;
  options.parallel_for = backwards;
  options.parallel_context = &count;
  CHECK(same(&options));
  CHECK(calls > 2 && count > 1 && count <= 4);
  options.parallel_for = on_threads;
  CHECK(same(&options));
  calls = 0;
  options.threads = 1;
  options.parallel_for = backwards;
  CHECK(same(&options) && calls == 0);
}

static void *run_often(void *argument) {
  dlc_options options = with((int32_t)(ptrdiff_t)argument);
  int i, good = 1;
  for (i = 0; i < 3; ++i)
    good &= same(&options);
  return good ? NULL : argument;
}

static void two_at_once(void) {
  pthread_t first, second;
  void *wrong, *other;
  CHECK(pthread_create(&first, NULL, run_often, (void *)2) == 0);
  CHECK(pthread_create(&second, NULL, run_often, (void *)3) == 0);
  CHECK(pthread_join(first, &wrong) == 0 && !wrong);
  CHECK(pthread_join(second, &other) == 0 && !other);
}

static void child(void) {
  int status = 0;
  pid_t process = fork();
  if (process == 0) {
    dlc_options options = with(3);
    exit(same(&options) ? 0 : 1);
  }
  CHECK(process > 0 && waitpid(process, &status, 0) == process);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void workspaces(void) {
  dlc_options options = with(3);
  size_t size = WIDE_WORKSPACE_SIZE + 2 * WIDE_THREAD_WORKSPACE_SIZE;
  char *memory = malloc(size + DLC_WORKSPACE_ALIGNMENT);
  wide_inputs in = {x};
  float *y = malloc(sizeof reference);
  wide_outputs out = {y};
  CHECK(WIDE_THREAD_WORKSPACE_SIZE > 0 && ROWS_THREAD_WORKSPACE_SIZE == 0);
  CHECK(wide_model()->thread_workspace_size == WIDE_THREAD_WORKSPACE_SIZE);
  options.workspace = memory + (DLC_WORKSPACE_ALIGNMENT -
                                (uintptr_t)memory % DLC_WORKSPACE_ALIGNMENT);
  options.workspace_size = size;
  CHECK(wide_run(&in, &out, &options) == DLC_OK);
  CHECK(!memcmp(y, reference, sizeof reference));
  options.workspace_size = WIDE_WORKSPACE_SIZE;
  CHECK(wide_run(&in, &out, &options) == DLC_OK);
  CHECK(!memcmp(y, reference, sizeof reference));
  free(memory);
  free(y);
}

static void other_options(void) {
  char message[100];
  dlc_options options = with(-1);
  options.error = message;
  options.error_size = sizeof message;
  CHECK(!same(&options));
  puts(message);
  /* A program that was compiled with the first version of the options. */
  options.size = offsetof(dlc_options, threads);
  CHECK(same(&options));
  options.size += 4;
  CHECK(!same(&options));
  CHECK(same(NULL));
}

int main(void) {
  dlc_options options;
  int before = count_threads(), threads;
  make_references();
  CHECK(count_threads() == before);
  options = with(2);
  CHECK(same(&options));
  CHECK(count_threads() == before + 1);
  for (threads = 1; threads <= 7; ++threads) {
    options = with(threads);
    CHECK(same(&options));
  }
  /* One pool for both models: no more than the largest run asked for. */
  CHECK(count_threads() <= before + 6);
  own_threads();
  two_at_once();
  child();
  workspaces();
  other_options();
  printf("%d failed\n", failed);
  return failed != 0;
}

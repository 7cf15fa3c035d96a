/* Models whose constants are made before the first run: the state of the
 * process, made once by threads at once and after a failure, states of the
 * caller, and what is refused. Prints the messages. */
#define _POSIX_C_SOURCE 200112L
#include "state.h"
#include "add.h"
#include "check.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* glibc's own, behind a malloc that counts and fails. */
void *__libc_malloc(size_t size);
static int fails, large;

void *malloc(size_t size) {
  if (size >= STATE_STATE_SIZE) {
    if (fails && fails--)
      return NULL;
    ++large;
  }
  return __libc_malloc(size);
}

static dlc_options options;
static float x[4 * 8192];

/* Runs the model; 0 if the values are right. */
static int run(const dlc_options *given) {
  float *y = calloc(4 * 8192, sizeof *y);
  state_inputs in;
  state_outputs out;
  int status, i;
  in.x = x;
  out.y = y;
  status = state_run(&in, &out, given);
  for (i = 0; i < 4 * 8192 && !status; ++i)
    if (y[i] != x[i] + 2 * (float)(1 + i / 8192))
      status = -1;
  free(y);
  return status;
}

static pthread_barrier_t start;

static void *thread(void *result) {
  int i;
  pthread_barrier_wait(&start);
  for (i = 0; i < 3; ++i)
    *(int *)result |= run(NULL);
  return NULL;
}

/* Four threads make one state; each waits until it is there. */
static void threads(void) {
  pthread_t ids[4];
  int results[4] = {0, 0, 0, 0}, i;
  pthread_barrier_init(&start, NULL, 4);
  for (i = 0; i < 4; ++i)
    CHECK(pthread_create(&ids[i], NULL, thread, &results[i]) == 0);
  for (i = 0; i < 4; ++i) {
    pthread_join(ids[i], NULL);
    CHECK(results[i] == DLC_OK);
  }
  CHECK(large == 1);
  CHECK(state_init(NULL) == DLC_OK);
  CHECK(large == 1);
}

static void callers_own(void) {
  static char memory[STATE_STATE_SIZE + DLC_WORKSPACE_ALIGNMENT];
  char *aligned = memory + (DLC_WORKSPACE_ALIGNMENT -
                            (uintptr_t)memory % DLC_WORKSPACE_ALIGNMENT);
  options.state = aligned;
  options.state_size = STATE_STATE_SIZE;
  FAILS(run(&options), DLC_ERROR_STATE); /* nothing filled it */
  CHECK(state_init(&options) == DLC_OK);
  CHECK(run(&options) == DLC_OK);
  CHECK(run(&options) == DLC_OK);
  aligned[0] ^= 1; /* another model's */
  FAILS(run(&options), DLC_ERROR_STATE);
  options.state_size = STATE_STATE_SIZE - 1;
  FAILS(run(&options), DLC_ERROR_STATE);
  FAILS(state_init(&options), DLC_ERROR_STATE);
  options.state_size = STATE_STATE_SIZE;
  options.state = aligned + 4;
  FAILS(run(&options), DLC_ERROR_STATE);
  FAILS(state_init(&options), DLC_ERROR_STATE);
  /* A program of before there were states: the fields are not looked at. */
  options.size = offsetof(dlc_options, state);
  CHECK(run(&options) == DLC_OK);
  options.size += 1;
  CHECK(run(&options) == DLC_ERROR_OPTIONS);
  CHECK(state_init(&options) == DLC_ERROR_OPTIONS);
  options.size = sizeof options;
  options.state = NULL;
  puts(state_status_string(DLC_ERROR_STATE));
}

/* A model without such constants takes whatever is given. */
static void no_state(void) {
  const dlc_model *model = add_model();
  CHECK(ADD_STATE_SIZE == 0 && model->state_size == 0);
  options.state = message + 1;
  CHECK(add_init(NULL) == DLC_OK && add_init(&options) == DLC_OK);
  CHECK(model->init(&options) == DLC_OK);
  options.state = NULL;
}

int main(void) {
  const dlc_model *model = state_model();
  int i;
  for (i = 0; i < 4 * 8192; ++i)
    x[i] = (float)(i % 100);
  options.size = sizeof options;
  options.error = message;
  options.error_size = sizeof message;
  CHECK(model->state_size == STATE_STATE_SIZE);
  fails = 2;
  FAILS(run(&options), DLC_ERROR_MEMORY);
  FAILS(model->init(&options), DLC_ERROR_MEMORY);
  threads();
  callers_own();
  no_state();
  CHECK(large == 1);
  printf("%d failed\n", failed);
  return failed != 0;
}

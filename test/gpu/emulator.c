/* Runs kernels of `dlc --emit=emulation`, with which it is linked: block after
 * block, each with threads that are fibres and wait for each other where the
 * kernel has a barrier or an instruction of a warp. */
#define _GNU_SOURCE
#include "emulator.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { max_threads = 1024, stack_bytes = 1 << 16 };

typedef void kernel_type(void **parameters);

static struct {
  kernel_type *kernel;
  void **parameters;
  int32_t thread, block;
  char *stacks;
  jmp_buf scheduler;
  jmp_buf threads[max_threads];
  enum { fresh, ready, at_barrier, in_warp, finished } state[max_threads];
  /* Two of each thread: one may be a meeting ahead of the others. */
  struct dlc_offer offers[2][max_threads];
  uint8_t turn[max_threads];
} run;

int32_t dlc_emulated_thread(void) { return run.thread; }
int32_t dlc_emulated_lane(void) { return run.thread % warp_threads; }
int32_t dlc_emulated_block(void) { return run.block; }

static void stop(int state) {
  run.state[run.thread] = state;
  if (!_setjmp(run.threads[run.thread]))
    _longjmp(run.scheduler, 1);
}

void dlc_emulated_barrier(void) { stop(at_barrier); }

const struct dlc_offer *dlc_emulated_meet(const struct dlc_offer *offer) {
  int turn = run.turn[run.thread] ^= 1;
  run.offers[turn][run.thread] = *offer;
  stop(in_warp);
  return &run.offers[turn][run.thread / warp_threads * warp_threads];
}

static void start(void) {
  run.kernel(run.parameters);
  run.state[run.thread] = finished;
  _longjmp(run.scheduler, 1);
}

/* Lets a thread run to where it next waits or its end. */
static void resume(int32_t thread) {
  static ucontext_t context;
  run.thread = thread;
  if (_setjmp(run.scheduler))
    return;
  if (run.state[thread] != fresh)
    _longjmp(run.threads[thread], 1);
  getcontext(&context);
  context.uc_stack.ss_sp = run.stacks + (size_t)thread * stack_bytes;
  context.uc_stack.ss_size = stack_bytes;
  context.uc_link = NULL;
  makecontext(&context, start, 0);
  setcontext(&context);
}

/* Runs the threads of a warp until each is at a barrier or has ended. Returns 1
 * where some wait for others that do not come. */
static int run_warp(int32_t first, int32_t end) {
  for (;;) {
    int32_t meeting = 0;
    for (int32_t i = first; i < end; ++i) {
      if (run.state[i] == fresh || run.state[i] == ready)
        resume(i);
      meeting += run.state[i] == in_warp;
    }
    if (meeting == 0)
      return 0;
    if (meeting != warp_threads)
      return 1;
    for (int32_t i = first; i < end; ++i)
      run.state[i] = ready;
  }
}

/* Returns 0, or 1 where some threads wait for others that have ended. */
static int run_block(int32_t threads) {
  for (int32_t i = 0; i < threads; ++i) {
    run.state[i] = fresh;
    run.turn[i] = 0;
  }
  dlc_emulated_begin_copies();
  for (;;) {
    int32_t ended = 0;
    for (int32_t i = 0; i < threads; i += warp_threads) {
      int32_t end = i + warp_threads < threads ? i + warp_threads : threads;
      if (run_warp(i, end))
        return 1;
    }
    for (int32_t i = 0; i < threads; ++i)
      if (run.state[i] == finished)
        ++ended;
      else
        run.state[i] = ready;
    if (ended == threads)
      return 0;
    if (ended)
      return 1;
  }
}

/* Executes a whole launch. `waits`: the kernel has barriers. */
int dlc_emulated_launch(kernel_type *kernel, int waits, int32_t blocks,
                        int32_t threads, void **parameters) {
  run.kernel = kernel;
  run.parameters = parameters;
  if (threads > max_threads)
    return 1;
  if (!run.stacks)
    run.stacks =
        mmap(NULL, (size_t)max_threads * stack_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  for (run.block = 0; run.block < blocks; ++run.block) {
    if (waits) {
      if (run_block(threads))
        return 1;
      continue;
    }
    for (run.thread = 0; run.thread < threads; ++run.thread)
      kernel(parameters);
  }
  return 0;
}

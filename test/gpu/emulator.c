/* Runs kernels of `dlc --emit=emulation`, with which it is linked: block after
 * block, each with threads that are fibres and wait for each other where the
 * kernel has a barrier. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdint.h>
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
  enum { fresh, waiting, finished } state[max_threads];
} run;

int32_t dlc_emulated_thread(void) { return run.thread; }
int32_t dlc_emulated_block(void) { return run.block; }

void dlc_emulated_barrier(void) {
  run.state[run.thread] = waiting;
  if (!_setjmp(run.threads[run.thread]))
    _longjmp(run.scheduler, 1);
}

static void start(void) {
  run.kernel(run.parameters);
  run.state[run.thread] = finished;
  _longjmp(run.scheduler, 1);
}

/* Lets a thread run to its next barrier or its end. */
static void resume(int32_t thread) {
  static ucontext_t context;
  run.thread = thread;
  if (_setjmp(run.scheduler))
    return;
  if (run.state[thread] == waiting)
    _longjmp(run.threads[thread], 1);
  getcontext(&context);
  context.uc_stack.ss_sp = run.stacks + (size_t)thread * stack_bytes;
  context.uc_stack.ss_size = stack_bytes;
  context.uc_link = NULL;
  makecontext(&context, start, 0);
  setcontext(&context);
}

/* Returns 0, or 1 where some threads wait for others that have ended. */
static int run_block(int32_t threads) {
  for (int32_t i = 0; i < threads; ++i)
    run.state[i] = fresh;
  for (;;) {
    int32_t ended = 0;
    for (int32_t i = 0; i < threads; ++i) {
      resume(i);
      ended += run.state[i] == finished;
    }
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

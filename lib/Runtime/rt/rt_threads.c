/* Splits the work of a kernel among the threads of a run. Which units a thread
 * computes is left to chance, what a unit's result is does not depend on it. */
#include "dlc_rt.h"

enum { max_threads = 256 };

/* The units that a thread begins with; others help where it is slow. */
struct share {
  intptr_t next, end;
} __attribute__((aligned(64)));

struct job {
  struct dlc_rt_ctx *ctx;
  dlc_rt_part part;
  void *data;
  intptr_t grain; /* what is claimed is a multiple of it */
  struct share *shares;
  int32_t count; /* of `shares` */
  uintptr_t rounding;
};

/* How the CPU rounds and what it does with denormal numbers is a matter of each
 * thread: all compute as the run's caller does. */
static uintptr_t get_rounding(void) {
#if defined(__x86_64__)
  uint32_t mode;
  __asm__ volatile("stmxcsr %0" : "=m"(mode));
  return mode & ~(uint32_t)0x3f; /* without the flags of what happened */
#elif defined(__aarch64__)
  uintptr_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
#elif defined(__arm__)
  uintptr_t mode;
  __asm__ volatile("vmrs %0, fpscr" : "=r"(mode));
  return mode & 0x07f79f00; /* without flags */
#elif defined(__riscv)
  uintptr_t mode;
  __asm__ volatile("frrm %0" : "=r"(mode));
  return mode;
#else
  return 0;
#endif
}

static void set_rounding(uintptr_t value) {
#if defined(__x86_64__)
  uint32_t mode = (uint32_t)value;
  __asm__ volatile("ldmxcsr %0" : : "m"(mode));
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(value));
#elif defined(__arm__)
  __asm__ volatile("vmsr fpscr, %0" : : "r"(value));
#elif defined(__riscv)
  __asm__ volatile("fsrm %0" : : "r"(value));
#else
  (void)value;
#endif
}

/* Takes a quarter of what is left of a share, so that the last claims, which
 * some thread may have to wait for, are small. Returns how many units. */
static intptr_t claim(struct share *share, intptr_t grain, intptr_t *first) {
  intptr_t next = __atomic_load_n(&share->next, __ATOMIC_RELAXED), count;
  do {
    intptr_t rest = share->end - next;
    if (rest <= 0)
      return 0;
    count = rest / 4 / grain * grain;
    if (count < grain)
      count = rest < 2 * grain ? rest : grain;
  } while (!__atomic_compare_exchange_n(&share->next, &next, next + count, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  *first = next;
  return count;
}

/* The work of one thread: its own share, then what is left of the others'. */
static void work(void *data, int32_t index) {
  struct job *job = (struct job *)data;
  if (index < 0 || index >= job->count)
    return; /* a parallel_for that counts further than it was told */
  char *own = NULL;
  if (index > 0 && job->ctx->own_scratch)
    own = job->ctx->own_scratch +
          (size_t)(index - 1) * job->ctx->desc->model->thread_workspace_size;
  uintptr_t before = get_rounding();
  if (before != job->rounding)
    set_rounding(job->rounding);
  intptr_t since = 0, end = 0, first, count;
  for (int32_t i = 0; i < job->count; ++i) {
    struct share *share = &job->shares[(index + i) % job->count];
    while ((count = claim(share, job->grain, &first)) > 0) {
      if (first != end)
        since = first;
      end = first + count;
      job->part(job->data, first, end, own, since);
    }
  }
  if (before != job->rounding)
    set_rounding(before);
}

void dlc_rt_parallel(struct dlc_rt_ctx *ctx, dlc_rt_part part, void *data,
                     intptr_t count, intptr_t grain) {
  if (count <= 0)
    return;
  /* Shares and claims are made of whole grains. */
  intptr_t grains = count / grain;
  int32_t threads = grains < ctx->threads ? (int32_t)grains : ctx->threads;
  if (threads < 2) {
    part(data, 0, count, NULL, 0);
    return;
  }
  struct share shares[threads];
  intptr_t each = grains / threads, more = grains % threads, next = 0;
  for (int32_t i = 0; i < threads; ++i) {
    shares[i].next = next;
    next += (each + (i < more)) * grain;
    shares[i].end = i + 1 < threads ? next : count;
  }
  struct job job = {ctx, part, data, grain, shares, threads, get_rounding()};
  if (ctx->options->parallel_for)
    ctx->options->parallel_for(ctx->options->parallel_context, work, &job,
                               threads);
  else
    dlc_pool_1_run(work, &job, threads);
}

/* The workspace of the threads beyond the first. They are as many as there is
 * memory for. */
static void find_scratch(struct dlc_rt_ctx *ctx) {
  size_t each = ctx->desc->model->thread_workspace_size;
  size_t bytes, first = ctx->desc->model->workspace_size;
  const dlc_options *options = ctx->options;
  if (ctx->threads < 2 || each == 0)
    return;
  if (__builtin_mul_overflow((size_t)(ctx->threads - 1), each, &bytes)) {
    ctx->threads = 1;
    return;
  }
  if (options->workspace && options->workspace_size >= first &&
      options->workspace_size - first >= bytes &&
      (uintptr_t)options->workspace % DLC_WORKSPACE_ALIGNMENT == 0)
    ctx->own_scratch = (char *)options->workspace + first;
  else
    ctx->own_scratch = (char *)dlc_rt_try_alloc(ctx, bytes);
  if (ctx->own_scratch)
    ctx->planned += bytes;
  else
    ctx->threads = 1;
}

void dlc_rt_begin_threads(struct dlc_rt_ctx *ctx) {
  int is_hosted = ctx->options->parallel_for != NULL;
  int32_t threads = ctx->options->threads;
  if (threads == 0)
    threads = ctx->desc->threads;
  if (threads != 1 && (threads == 0 || !is_hosted)) {
    int32_t cpus = dlc_pool_1_enter();
    ctx->in_pool = cpus != 0;
    if (ctx->in_pool && is_hosted) {
      dlc_pool_1_leave();
      ctx->in_pool = 0;
    }
    if (threads == 0)
      threads = cpus;
    if (cpus == 0)
      threads = 1;
  }
  ctx->threads = threads < max_threads ? threads : max_threads;
  find_scratch(ctx);
}

void dlc_rt_end_threads(struct dlc_rt_ctx *ctx) {
  if (ctx->in_pool)
    dlc_pool_1_leave();
}

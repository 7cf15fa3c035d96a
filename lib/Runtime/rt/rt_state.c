/* The state: constants that are made before the first run, since they are much
 * larger than what the object makes them of. */
#include "dlc_rt.h"

/* A state begins with the mark of its model, then come the constants. */
static void set_mark(char *state, uint64_t mark) {
  memcpy(state, &mark, sizeof mark);
}

static uint64_t get_mark(const char *state) {
  uint64_t mark;
  memcpy(&mark, state, sizeof mark);
  return mark;
}

/* Fills the bytes at `state` with the constants, then marks them. */
static int32_t fill(struct dlc_rt_ctx *ctx, char *state) {
  ctx->state = state;
  set_mark(state, 0);
  int32_t status = ctx->desc->fill_state(ctx);
  if (status == DLC_OK)
    set_mark(state, *ctx->desc->state_mark);
  else
    ctx->state = NULL;
  return status;
}

static int32_t check_given(struct dlc_rt_ctx *ctx) {
  const dlc_options *options = ctx->options;
  if (options->state_size < ctx->desc->model->state_size) {
    struct dlc_rt_text text = dlc_rt_text_open(options);
    dlc_rt_text_add(&text, ctx->desc->model->name);
    dlc_rt_text_add(&text, ": the state has ");
    dlc_rt_text_add_int(&text, (int64_t)options->state_size);
    dlc_rt_text_add(&text, " bytes, expected ");
    dlc_rt_text_add_int(&text, (int64_t)ctx->desc->model->state_size);
    return ctx->status = DLC_ERROR_STATE;
  }
  if ((uintptr_t)options->state % DLC_WORKSPACE_ALIGNMENT)
    return dlc_rt_fail(ctx, DLC_ERROR_STATE,
                       "the state's address is no multiple of 64");
  return DLC_OK;
}

/* Makes the state of the process. Others wait; a failure leaves none, so that
 * the next call tries again. */
static int32_t make_shared(struct dlc_rt_ctx *ctx) {
  struct dlc_rt_shared *shared = ctx->desc->shared;
  size_t bytes = ctx->desc->model->state_size;
  uintptr_t rest = DLC_WORKSPACE_ALIGNMENT - 1;
  if (bytes <= (SIZE_MAX >> 1) - rest)
    shared->memory = malloc(bytes + rest);
  if (!shared->memory)
    return dlc_rt_fail(ctx, DLC_ERROR_MEMORY, "out of memory for the state");
  char *state = (char *)(((uintptr_t)shared->memory + rest) & ~rest);
  int32_t status = fill(ctx, state);
  if (status == DLC_OK) {
    __atomic_store_n(&shared->state, state, __ATOMIC_RELEASE);
  } else {
    free(shared->memory);
    shared->memory = NULL;
  }
  return status;
}

int32_t dlc_rt_state(struct dlc_rt_ctx *ctx, int32_t wants_fill) {
  struct dlc_rt_shared *shared = ctx->desc->shared;
  char *given = ctx->options->state;
  if (given) {
    int32_t status = check_given(ctx);
    if (status != DLC_OK)
      return status;
    if (wants_fill)
      return fill(ctx, given);
    if (get_mark(given) != *ctx->desc->state_mark)
      return dlc_rt_fail(ctx, DLC_ERROR_STATE,
                         "the state was not made by this model's init");
    ctx->state = given;
    return DLC_OK;
  }
  ctx->state = __atomic_load_n(&shared->state, __ATOMIC_ACQUIRE);
  if (ctx->state)
    return DLC_OK;
  int32_t status = DLC_OK;
  pthread_mutex_lock(shared->mutex);
  ctx->state = shared->state;
  if (!ctx->state)
    status = make_shared(ctx);
  pthread_mutex_unlock(shared->mutex);
  return status;
}

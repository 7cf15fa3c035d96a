/* A run on a GPU, and what generated code asks for during it. */
#include "rt_cuda.h"

/* What the driver allocates begins at such addresses anyway. */
enum { granularity = 512, max_blocks = 0x7fffffff };

static void lock(struct dlc_rt_ctx *ctx) {
  pthread_mutex_lock(ctx->desc->cuda->state->mutex);
}

static void unlock(struct dlc_rt_ctx *ctx) {
  pthread_mutex_unlock(ctx->desc->cuda->state->mutex);
}

/* Opens the model if that is still to do, and takes a session that no other
 * run has. The model's context is current afterwards, unless this fails. */
static struct dlc_rt_cuda_session *begin(struct dlc_rt_ctx *ctx) {
  struct dlc_rt_cuda_state *state = ctx->desc->cuda->state;
  struct dlc_rt_cuda_session *session = NULL;
  cu_handle context;
  lock(ctx);
  struct dlc_rt_cuda_model *model = state->model;
  if (!model) {
    model = state->model = dlc_rt_cuda_open(ctx);
  } else if (dlc_rt_cuda_failed(ctx, &model->driver, "cuCtxPushCurrent",
                                model->driver.context_push(model->context))) {
    model = NULL;
  }
  if (model && model->free_sessions) {
    session = model->free_sessions;
    model->free_sessions = session->next;
  }
  unlock(ctx);
  if (!model)
    return NULL;
  if (!session)
    session = dlc_rt_cuda_open_session(ctx, model);
  if (!session)
    model->driver.context_pop(&context);
  return session;
}

/* Copies the outputs, waits, and leaves the session to other runs. */
static void end(struct dlc_rt_ctx *ctx, struct dlc_rt_cuda_session *session) {
  struct dlc_rt_cuda_model *model = session->model;
  struct dlc_rt_cuda_driver *driver = &model->driver;
  for (int32_t i = 0; i < session->num_copies && ctx->status == DLC_OK; ++i) {
    struct dlc_rt_cuda_copy *copy = &session->copies[i];
    dlc_rt_cuda_failed(ctx, driver, "cuMemcpyDtoHAsync",
                       driver->copy_to_host(copy->to, copy->from,
                                            (size_t)copy->bytes,
                                            session->stream));
  }
  /* Also where something failed: no copy may go on behind the run. */
  cu_result result = driver->stream_synchronize(session->stream);
  dlc_rt_cuda_failed(ctx, driver, "cuStreamSynchronize", result);
  for (struct dlc_rt_cuda_block *b = session->blocks; b; b = b->next)
    b->is_used = 0;
  session->num_copies = 0;
  if (result == 0) {
    lock(ctx);
    session->next = model->free_sessions;
    model->free_sessions = session;
    unlock(ctx);
  } else {
    dlc_rt_cuda_close_session(session);
  }
  cu_handle context;
  driver->context_pop(&context);
}

int32_t dlc_rt_cuda_run(struct dlc_rt_ctx *ctx) {
  const struct dlc_rt_cuda_desc *desc = ctx->desc->cuda;
  struct dlc_rt_cuda_session *session = begin(ctx);
  if (!session) {
    if (!desc->fallback || ctx->status != DLC_ERROR_NO_DEVICE)
      return ctx->status;
    ctx->status = DLC_OK;
    dlc_rt_text_open(ctx->options); /* takes the message back */
    int32_t status = dlc_rt_find_arena(ctx);
    return status == DLC_OK ? dlc_rt_run_on_cpu(ctx, desc->fallback) : status;
  }
  ctx->session = session;
  ctx->device_arena = (char *)session->arena;
  ctx->device_weights = (char *)session->model->weights;
  int32_t status = ctx->desc->main(ctx);
  /* What ended the run without a call of the runtime. */
  if (ctx->status == DLC_OK)
    ctx->status = status;
  end(ctx, session);
  return ctx->status;
}

/* The smallest free block that is large enough, but not much too large. */
static struct dlc_rt_cuda_block *find_block(struct dlc_rt_cuda_session *session,
                                            int64_t bytes) {
  struct dlc_rt_cuda_block *best = NULL;
  for (struct dlc_rt_cuda_block *b = session->blocks; b; b = b->next)
    if (!b->is_used && b->bytes >= bytes && b->bytes / 2 <= bytes &&
        (!best || b->bytes < best->bytes))
      best = b;
  return best;
}

/* Gives all free blocks back to the driver; returns whether there were any. */
static int release_blocks(struct dlc_rt_cuda_session *session) {
  struct dlc_rt_cuda_block **link = &session->blocks;
  int released = 0;
  while (*link) {
    struct dlc_rt_cuda_block *block = *link;
    if (block->is_used) {
      link = &block->next;
      continue;
    }
    *link = block->next;
    session->model->driver.free(block->address);
    free(block);
    released = 1;
  }
  return released;
}

void *dlc_rt_cuda_alloc(struct dlc_rt_ctx *ctx, int64_t bytes) {
  struct dlc_rt_cuda_session *session = ctx->session;
  struct dlc_rt_cuda_driver *driver = &session->model->driver;
  if (dlc_rt_is_negative(ctx, bytes) || ctx->status != DLC_OK)
    return NULL;
  if (bytes > INT64_MAX / 2) {
    dlc_rt_fail(ctx, DLC_ERROR_DEVICE_MEMORY, "out of the GPU's memory");
    return NULL;
  }
  /* An empty tensor has an address, too. */
  bytes = bytes ? (bytes + granularity - 1) / granularity * granularity
                : granularity;
  struct dlc_rt_cuda_block *block = find_block(session, bytes);
  if (!block) {
    block = malloc(sizeof *block);
    if (!block) {
      dlc_rt_fail(ctx, DLC_ERROR_MEMORY, "out of memory");
      return NULL;
    }
    cu_result result = driver->alloc(&block->address, (size_t)bytes);
    if (result != 0 && release_blocks(session))
      result = driver->alloc(&block->address, (size_t)bytes);
    if (dlc_rt_cuda_failed(ctx, driver, "cuMemAlloc", result)) {
      free(block);
      return NULL;
    }
    block->bytes = bytes;
    block->next = session->blocks;
    session->blocks = block;
  }
  block->is_used = 1;
  return (void *)block->address;
}

/* Kernels that use it may not have run yet; those that get the memory next
 * come behind them in the stream. */
void dlc_rt_cuda_free(struct dlc_rt_ctx *ctx, void *data) {
  struct dlc_rt_cuda_session *session = ctx->session;
  for (struct dlc_rt_cuda_block *b = session->blocks; b; b = b->next)
    if (b->address == (cu_address)data)
      b->is_used = 0;
}

void *dlc_rt_cuda_input(struct dlc_rt_ctx *ctx, int32_t index, int64_t bytes) {
  void *data = dlc_rt_cuda_alloc(ctx, bytes);
  if (data && bytes)
    dlc_rt_cuda_write(ctx, data, ctx->inputs[index], bytes);
  return ctx->status == DLC_OK ? data : NULL;
}

void *dlc_rt_cuda_output(struct dlc_rt_ctx *ctx, void *data, int64_t bytes) {
  struct dlc_rt_cuda_session *session = ctx->session;
  void *here = dlc_rt_cuda_alloc(ctx, bytes);
  if (here && bytes) {
    struct dlc_rt_cuda_copy *copy = &session->copies[session->num_copies++];
    copy->to = data;
    copy->from = (cu_address)here;
    copy->bytes = bytes;
  }
  return here;
}

void dlc_rt_cuda_launch(struct dlc_rt_ctx *ctx, int32_t kernel, int64_t blocks,
                        int32_t threads, void **parameters) {
  struct dlc_rt_cuda_session *session = ctx->session;
  struct dlc_rt_cuda_model *model = session->model;
  if (ctx->status != DLC_OK || blocks <= 0)
    return;
  if (blocks > max_blocks) {
    dlc_rt_fail(ctx, DLC_ERROR_DEVICE, "a tensor is too large for a launch");
    return;
  }
  dlc_rt_cuda_failed(ctx, &model->driver, "cuLaunchKernel",
                     model->driver.launch(model->functions[kernel],
                                          (unsigned)blocks, 1, 1,
                                          (unsigned)threads, 1, 1, 0,
                                          session->stream, parameters, NULL));
}

int32_t dlc_rt_cuda_read(struct dlc_rt_ctx *ctx, void *to, void *from,
                         int64_t bytes) {
  struct dlc_rt_cuda_session *session = ctx->session;
  struct dlc_rt_cuda_driver *driver = &session->model->driver;
  if (ctx->status == DLC_OK &&
      !dlc_rt_cuda_failed(ctx, driver, "cuMemcpyDtoHAsync",
                          driver->copy_to_host(to, (cu_address)from,
                                               (size_t)bytes, session->stream)))
    dlc_rt_cuda_failed(ctx, driver, "cuStreamSynchronize",
                       driver->stream_synchronize(session->stream));
  return ctx->status;
}

/* The memory at `from` may change when this returns: the driver has copied
 * what is in pageable memory by then. */
void dlc_rt_cuda_write(struct dlc_rt_ctx *ctx, void *to, const void *from,
                       int64_t bytes) {
  struct dlc_rt_cuda_session *session = ctx->session;
  struct dlc_rt_cuda_driver *driver = &session->model->driver;
  if (ctx->status == DLC_OK)
    dlc_rt_cuda_failed(ctx, driver, "cuMemcpyHtoDAsync",
                       driver->copy_to_device((cu_address)to, from,
                                              (size_t)bytes, session->stream));
}

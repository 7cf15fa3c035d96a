/* A run on a GPU, and what generated code asks for during it. */
#include "rt_cuda.h"

/* What the driver allocates begins at such addresses anyway. */
enum { granularity = 512, max_blocks = 0x7fffffff, not_ready = 600 };

static void lock(struct dlc_rt_ctx *ctx) {
  pthread_mutex_lock(ctx->desc->cuda->state->mutex);
}

static void unlock(struct dlc_rt_ctx *ctx) {
  pthread_mutex_unlock(ctx->desc->cuda->state->mutex);
}

/* Whether a run that was not waited for has ended. */
static int has_ended(struct dlc_rt_ctx *ctx,
                     struct dlc_rt_cuda_session *session) {
  struct dlc_rt_cuda_driver *driver = &session->model->driver;
  cu_result result = driver->event_query(session->event);
  return result != not_ready &&
         !dlc_rt_cuda_failed(ctx, driver, "cuEventQuery", result);
}

/* Takes a session that no run needs any more out of the model's lists, or one
 * whose run comes before this one in the caller's stream. */
static struct dlc_rt_cuda_session *take_session(struct dlc_rt_ctx *ctx,
                                                struct dlc_rt_cuda_model *model,
                                                cu_handle stream) {
  struct dlc_rt_cuda_session **link = &model->pending_sessions, *session;
  while (stream && *link && ((*link)->stream != stream || (*link)->waiters))
    link = &(*link)->next;
  if (!stream || !*link) {
    link = &model->free_sessions;
    if (!*link)
      for (link = &model->pending_sessions; *link; link = &(*link)->next)
        if (!(*link)->waiters && has_ended(ctx, *link))
          break;
  }
  session = *link;
  if (session)
    *link = session->next;
  return session;
}

/* The model on the device of the options, if it is open. */
static struct dlc_rt_cuda_model *find_model(struct dlc_rt_ctx *ctx) {
  struct dlc_rt_cuda_model *model = ctx->desc->cuda->state->models;
  while (model && model->ordinal != ctx->options->device)
    model = model->next;
  return model;
}

/* Empties `list` and closes its sessions, which no run has. Those that threads
 * wait for are closed by the last of these. */
static void close_sessions(struct dlc_rt_cuda_session **list) {
  while (*list) {
    struct dlc_rt_cuda_session *session = *list;
    *list = session->next;
    if (!session->waiters)
      dlc_rt_cuda_close_session(session);
  }
}

/* Ends the use of a model: its context is current no more. The last one closes
 * a model that was released in the meantime. */
static void leave(struct dlc_rt_ctx *ctx, struct dlc_rt_cuda_model *model) {
  lock(ctx);
  int is_last = --model->users == 0 && model->is_released;
  cu_handle context;
  /* Behind the lock another thread may have been the last one. */
  if (!is_last)
    dlc_rt_cuda_failed(ctx, &model->driver, "cuCtxPopCurrent",
                       model->driver.context_pop(&context));
  unlock(ctx);
  if (is_last)
    dlc_rt_cuda_close(ctx, model);
}

/* Leaves a session to other runs, in `list`; to none where the model was
 * released. */
static void put_back(struct dlc_rt_ctx *ctx,
                     struct dlc_rt_cuda_session *session,
                     struct dlc_rt_cuda_session **list) {
  struct dlc_rt_cuda_model *model = session->model;
  lock(ctx);
  int is_kept = !model->is_released;
  if (is_kept) {
    session->next = *list;
    *list = session;
    if (list == &model->pending_sessions)
      session->number = ++model->num_pending;
  }
  unlock(ctx);
  if (is_kept)
    return;
  if (list == &model->pending_sessions)
    dlc_rt_cuda_failed(ctx, &model->driver, "cuStreamSynchronize",
                       model->driver.stream_synchronize(session->stream));
  dlc_rt_cuda_close_session(session);
}

/* Opens the model if that is still to do, and takes a session that no other
 * run has. The model's context is current afterwards, unless this fails. */
static struct dlc_rt_cuda_session *begin(struct dlc_rt_ctx *ctx) {
  struct dlc_rt_cuda_state *state = ctx->desc->cuda->state;
  struct dlc_rt_cuda_session *session = NULL;
  cu_handle stream = ctx->options->stream;
  lock(ctx);
  struct dlc_rt_cuda_model *model = find_model(ctx);
  if (!model) {
    model = dlc_rt_cuda_open(ctx);
    if (model) {
      model->next = state->models;
      state->models = model;
    }
  } else if (dlc_rt_cuda_failed(ctx, &model->driver, "cuCtxPushCurrent",
                                model->driver.context_push(model->context))) {
    model = NULL;
  }
  if (model)
    ++model->users;
  int capturing = 0;
  if (model && stream &&
      !dlc_rt_cuda_failed(
          ctx, &model->driver, "cuStreamIsCapturing",
          model->driver.stream_is_capturing(stream, &capturing)) &&
      capturing)
    dlc_rt_fail(ctx, DLC_ERROR_OPTIONS,
                "expected a stream that is not captured: the model makes "
                "graphs of its own");
  if (model && ctx->status == DLC_OK)
    session = take_session(ctx, model, stream);
  unlock(ctx);
  if (!model)
    return NULL;
  if (!session && ctx->status == DLC_OK)
    session = dlc_rt_cuda_open_session(ctx, model);
  if (!session) {
    leave(ctx, model);
    return NULL;
  }
  session->stream = stream ? stream : session->own_stream;
  session->is_capturing = 0;
  session->num_launches = 0;
  return session;
}

/* Has the outputs copied to the caller's memory. */
static void copy_outputs(struct dlc_rt_ctx *ctx,
                         struct dlc_rt_cuda_session *session) {
  struct dlc_rt_cuda_driver *driver = &session->model->driver;
  const dlc_model *info = ctx->desc->model;
  for (int32_t i = 0; i < info->num_outputs && ctx->status == DLC_OK; ++i) {
    struct dlc_rt_cuda_tensor *tensor = &session->tensors[info->num_inputs + i];
    size_t bytes = (size_t)tensor->bytes;
    if (bytes == 0 || tensor->used == 0 || tensor->used == tensor->given)
      continue;
    if (tensor->given)
      dlc_rt_cuda_failed(ctx, driver, "cuMemcpyDtoDAsync",
                         driver->copy_on_device(tensor->given, tensor->used,
                                                bytes, session->stream));
    else
      dlc_rt_cuda_failed(ctx, driver, "cuMemcpyDtoHAsync",
                         driver->copy_to_host(ctx->out[i].data, tensor->used,
                                              bytes, session->stream));
  }
}

/* Copies the outputs, waits unless the run is asynchronous, and leaves the
 * session to other runs. */
static void end(struct dlc_rt_ctx *ctx, struct dlc_rt_cuda_session *session) {
  struct dlc_rt_cuda_model *model = session->model;
  struct dlc_rt_cuda_driver *driver = &model->driver;
  struct dlc_rt_cuda_session **list = &model->pending_sessions;
  copy_outputs(ctx, session);
  int waits = !ctx->options->asynchronous || ctx->status != DLC_OK;
  if (!waits)
    /* Whoever frees memory or takes the session waits for this. */
    waits = dlc_rt_cuda_failed(
        ctx, driver, "cuEventRecord",
        driver->event_record(session->event, session->stream));
  cu_result result = 0;
  if (waits) {
    /* Also where something failed: no copy may go on behind the run. */
    result = driver->stream_synchronize(session->stream);
    dlc_rt_cuda_failed(ctx, driver, "cuStreamSynchronize", result);
    list = &model->free_sessions;
  }
  for (struct dlc_rt_cuda_block *b = session->blocks; b; b = b->next)
    b->is_used = 0;
  if (result == 0)
    put_back(ctx, session, list);
  else
    dlc_rt_cuda_close_session(session);
  int32_t status = ctx->status;
  leave(ctx, model);
  /* A run that goes on needs its outputs, which one that failed gives back. */
  if (!waits)
    ctx->status = status;
}

/* Runs the model for the CPU where no GPU can: unless the caller's tensors or
 * stream are a GPU's. */
static int32_t fall_back(struct dlc_rt_ctx *ctx) {
  const struct dlc_rt_cuda_desc *desc = ctx->desc->cuda;
  struct dlc_rt_cuda_driver driver;
  if (!desc->fallback || ctx->status != DLC_ERROR_NO_DEVICE ||
      ctx->options->stream)
    return ctx->status;
  static const dlc_options no_message;
  const dlc_options *options = ctx->options;
  ctx->status = DLC_OK;
  ctx->options = &no_message;
  int is_here = dlc_rt_cuda_open_driver(ctx, &driver) ||
                !dlc_rt_cuda_has_device_tensor(ctx, &driver);
  ctx->options = options;
  if (!is_here)
    return ctx->status = DLC_ERROR_NO_DEVICE;
  ctx->status = DLC_OK;
  dlc_rt_text_open(options); /* takes the message back */
  int32_t status = dlc_rt_find_arena(ctx);
  return status == DLC_OK ? dlc_rt_run_on_cpu(ctx, desc->fallback) : status;
}

int32_t dlc_rt_cuda_run(struct dlc_rt_ctx *ctx) {
  struct dlc_rt_cuda_session *session = begin(ctx);
  if (!session)
    return fall_back(ctx);
  ctx->session = session;
  ctx->device_arena = (char *)session->arena;
  ctx->device_weights = (char *)session->model->weights;
  dlc_rt_cuda_find_tensors(ctx);
  int32_t status = ctx->status;
  if (status == DLC_OK)
    status = dlc_rt_cuda_run_main(ctx);
  /* What ended the run without a call of the runtime. */
  if (ctx->status == DLC_OK)
    ctx->status = status;
  end(ctx, session);
  return ctx->status;
}

/* One of the runs in `stream`, or of all for NULL, up to number `last` that
 * nobody knows the end of. It stays in the list, for others that wait for it.
 */
static struct dlc_rt_cuda_session *await(struct dlc_rt_cuda_model *model,
                                         cu_handle stream, uint64_t last) {
  struct dlc_rt_cuda_session *session = model->pending_sessions;
  while (session &&
         (session->number > last || (stream && session->stream != stream)))
    session = session->next;
  if (session)
    ++session->waiters;
  return session;
}

/* Ends a wait, for a run that has ended or `failed`. The last thread that
 * waited leaves the session to other runs. */
static void end_wait(struct dlc_rt_ctx *ctx,
                     struct dlc_rt_cuda_session *session, int failed) {
  struct dlc_rt_cuda_model *model = session->model;
  lock(ctx);
  struct dlc_rt_cuda_session **link = &model->pending_sessions;
  while (*link && *link != session)
    link = &(*link)->next;
  if (*link)
    *link = session->next;
  session->has_failed |= failed;
  int is_last = --session->waiters == 0;
  int is_kept = !session->has_failed && !model->is_released;
  if (is_last && is_kept) {
    session->next = model->free_sessions;
    model->free_sessions = session;
  }
  unlock(ctx);
  if (is_last && !is_kept)
    dlc_rt_cuda_close_session(session);
}

int32_t dlc_rt_cuda_synchronize(struct dlc_rt_ctx *ctx) {
  cu_handle stream = ctx->options->stream;
  uint64_t last = 0;
  lock(ctx);
  struct dlc_rt_cuda_model *model = find_model(ctx);
  if (model &&
      !dlc_rt_cuda_failed(ctx, &model->driver, "cuCtxPushCurrent",
                          model->driver.context_push(model->context))) {
    ++model->users;
    last = model->num_pending;
  } else {
    model = NULL;
  }
  unlock(ctx);
  if (!model)
    return ctx->status;
  for (;;) {
    lock(ctx);
    struct dlc_rt_cuda_session *session = await(model, stream, last);
    unlock(ctx);
    if (!session)
      break;
    cu_result result = model->driver.event_synchronize(session->event);
    end_wait(
        ctx, session,
        dlc_rt_cuda_failed(ctx, &model->driver, "cuEventSynchronize", result));
  }
  leave(ctx, model);
  return ctx->status;
}

int32_t dlc_rt_cuda_release(struct dlc_rt_ctx *ctx) {
  struct dlc_rt_cuda_state *state = ctx->desc->cuda->state;
  lock(ctx);
  while (state->models) {
    struct dlc_rt_cuda_model *model = state->models;
    struct dlc_rt_cuda_driver *driver = &model->driver;
    if (dlc_rt_cuda_failed(ctx, driver, "cuCtxPushCurrent",
                           driver->context_push(model->context)))
      break;
    state->models = model->next;
    for (struct dlc_rt_cuda_session *s = model->pending_sessions; s;
         s = s->next)
      dlc_rt_cuda_failed(ctx, driver, "cuEventSynchronize",
                         driver->event_synchronize(s->event));
    close_sessions(&model->pending_sessions);
    close_sessions(&model->free_sessions);
    model->is_released = 1;
    ++model->users;
    unlock(ctx);
    leave(ctx, model);
    lock(ctx);
  }
  unlock(ctx);
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

/* Gives all free blocks back to the driver; returns whether there were any.
 * Graphs would go on to use them. */
static int release_blocks(struct dlc_rt_cuda_session *session) {
  struct dlc_rt_cuda_block **link = &session->blocks;
  int released = 0;
  if (session->is_capturing)
    return 0;
  if (session->model->driver.stream_synchronize(session->stream) != 0)
    return 0;
  dlc_rt_cuda_drop_graphs(session);
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
  ++session->num_launches;
  dlc_rt_cuda_failed(
      ctx, &model->driver, "cuLaunchKernel",
      model->driver.launch(
          model->functions[kernel], (unsigned)blocks, 1, 1, (unsigned)threads,
          1, 1, (unsigned)ctx->desc->cuda->kernels[kernel].shared,
          session->is_capturing ? session->own_stream : session->stream,
          parameters, NULL));
}

int32_t dlc_rt_cuda_read(struct dlc_rt_ctx *ctx, void *to, void *from,
                         int64_t bytes) {
  struct dlc_rt_cuda_session *session = ctx->session;
  struct dlc_rt_cuda_driver *driver = &session->model->driver;
  if (ctx->status == DLC_OK && bytes != 0 &&
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
  if (ctx->status == DLC_OK && bytes != 0)
    dlc_rt_cuda_failed(ctx, driver, "cuMemcpyHtoDAsync",
                       driver->copy_to_device((cu_address)to, from,
                                              (size_t)bytes, session->stream));
}

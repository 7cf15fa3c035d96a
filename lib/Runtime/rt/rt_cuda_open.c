/* Opens the driver, and a device and a model on it, once for all runs. Whatever
 * fails, everything before it is given back, and the next run tries again. */
#include "rt_cuda.h"

enum {
  now = 2, /* RTLD_NOW */
  out_of_memory = 2,
  no_device = 100,
  major_attribute = 75,
  minor_attribute = 76,
  jit_error_log = 5,
  jit_error_log_size = 6,
  max_dynamic_shared = 8,
  non_blocking = 1,
  no_timing = 2
};

/* Ends the run with a message in three parts. */
static int32_t fail(struct dlc_rt_ctx *ctx, int32_t code, const char *first,
                    const char *second, const char *third) {
  if (ctx->status != DLC_OK)
    return ctx->status;
  struct dlc_rt_text text = dlc_rt_text_open(ctx->options);
  dlc_rt_text_add(&text, ctx->desc->model->name);
  dlc_rt_text_add(&text, ": ");
  dlc_rt_text_add(&text, first);
  dlc_rt_text_add(&text, second);
  dlc_rt_text_add(&text, third);
  return ctx->status = code;
}

int dlc_rt_cuda_failed(struct dlc_rt_ctx *ctx,
                       const struct dlc_rt_cuda_driver *driver,
                       const char *call, cu_result result) {
  if (result == 0)
    return 0;
  if (ctx->status != DLC_OK)
    return 1;
  const char *name = NULL, *words = NULL;
  driver->error_name(result, &name);
  driver->error_string(result, &words);
  struct dlc_rt_text text = dlc_rt_text_open(ctx->options);
  dlc_rt_text_add(&text, ctx->desc->model->name);
  dlc_rt_text_add(&text, ": ");
  dlc_rt_text_add(&text, call);
  dlc_rt_text_add(&text, ": ");
  dlc_rt_text_add(&text, name ? name : "error ");
  if (!name)
    dlc_rt_text_add_int(&text, result);
  if (words) {
    dlc_rt_text_add(&text, " (");
    dlc_rt_text_add(&text, words);
    dlc_rt_text_add(&text, ")");
  }
  ctx->status =
      result == out_of_memory ? DLC_ERROR_DEVICE_MEMORY : DLC_ERROR_DEVICE;
  return 1;
}

int dlc_rt_cuda_open_driver(struct dlc_rt_ctx *ctx,
                            struct dlc_rt_cuda_driver *driver) {
  /* It stays open: other code of the process may use it, too. */
  void *library = dlopen("libcuda.so.1", now);
  if (!library) {
    fail(ctx, DLC_ERROR_NO_DEVICE,
         "no NVIDIA driver: libcuda.so.1 is not there", "", "");
    return 1;
  }
#define FIND(member, symbol, parameters)                                       \
  *(void **)&driver->member = dlsym(library, symbol);                          \
  if (!driver->member) {                                                       \
    fail(ctx, DLC_ERROR_NO_DEVICE, "the NVIDIA driver has no function ",       \
         symbol, "");                                                          \
    return 1;                                                                  \
  }
  DLC_CUDA_FUNCTIONS(FIND)
#undef FIND
  driver->has_graphs = 1;
#define FIND(member, symbol, parameters)                                       \
  *(void **)&driver->member = dlsym(library, symbol);                          \
  driver->has_graphs &= driver->member != NULL;
  DLC_CUDA_GRAPH_FUNCTIONS(FIND)
#undef FIND
  return 0;
}

/* Takes the device that the options name; 0 if there is one. */
static int open_device(struct dlc_rt_ctx *ctx,
                       struct dlc_rt_cuda_model *model) {
  struct dlc_rt_cuda_driver *driver = &model->driver;
  int count = 0;
  cu_result result = driver->init(0);
  if (result != no_device) {
    if (dlc_rt_cuda_failed(ctx, driver, "cuInit", result) ||
        dlc_rt_cuda_failed(ctx, driver, "cuDeviceGetCount",
                           driver->device_count(&count)))
      return 1;
  }
  if (count == 0) {
    fail(ctx, DLC_ERROR_NO_DEVICE, "the NVIDIA driver finds no GPU", "", "");
    return 1;
  }
  if (model->ordinal >= count) {
    struct dlc_rt_text text = dlc_rt_text_open(ctx->options);
    dlc_rt_text_add(&text, ctx->desc->model->name);
    dlc_rt_text_add(&text, ": expected a device below ");
    dlc_rt_text_add_int(&text, count);
    dlc_rt_text_add(&text, ", the number of GPUs, found ");
    dlc_rt_text_add_int(&text, model->ordinal);
    ctx->status = DLC_ERROR_OPTIONS;
    return 1;
  }
  return dlc_rt_cuda_failed(ctx, driver, "cuDeviceGet",
                            driver->device_get(&model->device, model->ordinal));
}

/* The best image that the device can run. */
static const struct dlc_rt_cuda_image *
choose_image(struct dlc_rt_ctx *ctx, struct dlc_rt_cuda_model *model) {
  const struct dlc_rt_cuda_desc *desc = ctx->desc->cuda;
  const struct dlc_rt_cuda_image *best = NULL;
  int major = 0, minor = 0;
  if (dlc_rt_cuda_failed(ctx, &model->driver, "cuDeviceGetAttribute",
                         model->driver.device_attribute(&major, major_attribute,
                                                        model->device)) ||
      dlc_rt_cuda_failed(ctx, &model->driver, "cuDeviceGetAttribute",
                         model->driver.device_attribute(&minor, minor_attribute,
                                                        model->device)))
    return NULL;
  int32_t found = major * 10 + minor;
  for (int32_t i = 0; i < desc->num_images; ++i) {
    const struct dlc_rt_cuda_image *image = &desc->images[i];
    if (image->capability == found ||
        (image->capability < found && (image->fits == dlc_rt_fits_later ||
                                       (image->fits == dlc_rt_fits_generation &&
                                        image->capability / 10 == major))))
      best = image;
  }
  if (best)
    return best;
  struct dlc_rt_text text = dlc_rt_text_open(ctx->options);
  dlc_rt_text_add(&text, ctx->desc->model->name);
  dlc_rt_text_add(&text, ": compiled for ");
  dlc_rt_text_add(&text, ctx->desc->model->target);
  dlc_rt_text_add(&text, ", but this GPU is sm_");
  dlc_rt_text_add_int(&text, found);
  ctx->status = DLC_ERROR_NO_DEVICE;
  return NULL;
}

/* Loads the code; 0 if that went well. */
static int load_code(struct dlc_rt_ctx *ctx, struct dlc_rt_cuda_model *model) {
  const struct dlc_rt_cuda_desc *desc = ctx->desc->cuda;
  struct dlc_rt_cuda_driver *driver = &model->driver;
  const struct dlc_rt_cuda_image *image = choose_image(ctx, model);
  if (!image)
    return 1;
  char log[256] = "";
  int options[] = {jit_error_log, jit_error_log_size};
  void *values[] = {log, (void *)(uintptr_t)sizeof log};
  cu_result result =
      driver->module_load(&model->module, image->code, 2, options, values);
  if (result != 0) {
    model->module = NULL;
    dlc_rt_cuda_failed(ctx, driver, "cuModuleLoadDataEx", result);
    return 1;
  }
  for (int32_t i = 0; i < desc->num_kernels; ++i) {
    const struct dlc_rt_cuda_kernel *kernel = &desc->kernels[i];
    cu_handle *function = &model->functions[i];
    if (dlc_rt_cuda_failed(
            ctx, driver, "cuModuleGetFunction",
            driver->module_function(function, model->module, kernel->name)))
      return 1;
    if (kernel->shared &&
        dlc_rt_cuda_failed(ctx, driver, "cuFuncSetAttribute",
                           driver->function_attribute(
                               *function, max_dynamic_shared, kernel->shared)))
      return 1;
  }
  return 0;
}

static int load_weights(struct dlc_rt_ctx *ctx,
                        struct dlc_rt_cuda_model *model) {
  const struct dlc_rt_cuda_desc *desc = ctx->desc->cuda;
  struct dlc_rt_cuda_driver *driver = &model->driver;
  size_t bytes = (size_t)desc->weights_size;
  if (bytes == 0)
    return 0;
  if (dlc_rt_cuda_failed(ctx, driver, "cuMemAlloc",
                         driver->alloc(&model->weights, bytes))) {
    model->weights = 0;
    return 1;
  }
  return dlc_rt_cuda_failed(ctx, driver, "cuMemcpyHtoDAsync",
                            driver->copy_to_device(
                                model->weights, desc->weights, bytes, NULL)) ||
         dlc_rt_cuda_failed(ctx, driver, "cuStreamSynchronize",
                            driver->stream_synchronize(NULL));
}

/* Gives back what `dlc_rt_cuda_open` made, as far as it came. Its context is
 * current before, and not afterwards. */
void dlc_rt_cuda_close(struct dlc_rt_ctx *ctx,
                       struct dlc_rt_cuda_model *model) {
  struct dlc_rt_cuda_driver *driver = &model->driver;
  cu_handle context;
  if (model->context) {
    if (model->weights)
      dlc_rt_cuda_failed(ctx, driver, "cuMemFree",
                         driver->free(model->weights));
    if (model->module)
      dlc_rt_cuda_failed(ctx, driver, "cuModuleUnload",
                         driver->module_unload(model->module));
    dlc_rt_cuda_failed(ctx, driver, "cuCtxPopCurrent",
                       driver->context_pop(&context));
    dlc_rt_cuda_failed(ctx, driver, "cuDevicePrimaryCtxRelease",
                       driver->context_release(model->device));
  }
  free(model);
}

/* Leaves the context current, unless it fails. */
struct dlc_rt_cuda_model *dlc_rt_cuda_open(struct dlc_rt_ctx *ctx) {
  const struct dlc_rt_cuda_desc *desc = ctx->desc->cuda;
  size_t bytes = sizeof(struct dlc_rt_cuda_model) +
                 (size_t)desc->num_kernels * sizeof(cu_handle);
  struct dlc_rt_cuda_model *model = malloc(bytes);
  if (!model) {
    dlc_rt_fail(ctx, DLC_ERROR_MEMORY, "out of memory");
    return NULL;
  }
  model->next = NULL;
  model->ordinal = ctx->options->device;
  model->context = model->module = NULL;
  model->weights = 0;
  model->free_sessions = model->pending_sessions = NULL;
  model->num_pending = 0;
  model->users = model->is_released = 0;
  struct dlc_rt_cuda_driver *driver = &model->driver;
  int failed = dlc_rt_cuda_open_driver(ctx, driver) || open_device(ctx, model);
  if (!failed) {
    failed = dlc_rt_cuda_failed(
        ctx, driver, "cuDevicePrimaryCtxRetain",
        driver->context_retain(&model->context, model->device));
    if (failed)
      model->context = NULL;
  }
  if (!failed) {
    failed = dlc_rt_cuda_failed(ctx, driver, "cuCtxPushCurrent",
                                driver->context_push(model->context));
    if (failed) {
      driver->context_release(model->device);
      model->context = NULL;
    }
  }
  if (failed || load_code(ctx, model) || load_weights(ctx, model)) {
    dlc_rt_cuda_close(ctx, model);
    return NULL;
  }
  return model;
}

struct dlc_rt_cuda_session *
dlc_rt_cuda_open_session(struct dlc_rt_ctx *ctx,
                         struct dlc_rt_cuda_model *model) {
  struct dlc_rt_cuda_driver *driver = &model->driver;
  const dlc_model *info = ctx->desc->model;
  size_t tensors = (size_t)info->num_inputs + (size_t)info->num_outputs;
  struct dlc_rt_cuda_session *session =
      malloc(sizeof(struct dlc_rt_cuda_session) +
             tensors * sizeof session->tensors[0]);
  if (!session) {
    dlc_rt_fail(ctx, DLC_ERROR_MEMORY, "out of memory");
    return NULL;
  }
  session->next = NULL;
  session->model = model;
  session->own_stream = session->event = NULL;
  session->arena = 0;
  session->blocks = NULL;
  session->graphs = NULL;
  session->waiters = session->has_failed = 0;
  if (dlc_rt_cuda_failed(
          ctx, driver, "cuStreamCreate",
          driver->stream_create(&session->own_stream, non_blocking)))
    session->own_stream = NULL;
  else if (dlc_rt_cuda_failed(ctx, driver, "cuEventCreate",
                              driver->event_create(&session->event, no_timing)))
    session->event = NULL;
  else if (ctx->desc->cuda->arena_size &&
           dlc_rt_cuda_failed(
               ctx, driver, "cuMemAlloc",
               driver->alloc(&session->arena,
                             (size_t)ctx->desc->cuda->arena_size)))
    session->arena = 0;
  if (ctx->status == DLC_OK)
    return session;
  dlc_rt_cuda_close_session(session);
  return NULL;
}

void dlc_rt_cuda_close_session(struct dlc_rt_cuda_session *session) {
  struct dlc_rt_cuda_driver *driver = &session->model->driver;
  dlc_rt_cuda_drop_graphs(session);
  while (session->blocks) {
    struct dlc_rt_cuda_block *block = session->blocks;
    session->blocks = block->next;
    driver->free(block->address);
    free(block);
  }
  if (session->arena)
    driver->free(session->arena);
  if (session->event)
    driver->event_destroy(session->event);
  if (session->own_stream)
    driver->stream_destroy(session->own_stream);
  free(session);
}

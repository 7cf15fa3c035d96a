/* The inputs and outputs of a run on a GPU, which may be in the memory of the
 * host or of the device. */
#include "rt_cuda.h"

enum {
  invalid_value = 1,
  attribute_memory = 2,
  attribute_ordinal = 9,
  memory_device = 2
};

/* Kernels take it that a buffer begins at such an address. */
enum { alignment = 16 };

static int is_tensor(const dlc_tensor_info *info) {
  return !(info->dtype & (DLC_SEQUENCE | DLC_OPTIONAL)) &&
         info->dtype != DLC_STRING;
}

/* Finds out whether the memory is a GPU's. The driver does not know what is the
 * host's and not its own, which is no failure. */
static cu_result ask(struct dlc_rt_cuda_driver *driver, const void *data,
                     int *is_on_device) {
  int32_t memory = 0;
  *is_on_device = 0;
  if (!data)
    return 0;
  cu_result result =
      driver->pointer_attribute(&memory, attribute_memory, (cu_address)data);
  if (result == 0)
    *is_on_device = memory == memory_device;
  return result == invalid_value ? 0 : result;
}

int dlc_rt_cuda_has_device_tensor(struct dlc_rt_ctx *ctx,
                                  struct dlc_rt_cuda_driver *driver) {
  const dlc_model *info = ctx->desc->model;
  int found = 0;
  for (int32_t i = 0; i < info->num_inputs && !found; ++i)
    ask(driver, ctx->inputs[i], &found);
  for (int32_t i = 0; i < info->num_outputs && !found; ++i)
    ask(driver, ctx->out[i].data, &found);
  return found;
}

/* The address if the tensor is in the memory of the run's device, else 0. */
static cu_address find_tensor(struct dlc_rt_ctx *ctx, const char *kind,
                              const dlc_tensor_info *info, const void *data) {
  struct dlc_rt_cuda_driver *driver = &ctx->session->model->driver;
  int32_t ordinal = 0;
  int is_on_device;
  if (ctx->status != DLC_OK || !is_tensor(info) ||
      dlc_rt_cuda_failed(ctx, driver, "cuPointerGetAttribute",
                         ask(driver, data, &is_on_device)) ||
      !is_on_device)
    return 0;
  if (dlc_rt_cuda_failed(ctx, driver, "cuPointerGetAttribute",
                         driver->pointer_attribute(&ordinal, attribute_ordinal,
                                                   (cu_address)data)))
    return 0;
  if (ordinal == ctx->options->device)
    return (cu_address)data;
  struct dlc_rt_text text = dlc_rt_text_open(ctx->options);
  dlc_rt_text_add(&text, ctx->desc->model->name);
  dlc_rt_text_add(&text, ": ");
  dlc_rt_text_add(&text, kind);
  dlc_rt_text_add(&text, " '");
  dlc_rt_text_add(&text, info->name);
  dlc_rt_text_add(&text, "': expected memory of the host or of device ");
  dlc_rt_text_add_int(&text, ctx->options->device);
  dlc_rt_text_add(&text, ", found device ");
  dlc_rt_text_add_int(&text, ordinal);
  ctx->status = DLC_ERROR_OPTIONS;
  return 0;
}

/* What main reads of an input follows a pointer of the host. */
static void copy_to_host(struct dlc_rt_ctx *ctx, int32_t index) {
  struct dlc_rt_cuda_session *session = ctx->session;
  const dlc_tensor_info *info = &ctx->desc->model->inputs[index];
  size_t bytes = dlc_rt_bytes(dlc_rt_dtype_size(info->dtype), info->rank,
                              ctx->input_shapes[index]);
  void *copy = dlc_rt_alloc(ctx, (int64_t)bytes);
  if (copy && bytes)
    dlc_rt_cuda_read(ctx, copy, (void *)session->tensors[index].given,
                     (int64_t)bytes);
  ((const void **)ctx->inputs)[index] = copy;
}

void dlc_rt_cuda_find_tensors(struct dlc_rt_ctx *ctx) {
  struct dlc_rt_cuda_session *session = ctx->session;
  const dlc_model *info = ctx->desc->model;
  const unsigned char *host_inputs = ctx->desc->cuda->host_inputs;
  struct dlc_rt_cuda_tensor *tensor = session->tensors;
  for (int32_t i = 0; i < info->num_inputs; ++i, ++tensor) {
    tensor->used = 0;
    tensor->bytes = 0;
    tensor->given = find_tensor(ctx, "input", &info->inputs[i], ctx->inputs[i]);
    if (tensor->given && host_inputs && host_inputs[i])
      copy_to_host(ctx, i);
  }
  for (int32_t i = 0; i < info->num_outputs; ++i, ++tensor) {
    tensor->used = 0;
    tensor->bytes = 0;
    tensor->given =
        find_tensor(ctx, "output", &info->outputs[i], ctx->out[i].data);
  }
}

/* The caller's memory where kernels can use it, else a buffer of the run's. */
static void *place(struct dlc_rt_ctx *ctx, struct dlc_rt_cuda_tensor *tensor,
                   int64_t bytes) {
  tensor->bytes = bytes;
  tensor->used = tensor->given && tensor->given % alignment == 0
                     ? tensor->given
                     : (cu_address)dlc_rt_cuda_alloc(ctx, bytes);
  return (void *)tensor->used;
}

void dlc_rt_cuda_fill_input(struct dlc_rt_ctx *ctx, int32_t index) {
  struct dlc_rt_cuda_session *session = ctx->session;
  struct dlc_rt_cuda_driver *driver = &session->model->driver;
  struct dlc_rt_cuda_tensor *tensor = &session->tensors[index];
  if (tensor->bytes == 0 || tensor->used == 0 || tensor->used == tensor->given)
    return;
  if (!tensor->given)
    dlc_rt_cuda_write(ctx, (void *)tensor->used, ctx->inputs[index],
                      tensor->bytes);
  else if (ctx->status == DLC_OK)
    dlc_rt_cuda_failed(ctx, driver, "cuMemcpyDtoDAsync",
                       driver->copy_on_device(tensor->used, tensor->given,
                                              (size_t)tensor->bytes,
                                              session->stream));
}

void *dlc_rt_cuda_input(struct dlc_rt_ctx *ctx, int32_t index, int64_t bytes) {
  struct dlc_rt_cuda_session *session = ctx->session;
  struct dlc_rt_cuda_tensor *tensor = &session->tensors[index];
  if (tensor->used)
    return (void *)tensor->used;
  void *data = place(ctx, tensor, bytes);
  /* While launches are captured, the input is filled before. */
  if (data && !session->is_capturing)
    dlc_rt_cuda_fill_input(ctx, index);
  return ctx->status == DLC_OK ? data : NULL;
}

/* `data` is where the caller finds it at the end. */
void *dlc_rt_cuda_output(struct dlc_rt_ctx *ctx, int32_t index, void *data,
                         int64_t bytes) {
  (void)data;
  struct dlc_rt_cuda_session *session = ctx->session;
  return place(ctx, &session->tensors[ctx->desc->model->num_inputs + index],
               bytes);
}

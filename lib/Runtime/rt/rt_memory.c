/* Memory and failures of a run, as generated code asks for them. */
#include "dlc_rt.h"

/* Stands right before the aligned bytes that it describes. */
struct dlc_rt_block {
  struct dlc_rt_block *next, **link;
  void *start;
};

int dlc_rt_is_negative(struct dlc_rt_ctx *ctx, int64_t bytes) {
  if (bytes >= 0)
    return 0;
  dlc_rt_fail(ctx, DLC_ERROR_VALUE,
              "expected values that give sizes of 0 or more, found a negative "
              "size");
  return 1;
}

void *dlc_rt_try_alloc(struct dlc_rt_ctx *ctx, size_t bytes) {
  size_t extra = sizeof(struct dlc_rt_block) + DLC_WORKSPACE_ALIGNMENT;
  char *start = NULL;
  if (bytes <= (SIZE_MAX >> 1) - extra)
    start = (char *)malloc(bytes + extra);
  if (!start)
    return NULL;
  uintptr_t data =
      ((uintptr_t)start + extra) & ~(uintptr_t)(DLC_WORKSPACE_ALIGNMENT - 1);
  struct dlc_rt_block *block = (struct dlc_rt_block *)data - 1;
  block->start = start;
  block->next = ctx->blocks;
  block->link = &ctx->blocks;
  if (block->next)
    block->next->link = &block->next;
  ctx->blocks = block;
  return (void *)data;
}

void *dlc_rt_alloc(struct dlc_rt_ctx *ctx, int64_t bytes) {
  void *data = NULL;
  if (dlc_rt_is_negative(ctx, bytes))
    return NULL;
  if ((uint64_t)bytes <= SIZE_MAX >> 1)
    data = dlc_rt_try_alloc(ctx, (size_t)bytes);
  if (!data)
    dlc_rt_fail(ctx, DLC_ERROR_MEMORY, "out of memory");
  return data;
}

void dlc_rt_free(struct dlc_rt_ctx *ctx, void *data) {
  (void)ctx;
  if (!data)
    return;
  struct dlc_rt_block *block = (struct dlc_rt_block *)data - 1;
  *block->link = block->next;
  if (block->next)
    block->next->link = block->link;
  free(block->start);
}

void dlc_rt_free_all(struct dlc_rt_ctx *ctx) {
  while (ctx->blocks)
    dlc_rt_free(ctx, ctx->blocks + 1);
}

void *dlc_rt_output(struct dlc_rt_ctx *ctx, int32_t index, const int64_t *shape,
                    int64_t bytes) {
  const dlc_tensor_info *info = &ctx->desc->model->outputs[index];
  dlc_tensor *out = &ctx->out[index];
  if (dlc_rt_is_negative(ctx, bytes))
    return NULL;
  /* Of a tensor without elements, too: sizes are clamped to this. */
  for (int32_t d = 0; d < info->rank; ++d)
    if (shape[d] >= INT64_C(1) << 47) {
      dlc_rt_fail(ctx, DLC_ERROR_MEMORY, "out of memory for an output");
      return NULL;
    }
  for (int32_t d = 0; d < info->rank; ++d)
    out->shape[d] = shape[d];
  if (out->data) {
    if ((uint64_t)bytes <= out->capacity)
      return out->data;
    if (ctx->status == DLC_OK) {
      struct dlc_rt_text text = dlc_rt_text_open(ctx->options);
      dlc_rt_text_add(&text, ctx->desc->model->name);
      dlc_rt_text_add(&text, ": output '");
      dlc_rt_text_add(&text, info->name);
      dlc_rt_text_add(&text, "' needs ");
      dlc_rt_text_add_int(&text, bytes);
      dlc_rt_text_add(&text, " bytes, its capacity is ");
      dlc_rt_text_add_int(&text, (int64_t)out->capacity);
    }
    if (ctx->status == DLC_OK)
      ctx->status = DLC_ERROR_CAPACITY;
    return NULL;
  }
  if ((uint64_t)bytes <= SIZE_MAX >> 1)
    out->data = malloc(bytes ? (size_t)bytes : 1);
  if (!out->data) {
    dlc_rt_fail(ctx, DLC_ERROR_MEMORY, "out of memory for an output");
    return NULL;
  }
  out->capacity = (size_t)bytes;
  ctx->allocated[index] = 1;
  return out->data;
}

int32_t dlc_rt_fail(struct dlc_rt_ctx *ctx, int32_t code, const char *message) {
  /* The first failure is the cause of those that follow. */
  if (ctx->status != DLC_OK)
    return ctx->status;
  struct dlc_rt_text text = dlc_rt_text_open(ctx->options);
  dlc_rt_text_add(&text, ctx->desc->model->name);
  dlc_rt_text_add(&text, ": ");
  dlc_rt_text_add(&text, message);
  ctx->status = code;
  return code;
}

int32_t dlc_rt_status(struct dlc_rt_ctx *ctx) { return ctx->status; }

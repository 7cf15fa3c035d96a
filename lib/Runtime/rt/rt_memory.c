/* Memory and failures of a run, as generated code asks for them. */
#include "dlc_rt.h"

/* Stands right before the aligned bytes that it describes. */
struct dlc_rt_block {
  struct dlc_rt_block *next, **link;
  void *start;         /* from malloc; NULL: in the workspace */
  size_t offset, size; /* in the heap; a size of 0: not there */
};

/* So long are the lists that the heap searches. More blocks at a time are
 * those of sequences and loops, and from malloc. */
enum { most_heap_blocks = 256 };
/* Of a block, before its bytes. */
enum { header = DLC_WORKSPACE_ALIGNMENT };
typedef char header_fits[sizeof(struct dlc_rt_block) <= header ? 1 : -1];

int dlc_rt_is_negative(struct dlc_rt_ctx *ctx, int64_t bytes) {
  if (bytes >= 0)
    return 0;
  dlc_rt_fail(ctx, DLC_ERROR_VALUE,
              "expected values that give sizes of 0 or more, found a negative "
              "size");
  return 1;
}

void dlc_rt_open_heap(struct dlc_rt_ctx *ctx) {
  const dlc_options *options = ctx->options;
  ctx->heap.is_open = 1;
  ctx->planned = (ctx->planned + DLC_WORKSPACE_ALIGNMENT - 1) &
                 ~(size_t)(DLC_WORKSPACE_ALIGNMENT - 1);
  if (options->workspace && options->workspace_size > ctx->planned &&
      (uintptr_t)options->workspace % DLC_WORKSPACE_ALIGNMENT == 0) {
    ctx->heap.base = (char *)options->workspace + ctx->planned;
    ctx->heap.capacity = options->workspace_size - ctx->planned;
  }
}

static void insert(struct dlc_rt_block *block, struct dlc_rt_block **link) {
  block->link = link;
  block->next = *link;
  if (block->next)
    block->next->link = &block->next;
  *link = block;
}

/* A place of `size` bytes in the heap: the smallest gap that holds them, else
 * behind all blocks. Returns where a block is linked in there. */
static struct dlc_rt_block **find_gap(struct dlc_rt_heap *heap, size_t size,
                                      size_t *offset) {
  struct dlc_rt_block **found = NULL, **link = &heap->first;
  size_t end = 0, smallest = SIZE_MAX;
  for (; *link; link = &(*link)->next) {
    size_t gap = (*link)->offset - end;
    if (gap >= size && gap < smallest) {
      smallest = gap;
      *offset = end;
      found = link;
    }
    end = (*link)->offset + (*link)->size;
  }
  if (found)
    return found;
  *offset = end;
  return link;
}

void *dlc_rt_try_alloc(struct dlc_rt_ctx *ctx, size_t bytes) {
  struct dlc_rt_heap *heap = &ctx->heap;
  if (bytes > (SIZE_MAX >> 2) - 2 * header)
    return NULL;
  size_t size = (header + bytes + DLC_WORKSPACE_ALIGNMENT - 1) &
                ~(size_t)(DLC_WORKSPACE_ALIGNMENT - 1);
  size_t offset = 0;
  struct dlc_rt_block **link = &ctx->blocks;
  int is_in_heap = heap->is_open && heap->count < most_heap_blocks;
  if (is_in_heap)
    link = find_gap(heap, size, &offset);
  char *start = NULL, *data;
  if (is_in_heap && offset <= heap->capacity &&
      size <= heap->capacity - offset) {
    data = heap->base + offset + header;
  } else {
    start = (char *)malloc(bytes + header + DLC_WORKSPACE_ALIGNMENT);
    if (!start)
      return NULL;
    data = (char *)(((uintptr_t)start + header + DLC_WORKSPACE_ALIGNMENT - 1) &
                    ~(uintptr_t)(DLC_WORKSPACE_ALIGNMENT - 1));
  }
  struct dlc_rt_block *block = (struct dlc_rt_block *)data - 1;
  block->start = start;
  block->offset = offset;
  block->size = is_in_heap ? size : 0;
  insert(block, link);
  if (is_in_heap) {
    ++heap->count;
    if (heap->peak < offset + size)
      heap->peak = offset + size;
  }
  return data;
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
  if (!data)
    return;
  struct dlc_rt_block *block = (struct dlc_rt_block *)data - 1;
  *block->link = block->next;
  if (block->next)
    block->next->link = block->link;
  if (block->size)
    --ctx->heap.count;
  free(block->start);
}

void dlc_rt_free_all(struct dlc_rt_ctx *ctx) {
  while (ctx->blocks)
    dlc_rt_free(ctx, ctx->blocks + 1);
  while (ctx->heap.first)
    dlc_rt_free(ctx, ctx->heap.first + 1);
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
  /* As a workspace: what vectors write then is not in two lines of a cache. */
  if ((uint64_t)bytes > SIZE_MAX >> 1 ||
      posix_memalign(&out->data, DLC_WORKSPACE_ALIGNMENT,
                     bytes ? (size_t)bytes : 1) != 0) {
    out->data = NULL;
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

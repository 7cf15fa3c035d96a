/* Sequences of tensors, and maps. A sequence never changes; its tensors and
 * those that were made of it share memory, which is the run's. */
#include "dlc_rt.h"

struct item {
  void *data;
  int64_t *shape;
  int32_t rank;
  size_t bytes;
};

/* Items of several sequences, each of which knows how many of the first are
 * its own: so that adding to the end of the longest copies nothing. */
struct items {
  int64_t used, capacity;
  struct item at[];
};

struct sequence {
  int64_t count; /* -1: absent */
  struct items *items;
};

static struct sequence *make(struct dlc_rt_ctx *ctx, int64_t count,
                             struct items *items) {
  struct sequence *result = dlc_rt_alloc(ctx, sizeof *result);
  if (!result)
    return NULL;
  result->count = count;
  result->items = items;
  return result;
}

static struct items *make_items(struct dlc_rt_ctx *ctx, int64_t capacity) {
  int64_t bytes;
  if (__builtin_mul_overflow(capacity, (int64_t)sizeof(struct item), &bytes) ||
      bytes > INT64_MAX - (int64_t)sizeof(struct items))
    bytes = INT64_MAX - (int64_t)sizeof(struct items);
  struct items *items =
      dlc_rt_alloc(ctx, bytes + (int64_t)sizeof(struct items));
  if (items) {
    items->used = 0;
    items->capacity = capacity;
  }
  return items;
}

static const struct item *item_at(const struct sequence *from, int64_t index) {
  return &from->items->at[index];
}

intptr_t dlc_rt_sequence(struct dlc_rt_ctx *ctx, int64_t count) {
  return (intptr_t)make(ctx, count, NULL);
}

intptr_t dlc_rt_sequence_length(struct dlc_rt_ctx *ctx, intptr_t sequence) {
  (void)ctx;
  return (intptr_t)((const struct sequence *)sequence)->count;
}

/* A copy of a tensor in the run's memory; 0 without memory. */
static int copy_view(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                     struct item *to) {
  size_t bytes = dlc_rt_bytes((size_t)x->item, x->rank, x->shape);
  to->rank = x->rank;
  to->bytes = bytes;
  to->shape = dlc_rt_alloc(ctx, (int64_t)sizeof *x->shape * (x->rank + 1));
  to->data = dlc_rt_alloc(ctx, bytes == SIZE_MAX ? INT64_MAX : (int64_t)bytes);
  if (!to->shape || !to->data)
    return 0;
  memcpy(to->shape, x->shape, sizeof *x->shape * (size_t)x->rank);
  memcpy(to->data, x->data, bytes);
  return 1;
}

intptr_t dlc_rt_sequence_insert(struct dlc_rt_ctx *ctx, intptr_t sequence,
                                const struct dlc_rt_view *x,
                                intptr_t position) {
  const struct sequence *from = (const struct sequence *)sequence;
  struct item added;
  int64_t count = from->count < 0 ? 0 : from->count;
  if (!copy_view(ctx, x, &added))
    return 0;
  struct items *items = from->items;
  if (!items || position != count || items->used != count ||
      items->used == items->capacity) {
    items = make_items(ctx, 2 * count + 2);
    if (!items)
      return 0;
    for (int64_t i = 0; i < position; ++i)
      items->at[i] = *item_at(from, i);
    for (int64_t i = position; i < count; ++i)
      items->at[i + 1] = *item_at(from, i);
  }
  items->at[position] = added;
  items->used = count + 1;
  return (intptr_t)make(ctx, count + 1, items);
}

intptr_t dlc_rt_sequence_erase(struct dlc_rt_ctx *ctx, intptr_t sequence,
                               intptr_t position) {
  const struct sequence *from = (const struct sequence *)sequence;
  struct items *items = make_items(ctx, from->count);
  if (!items)
    return 0;
  for (int64_t i = 0, to = 0; i < from->count; ++i)
    if (i != position)
      items->at[to++] = *item_at(from, i);
  items->used = from->count - 1;
  return (intptr_t)make(ctx, from->count - 1, items);
}

/* Fails the run: "expected ... `expected`, found `found`". */
static void fail_number(struct dlc_rt_ctx *ctx, const char *words,
                        int64_t expected, int64_t found) {
  char message[160];
  dlc_options options = {0};
  options.error = message;
  options.error_size = sizeof message;
  struct dlc_rt_text text = dlc_rt_text_open(&options);
  dlc_rt_text_add(&text, words);
  dlc_rt_text_add_int(&text, expected);
  dlc_rt_text_add(&text, ", found ");
  dlc_rt_text_add_int(&text, found);
  dlc_rt_fail(ctx, DLC_ERROR_SHAPE, message);
}

void dlc_rt_sequence_at(struct dlc_rt_ctx *ctx, intptr_t sequence,
                        intptr_t position, struct dlc_rt_view *out) {
  const struct item *item =
      item_at((const struct sequence *)sequence, position);
  if (item->rank != out->rank) {
    fail_number(ctx, "expected a sequence of tensors of the rank ", out->rank,
                item->rank);
    return;
  }
  for (int32_t d = 0; d < out->rank; ++d) {
    if (out->shape[d] >= 0 && out->shape[d] != item->shape[d]) {
      fail_number(ctx, "expected a sequence of tensors with a size of ",
                  out->shape[d], item->shape[d]);
      return;
    }
    out->shape[d] = item->shape[d];
  }
  out->data = item->data;
}

/* Bytes of the dimensions from `first` on. */
static size_t inner_bytes(const struct item *item, int32_t first,
                          size_t element) {
  size_t bytes = element;
  for (int32_t d = first; d < item->rank; ++d)
    bytes *= (size_t)item->shape[d];
  return bytes;
}

void dlc_rt_sequence_concat(struct dlc_rt_ctx *ctx, intptr_t sequence,
                            int64_t axis, int64_t new_axis,
                            struct dlc_rt_view *out) {
  const struct sequence *from = (const struct sequence *)sequence;
  int32_t rank = out->rank - (new_axis != 0);
  if (from->count < 1) {
    dlc_rt_fail(ctx, DLC_ERROR_VALUE, "expected a sequence that is not empty");
    return;
  }
  const struct item *first = item_at(from, 0);
  int64_t total = 0;
  for (int64_t i = 0; i < from->count; ++i) {
    const struct item *item = item_at(from, i);
    if (item->rank != rank) {
      fail_number(ctx, "expected a sequence of tensors of the rank ", rank,
                  item->rank);
      return;
    }
    for (int32_t d = 0; d < rank; ++d)
      if (item->shape[d] != first->shape[d] && (new_axis || d != axis)) {
        fail_number(ctx, "expected tensors of one size, which is ",
                    first->shape[d], item->shape[d]);
        return;
      }
    total += new_axis ? 1 : item->shape[axis];
  }
  for (int32_t d = 0; d < out->rank; ++d) {
    int64_t size = d == axis              ? total
                   : new_axis && d > axis ? first->shape[d - 1]
                                          : first->shape[d];
    if (out->shape[d] >= 0 && out->shape[d] != size) {
      fail_number(ctx, "expected a result with a size of ", out->shape[d],
                  size);
      return;
    }
    out->shape[d] = size;
  }
  size_t bytes = dlc_rt_bytes((size_t)out->item, out->rank, out->shape);
  char *to = dlc_rt_alloc(ctx, bytes == SIZE_MAX ? INT64_MAX : (int64_t)bytes);
  if (!to)
    return;
  out->data = to;
  int64_t outer = 1;
  for (int32_t d = 0; d < axis; ++d)
    outer *= first->shape[d];
  for (int64_t row = 0; row < outer; ++row)
    for (int64_t i = 0; i < from->count; ++i) {
      const struct item *item = item_at(from, i);
      size_t part = inner_bytes(item, (int32_t)axis, (size_t)out->item);
      memcpy(to, (const char *)item->data + (size_t)row * part, part);
      to += part;
    }
}

const char *dlc_rt_sequence_check(const dlc_tensor_info *info,
                                  const dlc_tensor *given) {
  const dlc_sequence *sequence = given->data;
  size_t element = dlc_rt_dtype_size(info->dtype & 0xff);
  int is_sequence = (info->dtype & DLC_SEQUENCE) != 0;
  int64_t least = is_sequence && info->dtype & DLC_OPTIONAL ? -1 : 0;
  if (sequence->count < least || (!is_sequence && sequence->count > 1))
    return is_sequence ? "its count is negative" : "its count is not 0 or 1";
  if (sequence->count > 0 && !sequence->items)
    return "its items are NULL";
  for (int64_t i = 0; i < sequence->count; ++i) {
    const dlc_item *item = &sequence->items[i];
    if (item->rank < 0 || (item->rank && !item->shape))
      return "an item has no shape";
    for (int32_t d = 0; d < item->rank; ++d)
      if (item->shape[d] < 0)
        return "an item has a negative size";
    size_t bytes = dlc_rt_bytes(element, item->rank, item->shape);
    if (bytes == SIZE_MAX)
      return "an item has more bytes than this machine can address";
    if (bytes && !item->data)
      return "the data of an item is NULL";
  }
  return NULL;
}

intptr_t dlc_rt_sequence_input(struct dlc_rt_ctx *ctx, int32_t index) {
  const dlc_sequence *given = ctx->inputs[index];
  size_t element =
      dlc_rt_dtype_size(ctx->desc->model->inputs[index].dtype & 0xff);
  struct items *items = NULL;
  if (given->count > 0) {
    items = make_items(ctx, given->count);
    if (!items)
      return 0;
    for (int64_t i = 0; i < given->count; ++i) {
      const dlc_item *item = &given->items[i];
      items->at[i].data = item->data;
      items->at[i].shape = item->shape;
      items->at[i].rank = item->rank;
      items->at[i].bytes = dlc_rt_bytes(element, item->rank, item->shape);
    }
    items->used = given->count;
  }
  return (intptr_t)make(ctx, given->count, items);
}

static size_t align(size_t bytes) { return (bytes + 63) & ~(size_t)63; }
/* dlc_item has no such alignment where pointers are short. */
static size_t align8(size_t bytes) { return (bytes + 7) & ~(size_t)7; }

/* Items, shapes, data, then the strings: one block. */
void dlc_rt_sequence_output(struct dlc_rt_ctx *ctx, int32_t index,
                            intptr_t sequence) {
  const struct sequence *from = (const struct sequence *)sequence;
  int is_string = (ctx->desc->model->outputs[index].dtype & 0xff) == DLC_STRING;
  dlc_sequence *to = ctx->out[index].data;
  to->count = from->count;
  to->items = NULL;
  if (from->count <= 0)
    return;
  size_t shapes = align8((size_t)from->count * sizeof *to->items);
  size_t data = shapes;
  for (int64_t i = 0; i < from->count; ++i)
    data += (size_t)item_at(from, i)->rank * sizeof(int64_t);
  size_t texts = data = align(data);
  for (int64_t i = 0; i < from->count; ++i)
    texts += align(item_at(from, i)->bytes);
  size_t bytes = texts;
  for (int64_t i = 0; is_string && i < from->count; ++i) {
    const struct item *item = item_at(from, i);
    for (size_t j = 0; j < item->bytes / sizeof(intptr_t); ++j)
      bytes += dlc_rt_string_bytes(((const intptr_t *)item->data)[j]);
  }
  char *block = malloc(bytes);
  if (!block) {
    to->count = 0;
    dlc_rt_fail(ctx, DLC_ERROR_MEMORY, "out of memory for an output");
    return;
  }
  to->items = (dlc_item *)block;
  ctx->allocated[index] = 1;
  char *text = block + texts;
  for (int64_t i = 0; i < from->count; ++i) {
    const struct item *item = item_at(from, i);
    dlc_item *made = &to->items[i];
    made->rank = item->rank;
    made->shape = (int64_t *)(block + shapes);
    made->data = block + data;
    memcpy(made->shape, item->shape, sizeof(int64_t) * (size_t)item->rank);
    memcpy(made->data, item->data, item->bytes);
    shapes += (size_t)item->rank * sizeof(int64_t);
    data += align(item->bytes);
    for (size_t j = 0; is_string && j < item->bytes / sizeof(intptr_t); ++j) {
      intptr_t *place = (intptr_t *)made->data + j;
      char *begin = text;
      text = dlc_rt_string_copy(text, *place);
      *place = (intptr_t)begin;
    }
  }
}

const char *dlc_rt_map_check(const dlc_tensor *given) {
  const dlc_map *map = given->data;
  if (map->count < 0)
    return "its count is negative";
  if (map->count && !map->keys)
    return "its keys are NULL";
  if (map->count && !map->values)
    return "its values are NULL";
  return NULL;
}

intptr_t dlc_rt_map_input(struct dlc_rt_ctx *ctx, int32_t index) {
  const dlc_map *given = ctx->inputs[index];
  int64_t *shape = dlc_rt_alloc(ctx, sizeof *shape);
  struct items *items = make_items(ctx, 2);
  if (!shape || !items)
    return 0;
  *shape = given->count;
  items->at[0] = (struct item){given->keys, shape, 1, 0};
  items->at[1] = (struct item){given->values, shape, 1, 0};
  items->used = 2;
  return (intptr_t)make(ctx, 2, items);
}

/* The maps, the keys, which they share, their values, then the keys' strings:
 * one block. */
void dlc_rt_map_output(struct dlc_rt_ctx *ctx, int32_t index, intptr_t map) {
  const struct sequence *from = (const struct sequence *)map;
  const struct item *keys = item_at(from, 0), *values = item_at(from, 1);
  int64_t count = values->shape[0], size = keys->shape[0];
  int is_string =
      (ctx->desc->model->outputs[index].dtype & DLC_STRING_KEYS) != 0;
  dlc_maps *to = ctx->out[index].data;
  to->count = count;
  to->items = NULL;
  if (!count)
    return;
  size_t at_keys = align((size_t)count * sizeof *to->items);
  size_t at_values = at_keys + align(keys->bytes);
  size_t at_texts = at_values + align(values->bytes), bytes = at_texts;
  for (int64_t i = 0; is_string && i < size; ++i)
    bytes += dlc_rt_string_bytes(((const intptr_t *)keys->data)[i]);
  char *block = malloc(bytes);
  if (!block) {
    to->count = 0;
    dlc_rt_fail(ctx, DLC_ERROR_MEMORY, "out of memory for an output");
    return;
  }
  to->items = (dlc_map *)block;
  ctx->allocated[index] = 1;
  memcpy(block + at_keys, keys->data, keys->bytes);
  memcpy(block + at_values, values->data, values->bytes);
  size_t row = values->bytes / (size_t)count;
  for (int64_t i = 0; i < count; ++i) {
    to->items[i].count = size;
    to->items[i].keys = block + at_keys;
    to->items[i].values = block + at_values + (size_t)i * row;
  }
  char *text = block + at_texts;
  for (int64_t i = 0; is_string && i < size; ++i) {
    intptr_t *place = (intptr_t *)(block + at_keys) + i;
    char *begin = text;
    text = dlc_rt_string_copy(text, *place);
    *place = (intptr_t)begin;
  }
}

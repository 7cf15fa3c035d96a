/* Strings: UTF-8 that ends with a 0. Those that a run makes live until its end;
 * an output gets copies in memory of its own. */
#include "dlc_rt.h"

static const unsigned char *bytes_of(intptr_t text) {
  return text ? (const unsigned char *)text : (const unsigned char *)"";
}

size_t dlc_rt_string_bytes(intptr_t text) {
  const unsigned char *bytes = bytes_of(text);
  size_t count = 0;
  while (bytes[count])
    ++count;
  return count + 1;
}

char *dlc_rt_string_copy(char *to, intptr_t text) {
  size_t bytes = dlc_rt_string_bytes(text);
  memcpy(to, bytes_of(text), bytes);
  return to + bytes;
}

static int compare(intptr_t a, intptr_t b) {
  const unsigned char *x = bytes_of(a), *y = bytes_of(b);
  while (*x && *x == *y)
    ++x, ++y;
  return (int)*x - (int)*y;
}

/* The number of elements; sizes were checked when the memory was made. */
static int64_t count_of(const struct dlc_rt_view *x) {
  int64_t count = 1;
  for (int32_t d = 0; d < x->rank; ++d)
    count *= x->shape[d];
  return count;
}

/* Memory for a result whose sizes are set. */
static void *allocate(struct dlc_rt_ctx *ctx, struct dlc_rt_view *out) {
  size_t bytes = dlc_rt_bytes((size_t)out->item, out->rank, out->shape);
  out->data = dlc_rt_alloc(ctx, bytes == SIZE_MAX ? INT64_MAX : (int64_t)bytes);
  return out->data;
}

void dlc_rt_string_table(struct dlc_rt_ctx *ctx,
                         const struct dlc_rt_view *bytes,
                         const struct dlc_rt_view *offsets,
                         struct dlc_rt_view *out) {
  const char **to = allocate(ctx, out);
  if (!to)
    return;
  const int64_t *at = offsets->data;
  for (int64_t i = 0, n = count_of(offsets); i < n; ++i)
    to[i] = (const char *)bytes->data + at[i];
}

int32_t dlc_rt_string_equal(struct dlc_rt_ctx *ctx, intptr_t a, intptr_t b) {
  (void)ctx;
  return compare(a, b) == 0;
}

int32_t dlc_rt_string_less(struct dlc_rt_ctx *ctx, intptr_t a, intptr_t b) {
  (void)ctx;
  return compare(a, b) < 0;
}

intptr_t dlc_rt_string_concat(struct dlc_rt_ctx *ctx, intptr_t a, intptr_t b) {
  size_t first = dlc_rt_string_bytes(a) - 1, second = dlc_rt_string_bytes(b);
  char *result = dlc_rt_alloc(ctx, (int64_t)(first + second));
  if (!result)
    return 0;
  memcpy(result, bytes_of(a), first);
  memcpy(result + first, bytes_of(b), second);
  return (intptr_t)result;
}

/* Where `text` is in a table sorted by bytes, or -1. */
intptr_t dlc_rt_string_find(struct dlc_rt_ctx *ctx, intptr_t text,
                            const struct dlc_rt_view *sorted) {
  (void)ctx;
  const intptr_t *table = sorted->data;
  intptr_t low = 0, high = (intptr_t)count_of(sorted);
  while (low < high) {
    intptr_t middle = low + (high - low) / 2;
    int order = compare(table[middle], text);
    if (order == 0)
      return middle;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return -1;
}

/* The bytes of a whitespace character at `at`, as Python's str.split sees it;
 * 0 where there is none. */
static int space_at(const unsigned char *at) {
  if ((*at >= 9 && *at <= 13) || (*at >= 28 && *at <= 32))
    return 1;
  if (at[0] == 0xc2 && (at[1] == 0x85 || at[1] == 0xa0))
    return 2;
  if (at[0] == 0xe1 && at[1] == 0x9a && at[2] == 0x80)
    return 3;
  if (at[0] == 0xe2 && at[1] == 0x80 &&
      ((at[2] >= 0x80 && at[2] <= 0x8a) || at[2] == 0xa8 || at[2] == 0xa9 ||
       at[2] == 0xaf))
    return 3;
  if (at[0] == 0xe2 && at[1] == 0x81 && at[2] == 0x9f)
    return 3;
  if (at[0] == 0xe3 && at[1] == 0x80 && at[2] == 0x80)
    return 3;
  return 0;
}

/* Whether `word` begins at `at`. */
static int begins(const unsigned char *at, const unsigned char *word) {
  while (*word)
    if (*at++ != *word++)
      return 0;
  return 1;
}

struct part {
  const unsigned char *begin, *end;
};

/* Takes the next part off *rest, as Python's str.split does; 0 at the end,
 * which leaves *rest NULL. `left` is how often it may still be split. */
static int next_part(const unsigned char **rest, const unsigned char *delimiter,
                     int64_t left, struct part *part) {
  const unsigned char *at = *rest;
  if (!at)
    return 0;
  if (*delimiter) {
    part->begin = at;
    size_t skip = 0;
    while (*at && !(left && begins(at, delimiter)))
      ++at;
    part->end = at;
    while (delimiter[skip])
      ++skip;
    *rest = *at ? at + skip : NULL;
    return 1;
  }
  int skip;
  while ((skip = space_at(at)))
    at += skip;
  if (!*at) {
    *rest = NULL;
    return 0;
  }
  part->begin = at;
  while (*at && !(left && space_at(at)))
    ++at;
  part->end = at;
  *rest = *at ? at : NULL;
  return 1;
}

static int64_t count_parts(intptr_t text, const unsigned char *delimiter,
                           int64_t most) {
  const unsigned char *rest = bytes_of(text);
  struct part part;
  int64_t count = 0;
  while (next_part(&rest, delimiter, most - count, &part))
    ++count;
  return count;
}

/* Splits at `delimiter`, or at whitespace where that is empty, `most` times at
 * most (negative: any number). The parts of each string are a row, filled up
 * with empty strings. */
void dlc_rt_string_split(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                         intptr_t delimiter, int64_t most,
                         struct dlc_rt_view *parts,
                         struct dlc_rt_view *counts) {
  const intptr_t *from = x->data;
  const unsigned char *at = bytes_of(delimiter);
  int64_t number = count_of(x), width = 0;
  if (most < 0)
    most = INT64_MAX;
  for (int32_t d = 0; d < x->rank; ++d)
    parts->shape[d] = counts->shape[d] = x->shape[d];
  int64_t *count = allocate(ctx, counts);
  if (!count)
    return;
  for (int64_t i = 0; i < number; ++i) {
    count[i] = count_parts(from[i], at, most);
    if (count[i] > width)
      width = count[i];
  }
  parts->shape[x->rank] = width;
  intptr_t *to = allocate(ctx, parts);
  if (!to)
    return;
  for (int64_t i = 0; i < number; ++i) {
    const unsigned char *rest = bytes_of(from[i]);
    /* All parts of a string and their ends are not more than it twice. */
    char *text =
        dlc_rt_alloc(ctx, 2 * (int64_t)dlc_rt_string_bytes(from[i]) + 1);
    if (!text)
      return;
    struct part part = {NULL, NULL};
    for (int64_t j = 0; j < width; ++j, ++to) {
      *to = 0;
      if (j >= count[i] || !next_part(&rest, at, most - j, &part))
        continue;
      size_t bytes = (size_t)(part.end - part.begin);
      memcpy(text, part.begin, bytes);
      *to = (intptr_t)text;
      text += bytes;
      *text++ = 0;
    }
  }
}

/* Runs a table: a class for each byte, then the next state for each state and
 * class; state 0 is the start. */
int32_t dlc_rt_string_matches(struct dlc_rt_ctx *ctx, intptr_t text,
                              const struct dlc_rt_view *classes,
                              const struct dlc_rt_view *next,
                              const struct dlc_rt_view *accepts) {
  (void)ctx;
  const uint8_t *class_of = classes->data, *accept = accepts->data;
  const int32_t *table = next->data;
  int64_t width = next->shape[1];
  int32_t state = 0;
  for (const unsigned char *at = bytes_of(text); *at; ++at)
    state = table[state * width + class_of[*at]];
  return accept[state];
}

void dlc_rt_own_strings(struct dlc_rt_ctx *ctx, int32_t index) {
  const dlc_tensor_info *info = &ctx->desc->model->outputs[index];
  dlc_tensor *out = &ctx->out[index];
  const int64_t *shape = out->shape ? out->shape : info->dims;
  intptr_t *texts = out->data;
  int64_t count = 1;
  for (int32_t d = 0; d < info->rank; ++d)
    count *= shape[d];
  if (!texts || count == 0)
    return;
  size_t own = ctx->allocated[index] ? (size_t)count * sizeof *texts : 0;
  size_t bytes = own;
  for (int64_t i = 0; i < count; ++i)
    bytes += dlc_rt_string_bytes(texts[i]);
  char *block = malloc(bytes);
  if (!block) {
    for (int64_t i = 0; i < count; ++i)
      texts[i] = 0;
    dlc_rt_fail(ctx, DLC_ERROR_MEMORY, "out of memory for an output");
    return;
  }
  intptr_t *to = own ? (intptr_t *)block : texts;
  char *end = block + own;
  for (int64_t i = 0; i < count; ++i) {
    char *text = end;
    end = dlc_rt_string_copy(text, texts[i]);
    to[i] = (intptr_t)text;
  }
  if (own) {
    free(out->data);
    out->data = block;
    out->capacity = bytes;
  }
}

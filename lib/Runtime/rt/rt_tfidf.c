/* TfIdfVectorizer: how often each n-gram of a pool is in each row. */
#include "dlc_rt.h"

/* Compares an n-gram of the pool with the items of a row, `step` apart. */
static int compare(const void *pool, const void *row, int64_t length,
                   int64_t step, int is_string) {
  for (int64_t i = 0; i < length; ++i) {
    if (is_string) {
      intptr_t a = ((const intptr_t *)pool)[i];
      intptr_t b = ((const intptr_t *)row)[i * step];
      if (dlc_rt_string_less(NULL, a, b))
        return -1;
      if (!dlc_rt_string_equal(NULL, a, b))
        return 1;
    } else {
      int64_t a = ((const int64_t *)pool)[i];
      int64_t b = ((const int64_t *)row)[i * step];
      if (a != b)
        return a < b ? -1 : 1;
    }
  }
  return 0;
}

/* `pool` holds the n-grams of length 1, then those of length 2 and so on, each
 * length sorted; `begins` counts those that are shorter, and `columns` says
 * where in a row of the result an n-gram is counted. Between the items of an
 * n-gram up to `skips` items of the row are left out, the same number in all
 * places. N-grams of one item are counted once. */
void dlc_rt_tfidf(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                  const struct dlc_rt_view *pool,
                  const struct dlc_rt_view *begins,
                  const struct dlc_rt_view *columns, int64_t shortest,
                  int64_t longest, int64_t skips, int32_t is_string,
                  struct dlc_rt_view *out) {
  int64_t rows = x->rank == 2 ? x->shape[0] : 1, size = x->shape[x->rank - 1];
  int64_t width = out->shape[out->rank - 1];
  if (out->rank == 2)
    out->shape[0] = rows;
  size_t bytes = dlc_rt_bytes(sizeof(float), out->rank, out->shape);
  float *to = dlc_rt_alloc(ctx, bytes == SIZE_MAX ? INT64_MAX : (int64_t)bytes);
  if (!to)
    return;
  out->data = to;
  for (size_t i = 0; i < bytes / sizeof(float); ++i)
    to[i] = 0;
  const int64_t *begin_of = begins->data, *column_of = columns->data;
  int64_t lengths = begins->shape[0] - 1;
  size_t item = (size_t)pool->item;
  const char *grams = pool->data; /* of the length in hand */
  for (int64_t length = 1; length <= lengths && length <= longest; ++length) {
    int64_t first = begin_of[length - 1], last = begin_of[length];
    for (int64_t step = 1; length >= shortest && step <= skips + 1; ++step) {
      if (length == 1 && step > 1)
        break;
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t at = 0; at + step * (length - 1) < size; ++at) {
          const char *items =
              (const char *)x->data + (size_t)(row * size + at) * item;
          int64_t low = first, high = last;
          while (low < high) {
            int64_t middle = low + (high - low) / 2;
            const char *gram =
                grams + (size_t)((middle - first) * length) * item;
            int order = compare(gram, items, length, step, is_string);
            if (order < 0)
              low = middle + 1;
            else
              high = middle;
          }
          if (low < last &&
              !compare(grams + (size_t)((low - first) * length) * item, items,
                       length, step, is_string))
            to[row * width + column_of[low]] += 1;
        }
    }
    grams += (size_t)((last - first) * length) * item;
  }
}

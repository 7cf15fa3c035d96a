#include "lines.h"

#include <stdlib.h>

/* A pixel that is more likely than this is text; a line whose box is less
 * likely than that on average is none. */
static const float pixel_threshold = 0.3f, box_threshold = 0.5f;
/* The detector marks the core of a line. Its box grows on all sides by this
 * part of its area over its perimeter. */
static const float growth = 1.6f;

struct extent {
  int left, top, right, bottom; /* inclusive */
};

/* Marks all pixels of the area around `start` as seen. `stack` has room for
 * every pixel. */
static struct extent flood(const float *map, int width, int height, int start,
                           unsigned char *seen, int *stack) {
  struct extent found = {width, height, -1, -1};
  int depth = 0;
  stack[depth++] = start;
  seen[start] = 1;
  while (depth) {
    int at = stack[--depth], x = at % width, y = at / width;
    found.left = x < found.left ? x : found.left;
    found.right = x > found.right ? x : found.right;
    found.top = y < found.top ? y : found.top;
    found.bottom = y > found.bottom ? y : found.bottom;
    for (int dy = -1; dy <= 1; ++dy)
      for (int dx = -1; dx <= 1; ++dx) {
        int next = at + dy * width + dx;
        if (x + dx < 0 || x + dx >= width || y + dy < 0 || y + dy >= height ||
            seen[next] || !(map[next] > pixel_threshold))
          continue;
        seen[next] = 1;
        stack[depth++] = next;
      }
  }
  return found;
}

static float mean_of(const float *map, int width, struct extent of) {
  double sum = 0;
  for (int y = of.top; y <= of.bottom; ++y)
    for (int x = of.left; x <= of.right; ++x)
      sum += (double)map[y * width + x];
  return (float)(sum / ((double)(of.right - of.left + 1) *
                        (double)(of.bottom - of.top + 1)));
}

static int clamp(float x, int low, int high) {
  return x<(float)low ? low : x>(float) high ? high : (int)x;
}

static struct box grow(struct extent core, int width, int height,
                       int page_width, int page_height) {
  float w = (float)(core.right - core.left + 1);
  float h = (float)(core.bottom - core.top + 1);
  float by = w * h * growth / (2 * (w + h));
  float sx = (float)page_width / (float)width;
  float sy = (float)page_height / (float)height;
  int left = clamp(((float)core.left - by) * sx, 0, page_width - 1);
  int top = clamp(((float)core.top - by) * sy, 0, page_height - 1);
  int right = clamp(((float)core.right + 1 + by) * sx + 0.5f, 1, page_width);
  int bottom = clamp(((float)core.bottom + 1 + by) * sy + 0.5f, 1, page_height);
  struct box box = {left, top, right - left, bottom - top, 0};
  return box;
}

/* By the middle of their height, and from the left where that is one line. */
static int compare(const void *a, const void *b) {
  const struct box *x = a, *y = b;
  int below = 2 * (x->top - y->top) + x->height - y->height;
  int half = x->height < y->height ? x->height : y->height;
  if (below <= half && -below <= half)
    return x->left - y->left;
  return below;
}

int find_lines(const float *map, int width, int height, int page_width,
               int page_height, struct box *boxes, int most) {
  int pixels = width * height, count = 0;
  unsigned char *seen = calloc((size_t)pixels + 1, 1);
  int *stack = malloc(((size_t)pixels + 1) * sizeof *stack);
  for (int i = 0; i < pixels && seen && stack && count < most; ++i) {
    if (seen[i] || !(map[i] > pixel_threshold))
      continue;
    struct extent core = flood(map, width, height, i, seen, stack);
    if (core.right - core.left < 2 || core.bottom - core.top < 2 ||
        mean_of(map, width, core) < box_threshold)
      continue;
    boxes[count++] = grow(core, width, height, page_width, page_height);
  }
  int failed = !seen || !stack;
  free(seen);
  free(stack);
  if (failed)
    return -1;
  qsort(boxes, (size_t)count, sizeof *boxes, compare);
  return count;
}

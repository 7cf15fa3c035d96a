/* Functions for --extern-op. */
#include "dlc/Model.h"
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static int64_t count(const dlc_tensor *tensor, int rank) {
  int64_t product = 1;
  for (int i = 0; i < rank; ++i)
    product *= tensor->shape[i];
  return product;
}

/* y = x + bias, of [n, c] and [c]; the attribute `factor` multiplies. */
EXPORT int test_affine(const dlc_tensor *in, dlc_tensor *out,
                       const char *attributes) {
  const float *x = in[0].data, *bias = in[1].data;
  float *y = out[0].data, factor = 1;
  const char *found = strstr(attributes, "\"factor\":");
  if (found)
    sscanf(found + 9, "%f", &factor);
  int64_t n = in[0].shape[0], c = in[0].shape[1];
  if (in[1].shape[0] != c || out[0].shape[0] != n || out[0].shape[1] != c ||
      out[0].capacity != (size_t)(4 * n * c))
    return DLC_ERROR_INTERNAL;
  for (int64_t i = 0; i < n * c; ++i)
    y[i] = factor * x[i] + bias[i % c];
  return DLC_OK;
}

/* The first and the last element of each row, and the row's number. */
EXPORT int test_ends(const dlc_tensor *in, dlc_tensor *out,
                     const char *attributes) {
  (void)attributes;
  const uint8_t *x = in[0].data;
  uint8_t *ends = out[0].data;
  int64_t *rows = out[1].data, n = in[0].shape[0], c = in[0].shape[1];
  for (int64_t i = 0; i < n; ++i) {
    ends[2 * i] = x[i * c];
    ends[2 * i + 1] = x[i * c + c - 1];
    rows[i] = i;
  }
  return DLC_OK;
}

/* Copies the attributes into the output, which is bytes. */
EXPORT int test_attributes(const dlc_tensor *in, dlc_tensor *out,
                           const char *attributes) {
  (void)in;
  memset(out[0].data, 0, out[0].capacity);
  strncpy(out[0].data, attributes, out[0].capacity - 1);
  return DLC_OK;
}

/* Fails on negative numbers. */
EXPORT int test_positive(const dlc_tensor *in, dlc_tensor *out,
                         const char *attributes) {
  (void)attributes;
  const float *x = in[0].data;
  for (int64_t i = 0; i < count(&in[0], 1); ++i)
    if (x[i] < 0)
      return DLC_ERROR_VALUE;
  memcpy(out[0].data, x, out[0].capacity);
  return DLC_OK;
}

/* ImageDecoder, of pictures in the form P6 with 255 levels. */
EXPORT int test_decode_ppm(const dlc_tensor *inputs, dlc_tensor *outputs,
                           const char *attributes) {
  const unsigned char *bytes = inputs[0].data;
  unsigned char *pixels = outputs[0].data;
  int64_t size = inputs[0].shape[0], numbers[3] = {0, 0, 0}, at = 2;
  if (size < 3 || bytes[0] != 'P' || bytes[1] != '6' ||
      !strstr(attributes, "\"pixel_format\":\"RGB\""))
    return DLC_ERROR_VALUE;
  for (int i = 0; i < 3; ++i) {
    for (++at; at < size && bytes[at] >= '0' && bytes[at] <= '9'; ++at)
      numbers[i] = numbers[i] * 10 + bytes[at] - '0';
  }
  ++at;
  if (numbers[1] != outputs[0].shape[0] || numbers[0] != outputs[0].shape[1] ||
      outputs[0].shape[2] != 3 || numbers[2] != 255 ||
      size - at != numbers[0] * numbers[1] * 3)
    return DLC_ERROR_SHAPE;
  memcpy(pixels, bytes + at, (size_t)(size - at));
  return DLC_OK;
}

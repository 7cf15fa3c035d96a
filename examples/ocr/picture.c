#include "picture.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int read_png(const char *path, struct picture *picture) {
  png_image image;
  memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&image, path)) {
    png_color white = {255, 255, 255};
    image.format = PNG_FORMAT_BGR;
    picture->width = (int)image.width;
    picture->height = (int)image.height;
    picture->bytes = malloc(PNG_IMAGE_SIZE(image));
    if (picture->bytes &&
        png_image_finish_read(&image, &white, picture->bytes, 0, NULL))
      return 0;
    free(picture->bytes);
  }
  fprintf(stderr, "%s: %s\n", path,
          image.message[0] ? image.message : "out of memory");
  png_image_free(&image);
  return -1;
}

/* Where a pixel of the scaled picture lies in the other one: between two
 * pixels, `weight` of the way from the first to the second. */
struct place {
  int first, second;
  float weight;
};

static struct place find_place(int at, int size, int source_size, int turned) {
  float x = ((float)at + 0.5f) * (float)source_size / (float)size - 0.5f;
  struct place place;
  if (x < 0)
    x = 0;
  place.first = (int)x;
  place.second = place.first + 1 < source_size ? place.first + 1 : place.first;
  place.weight = x - (float)place.first;
  if (turned) {
    place.first = source_size - 1 - place.first;
    place.second = source_size - 1 - place.second;
  }
  return place;
}

void scale_box(const struct picture *picture, struct box box, int width,
               int height, int row_size, const float *mean,
               const float *deviation, float *out) {
  const uint8_t *corner =
      picture->bytes +
      ((size_t)box.top * (size_t)picture->width + (size_t)box.left) * CHANNELS;
  for (int y = 0; y < height; ++y) {
    struct place row = find_place(y, height, box.height, box.turned);
    for (int x = 0; x < width; ++x) {
      struct place column = find_place(x, width, box.width, box.turned);
      for (int c = 0; c < CHANNELS; ++c) {
#define PIXEL(y, x)                                                            \
  corner[((size_t)(y) * (size_t)picture->width + (size_t)(x)) * CHANNELS +     \
         (size_t)c]
        float upper = PIXEL(row.first, column.first) * (1 - column.weight) +
                      PIXEL(row.first, column.second) * column.weight;
        float lower = PIXEL(row.second, column.first) * (1 - column.weight) +
                      PIXEL(row.second, column.second) * column.weight;
#undef PIXEL
        float value = upper * (1 - row.weight) + lower * row.weight;
        out[((size_t)c * (size_t)height + (size_t)y) * (size_t)row_size +
            (size_t)x] = (value / 255 - mean[c]) / deviation[c];
      }
    }
  }
}

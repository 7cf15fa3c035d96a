/* Reads a line of text from a PNG picture with PaddleOCR's PP-OCRv4
 * recogniser, compiled by dlc. The picture holds one horizontal line, cut out
 * closely; English and Chinese are known.
 *
 * usage: ocr picture.png... */
#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "characters.h" /* made from the model's metadata by characters.py */
#include "ppocr.h"      /* made from the model by dlc */

enum { HEIGHT = 48, MIN_WIDTH = 320, CHANNELS = 3 };

/* A picture of bytes, blue, green and red, as the model was trained on. */
struct picture {
  int width, height;
  uint8_t *bytes; /* [height][width][CHANNELS] */
};

static int read_png(const char *path, struct picture *picture) {
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

/* Where a pixel of the smaller picture lies in the larger one: between two
 * pixels, `weight` of the way from the first to the second. */
struct place {
  int first, second;
  float weight;
};

static struct place find_place(int at, int size, int source_size) {
  float x = ((float)at + 0.5f) * (float)source_size / (float)size - 0.5f;
  struct place place;
  if (x < 0)
    x = 0;
  place.first = (int)x;
  place.second = place.first + 1 < source_size ? place.first + 1 : place.first;
  place.weight = x - (float)place.first;
  return place;
}

/* The model's input, [3][HEIGHT][width]: the picture scaled to the model's
 * height by linear interpolation, from -1 to 1, with zeros at its right. */
static float *make_input(const struct picture *picture, int *width) {
  int64_t scaled = ((int64_t)HEIGHT * picture->width + picture->height - 1) /
                   picture->height;
  if (scaled > 16384)
    return NULL;
  *width = scaled > MIN_WIDTH ? (int)scaled : MIN_WIDTH;
  float *input =
      calloc((size_t)CHANNELS * HEIGHT * (size_t)*width, sizeof *input);
  if (!input)
    return NULL;
  for (int y = 0; y < HEIGHT; ++y) {
    struct place row = find_place(y, HEIGHT, picture->height);
    for (int x = 0; x < (int)scaled; ++x) {
      struct place column = find_place(x, (int)scaled, picture->width);
      for (int c = 0; c < CHANNELS; ++c) {
#define PIXEL(y, x)                                                            \
  picture->bytes[((size_t)(y) * (size_t)picture->width + (size_t)(x)) *        \
                     CHANNELS +                                                \
                 (size_t)c]
        float upper = PIXEL(row.first, column.first) * (1 - column.weight) +
                      PIXEL(row.first, column.second) * column.weight;
        float lower = PIXEL(row.second, column.first) * (1 - column.weight) +
                      PIXEL(row.second, column.second) * column.weight;
#undef PIXEL
        float value = upper * (1 - row.weight) + lower * row.weight;
        input[((size_t)c * HEIGHT + (size_t)y) * (size_t)*width + (size_t)x] =
            value / 127.5f - 1;
      }
    }
  }
  return input;
}

/* Writes the text that the model's answer stands for: of each place the most
 * likely character, where runs of one count once, and the first character of
 * the table separates (connectionist temporal classification). */
static void print_text(const char *path, const float *scores, int64_t places) {
  double confidence = 0;
  int letters = 0, previous = 0;
  printf("%s: ", path);
  for (int64_t i = 0; i < places; ++i, scores += NUM_CHARACTERS) {
    int best = 0;
    for (int c = 1; c < NUM_CHARACTERS; ++c)
      if (scores[c] > scores[best])
        best = c;
    if (best != 0 && best != previous) {
      fputs(characters[best], stdout);
      confidence += scores[best];
      ++letters;
    }
    previous = best;
  }
  printf(" (%.1f %%)\n", letters ? 100 * confidence / letters : 0.0);
}

static int recognise(const char *path) {
  struct picture picture;
  int width = 0, failed = 1;
  if (read_png(path, &picture) != 0)
    return 1;
  float *data = make_input(&picture, &width);
  free(picture.bytes);
  if (!data) {
    fprintf(stderr, "%s: too wide, or out of memory\n", path);
    return 1;
  }

  /* The width is the model's one dynamic dimension. How many places the answer
   * has depends on it: the run says so, and allocates the answer. */
  const dlc_model *model = ppocr_model();
  int64_t shape[] = {1, CHANNELS, HEIGHT, width}, places[3];
  dlc_tensor input = {data, sizeof(float) * CHANNELS * HEIGHT * (size_t)width,
                      shape};
  dlc_tensor output = {NULL, 0, places};
  char error[256] = "";
  dlc_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.error = error;
  options.error_size = sizeof error;
  int status = model->run(&input, &output, &options);
  if (status)
    fprintf(stderr, "%s: %s\n", path,
            error[0] ? error : model->status_string(status));
  else if (places[2] != NUM_CHARACTERS)
    fprintf(stderr, "%s: characters.h is of another model\n", path);
  else
    print_text(path, output.data, places[1]), failed = 0;
  free(output.data);
  free(data);
  return failed;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s picture.png...\n", argv[0]);
    return 2;
  }
  int failed = 0;
  for (int i = 1; i < argc; ++i)
    failed |= recognise(argv[i]);
  return failed;
}

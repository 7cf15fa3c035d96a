/* Reads the text in PNG pictures with PaddleOCR's PP-OCRv4, compiled by dlc:
 * one model finds the lines of a page, one says which are upside down, and one
 * reads them; English and Chinese are known.
 *
 * usage: ocr [-l] picture.png...
 *   -l  each picture is one horizontal line, cut out closely */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "characters.h" /* made from the model's metadata by characters.py */
#include "lines.h"
#include "picture.h"

/* Made from the models by dlc. */
#include "ppocr_cls.h"
#include "ppocr_det.h"
#include "ppocr_rec.h"

enum {
  LINE_HEIGHT = 48,
  MIN_WIDTH = 320, /* of a line for the reader, filled up with zeros */
  MOST_WIDTH = 16384,
  TURN_WIDTH = 192,   /* of a line for the model that sees which way is up */
  PAGE_SIDE = 960,    /* the longer side of a page for the detector, at most */
  PAGE_MULTIPLE = 32, /* of both its sides */
  MOST_LINES = 1000
};

static const float page_mean[] = {0.485f, 0.456f, 0.406f};
static const float page_deviation[] = {0.229f, 0.224f, 0.225f};
static const float line_mean[] = {0.5f, 0.5f, 0.5f};
static const float line_deviation[] = {0.5f, 0.5f, 0.5f};

/* A line is upside down where the model is as sure of it. */
static const float turned_threshold = 0.9f;

/* Runs a model on one picture, [1][CHANNELS][height][width]. The run says how
 * large the answer is, and allocates it; NULL after a message. */
static float *run(const dlc_model *model, const char *path, float *data,
                  int height, int width, int64_t *answer_shape) {
  int64_t shape[] = {1, CHANNELS, height, width};
  dlc_tensor input = {
      data, sizeof(float) * CHANNELS * (size_t)height * (size_t)width, shape};
  dlc_tensor output = {NULL, 0, answer_shape};
  char error[256] = "";
  dlc_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.error = error;
  options.error_size = sizeof error;
  int status = model->run(&input, &output, &options);
  if (!status)
    return output.data;
  fprintf(stderr, "%s: %s\n", path,
          error[0] ? error : model->status_string(status));
  return NULL;
}

/* The box as an input of `width` columns, of which the picture, scaled to the
 * height, fills those that it needs. */
static float *make_input(const struct picture *picture, struct box box,
                         int height, int width, int scaled) {
  float *input =
      calloc((size_t)CHANNELS * (size_t)height * (size_t)width, sizeof *input);
  if (input)
    scale_box(picture, box, scaled, height, width, line_mean, line_deviation,
              input);
  return input;
}

/* Columns of a box scaled to the height of a line. */
static int scaled_width(struct box box) {
  int64_t width =
      ((int64_t)LINE_HEIGHT * box.width + box.height - 1) / box.height;
  return width > MOST_WIDTH ? MOST_WIDTH + 1 : (int)width;
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

static int read_line(const char *path, const struct picture *picture,
                     struct box box) {
  int scaled = scaled_width(box);
  int width = scaled > MIN_WIDTH ? scaled : MIN_WIDTH;
  int64_t shape[3];
  float *data = NULL, *answer;
  if (scaled <= MOST_WIDTH)
    data = make_input(picture, box, LINE_HEIGHT, width, scaled);
  if (!data) {
    fprintf(stderr, "%s: too wide, or out of memory\n", path);
    return 1;
  }
  answer = run(ppocr_rec_model(), path, data, LINE_HEIGHT, width, shape);
  free(data);
  if (!answer)
    return 1;
  int failed = shape[2] != NUM_CHARACTERS;
  if (failed)
    fprintf(stderr, "%s: characters.h is of another model\n", path);
  else
    print_text(path, answer, shape[1]);
  free(answer);
  return failed;
}

/* Whether the box holds a line that is upside down; -1 after a message. The
 * model's shapes are fixed: its header has types for what it takes. */
static int is_turned(const char *path, const struct picture *picture,
                     struct box box) {
  int scaled = scaled_width(box);
  float *data = make_input(picture, box, LINE_HEIGHT, TURN_WIDTH,
                           scaled < TURN_WIDTH ? scaled : TURN_WIDTH);
  float likely[2]; /* to be upright, to be turned */
  ppocr_cls_inputs in = {data};
  ppocr_cls_outputs out = {likely};
  int status = ppocr_cls_run(&in, &out, NULL);
  free(data);
  if (!status)
    return likely[1] > turned_threshold;
  fprintf(stderr, "%s: %s\n", path, ppocr_cls_status_string(status));
  return -1;
}

/* The size of a side of a page for the detector. */
static int page_side(int side, int longer) {
  double scale = longer > PAGE_SIDE ? (double)PAGE_SIDE / longer : 1;
  int multiples = (int)(side * scale / PAGE_MULTIPLE + 0.5);
  return PAGE_MULTIPLE * (multiples > 0 ? multiples : 1);
}

static int read_page(const char *path, const struct picture *picture) {
  int longer =
      picture->width > picture->height ? picture->width : picture->height;
  int width = page_side(picture->width, longer);
  int height = page_side(picture->height, longer);
  struct box page = {0, 0, picture->width, picture->height, 0};
  struct box *boxes = malloc(MOST_LINES * sizeof *boxes);
  float *data =
      malloc((size_t)CHANNELS * (size_t)height * (size_t)width * sizeof *data);
  float *map = NULL;
  int64_t shape[4];
  int count = -1, failed = 0;
  if (boxes && data) {
    scale_box(picture, page, width, height, width, page_mean, page_deviation,
              data);
    map = run(ppocr_det_model(), path, data, height, width, shape);
    if (map)
      count = find_lines(map, width, height, picture->width, picture->height,
                         boxes, MOST_LINES);
  }
  free(map);
  free(data);
  if (count < 0)
    fprintf(stderr, "%s: the page cannot be read\n", path);
  for (int i = 0; i < count; ++i) {
    boxes[i].turned = is_turned(path, picture, boxes[i]);
    failed |= boxes[i].turned < 0 || read_line(path, picture, boxes[i]);
  }
  free(boxes);
  return failed || count < 0;
}

static int recognise(const char *path, int is_line) {
  struct picture picture;
  if (read_png(path, &picture) != 0)
    return 1;
  struct box all = {0, 0, picture.width, picture.height, 0};
  int failed =
      is_line ? read_line(path, &picture, all) : read_page(path, &picture);
  free(picture.bytes);
  return failed;
}

int main(int argc, char **argv) {
  int is_line = argc > 1 && !strcmp(argv[1], "-l"), failed = 0;
  if (argc < 2 + is_line) {
    fprintf(stderr, "usage: %s [-l] picture.png...\n", argv[0]);
    return 2;
  }
  for (int i = 1 + is_line; i < argc; ++i)
    failed |= recognise(argv[i], is_line);
  return failed;
}

/* Pictures, and parts of them as the models want them. */
#ifndef PICTURE_H
#define PICTURE_H

#include <stdint.h>

enum { CHANNELS = 3 };

/* A picture of bytes, blue, green and red, as the models were trained on. */
struct picture {
  int width, height;
  uint8_t *bytes; /* [height][width][CHANNELS] */
};

/* A part of a picture; `turned` by half a turn. */
struct box {
  int left, top, width, height, turned;
};

/* Reads a PNG file; -1 after a message. */
int read_png(const char *path, struct picture *picture);

/* Writes the box, scaled to `width` times `height` by linear interpolation, to
 * `out`, [CHANNELS][height][row_size]; a channel's byte x becomes
 * (x / 255 - mean) / deviation. */
void scale_box(const struct picture *picture, struct box box, int width,
               int height, int row_size, const float *mean,
               const float *deviation, float *out);

#endif

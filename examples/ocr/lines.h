/* Finds the lines of a page in what the detector says of its pixels. */
#ifndef LINES_H
#define LINES_H

#include "picture.h"

/* Writes the boxes of the lines in a map of probabilities, [height][width], to
 * `boxes`, from top to bottom, at most `most`. They are in a picture of
 * `page_width` times `page_height`, which the map shows scaled. Returns how
 * many there are, -1 without memory. */
int find_lines(const float *map, int width, int height, int page_width,
               int page_height, struct box *boxes, int most);

#endif

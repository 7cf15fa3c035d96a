/* Segments of speech, by Silero VAD's rules and with its defaults. */
#ifndef SEGMENTS_H
#define SEGMENTS_H

#include <stddef.h>

struct segment {
  size_t start, end; /* samples */
};

/* Writes the segments that `count` probabilities, one for each `window`
 * samples, mark in a recording of `length` samples, `rate` a second. There is
 * room for `count` segments. Returns how many there are. */
size_t find_segments(const float *probabilities, size_t count, size_t window,
                     size_t length, size_t rate, struct segment *segments);

#endif

/* Reads WAV files. */
#ifndef WAV_H
#define WAV_H

#include <stddef.h>

struct recording {
  size_t rate;    /* samples a second */
  size_t length;  /* samples */
  float *samples; /* from -1 to 1; free() it */
};

/* Reads 16-bit samples of one channel. Returns NULL, or what is wrong. */
const char *read_wav(const char *path, struct recording *recording);

#endif

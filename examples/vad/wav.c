#include "wav.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t number(const unsigned char *bytes, int count) {
  uint32_t value = 0;
  while (count-- > 0)
    value = value << 8 | bytes[count];
  return value;
}

/* Reads up to `size` bytes of samples: what streams write into a file says
 * nothing of its length. */
static const char *read_samples(FILE *file, uint32_t size,
                                struct recording *recording) {
  unsigned char bytes[4096];
  size_t room = 0, count;
  while (size > 1 &&
         (count =
              fread(bytes, 2, size < sizeof bytes ? size / 2 : sizeof bytes / 2,
                    file)) > 0) {
    if (recording->length + count > room) {
      float *more;
      room = 2 * (recording->length + count);
      more = realloc(recording->samples, room * sizeof *more);
      if (!more)
        return "out of memory";
      recording->samples = more;
    }
    for (size_t i = 0; i < count; ++i)
      recording->samples[recording->length++] =
          (float)(int16_t)number(bytes + 2 * i, 2) / 32768.0f;
    size -= (uint32_t)(2 * count);
  }
  return ferror(file) ? strerror(errno) : NULL;
}

static const char *read_chunks(FILE *file, struct recording *recording) {
  unsigned char header[12], format[16];
  if (fread(header, 1, 12, file) != 12 || memcmp(header, "RIFF", 4) ||
      memcmp(header + 8, "WAVE", 4))
    return "expected a WAV file";
  while (fread(header, 1, 8, file) == 8) {
    uint32_t size = number(header + 4, 4);
    long skipped = (long)size + (long)(size & 1);
    if (!memcmp(header, "data", 4))
      return recording->rate ? read_samples(file, size, recording)
                             : "expected the format before the data";
    if (!memcmp(header, "fmt ", 4)) {
      if (size < 16 || fread(format, 1, 16, file) != 16)
        return "expected a longer format";
      if (number(format, 2) != 1 || number(format + 2, 2) != 1 ||
          number(format + 14, 2) != 16)
        return "expected one channel of 16-bit samples";
      recording->rate = number(format + 4, 4);
      skipped -= 16;
    }
    if (fseek(file, skipped, SEEK_CUR) != 0)
      return strerror(errno);
  }
  return "expected data";
}

const char *read_wav(const char *path, struct recording *recording) {
  FILE *file = fopen(path, "rb");
  const char *wrong;
  memset(recording, 0, sizeof *recording);
  if (!file)
    return strerror(errno);
  wrong = read_chunks(file, recording);
  fclose(file);
  if (wrong) {
    free(recording->samples);
    recording->samples = NULL;
  }
  return wrong;
}

/* Says what kind of content files have, by their bytes and not by their names,
 * as Google's Magika does: the same model, compiled by dlc, the same way of
 * reading a file, the same answers.
 *
 * usage: filetype [-l] file...
 *   -l  only the label, and how sure the model is: "python 0.998" */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "labels.h" /* made from Magika's configuration by labels.py */
#include "magika.h" /* made from Magika's model by dlc */

/* The first and the last bytes of a file. */
struct contents {
  long size;                 /* of the file */
  size_t read;               /* bytes in each of the blocks */
  uint8_t first[BLOCK_SIZE]; /* the file's beginning */
  uint8_t last[BLOCK_SIZE];  /* the file's end */
};

static int read_contents(const char *path, struct contents *file) {
  FILE *stream = fopen(path, "rb");
  if (!stream)
    return -1;
  int failed =
      fseek(stream, 0, SEEK_END) != 0 || (file->size = ftell(stream)) < 0;
  if (!failed) {
    file->read = file->size < BLOCK_SIZE ? (size_t)file->size : BLOCK_SIZE;
    failed = fseek(stream, 0, SEEK_SET) != 0 ||
             fread(file->first, 1, file->read, stream) != file->read ||
             fseek(stream, file->size - (long)file->read, SEEK_SET) != 0 ||
             fread(file->last, 1, file->read, stream) != file->read;
  }
  fclose(stream);
  return failed ? -1 : 0;
}

static int is_space(uint8_t byte) {
  return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* The model's input: the file's beginning without leading white space, then
 * its end without trailing white space, one number a byte, each part filled
 * up with a number that is no byte. Returns how many bytes the first part has.
 */
static size_t make_input(const struct contents *file, int32_t *input) {
  const uint8_t *begin = file->first, *end = begin + file->read;
  while (begin < end && is_space(*begin))
    ++begin;
  size_t first =
      (size_t)(end - begin) < BEG_SIZE ? (size_t)(end - begin) : BEG_SIZE;
  for (size_t i = 0; i < BEG_SIZE; ++i)
    input[i] = i < first ? begin[i] : PADDING_TOKEN;

  begin = file->last;
  end = begin + file->read;
  while (end > begin && is_space(end[-1]))
    --end;
  size_t last =
      (size_t)(end - begin) < END_SIZE ? (size_t)(end - begin) : END_SIZE;
  for (size_t i = 0; i < END_SIZE; ++i)
    input[BEG_SIZE + i] =
        i < END_SIZE - last ? PADDING_TOKEN : end[(long)i - END_SIZE];
  return first;
}

/* Whether bytes are well-formed UTF-8 (RFC 3629). */
static int is_utf8(const uint8_t *at, size_t size) {
  const uint8_t *end = at + size;
  while (at < end) {
    uint8_t lead = *at++;
    if (lead < 0x80)
      continue;
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || end - at < more)
      return 0;
    /* Overlong forms, surrogates, and what is beyond the last character. */
    if ((lead == 0xe0 && at[0] < 0xa0) || (lead == 0xed && at[0] > 0x9f) ||
        (lead == 0xf0 && at[0] < 0x90) || (lead == 0xf4 && at[0] > 0x8f))
      return 0;
    for (; more; --more)
      if ((*at++ & 0xc0) != 0x80)
        return 0;
  }
  return 1;
}

static void print(const char *path, int brief, const char *label,
                  const char *description, double score) {
  if (brief)
    printf("%s %.3f\n", label, score);
  else
    printf("%s: %s (%s), %.1f %%\n", path, description, label, 100 * score);
}

static int classify(const char *path, int brief) {
  struct stat status;
  if (stat(path, &status) != 0) {
    perror(path);
    return 1;
  }
  if (S_ISDIR(status.st_mode)) {
    print(path, brief, "directory", "A directory", 1);
    return 0;
  }
  if (!S_ISREG(status.st_mode)) {
    print(path, brief, "unknown", "Not a file", 1);
    return 0;
  }
  static struct contents file;
  if (read_contents(path, &file) != 0) {
    perror(path);
    return 1;
  }
  if (file.size == 0) {
    print(path, brief, "empty", "Empty file", 1);
    return 0;
  }
  int32_t input[BEG_SIZE + END_SIZE];
  if (make_input(&file, input) < MIN_FILE_SIZE_FOR_DL ||
      file.size < MIN_FILE_SIZE_FOR_DL) {
    const struct content_type *type =
        &types[is_utf8(file.first, file.read) ? TYPE_TXT : TYPE_UNKNOWN];
    print(path, brief, type->name, type->description, 1);
    return 0;
  }

  float scores[NUM_LABELS];
  magika_inputs in = {input};
  magika_outputs out = {scores};
  int failed = magika_run(&in, &out, NULL);
  if (failed) {
    fprintf(stderr, "%s: %s\n", path, magika_status_string(failed));
    return 1;
  }
  int best = 0;
  for (int i = 1; i < NUM_LABELS; ++i)
    if (scores[i] > scores[best])
      best = i;

  /* Where the model is not sure, the answer is only text or not. */
  const struct content_type *type = &types[labels[best].type];
  if (scores[best] < labels[best].threshold)
    type = &types[type->is_text ? TYPE_TXT : TYPE_UNKNOWN];
  print(path, brief, type->name, type->description, scores[best]);
  return 0;
}

int main(int argc, char **argv) {
  int first = 1, brief = 0, failed = 0;
  if (argc > 1 && strcmp(argv[1], "-l") == 0)
    brief = 1, first = 2;
  if (first == argc) {
    fprintf(stderr, "usage: %s [-l] file...\n", argv[0]);
    return 2;
  }
  for (int i = first; i < argc; ++i)
    failed |= classify(argv[i], brief);
  return failed;
}

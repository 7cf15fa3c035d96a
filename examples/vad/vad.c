/* Says where speech is in WAV files, with Silero VAD compiled by dlc.
 *
 * usage: vad [-m model] [-p] recording.wav...
 *   -m  which form of the model, silero_vad without it
 *   -p  prints the probability of each window instead of segments */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "segments.h"
#include "wav.h"

/* Made from the models by dlc. */
#include "silero_vad.h"
#include "silero_vad_16k_op15.h"
#include "silero_vad_16k_sequence.h"
#include "silero_vad_half.h"
#include "silero_vad_op18_ifless.h"
#include "silero_vad_openvino_16k.h"

static const struct variant {
  const dlc_model *(*model)(void);
  int knows_8000;     /* recordings of 8,000 samples a second, too */
  size_t most_frames; /* windows of sound that one run takes */
} variants[] = {
    {silero_vad_model, 1, 1},
    {silero_vad_half_model, 0, 1},
    {silero_vad_16k_op15_model, 0, 1},
    {silero_vad_16k_sequence_model, 0, 512},
    {silero_vad_openvino_16k_model, 0, 1},
    {silero_vad_op18_ifless_model, 1, 1},
};
enum {
  NUM_VARIANTS = sizeof variants / sizeof *variants,
  MOST_TENSORS = 3,
  MOST_STATE = 2 * 128
};

/* A model sees each window behind the end of the one before. */
static size_t window_of(size_t rate) { return rate == 16000 ? 512 : 256; }
static size_t context_of(size_t rate) { return rate == 16000 ? 64 : 32; }

/* What a model remembers from one run to the next: one tensor `state` or two,
 * `h` and `c`. The outputs `stateN`, `hn`, `cn` are their next values. */
struct memory {
  float values[MOST_TENSORS][MOST_STATE];
  float next[MOST_TENSORS][MOST_STATE];
  int64_t shapes[MOST_TENSORS][3];
};

/* The input whose next value an output is; -1 for the probabilities. */
static int find_state(const dlc_model *model, const char *output) {
  size_t length = strlen(output) - 1;
  for (int i = 0; i < model->num_inputs; ++i)
    if (strlen(model->inputs[i].name) == length &&
        !strncmp(model->inputs[i].name, output, length))
      return i;
  return -1;
}

/* Runs the model on `count` windows, each behind its context. */
static int run(const dlc_model *model, float *frames, size_t count, size_t rate,
               struct memory *memory, float *probabilities,
               const dlc_options *options) {
  int64_t size = (int64_t)(context_of(rate) + window_of(rate));
  int64_t frames_shape[2] = {(int64_t)count, size}, sr = (int64_t)rate;
  int64_t shapes[MOST_TENSORS][3];
  dlc_tensor inputs[MOST_TENSORS], outputs[MOST_TENSORS];
  for (int i = 0; i < model->num_inputs; ++i) {
    const char *name = model->inputs[i].name;
    if (!strcmp(name, "input")) {
      dlc_tensor input = {frames, sizeof *frames * count * (size_t)size,
                          frames_shape};
      inputs[i] = input;
    } else if (!strcmp(name, "sr")) {
      dlc_tensor input = {&sr, sizeof sr, NULL};
      inputs[i] = input;
    } else {
      dlc_tensor input = {memory->values[i], sizeof memory->values[i],
                          memory->shapes[i]};
      /* `state` is two tensors in one, which `h` and `c` are by themselves. */
      memory->shapes[i][0] = strcmp(name, "state") ? 1 : 2;
      memory->shapes[i][1] = 1;
      memory->shapes[i][2] = 128;
      inputs[i] = input;
    }
  }
  for (int i = 0; i < model->num_outputs; ++i) {
    dlc_tensor output = {probabilities, sizeof *probabilities * count,
                         shapes[i]};
    int state = find_state(model, model->outputs[i].name);
    if (state >= 0) {
      output.data = memory->next[state];
      output.capacity = sizeof memory->next[state];
    }
    outputs[i] = output;
  }
  int status = model->run(inputs, outputs, options);
  memcpy(memory->values, memory->next, sizeof memory->values);
  return status;
}

/* The probability of speech in each window, the last of which is filled up
 * with zeros; NULL after a message. */
static float *listen(const struct variant *variant, const char *path,
                     const struct recording *sound, size_t count) {
  const dlc_model *model = variant->model();
  size_t window = window_of(sound->rate), context = context_of(sound->rate);
  size_t size = context + window, most = variant->most_frames;
  float *probabilities = calloc(count + 1, sizeof *probabilities);
  float *frames = malloc(most * size * sizeof *frames);
  struct memory *memory = calloc(1, sizeof *memory);
  char error[512] = "out of memory";
  int failed = !probabilities || !frames || !memory;
  dlc_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.error = error;
  options.error_size = sizeof error;
  options.threads = 1;
  for (size_t first = 0; first < count && !failed; first += most) {
    size_t now = count - first < most ? count - first : most;
    for (size_t i = 0; i < now * size; ++i) {
      /* Where the value stands in the recording, plus the first context. */
      size_t at = (first + i / size) * window + i % size;
      frames[i] = at >= context && at - context < sound->length
                      ? sound->samples[at - context]
                      : 0;
    }
    failed = run(model, frames, now, sound->rate, memory, probabilities + first,
                 &options);
  }
  if (failed)
    fprintf(stderr, "%s: %s\n", path, error);
  free(memory);
  free(frames);
  if (!failed)
    return probabilities;
  free(probabilities);
  return NULL;
}

static int hear(const struct variant *variant, const char *path,
                int print_probabilities) {
  struct recording sound;
  const char *wrong = read_wav(path, &sound);
  if (!wrong && sound.rate != 16000 &&
      !(variant->knows_8000 && sound.rate == 8000))
    wrong = variant->knows_8000
                ? "expected 16000 or 8000 samples a second"
                : "expected 16000 samples a second for this model";
  if (wrong) {
    fprintf(stderr, "%s: %s\n", path, wrong);
    free(sound.samples);
    return 1;
  }
  size_t window = window_of(sound.rate);
  size_t count = (sound.length + window - 1) / window;
  float *probabilities = listen(variant, path, &sound, count);
  struct segment *segments = malloc((count + 1) * sizeof *segments);
  int failed = !probabilities || !segments;
  if (!failed && print_probabilities)
    for (size_t i = 0; i < count; ++i)
      printf("%s: %.7f\n", path, (double)probabilities[i]);
  else if (!failed) {
    size_t found = find_segments(probabilities, count, window, sound.length,
                                 sound.rate, segments);
    for (size_t i = 0; i < found; ++i)
      printf("%s: %zu to %zu (%.2f s to %.2f s)\n", path, segments[i].start,
             segments[i].end, (double)segments[i].start / (double)sound.rate,
             (double)segments[i].end / (double)sound.rate);
    if (!found)
      printf("%s: no speech\n", path);
  }
  free(segments);
  free(probabilities);
  free(sound.samples);
  return failed;
}

int main(int argc, char **argv) {
  const struct variant *variant = &variants[0];
  int at = 1, print_probabilities = 0, failed = 0;
  for (; at < argc && argv[at][0] == '-'; ++at) {
    if (!strcmp(argv[at], "-p")) {
      print_probabilities = 1;
    } else if (!strcmp(argv[at], "-m") && at + 1 < argc) {
      ++at;
      variant = NULL;
      for (int i = 0; i < NUM_VARIANTS; ++i)
        if (!strcmp(variants[i].model()->name, argv[at]))
          variant = &variants[i];
      if (!variant) {
        fprintf(stderr, "%s: unknown model '%s'; expected one of", argv[0],
                argv[at]);
        for (int i = 0; i < NUM_VARIANTS; ++i)
          fprintf(stderr, " %s", variants[i].model()->name);
        fprintf(stderr, "\n");
        return 2;
      }
    } else {
      at = argc;
    }
  }
  if (at >= argc) {
    fprintf(stderr, "usage: %s [-m model] [-p] recording.wav...\n", argv[0]);
    return 2;
  }
  for (; at < argc; ++at)
    failed |= hear(variant, argv[at], print_probabilities);
  return failed;
}

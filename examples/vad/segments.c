#include "segments.h"

/* Speech begins with a window that is as likely as this, and ends with the
 * first of a pause whose windows are less likely than that. */
static const float begins_at = 0.5f, ends_below = 0.35f;

/* Milliseconds: shorter speech does not count, nor do shorter pauses; speech
 * is taken to begin earlier and to end later by the padding. */
enum { MIN_SPEECH = 250, MIN_PAUSE = 100, PADDING = 30 };

static void pad(struct segment *segments, size_t count, size_t length,
                size_t padding) {
  for (size_t i = 0; i < count; ++i) {
    struct segment *here = &segments[i];
    if (i == 0)
      here->start = here->start > padding ? here->start - padding : 0;
    if (i + 1 < count) {
      size_t pause = here[1].start - here->end;
      /* Two that are near each other share the pause. */
      size_t by = pause < 2 * padding ? pause / 2 : padding;
      here->end += by;
      here[1].start -= by;
    } else {
      here->end = length - here->end > padding ? here->end + padding : length;
    }
  }
}

size_t find_segments(const float *probabilities, size_t count, size_t window,
                     size_t length, size_t rate, struct segment *segments) {
  size_t found = 0, start = 0, pause = 0; /* pause: where one began, or 0 */
  int is_speech = 0;
  for (size_t i = 0; i < count; ++i) {
    size_t at = i * window;
    if (probabilities[i] >= begins_at) {
      pause = 0;
      if (!is_speech)
        start = at;
      is_speech = 1;
    } else if (is_speech && probabilities[i] < ends_below) {
      if (!pause)
        pause = at;
      if (at - pause < rate * MIN_PAUSE / 1000)
        continue;
      if (pause - start > rate * MIN_SPEECH / 1000)
        segments[found++] = (struct segment){start, pause};
      is_speech = 0;
      pause = 0;
    }
  }
  if (is_speech && length - start > rate * MIN_SPEECH / 1000)
    segments[found++] = (struct segment){start, length};
  pad(segments, found, length, rate * PADDING / 1000);
  return found;
}

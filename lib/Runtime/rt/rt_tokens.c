/* The parts of texts that a pattern matches. */
#include "dlc_rt.h"

struct pattern {
  const uint8_t *classes, *accepts;
  const int32_t *next;
  int64_t width;
  int32_t dead; /* no match goes on from there; -1: there is no such state */
};

static const unsigned char *bytes_of(intptr_t text) {
  return (const unsigned char *)(text ? (const char *)text : "");
}

/* The bytes of the longest match that begins at `text`, -1 without one. */
static int64_t longest(const struct pattern *pattern,
                       const unsigned char *text) {
  int32_t state = 0;
  int64_t found = pattern->accepts[0] ? 0 : -1;
  for (int64_t i = 0; text[i] && state != pattern->dead; ++i) {
    state = pattern->next[state * pattern->width + pattern->classes[text[i]]];
    if (pattern->accepts[state])
      found = i + 1;
  }
  return found;
}

/* Whether a byte goes on with a character of UTF-8. */
static int goes_on(unsigned char byte) { return (byte & 0xc0) == 0x80; }

static const unsigned char *next_character(const unsigned char *text) {
  do
    ++text;
  while (goes_on(*text));
  return text;
}

/* The next token of at least `least` characters; 0 at the end of the text.
 * `*text` moves behind it. */
static int next_token(const struct pattern *pattern, int64_t least,
                      const unsigned char **text, const unsigned char **begin) {
  while (**text) {
    int64_t bytes = longest(pattern, *text), characters = 0;
    *begin = *text;
    if (bytes <= 0) {
      *text = next_character(*text);
      continue;
    }
    *text += bytes;
    for (int64_t i = 0; i < bytes; ++i)
      characters += !goes_on((*begin)[i]);
    if (characters >= least)
      return 1;
  }
  return 0;
}

static int64_t count_tokens(const struct pattern *pattern, int64_t least,
                            intptr_t text) {
  const unsigned char *rest = bytes_of(text), *begin;
  int64_t count = 0;
  while (next_token(pattern, least, &rest, &begin))
    ++count;
  return count;
}

/* A dimension more, for the tokens of each text; where there are fewer, `pad`.
 * With `mark` a text begins with the byte 2 and ends with the byte 3, unless
 * there is no token at all, as in ONNX Runtime. */
void dlc_rt_tokens(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                   const struct dlc_rt_view *classes,
                   const struct dlc_rt_view *next,
                   const struct dlc_rt_view *accepts, int32_t dead,
                   int64_t least, intptr_t pad, int32_t mark,
                   struct dlc_rt_view *out) {
  struct pattern pattern = {classes->data, accepts->data, next->data,
                            next->shape[1], dead};
  const intptr_t *from = x->data;
  int64_t number = 1, width = 0;
  for (int32_t d = 0; d < x->rank; ++d)
    number *= out->shape[d] = x->shape[d];
  for (int64_t i = 0; i < number; ++i) {
    int64_t count = count_tokens(&pattern, least, from[i]);
    width = count > width ? count : width;
  }
  mark = mark && width;
  width += mark ? 2 : 0;
  out->shape[x->rank] = width;
  size_t bytes = dlc_rt_bytes(sizeof(intptr_t), out->rank, out->shape);
  intptr_t *to =
      dlc_rt_alloc(ctx, bytes == SIZE_MAX ? INT64_MAX : (int64_t)bytes);
  if (!to)
    return;
  out->data = to;
  for (int64_t i = 0; i < number; ++i, to += width) {
    const unsigned char *rest = bytes_of(from[i]), *begin;
    /* All tokens and their ends are not more than the text twice. */
    char *text =
        dlc_rt_alloc(ctx, 2 * (int64_t)dlc_rt_string_bytes(from[i]) + 1);
    if (!text)
      return;
    int64_t at = 0;
    if (mark)
      to[at++] = (intptr_t)"\2";
    while (next_token(&pattern, least, &rest, &begin)) {
      size_t size = (size_t)(rest - begin);
      memcpy(text, begin, size);
      to[at++] = (intptr_t)text;
      text += size;
      *text++ = 0;
    }
    if (mark)
      to[at++] = (intptr_t)"\3";
    while (at < width)
      to[at++] = pad;
  }
}

/* Letters of other cases, and StringNormalizer, which needs them. */
#include "dlc_rt.h"

/* Letters [first, last], every `step`th, whose lower case is `delta` more. */
static const struct {
  uint16_t first, last;
  int16_t delta;
  uint16_t step;
} ranges[] = {
    {0x41, 0x5a, 32, 1},       {0xc0, 0xd6, 32, 1},     {0xd8, 0xde, 32, 1},
    {0x100, 0x12e, 1, 2},      {0x132, 0x136, 1, 2},    {0x139, 0x147, 1, 2},
    {0x14a, 0x176, 1, 2},      {0x178, 0x178, -121, 1}, {0x179, 0x17d, 1, 2},
    {0x1cd, 0x1db, 1, 2},      {0x1de, 0x1ee, 1, 2},    {0x1f8, 0x21e, 1, 2},
    {0x222, 0x232, 1, 2},      {0x370, 0x372, 1, 2},    {0x376, 0x376, 1, 1},
    {0x386, 0x386, 38, 1},     {0x388, 0x38a, 37, 1},   {0x38c, 0x38c, 64, 1},
    {0x38e, 0x38f, 63, 1},     {0x391, 0x3a1, 32, 1},   {0x3a3, 0x3ab, 32, 1},
    {0x3d8, 0x3ee, 1, 2},      {0x400, 0x40f, 80, 1},   {0x410, 0x42f, 32, 1},
    {0x460, 0x480, 1, 2},      {0x48a, 0x4be, 1, 2},    {0x4c0, 0x4c0, 15, 1},
    {0x4c1, 0x4cd, 1, 2},      {0x4d0, 0x52e, 1, 2},    {0x531, 0x556, 48, 1},
    {0x10a0, 0x10c5, 7264, 1}, {0x1e00, 0x1e94, 1, 2},  {0x1ea0, 0x1efe, 1, 2},
    {0x2160, 0x216f, 16, 1},   {0x24b6, 0x24cf, 26, 1}, {0x2c80, 0x2ce2, 1, 2},
    {0xa640, 0xa66c, 1, 2},    {0xa722, 0xa72e, 1, 2},  {0xa732, 0xa76e, 1, 2},
    {0xff21, 0xff3a, 32, 1}};

enum { keep_letters, lower_letters, upper_letters };

static uint32_t change(uint32_t letter, int64_t letters) {
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; ++i) {
    int32_t delta = ranges[i].delta;
    int32_t at = (int32_t)letter - ranges[i].first;
    if (letters == upper_letters)
      at -= delta;
    if (at < 0 || at > ranges[i].last - ranges[i].first ||
        (ranges[i].step == 2 && at & 1))
      continue;
    return letter + (uint32_t)(letters == upper_letters ? -delta : delta);
  }
  if (letters == upper_letters) {
    if (letter == 0xb5) /* micro -> Greek mu */
      return 0x39c;
    if (letter == 0x3c2) /* final sigma */
      return 0x3a3;
    if (letter == 0x131) /* dotless i */
      return 0x49;
    if (letter == 0x17f) /* long s */
      return 0x53;
  }
  return letter;
}

/* Takes a letter of UTF-8 off *at; a byte that is no part of one is itself. */
static uint32_t decode(const unsigned char **at, int *is_letter) {
  const unsigned char *p = *at;
  int more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc0 ? 1 : 0;
  *is_letter = *p < 0x80 || (more && *p < 0xf8);
  for (int i = 1; i <= more; ++i)
    if ((p[i] & 0xc0) != 0x80) {
      *is_letter = 0;
      break;
    }
  if (!*is_letter) {
    ++*at;
    return *p;
  }
  uint32_t letter = more ? *p & (0x3f >> more) : *p;
  for (int i = 1; i <= more; ++i)
    letter = letter << 6 | (p[i] & 0x3f);
  *at += more + 1;
  return letter;
}

static char *encode(char *to, uint32_t letter) {
  int more = letter >= 0x10000 ? 3 : letter >= 0x800 ? 2 : letter >= 0x80;
  static const unsigned char heads[] = {0, 0xc0, 0xe0, 0xf0};
  *to++ = (char)(heads[more] | letter >> 6 * more);
  while (more--)
    *to++ = (char)(0x80 | (letter >> 6 * more & 0x3f));
  return to;
}

/* The string with its letters in the other case. */
static intptr_t convert(struct dlc_rt_ctx *ctx, intptr_t text,
                        int64_t letters) {
  const unsigned char *at = (const unsigned char *)text;
  if (letters == keep_letters || !text)
    return text;
  /* A letter's other form has at most half as many bytes again. */
  char *result = dlc_rt_alloc(ctx, 2 * (int64_t)dlc_rt_string_bytes(text));
  if (!result)
    return 0;
  char *to = result;
  while (*at) {
    int is_letter;
    uint32_t letter = decode(&at, &is_letter);
    if (is_letter)
      to = encode(to, change(letter, letters));
    else
      *to++ = (char)letter;
  }
  *to = 0;
  return (intptr_t)result;
}

/* The strings of `x` that are no stopwords, in the case that is asked for. All
 * are compared in lower case with `any_case`. The result is [1, n] or [n], and
 * one empty string where there is none. */
void dlc_rt_string_normalize(struct dlc_rt_ctx *ctx,
                             const struct dlc_rt_view *x,
                             const struct dlc_rt_view *stopwords,
                             int64_t letters, int32_t any_case,
                             struct dlc_rt_view *out) {
  const intptr_t *from = x->data, *words = stopwords->data;
  int64_t count = x->shape[x->rank - 1], kept = 0;
  intptr_t *to = dlc_rt_alloc(ctx, (int64_t)sizeof *to * (count ? count : 1));
  intptr_t *lower =
      dlc_rt_alloc(ctx, (int64_t)sizeof *to * stopwords->shape[0]);
  if (!to || !lower)
    return;
  int64_t compared = any_case ? lower_letters : keep_letters;
  for (int64_t i = 0; i < stopwords->shape[0]; ++i)
    lower[i] = convert(ctx, words[i], compared);
  for (int64_t i = 0; i < count; ++i) {
    intptr_t text = convert(ctx, from[i], compared);
    int stops = 0;
    for (int64_t j = 0; j < stopwords->shape[0] && !stops; ++j)
      stops = dlc_rt_string_equal(ctx, text, lower[j]);
    if (!stops)
      to[kept++] = convert(ctx, from[i], letters);
  }
  if (!kept)
    to[kept++] = 0;
  out->data = to;
  if (out->rank == 2)
    out->shape[0] = 1;
  out->shape[out->rank - 1] = kept;
}

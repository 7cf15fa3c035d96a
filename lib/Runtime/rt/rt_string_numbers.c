/* Numbers as strings and back, with the functions of libc, which round
 * correctly. */
#include "dlc_rt.h"

static intptr_t keep(struct dlc_rt_ctx *ctx, const char *text) {
  char *result =
      dlc_rt_alloc(ctx, (int64_t)dlc_rt_string_bytes((intptr_t)text));
  if (!result)
    return 0;
  dlc_rt_string_copy(result, (intptr_t)text);
  return (intptr_t)result;
}

intptr_t dlc_rt_string_from_int(struct dlc_rt_ctx *ctx, int64_t number,
                                int32_t is_unsigned) {
  char text[32];
  snprintf(text, sizeof text, is_unsigned ? "%llu" : "%lld",
           (unsigned long long)number);
  return keep(ctx, text);
}

/* The fewest digits, `digits` at most, that give the number back: as a float
 * of 9 digits or a double of 17. */
intptr_t dlc_rt_string_from_float(struct dlc_rt_ctx *ctx, double number,
                                  int32_t digits) {
  char text[64];
  if (digits == 0) {
    snprintf(text, sizeof text, "%.6f", number);
    return keep(ctx, text);
  }
  if (number != number)
    return keep(ctx, "NaN");
  if (number - number != 0)
    return keep(ctx, number > 0 ? "INF" : "-INF");
  for (int32_t used = 1; used <= digits; ++used) {
    snprintf(text, sizeof text, "%.*g", used, number);
    double back = strtod(text, NULL);
    if (digits > 9 ? back == number : (float)back == (float)number)
      break;
  }
  return keep(ctx, text);
}

/* Whether only whitespace follows. */
static int ends(const char *at) {
  while (*at == ' ' || (*at >= 9 && *at <= 13))
    ++at;
  return *at == 0;
}

double dlc_rt_string_to_float(struct dlc_rt_ctx *ctx, intptr_t text) {
  const char *from = text ? (const char *)text : "";
  char *end;
  double number = strtod(from, &end);
  if (end == from || !ends(end))
    dlc_rt_fail(ctx, DLC_ERROR_VALUE, "expected a string that is a number");
  return number;
}

int64_t dlc_rt_string_to_int(struct dlc_rt_ctx *ctx, intptr_t text) {
  const char *at = text ? (const char *)text : "";
  while (*at == ' ' || (*at >= 9 && *at <= 13))
    ++at;
  int negative = *at == '-';
  at += *at == '-' || *at == '+';
  uint64_t number = 0;
  int good = *at >= '0' && *at <= '9';
  for (; *at >= '0' && *at <= '9'; ++at)
    if (__builtin_mul_overflow(number, (uint64_t)10, &number) ||
        __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
      good = 0;
  if (!good || !ends(at))
    dlc_rt_fail(ctx, DLC_ERROR_VALUE,
                "expected a string that is a whole number");
  return (int64_t)(negative ? -number : number);
}

/* Messages of a failed run, without stdio. */
#include "dlc_rt.h"

struct dlc_rt_text dlc_rt_text_open(const dlc_options *options) {
  struct dlc_rt_text text = {NULL, NULL};
  if (options && options->error && options->error_size > 0) {
    text.at = options->error;
    text.end = options->error + options->error_size - 1;
    *text.at = 0;
  }
  return text;
}

void dlc_rt_text_add(struct dlc_rt_text *text, const char *words) {
  if (!text->at)
    return;
  while (*words && text->at < text->end)
    *text->at++ = *words++;
  *text->at = 0;
}

void dlc_rt_text_add_int(struct dlc_rt_text *text, int64_t number) {
  char digits[24];
  int at = sizeof digits - 1;
  uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
  digits[at] = 0;
  do {
    /* rest / 10 in 16-bit pieces: 32-bit targets have no 64-bit division. */
    uint64_t quotient = 0;
    uint32_t carry = 0;
    for (int piece = 48; piece >= 0; piece -= 16) {
      uint32_t part = carry << 16 | (uint32_t)(rest >> piece & 0xffff);
      uint32_t tenth = (uint32_t)((uint64_t)part * 0xcccccccdu >> 35);
      quotient |= (uint64_t)tenth << piece;
      carry = part - tenth * 10;
    }
    digits[--at] = (char)('0' + carry);
    rest = quotient;
  } while (rest);
  if (number < 0)
    digits[--at] = '-';
  dlc_rt_text_add(text, digits + at);
}

const char *dlc_rt_status_string(int status) {
  switch (status) {
  case DLC_OK:
    return "ok";
  case DLC_ERROR_NULL_POINTER:
    return "a pointer that must be given is NULL";
  case DLC_ERROR_OPTIONS:
    return "dlc_options.size is no known size";
  case DLC_ERROR_SHAPE:
    return "a dimension of an input is wrong";
  case DLC_ERROR_CAPACITY:
    return "a buffer is too small";
  case DLC_ERROR_WORKSPACE:
    return "the workspace is too small or not aligned";
  case DLC_ERROR_MEMORY:
    return "out of memory";
  case DLC_ERROR_CPU:
    return "this CPU lacks an instruction set that the model was compiled for";
  case DLC_ERROR_VALUE:
    return "a value that the model does not allow";
  case DLC_ERROR_INTERNAL:
    return "internal error of dlc";
  case DLC_ERROR_STATE:
    return "the state is too small, not aligned, or not made by the model's "
           "init";
  case DLC_ERROR_NO_DEVICE:
    return "no GPU, or none that the model was compiled for";
  case DLC_ERROR_DEVICE:
    return "the GPU or its driver failed";
  case DLC_ERROR_DEVICE_MEMORY:
    return "out of the GPU's memory";
  }
  return "unknown status";
}

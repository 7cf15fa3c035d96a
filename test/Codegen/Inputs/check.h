/* What programs that call models wrongly share. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int failed;
static char message[200];

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      printf("line %d: %s (%s)\n", __LINE__, #condition, message);             \
      ++failed;                                                                \
    }                                                                          \
  } while (0)

/* Expects a failure with a message, and prints this. */
#define FAILS(call, code)                                                      \
  do {                                                                         \
    message[0] = 0;                                                            \
    CHECK((call) == (code));                                                   \
    puts(message);                                                             \
  } while (0)

#endif

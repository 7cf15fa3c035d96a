/* Reads images of digits and their labels, and counts what the network gets
   right: digits FILE */
#include "digits.h"
#include <stdio.h>

int main(int argc, char **argv) {
  float row[65], scores[10];
  int right = 0, count = 0;
  FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (!file) {
    fprintf(stderr, "usage: digits FILE\n");
    return 1;
  }
  while (fread(row, sizeof row, 1, file) == 1) {
    digits_inputs in = {row};
    digits_outputs out = {scores};
    int best = 0, i;
    if (digits_run(&in, &out, NULL)) {
      fprintf(stderr, "digits: the network failed\n");
      return 1;
    }
    for (i = 1; i < 10; ++i)
      if (scores[i] > scores[best])
        best = i;
    right += best == (int)row[64];
    ++count;
  }
  fclose(file);
  printf("%d of %d digits are right\n", right, count);
  return 0;
}

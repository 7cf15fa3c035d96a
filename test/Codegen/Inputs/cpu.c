/* Runs a model and says what came of it. */
#include "add.h"
#include <stdio.h>
#include <string.h>

int main(void) {
  float a[6] = {1}, b[6] = {10}, sums[6] = {0};
  add_inputs in = {a, b};
  add_outputs out = {sums};
  char message[200] = "";
  dlc_options options;
  int status;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.error = message;
  options.error_size = sizeof message;
  status = add_run(&in, &out, &options);
  if (status)
    printf("%d %s\n", status, message);
  else
    printf("%d %f\n", status, sums[0]);
  return 0;
}

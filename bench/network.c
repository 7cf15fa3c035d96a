/* Runs a compiled model, whichever it is, on tensors in files: for targets
 * whose programs run under an emulator.
 *
 * usage: network FOLDER [SHAPE...]
 *
 * FOLDER/inputN.raw has the values of input N, whose shape is the N-th SHAPE,
 * such as 1x3x224x224 (a scalar's is empty). Output N goes to
 * FOLDER/outputN.raw, and its shape to standard output, a line each. */
#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = 16, MAX_RANK = 16 };

static int64_t shapes[2 * MAX_TENSORS][MAX_RANK];
static char error[1024];

static void fail(const char *what, const char *which) {
  fprintf(stderr, "%s: %s\n", what, which);
  exit(1);
}

static FILE *open_file(const char *folder, const char *kind, int number,
                       const char *mode) {
  char path[4096];
  FILE *file;
  snprintf(path, sizeof path, "%s/%s%d.raw", folder, kind, number);
  file = fopen(path, mode);
  if (!file)
    fail("cannot open", path);
  return file;
}

static void read_input(const char *folder, int number, dlc_tensor *tensor) {
  FILE *file = open_file(folder, "input", number, "rb");
  long size;
  fseek(file, 0, SEEK_END);
  size = ftell(file);
  rewind(file);
  tensor->capacity = (size_t)size;
  tensor->data = malloc(tensor->capacity + 1);
  if (!tensor->data || fread(tensor->data, 1, tensor->capacity, file) != tensor->capacity)
    fail("cannot read an input", folder);
  fclose(file);
}

/* "1x3x224x224" */
static void parse_shape(const char *text, int64_t *shape) {
  int rank = 0;
  while (*text && rank < MAX_RANK) {
    char *end;
    shape[rank++] = strtol(text, &end, 10);
    text = *end == 'x' ? end + 1 : end;
  }
}

/* Bytes of one element, of the types that networks have as results. */
static size_t element_size(int32_t dtype) {
  switch (dtype) {
  case DLC_FLOAT64:
  case DLC_INT64:
  case DLC_UINT64:
    return 8;
  case DLC_FLOAT32:
  case DLC_INT32:
  case DLC_UINT32:
    return 4;
  case DLC_FLOAT16:
  case DLC_BFLOAT16:
  case DLC_INT16:
  case DLC_UINT16:
    return 2;
  default:
    return 1;
  }
}

static void write_output(const char *folder, int number, const dlc_tensor *tensor,
                         const dlc_tensor_info *info) {
  FILE *file = open_file(folder, "output", number, "wb");
  size_t size = element_size(info->dtype);
  int k;
  for (k = 0; k < info->rank; k++) {
    size *= (size_t)tensor->shape[k];
    printf("%s%ld", k ? "x" : "", (long)tensor->shape[k]);
  }
  printf("\n");
  if (fwrite(tensor->data, 1, size, file) != size || fclose(file))
    fail("cannot write an output", folder);
}

/* Memory for an output whose shape is known; a run allocates the others. */
static void make_output(dlc_tensor *tensor, const dlc_tensor_info *info) {
  size_t size = element_size(info->dtype);
  int k;
  for (k = 0; k < info->rank; k++) {
    if (info->dims[k] < 0)
      return;
    size *= (size_t)info->dims[k];
  }
  tensor->capacity = size;
  tensor->data = malloc(size + 1);
  if (!tensor->data)
    fail("no memory for an output", info->name);
}

int main(int argc, char **argv) {
  const dlc_model *model = network_model();
  dlc_tensor inputs[MAX_TENSORS] = {{0}}, outputs[MAX_TENSORS] = {{0}};
  dlc_options options = {0};
  int i, status;
  if (argc != 2 + model->num_inputs || model->num_inputs > MAX_TENSORS ||
      model->num_outputs > MAX_TENSORS)
    fail("expected a folder and the shape of each input of", model->name);
  for (i = 0; i < model->num_inputs; i++) {
    parse_shape(argv[2 + i], shapes[i]);
    inputs[i].shape = shapes[i];
    read_input(argv[1], i, &inputs[i]);
  }
  for (i = 0; i < model->num_outputs; i++) {
    outputs[i].shape = shapes[MAX_TENSORS + i];
    make_output(&outputs[i], &model->outputs[i]);
  }
  options.size = sizeof options;
  options.error = error;
  options.error_size = sizeof error;
  status = model->run(inputs, outputs, &options);
  if (status)
    fail(model->status_string(status), error);
  for (i = 0; i < model->num_outputs; i++) {
    write_output(argv[1], i, &outputs[i], &model->outputs[i]);
    free(outputs[i].data);
  }
  for (i = 0; i < model->num_inputs; i++)
    free(inputs[i].data);
  return 0;
}

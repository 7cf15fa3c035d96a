/* Calls two models rightly and in every wrong way. Prints the messages. */
#include "add.h"
#include "check.h"
#include "dynamic.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dlc_options options;
static float a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {10, 20, 30, 40, 50, 60};
static float sums[6];

static void static_shapes(void) {
  static char memory[ADD_WORKSPACE_SIZE + DLC_WORKSPACE_ALIGNMENT];
  char *aligned = memory + (DLC_WORKSPACE_ALIGNMENT -
                            (uintptr_t)memory % DLC_WORKSPACE_ALIGNMENT);
  add_inputs in = {a, b};
  add_outputs out = {sums};
  CHECK(add_run(&in, &out, NULL) == DLC_OK);
  CHECK(sums[0] == 12 && sums[5] == 72);
  options.workspace = aligned;
  options.workspace_size = ADD_WORKSPACE_SIZE;
  CHECK(add_run(&in, &out, &options) == DLC_OK);
  options.workspace = aligned + 1;
  FAILS(add_run(&in, &out, &options), DLC_ERROR_WORKSPACE);
  options.workspace = aligned;
  options.workspace_size = 10;
  FAILS(add_run(&in, &out, &options), DLC_ERROR_WORKSPACE);
  options.workspace = NULL;

  in.input_1 = NULL;
  FAILS(add_run(&in, &out, &options), DLC_ERROR_NULL_POINTER);
  in.input_1 = b;
  out.int_ = NULL;
  FAILS(add_run(&in, &out, &options), DLC_ERROR_NULL_POINTER);
  out.int_ = sums;
  FAILS(add_run(NULL, &out, &options), DLC_ERROR_NULL_POINTER);
  FAILS(add_run(&in, NULL, &options), DLC_ERROR_NULL_POINTER);
}

static void options_of_other_sizes(void) {
  struct {
    dlc_options known;
    char more[8];
  } newer;
  char small[10];
  dlc_options cut = options;
  add_inputs in = {a, b};
  add_outputs out = {sums};
  options.size = 3;
  CHECK(add_run(&in, &out, &options) == DLC_ERROR_OPTIONS);
  options.size = sizeof options;
  memset(&newer, 0, sizeof newer);
  newer.known = options;
  newer.known.size = sizeof newer;
  CHECK(add_run(&in, &out, &newer.known) == DLC_OK);
  newer.more[3] = 1;
  FAILS(add_run(&in, &out, &newer.known), DLC_ERROR_OPTIONS);
  /* A message is cut to its buffer. */
  memset(small, 'x', sizeof small);
  cut.error = small;
  cut.error_size = 5;
  in.a = NULL;
  CHECK(add_run(&in, &out, &cut) == DLC_ERROR_NULL_POINTER);
  CHECK(strcmp(small, "add:") == 0 && small[5] == 'x');
}

static void descriptor(void) {
  const dlc_model *model = add_model();
  int64_t shape[2] = {2, 4}, out_shape[2] = {0, 0};
  dlc_tensor in[2] = {{0}, {0}}, out = {0};
  CHECK(model->abi_version == DLC_ABI_VERSION);
  CHECK((size_t)model->size == sizeof *model);
  CHECK(model->options_size == sizeof(dlc_options));
  CHECK(strcmp(model->name, "add") == 0 && model->workspace_size == 128);
  CHECK(model->num_inputs == 2 && model->num_outputs == 1);
  CHECK(strcmp(model->inputs[1].name, "input.1") == 0);
  CHECK(strcmp(model->inputs[1].c_name, "input_1") == 0);
  CHECK(model->inputs[1].rank == 2 && model->inputs[1].dims[1] == 3);
  CHECK(model->outputs[0].dtype == DLC_FLOAT32);
  puts(model->status_string(DLC_ERROR_SHAPE));
  puts(add_status_string(77));
  in[0].data = a;
  in[0].capacity = sizeof a;
  in[0].shape = shape;
  in[1].data = b;
  in[1].capacity = sizeof b;
  out.data = sums;
  out.capacity = sizeof sums;
  out.shape = out_shape;
  FAILS(model->run(in, &out, &options), DLC_ERROR_SHAPE);
  shape[1] = 3;
  CHECK(model->run(in, &out, &options) == DLC_OK && out_shape[1] == 3);
  in[0].capacity = 20;
  FAILS(model->run(in, &out, &options), DLC_ERROR_CAPACITY);
  in[0].capacity = sizeof a;
  out.capacity = 3;
  FAILS(model->run(in, &out, &options), DLC_ERROR_CAPACITY);
}

static void dynamic_dimensions(void) {
  uint8_t flag = 1;
  uint16_t any[4] = {0, 0, 0, 0};
  float scale[2] = {2, 3}, x[4] = {1, 2, 3, 4}, y[4];
  dynamic_inputs in;
  dynamic_outputs out;
  memset(&out, 0, sizeof out);
  in.x = x;
  in.batch = 2;
  in.scale = scale;
  in.flag = &flag;
  in.any_thing = any;
  in.any_thing_dim0 = 4;

  /* The run allocates, and the next one takes what is there. */
  CHECK(dynamic_run(&in, &out, &options) == DLC_OK);
  CHECK(out.y && out.y_shape[0] == 2 && out.y_shape[1] == 2);
  CHECK(out.y[3] == 12 && out.y_capacity == 16);
  CHECK((uintptr_t)out.y % DLC_WORKSPACE_ALIGNMENT == 0);
  CHECK(dynamic_run(&in, &out, &options) == DLC_OK && out.y[2] == 9);
  free(out.y);

  /* The caller's buffer; the shape says what a larger one must hold. */
  out.y = y;
  out.y_capacity = 15;
  out.y_shape[0] = 0;
  FAILS(dynamic_run(&in, &out, &options), DLC_ERROR_CAPACITY);
  CHECK(out.y_shape[0] == 2 && out.y == y);
  out.y_capacity = 16;
  CHECK(dynamic_run(&in, &out, &options) == DLC_OK && y[3] == 12);

  in.batch = -1;
  FAILS(dynamic_run(&in, &out, &options), DLC_ERROR_SHAPE);
  in.batch = 1001;
  FAILS(dynamic_run(&in, &out, &options), DLC_ERROR_SHAPE);

  /* Empty tensors may be NULL. */
  in.batch = 0;
  in.x = NULL;
  in.scale = NULL;
  out.y = NULL;
  CHECK(dynamic_run(&in, &out, &options) == DLC_OK && out.y_shape[0] == 0);
  free(out.y);
  in.x = x;
  in.scale = scale;
  in.batch = 2;
  in.any_thing_dim0 = INT64_MAX;
  FAILS(dynamic_run(&in, &out, &options), DLC_ERROR_SHAPE);
}

/* Shapes without a run: no data is there. */
static void asked_shapes(void) {
  const dlc_model *model = dynamic_model();
  dynamic_inputs in;
  dynamic_outputs out;
  int64_t x[2] = {5, 2}, scale[1] = {5}, any[1] = {4}, shape[2] = {0, 0};
  dlc_tensor given[4], asked = {0};
  memset(&in, 0, sizeof in);
  memset(&out, 0, sizeof out);
  in.batch = 7;
  CHECK(dynamic_shapes(&in, &out, &options) == DLC_OK);
  CHECK(out.y_shape[0] == 7 && out.y_shape[1] == 2 && !out.y);
  in.batch = 0;
  CHECK(dynamic_shapes(&in, &out, NULL) == DLC_OK && out.y_shape[0] == 0);
  in.batch = 1001;
  FAILS(dynamic_shapes(&in, &out, &options), DLC_ERROR_SHAPE);
  FAILS(dynamic_shapes(NULL, &out, &options), DLC_ERROR_NULL_POINTER);

  memset(given, 0, sizeof given);
  given[0].shape = x;
  given[1].shape = scale;
  given[3].shape = any;
  asked.shape = shape;
  CHECK(model->shapes(given, &asked, &options) == DLC_OK);
  CHECK(shape[0] == 5 && shape[1] == 2 && !asked.data);
  scale[0] = 4;
  FAILS(model->shapes(given, &asked, &options), DLC_ERROR_SHAPE);
  scale[0] = 5;
  asked.shape = NULL;
  FAILS(model->shapes(given, &asked, &options), DLC_ERROR_NULL_POINTER);

  /* Of a static model: what the descriptor says. */
  memset(given, 0, sizeof given);
  asked.shape = shape;
  CHECK(add_model()->shapes(given, &asked, &options) == DLC_OK);
  CHECK(shape[0] == 2 && shape[1] == 3);
}

static void dynamic_descriptor(void) {
  const dlc_model *model = dynamic_model();
  uint8_t flag = 1;
  uint16_t any[4] = {0, 0, 0, 0};
  float scale[3] = {2, 3, 4}, x[4] = {1, 2, 3, 4};
  int64_t x_shape[2] = {2, 2}, scale_shape[1] = {3}, any_shape[1] = {4};
  int64_t out_shape[2] = {0, 0};
  dlc_tensor in[4], out = {0};
  in[0].data = x;
  in[0].capacity = sizeof x;
  in[0].shape = x_shape;
  in[1].data = scale;
  in[1].capacity = sizeof scale;
  in[1].shape = scale_shape;
  in[2].data = &flag;
  in[2].capacity = 1;
  in[2].shape = NULL;
  in[3].data = any;
  in[3].capacity = sizeof any;
  in[3].shape = any_shape;
  out.shape = out_shape;
  CHECK(strcmp(model->inputs[0].dim_names[0], "batch") == 0);
  CHECK(model->inputs[0].dims[0] == -1);
  FAILS(model->run(in, &out, &options), DLC_ERROR_SHAPE);
  scale_shape[0] = 2;
  in[0].shape = NULL;
  FAILS(model->run(in, &out, &options), DLC_ERROR_NULL_POINTER);
  in[0].shape = x_shape;
  CHECK(model->run(in, &out, &options) == DLC_OK && out_shape[0] == 2);
  CHECK(out.data && ((float *)out.data)[3] == 12);
  free(out.data);
}

static char failed_run[1];

static void *worker(void *unused) {
  float x[6], y[6], result[6];
  int round, i;
  (void)unused;
  for (round = 0; round < 2000; ++round) {
    add_inputs in;
    add_outputs out;
    in.a = x;
    in.input_1 = y;
    out.int_ = result;
    for (i = 0; i < 6; ++i) {
      x[i] = (float)round;
      y[i] = (float)i;
    }
    if (add_run(&in, &out, NULL) || result[5] != (float)round + 5 + 6)
      return failed_run;
  }
  return NULL;
}

static void threads(void) {
  pthread_t ids[4];
  int i;
  for (i = 0; i < 4; ++i)
    CHECK(pthread_create(&ids[i], NULL, worker, NULL) == 0);
  for (i = 0; i < 4; ++i) {
    void *wrong;
    CHECK(pthread_join(ids[i], &wrong) == 0 && !wrong);
  }
}

int main(void) {
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.error = message;
  options.error_size = sizeof message;
  static_shapes();
  options_of_other_sizes();
  descriptor();
  dynamic_dimensions();
  asked_shapes();
  dynamic_descriptor();
  threads();
  printf("%d failed\n", failed);
  return failed != 0;
}

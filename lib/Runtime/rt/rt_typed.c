/* A run from the structs of a generated header: their members become tensors. */
#include "dlc_rt.h"

/* Reads the pointer at a field of a generated struct. */
static void *pointer_at(const void *fields, int32_t offset) {
  void *pointer;
  memcpy(&pointer, (const char *)fields + offset, sizeof pointer);
  return pointer;
}

/* Reads the generated structs; the shapes of inputs are kept in `sizes`. */
static void read_fields(const struct dlc_rt_desc *desc, const void *inputs,
                        void *outputs, dlc_tensor *in, dlc_tensor *out,
                        int64_t *sizes) {
  const dlc_model *model = desc->model;
  int32_t flat = 0;
  for (int32_t i = 0; i < model->num_inputs; ++i) {
    const dlc_tensor_info *info = &model->inputs[i];
    in[i].data = pointer_at(inputs, desc->input_fields[i]);
    in[i].capacity = SIZE_MAX;
    in[i].shape = sizes + flat;
    for (int32_t d = 0; d < info->rank; ++d, ++flat) {
      int32_t field = desc->dim_fields[flat];
      if (field == DLC_RT_NO_FIELD)
        sizes[flat] = info->dims[d];
      else
        memcpy(&sizes[flat], (const char *)inputs + field, sizeof(int64_t));
    }
  }
  for (int32_t i = 0; i < model->num_outputs; ++i) {
    const int32_t *field = desc->output_fields + 3 * i;
    out[i].data = pointer_at(outputs, field[0]);
    out[i].capacity = SIZE_MAX;
    out[i].shape = NULL;
    if (field[1] != DLC_RT_NO_FIELD) {
      memcpy(&out[i].capacity, (char *)outputs + field[1], sizeof(size_t));
      out[i].shape = (int64_t *)((char *)outputs + field[2]);
    }
  }
}

int dlc_rt_run_typed(const struct dlc_rt_desc *desc, const void *inputs,
                     void *outputs, const dlc_options *options) {
  const dlc_model *model = desc->model;
  if ((!inputs && model->num_inputs) || (!outputs && model->num_outputs))
    return dlc_rt_run(desc, inputs, outputs, options);
  dlc_tensor in[model->num_inputs + 1];
  dlc_tensor out[model->num_outputs + 1];
  int64_t sizes[desc->num_input_dims + 1];
  read_fields(desc, inputs, outputs, in, out, sizes);

  int status = dlc_rt_run(desc, in, out, options);

  for (int32_t i = 0; i < model->num_outputs; ++i) {
    const int32_t *field = desc->output_fields + 3 * i;
    if (field[1] != DLC_RT_NO_FIELD) {
      memcpy((char *)outputs + field[0], &out[i].data, sizeof(void *));
      memcpy((char *)outputs + field[1], &out[i].capacity, sizeof(size_t));
    }
  }
  return status;
}

int dlc_rt_shapes_typed(const struct dlc_rt_desc *desc, const void *inputs,
                        void *outputs, const dlc_options *options) {
  const dlc_model *model = desc->model;
  if ((!inputs && model->num_inputs) || (!outputs && model->num_outputs))
    return dlc_rt_shapes(desc, inputs, outputs, options);
  dlc_tensor in[model->num_inputs + 1];
  dlc_tensor out[model->num_outputs + 1];
  int64_t sizes[desc->num_input_dims + 1];
  read_fields(desc, inputs, outputs, in, out, sizes);
  return dlc_rt_shapes(desc, in, out, options);
}

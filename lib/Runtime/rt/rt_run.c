/* A run from outside: checks what the caller gave, then calls the model. All
 * of it is driven by the tables of dlc_rt_desc. */
#include "dlc_rt.h"

/* A newer program may give options that this object does not know; it ignores
 * them as long as they are zero. */
enum { largest_options = 4096 };

static const char *const dtype_words[] = {
    "?",      "float",  "uint8",     "int8",       "uint16",  "int16",
    "int32",  "int64",  "string",    "bool",       "float16", "double",
    "uint32", "uint64", "complex64", "complex128", "bfloat16"};

/* Starts the message "model: input 'x' (float[-1,3]): ". */
static struct dlc_rt_text say(const struct dlc_rt_desc *desc,
                              const dlc_options *options, const char *kind,
                              const dlc_tensor_info *info) {
  struct dlc_rt_text text = dlc_rt_text_open(options);
  dlc_rt_text_add(&text, desc->model->name);
  dlc_rt_text_add(&text, ": ");
  if (!info)
    return text;
  dlc_rt_text_add(&text, kind);
  dlc_rt_text_add(&text, " '");
  dlc_rt_text_add(&text, info->name);
  dlc_rt_text_add(&text, "' (");
  if (info->dtype & DLC_OPTIONAL)
    dlc_rt_text_add(&text, "optional ");
  if (info->dtype & DLC_SEQUENCE)
    dlc_rt_text_add(&text, "sequence of ");
  if (info->dtype & DLC_MAP)
    dlc_rt_text_add(&text, info->dtype & DLC_STRING_KEYS ? "map: string to "
                                                         : "map: int64 to ");
  int32_t element = info->dtype & 0xff;
  if (element < (int32_t)(sizeof dtype_words / sizeof *dtype_words))
    dlc_rt_text_add(&text, dtype_words[element]);
  if (element != info->dtype) {
    dlc_rt_text_add(&text, "): ");
    return text;
  }
  dlc_rt_text_add(&text, "[");
  for (int32_t d = 0; d < info->rank; ++d) {
    if (d)
      dlc_rt_text_add(&text, ",");
    if (info->dims[d] >= 0)
      dlc_rt_text_add_int(&text, info->dims[d]);
    else
      dlc_rt_text_add(&text, info->dim_names[d][0] ? info->dim_names[d] : "?");
  }
  dlc_rt_text_add(&text, "]): ");
  return text;
}

static int fail(const struct dlc_rt_desc *desc, const dlc_options *options,
                const char *kind, const dlc_tensor_info *info, int code,
                const char *words) {
  struct dlc_rt_text text = say(desc, options, kind, info);
  dlc_rt_text_add(&text, words);
  return code;
}

/* The sizes that dlc_options had in earlier versions, and has. */
static const size_t options_sizes[] = {
    offsetof(dlc_options, threads), offsetof(dlc_options, state),
    offsetof(dlc_options, device),  offsetof(dlc_options, workspace_needed),
    offsetof(dlc_options, profile), sizeof(dlc_options)};

/* Copies the caller's options to `known`; what an older version did not have
 * is zero. */
static int read_options(const struct dlc_rt_desc *desc,
                        const dlc_options *options, dlc_options *known) {
  static const dlc_options none;
  *known = none;
  if (!options)
    return DLC_OK;
  /* Without a size that is known, `error` may not be there: say nothing. */
  size_t size = options->size;
  int is_known = size > sizeof(dlc_options) && size <= largest_options;
  for (size_t i = 0; i < sizeof options_sizes / sizeof *options_sizes; ++i)
    is_known |= size == options_sizes[i];
  if (!is_known)
    return DLC_ERROR_OPTIONS;
  memcpy(known, options, size < sizeof *known ? size : sizeof *known);
  const char *bytes = (const char *)options;
  for (size_t i = sizeof(dlc_options); i < size; ++i)
    if (bytes[i])
      return fail(desc, known, NULL, NULL, DLC_ERROR_OPTIONS,
                  "dlc_options has fields that this object does not know");
  if (known->threads < 0)
    return fail(desc, known, NULL, NULL, DLC_ERROR_OPTIONS,
                "expected 0 or more threads");
  if (known->device < 0)
    return fail(desc, known, NULL, NULL, DLC_ERROR_OPTIONS,
                "expected a device of 0 or more");
  if (known->profile && !desc->profile)
    return fail(desc, known, NULL, NULL, DLC_ERROR_OPTIONS,
                "compiled without --profile, which dlc_options.profile needs");
  return DLC_OK;
}

static int check_cpu(const struct dlc_rt_desc *desc,
                     const dlc_options *options) {
  if (desc->num_needs == 0)
    return DLC_OK;
  int32_t state = __atomic_load_n(desc->cpu_state, __ATOMIC_RELAXED);
  if (state == 0) {
    int32_t lacks = dlc_rt_cpu_lacks(desc->needs, desc->num_needs);
    state = lacks < 0 ? 1 : 2 + lacks;
    __atomic_store_n(desc->cpu_state, state, __ATOMIC_RELAXED);
  }
  if (state == 1)
    return DLC_OK;
  struct dlc_rt_text text = dlc_rt_text_open(options);
  dlc_rt_text_add(&text, desc->model->name);
  dlc_rt_text_add(&text, ": compiled for ");
  dlc_rt_text_add(&text, desc->model->target);
  dlc_rt_text_add(&text, ", but this CPU lacks ");
  dlc_rt_text_add(&text, desc->needs[state - 2].feature);
  return DLC_ERROR_CPU;
}

static size_t tensor_bytes(const dlc_tensor_info *info, const int64_t *shape) {
  return dlc_rt_bytes(dlc_rt_dtype_size(info->dtype), info->rank, shape);
}

static int wrong_dim(const struct dlc_rt_desc *desc, const dlc_options *options,
                     const dlc_tensor_info *info, int32_t d, int64_t found,
                     const char *expected, int64_t limit) {
  struct dlc_rt_text text = say(desc, options, "input", info);
  dlc_rt_text_add(&text, "dimension ");
  dlc_rt_text_add_int(&text, d);
  dlc_rt_text_add(&text, " is ");
  dlc_rt_text_add_int(&text, found);
  dlc_rt_text_add(&text, ", expected ");
  dlc_rt_text_add(&text, expected);
  dlc_rt_text_add_int(&text, limit);
  return DLC_ERROR_SHAPE;
}

/* Checks the shape of input `i`, whose dimensions are at `flat` of the flat
 * arrays, and writes these to `sizes`. */
static int check_shape(const struct dlc_rt_desc *desc,
                       const dlc_options *options, int32_t i, int32_t flat,
                       const dlc_tensor *given, int64_t *sizes) {
  const dlc_tensor_info *info = &desc->model->inputs[i];
  for (int32_t d = 0; d < info->rank; ++d) {
    int64_t fixed = info->dims[d];
    int64_t size = given->shape ? given->shape[d] : fixed;
    if (!given->shape && fixed < 0)
      return fail(desc, options, "input", info, DLC_ERROR_NULL_POINTER,
                  "its shape is dynamic, but dlc_tensor.shape is NULL");
    if (fixed >= 0 && size != fixed)
      return wrong_dim(desc, options, info, d, size, "", fixed);
    int64_t min = desc->dim_min ? desc->dim_min[flat + d] : 0;
    if (size < 0 || size < min)
      return wrong_dim(desc, options, info, d, size, "at least ",
                       min < 0 ? 0 : min);
    int64_t max = desc->dim_max ? desc->dim_max[flat + d] : -1;
    if (max >= 0 && size > max)
      return wrong_dim(desc, options, info, d, size, "at most ", max);
    int32_t same = desc->dim_same[flat + d];
    sizes[flat + d] = size;
    if (same >= 0 && sizes[same] != size)
      return wrong_dim(desc, options, info, d, size,
                       "the size that it has in another place: ", sizes[same]);
  }
  if (tensor_bytes(info, sizes + flat) == SIZE_MAX)
    return fail(desc, options, "input", info, DLC_ERROR_SHAPE,
                "more bytes than this machine can address");
  return DLC_OK;
}

/* The same with the input's data. */
static int check_input(const struct dlc_rt_desc *desc,
                       const dlc_options *options, int32_t i, int32_t flat,
                       const dlc_tensor *given, int64_t *sizes) {
  const dlc_tensor_info *info = &desc->model->inputs[i];
  int status = check_shape(desc, options, i, flat, given, sizes);
  if (status != DLC_OK)
    return status;
  size_t bytes = tensor_bytes(info, sizes + flat);
  if (!given->data && bytes)
    return fail(desc, options, "input", info, DLC_ERROR_NULL_POINTER,
                "its pointer is NULL");
  if (given->capacity < bytes) {
    struct dlc_rt_text text = say(desc, options, "input", info);
    dlc_rt_text_add(&text, "expected ");
    dlc_rt_text_add_int(&text, (int64_t)bytes);
    dlc_rt_text_add(&text, " bytes, its capacity is ");
    dlc_rt_text_add_int(&text, (int64_t)given->capacity);
    return DLC_ERROR_CAPACITY;
  }
  if (info->dtype & (DLC_SEQUENCE | DLC_OPTIONAL | DLC_MAP)) {
    const char *wrong = info->dtype & DLC_MAP
                            ? dlc_rt_map_check(given)
                            : dlc_rt_sequence_check(info, given);
    if (wrong)
      return fail(desc, options, "input", info, DLC_ERROR_VALUE, wrong);
  }
  return DLC_OK;
}

static int is_dynamic(const dlc_tensor_info *info) {
  for (int32_t d = 0; d < info->rank; ++d)
    if (info->dims[d] < 0)
      return 1;
  return 0;
}

static int check_output(const struct dlc_rt_desc *desc,
                        const dlc_options *options, int32_t i,
                        dlc_tensor *given) {
  const dlc_tensor_info *info = &desc->model->outputs[i];
  if (is_dynamic(info)) {
    if (!given->shape)
      return fail(desc, options, "output", info, DLC_ERROR_NULL_POINTER,
                  "its shape is dynamic, but dlc_tensor.shape is NULL");
    return DLC_OK;
  }
  size_t bytes = tensor_bytes(info, info->dims);
  if (!given->data && bytes)
    return fail(desc, options, "output", info, DLC_ERROR_NULL_POINTER,
                "its pointer is NULL");
  if (given->shape)
    for (int32_t d = 0; d < info->rank; ++d)
      given->shape[d] = info->dims[d];
  if (given->capacity < bytes) {
    struct dlc_rt_text text = say(desc, options, "output", info);
    dlc_rt_text_add(&text, "needs ");
    dlc_rt_text_add_int(&text, (int64_t)bytes);
    dlc_rt_text_add(&text, " bytes, its capacity is ");
    dlc_rt_text_add_int(&text, (int64_t)given->capacity);
    return DLC_ERROR_CAPACITY;
  }
  return DLC_OK;
}

int dlc_rt_find_arena(struct dlc_rt_ctx *ctx) {
  size_t bytes = ctx->desc->model->workspace_size;
  const dlc_options *options = ctx->options;
  if (bytes == 0)
    return DLC_OK;
  if (!options->workspace) {
    ctx->arena = dlc_rt_alloc(ctx, (int64_t)bytes);
    return ctx->status;
  }
  if (options->workspace_size < bytes) {
    struct dlc_rt_text text = say(ctx->desc, options, NULL, NULL);
    dlc_rt_text_add(&text, "the workspace has ");
    dlc_rt_text_add_int(&text, (int64_t)options->workspace_size);
    dlc_rt_text_add(&text, " bytes, expected ");
    dlc_rt_text_add_int(&text, (int64_t)bytes);
    return DLC_ERROR_WORKSPACE;
  }
  if ((uintptr_t)options->workspace % DLC_WORKSPACE_ALIGNMENT)
    return fail(ctx->desc, options, NULL, NULL, DLC_ERROR_WORKSPACE,
                "the workspace's address is no multiple of 64");
  ctx->arena = options->workspace;
  return DLC_OK;
}

/* What comes before anything that the model's own code does. Copies the
 * caller's options to `options`. */
static int check_call(const struct dlc_rt_desc *desc, const dlc_tensor *inputs,
                      const dlc_tensor *outputs, const dlc_options *given,
                      dlc_options *options) {
  const dlc_model *model = desc->model;
  int status = read_options(desc, given, options);
  if (status == DLC_OK)
    status = check_cpu(desc, options);
  if (status != DLC_OK)
    return status;
  if ((!inputs && model->num_inputs) || (!outputs && model->num_outputs))
    return fail(desc, options, NULL, NULL, DLC_ERROR_NULL_POINTER,
                inputs ? "the outputs are NULL" : "the inputs are NULL");
  return DLC_OK;
}

/* Frees what a run that failed has made for an output. `own` says whether its
 * strings have memory of their own. */
static void drop_output(struct dlc_rt_ctx *ctx, int32_t index, int own) {
  const dlc_tensor_info *info = &ctx->desc->model->outputs[index];
  dlc_tensor *out = &ctx->out[index];
  if (ctx->allocated[index] && (info->dtype & DLC_MAP)) {
    dlc_maps *maps = out->data;
    free(maps->items);
    maps->items = NULL;
    maps->count = 0;
  } else if (ctx->allocated[index] &&
             (info->dtype & (DLC_SEQUENCE | DLC_OPTIONAL))) {
    dlc_sequence *sequence = out->data;
    free(sequence->items);
    sequence->items = NULL;
    sequence->count = 0;
  } else if (ctx->allocated[index]) {
    free(out->data);
    out->data = NULL;
    out->capacity = 0;
  } else if (own && info->dtype == DLC_STRING) {
    size_t count =
        dlc_rt_bytes(1, info->rank, out->shape ? out->shape : info->dims);
    char **texts = out->data;
    if (count)
      free(texts[0]);
    for (size_t i = 0; i < count; ++i)
      texts[i] = NULL;
  }
}

int32_t dlc_rt_run_on_cpu(struct dlc_rt_ctx *ctx,
                          int32_t (*main)(struct dlc_rt_ctx *)) {
  const struct dlc_rt_desc *desc = ctx->desc;
  if (desc->begin_threads)
    desc->begin_threads(ctx);
  dlc_rt_open_heap(ctx);
  int32_t status = main(ctx);
  if (desc->end_threads)
    desc->end_threads(ctx);
  return status;
}

int dlc_rt_run(const struct dlc_rt_desc *desc, const dlc_tensor *inputs,
               dlc_tensor *outputs, const dlc_options *given) {
  const dlc_model *model = desc->model;
  dlc_options known;
  const dlc_options *options = &known;
  int status = check_call(desc, inputs, outputs, given, &known);
  if (status != DLC_OK)
    return status;

  const void *data[model->num_inputs + 1];
  const int64_t *shapes[model->num_inputs + 1];
  int64_t sizes[desc->num_input_dims + 1];
  void *results[model->num_outputs + 1];
  unsigned char allocated[model->num_outputs + 1];

  int32_t flat = 0;
  for (int32_t i = 0; i < model->num_inputs; ++i) {
    status = check_input(desc, options, i, flat, &inputs[i], sizes);
    if (status != DLC_OK)
      return status;
    data[i] = inputs[i].data;
    shapes[i] = sizes + flat;
    flat += model->inputs[i].rank;
  }
  for (int32_t i = 0; i < model->num_outputs; ++i) {
    status = check_output(desc, options, i, &outputs[i]);
    if (status != DLC_OK)
      return status;
    results[i] = outputs[i].data;
    allocated[i] = 0;
  }

  struct dlc_rt_ctx ctx;
  ctx.inputs = data;
  ctx.input_shapes = shapes;
  ctx.outputs = results;
  ctx.arena = NULL;
  ctx.state = NULL;
  ctx.options = options;
  ctx.desc = desc;
  ctx.out = outputs;
  ctx.blocks = NULL;
  ctx.allocated = allocated;
  ctx.device_arena = ctx.device_weights = NULL;
  ctx.session = NULL;
  ctx.status = DLC_OK;
  ctx.threads = 1;
  ctx.in_pool = 0;
  ctx.own_scratch = NULL;
  ctx.recorder = NULL;
  static const struct dlc_rt_heap no_heap;
  ctx.heap = no_heap;
  ctx.planned = model->workspace_size;

  if (desc->enter) {
    status = desc->enter(&ctx);
  } else {
    if (desc->find_state)
      status = desc->find_state(&ctx, /*fill=*/0);
    if (status == DLC_OK)
      status = dlc_rt_find_arena(&ctx);
    if (status == DLC_OK)
      status = dlc_rt_run_on_cpu(&ctx, desc->main);
  }
  if (ctx.status != DLC_OK)
    status = ctx.status;
  int32_t owned = 0; /* outputs whose strings have memory of their own */
  for (; status == DLC_OK && owned < model->num_outputs; ++owned)
    if (model->outputs[owned].dtype == DLC_STRING) {
      dlc_rt_own_strings(&ctx, owned);
      status = ctx.status;
    }
  dlc_rt_free_all(&ctx);
  if (status != DLC_OK)
    for (int32_t i = 0; i < model->num_outputs; ++i)
      drop_output(&ctx, i, i < owned);
  else if (options->workspace_needed)
    *options->workspace_needed = ctx.planned + ctx.heap.peak;
  return status;
}

/* A context for what is done outside of a run. */
static struct dlc_rt_ctx make_ctx(const struct dlc_rt_desc *desc,
                                  const dlc_options *options) {
  static const struct dlc_rt_ctx none; /* so that nothing calls memset */
  struct dlc_rt_ctx ctx = none;
  ctx.options = options;
  ctx.desc = desc;
  ctx.status = DLC_OK;
  ctx.threads = 1;
  return ctx;
}

int dlc_rt_init(const struct dlc_rt_desc *desc, const dlc_options *given) {
  dlc_options options;
  int status = read_options(desc, given, &options);
  if (status == DLC_OK)
    status = check_cpu(desc, &options);
  if (status != DLC_OK || !desc->find_state)
    return status;
  struct dlc_rt_ctx ctx = make_ctx(desc, &options);
  status = desc->find_state(&ctx, /*fill=*/1);
  if (ctx.status != DLC_OK)
    status = ctx.status;
  dlc_rt_free_all(&ctx);
  return status;
}

/* Calls one of the functions for a GPU. */
static int call_device(const struct dlc_rt_desc *desc, const dlc_options *given,
                       int32_t (*function)(struct dlc_rt_ctx *)) {
  dlc_options options;
  int status = read_options(desc, given, &options);
  if (status != DLC_OK)
    return status;
  struct dlc_rt_ctx ctx = make_ctx(desc, &options);
  return function(&ctx);
}

int dlc_rt_synchronize(const struct dlc_rt_desc *desc,
                       const dlc_options *options) {
  return call_device(desc, options, desc->synchronize);
}

int dlc_rt_release(const struct dlc_rt_desc *desc, const dlc_options *options) {
  return call_device(desc, options, desc->release);
}

int dlc_rt_shapes(const struct dlc_rt_desc *desc, const dlc_tensor *inputs,
                  dlc_tensor *outputs, const dlc_options *given) {
  const dlc_model *model = desc->model;
  dlc_options known;
  const dlc_options *options = &known;
  int status = check_call(desc, inputs, outputs, given, &known);
  if (status != DLC_OK)
    return status;
  int64_t sizes[desc->num_input_dims + 1];
  int64_t results[desc->num_output_dims + 1];

  int32_t flat = 0;
  for (int32_t i = 0; i < model->num_inputs; ++i) {
    status = check_shape(desc, options, i, flat, &inputs[i], sizes);
    if (status != DLC_OK)
      return status;
    flat += model->inputs[i].rank;
  }
  for (int32_t i = 0; i < model->num_outputs; ++i)
    if (!outputs[i].shape && is_dynamic(&model->outputs[i]))
      return fail(desc, options, "output", &model->outputs[i],
                  DLC_ERROR_NULL_POINTER,
                  "its shape is dynamic, but dlc_tensor.shape is NULL");

  if (desc->sizes)
    desc->sizes(sizes, results);
  flat = 0;
  for (int32_t i = 0; i < model->num_outputs; ++i) {
    const dlc_tensor_info *info = &model->outputs[i];
    for (int32_t d = 0; d < info->rank; ++d, ++flat)
      if (outputs[i].shape)
        outputs[i].shape[d] = info->dims[d] >= 0 ? info->dims[d]
                              : desc->sizes      ? results[flat]
                                                 : -1;
  }
  return DLC_OK;
}

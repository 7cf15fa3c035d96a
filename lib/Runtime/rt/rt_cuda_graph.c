/* Graphs of launches: what a run of a model does on the GPU follows from the
 * sizes of its inputs, so that the second run of the same sizes records it, and
 * further ones start all of it by one call. Copies are no part of a graph. */
#include "rt_cuda.h"

enum {
  relaxed = 2,        /* a capture that other threads do not disturb */
  most_graphs = 8,    /* of a session */
  fewest_launches = 3 /* that are worth a graph */
};

static int32_t key_length(struct dlc_rt_ctx *ctx) {
  const dlc_model *info = ctx->desc->model;
  return ctx->desc->num_input_dims + info->num_inputs + info->num_outputs;
}

static void write_key(struct dlc_rt_ctx *ctx, int64_t *key) {
  const dlc_model *info = ctx->desc->model;
  for (int32_t i = 0; i < info->num_inputs; ++i)
    for (int32_t d = 0; d < info->inputs[i].rank; ++d)
      *key++ = ctx->input_shapes[i][d];
  for (int32_t i = 0; i < info->num_inputs + info->num_outputs; ++i)
    *key++ = (int64_t)ctx->session->tensors[i].given;
}

static void drop(struct dlc_rt_cuda_session *session,
                 struct dlc_rt_cuda_graph *graph) {
  if (graph->exec)
    session->model->driver.exec_destroy(graph->exec);
  free(graph);
}

void dlc_rt_cuda_drop_graphs(struct dlc_rt_cuda_session *session) {
  while (session->graphs) {
    struct dlc_rt_cuda_graph *graph = session->graphs;
    session->graphs = graph->next;
    drop(session, graph);
  }
}

/* The entry of the run's key, now the first of the session; NULL if there is
 * none. */
static struct dlc_rt_cuda_graph *find(struct dlc_rt_ctx *ctx) {
  struct dlc_rt_cuda_session *session = ctx->session;
  int32_t length = key_length(ctx);
  int64_t key[length + 1];
  write_key(ctx, key);
  for (struct dlc_rt_cuda_graph **link = &session->graphs; *link;
       link = &(*link)->next) {
    struct dlc_rt_cuda_graph *graph = *link;
    int32_t i = 0;
    while (i < length && graph->numbers[i] == key[i])
      ++i;
    if (i < length)
      continue;
    *link = graph->next;
    graph->next = session->graphs;
    return session->graphs = graph;
  }
  return NULL;
}

/* Makes an entry for the key, in the place of the one that was not used for
 * longest where there are many. */
static void remember(struct dlc_rt_ctx *ctx) {
  struct dlc_rt_cuda_session *session = ctx->session;
  const dlc_model *info = ctx->desc->model;
  size_t numbers = (size_t)key_length(ctx) +
                   2 * (size_t)(info->num_inputs + info->num_outputs) +
                   (size_t)ctx->desc->num_output_dims;
  struct dlc_rt_cuda_graph *graph =
      malloc(sizeof *graph + numbers * sizeof(int64_t));
  if (!graph)
    return; /* the next run tries again */
  graph->exec = NULL;
  write_key(ctx, graph->numbers);
  graph->next = session->graphs;
  session->graphs = graph;
  struct dlc_rt_cuda_graph **link = &session->graphs;
  for (int i = 0; i < most_graphs && *link; ++i)
    link = &(*link)->next;
  if (*link) {
    drop(session, *link);
    *link = NULL;
  }
}

/* Keeps what main found out beside the launches. */
static void write_results(struct dlc_rt_ctx *ctx, int64_t *numbers) {
  const dlc_model *info = ctx->desc->model;
  for (int32_t i = 0; i < info->num_inputs + info->num_outputs; ++i) {
    *numbers++ = (int64_t)ctx->session->tensors[i].used;
    *numbers++ = ctx->session->tensors[i].bytes;
  }
  for (int32_t i = 0; i < info->num_outputs; ++i)
    for (int32_t d = 0; d < info->outputs[i].rank; ++d)
      *numbers++ = ctx->out[i].shape ? ctx->out[i].shape[d] : -1;
}

/* Does what main would do, but for the launches. */
static void read_results(struct dlc_rt_ctx *ctx, const int64_t *numbers) {
  const dlc_model *info = ctx->desc->model;
  const int64_t *shapes = numbers + 2 * (info->num_inputs + info->num_outputs);
  for (int32_t i = 0; i < info->num_inputs + info->num_outputs; ++i) {
    ctx->session->tensors[i].used = (cu_address)*numbers++;
    ctx->session->tensors[i].bytes = *numbers++;
  }
  for (int32_t i = 0; i < info->num_outputs; ++i) {
    const dlc_tensor_info *output = &info->outputs[i];
    int is_dynamic = 0;
    for (int32_t d = 0; d < output->rank; ++d)
      is_dynamic |= output->dims[d] < 0;
    if (is_dynamic)
      dlc_rt_output(ctx, i, shapes,
                    ctx->session->tensors[info->num_inputs + i].bytes);
    shapes += output->rank;
  }
}

/* Has main's launches recorded instead of executed. */
static void capture(struct dlc_rt_ctx *ctx, struct dlc_rt_cuda_graph *graph) {
  struct dlc_rt_cuda_session *session = ctx->session;
  struct dlc_rt_cuda_driver *driver = &session->model->driver;
  cu_handle recorded = NULL;
  if (dlc_rt_cuda_failed(ctx, driver, "cuStreamBeginCapture",
                         driver->capture_begin(session->own_stream, relaxed)))
    return;
  session->is_capturing = 1;
  int32_t status = ctx->desc->main(ctx);
  session->is_capturing = 0;
  if (ctx->status == DLC_OK)
    ctx->status = status;
  dlc_rt_cuda_failed(ctx, driver, "cuStreamEndCapture",
                     driver->capture_end(session->own_stream, &recorded));
  if (ctx->status == DLC_OK &&
      dlc_rt_cuda_failed(ctx, driver, "cuGraphInstantiate",
                         driver->graph_instantiate(&graph->exec, recorded, 0)))
    graph->exec = NULL;
  if (recorded)
    driver->graph_destroy(recorded);
  if (ctx->status == DLC_OK)
    write_results(ctx, graph->numbers + key_length(ctx));
}

/* With the threads for what the host computes. */
static int32_t run_with_threads(struct dlc_rt_ctx *ctx) {
  const struct dlc_rt_desc *desc = ctx->desc;
  if (desc->begin_threads)
    desc->begin_threads(ctx);
  int32_t status = desc->main(ctx);
  if (desc->end_threads)
    desc->end_threads(ctx);
  return status;
}

int32_t dlc_rt_cuda_run_main(struct dlc_rt_ctx *ctx) {
  struct dlc_rt_cuda_session *session = ctx->session;
  struct dlc_rt_cuda_driver *driver = &session->model->driver;
  if (ctx->desc->cuda->has_host_work)
    return run_with_threads(ctx);
  if (!ctx->desc->cuda->has_graphs || !driver->has_graphs)
    return ctx->desc->main(ctx);
  struct dlc_rt_cuda_graph *graph = find(ctx);
  if (!graph) {
    int32_t status = ctx->desc->main(ctx);
    if (status == DLC_OK && ctx->status == DLC_OK &&
        session->num_launches >= fewest_launches)
      remember(ctx);
    return status;
  }
  if (graph->exec)
    read_results(ctx, graph->numbers + key_length(ctx));
  else
    capture(ctx, graph);
  for (int32_t i = 0; i < ctx->desc->model->num_inputs; ++i)
    dlc_rt_cuda_fill_input(ctx, i);
  if (ctx->status == DLC_OK)
    dlc_rt_cuda_failed(ctx, driver, "cuGraphLaunch",
                       driver->graph_launch(graph->exec, session->stream));
  return ctx->status;
}

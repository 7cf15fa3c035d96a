/* Measures the nodes of a run: in objects of --profile only. What is measured
 * goes to dlc_options.profile, and to files where the environment variable
 * DLC_PROFILE says. */
#include "dlc_rt.h"

/* Of the C library; a time has the members of its struct timespec. */
struct dlc_rt_time {
  long seconds, nanoseconds;
};
int clock_gettime(int clock, struct dlc_rt_time *time);
uintptr_t pthread_self(void);
char *getenv(const char *name);
void *fopen(const char *path, const char *mode);
int fseek(void *file, long offset, int origin);
int fprintf(void *file, const char *format, ...);
int fclose(void *file);
void perror(const char *what);
void qsort(void *items, size_t count, size_t size,
           int (*compare)(const void *a, const void *b));

enum {
  monotonic = 1,
  at_end = 2,          /* SEEK_END */
  most_threads = 256,  /* a run's; later ones count as the last */
  own_events = 1 << 16 /* of a run whose caller gives no room for them */
};

/* No trace grows beyond this many events; the table goes on. */
static const int64_t most_written = 1 << 20;

struct dlc_rt_recorder {
  int64_t start;
  dlc_profile_event *events;
  size_t capacity, count;
  struct dlc_rt_node_time *totals;
  int32_t node; /* that the run's thread is at */
  int32_t num_threads;
  uintptr_t threads[most_threads];
};

static int64_t now(void) {
  struct dlc_rt_time time;
  clock_gettime(monotonic, &time);
  return (int64_t)time.seconds * 1000000000 + time.nanoseconds;
}

/* The number of this thread in the run; 0 is the one that began it. */
static int32_t get_thread(struct dlc_rt_recorder *recorder) {
  uintptr_t self = pthread_self();
  for (int32_t i = 0; i < most_threads; ++i) {
    uintptr_t found = __atomic_load_n(&recorder->threads[i], __ATOMIC_RELAXED);
    if (!found &&
        __atomic_compare_exchange_n(&recorder->threads[i], &found, self, 0,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return i;
    if (found == self)
      return i;
  }
  return most_threads - 1;
}

static void record(struct dlc_rt_recorder *recorder, int32_t node,
                   int32_t is_part, int64_t begin, int64_t end) {
  struct dlc_rt_node_time *total = &recorder->totals[node];
  __atomic_fetch_add(is_part ? &total->parts : &total->time, end - begin,
                     __ATOMIC_RELAXED);
  if (!is_part)
    __atomic_fetch_add(&total->count, 1, __ATOMIC_RELAXED);
  size_t i = __atomic_fetch_add(&recorder->count, 1, __ATOMIC_RELAXED);
  if (i >= recorder->capacity)
    return;
  dlc_profile_event *event = &recorder->events[i];
  event->node = node;
  event->thread = is_part ? get_thread(recorder) : 0;
  event->is_part = is_part;
  event->reserved = 0;
  event->begin = begin - recorder->start;
  event->end = end - recorder->start;
}

int64_t dlc_rt_begin_node(struct dlc_rt_ctx *ctx, int32_t node) {
  if (!ctx->recorder)
    return 0;
  ctx->recorder->node = node;
  return now();
}

void dlc_rt_end_node(struct dlc_rt_ctx *ctx, int32_t node, int64_t begin) {
  if (ctx->recorder)
    record(ctx->recorder, node, 0, begin, now());
}

struct timed {
  struct dlc_rt_recorder *recorder;
  dlc_rt_part part;
  void *data;
  int32_t node;
};

static void timed_part(void *data, intptr_t first, intptr_t end, void *own,
                       intptr_t since) {
  struct timed *timed = (struct timed *)data;
  int64_t begin = now();
  timed->part(timed->data, first, end, own, since);
  record(timed->recorder, timed->node, 1, begin, now());
}

void dlc_rt_profile_parallel(struct dlc_rt_ctx *ctx, dlc_rt_part part,
                             void *data, intptr_t count, intptr_t grain) {
  struct dlc_rt_recorder *recorder = ctx->recorder;
  if (!recorder) {
    dlc_rt_parallel(ctx, part, data, count, grain);
    return;
  }
  struct timed timed = {recorder, part, data, recorder->node};
  dlc_rt_parallel(ctx, timed_part, &timed, count, grain);
}

/* Opens PREFIX + the model's name + ending; says why where that fails, in the
 * first run. */
static void *open_file(const char *prefix, const char *model,
                       const char *ending, const char *mode, int64_t run) {
  char path[4096];
  int length = snprintf(path, sizeof path, "%s%s%s", prefix, model, ending);
  if (length < 0 || (size_t)length >= sizeof path)
    return NULL;
  void *file = fopen(path, mode);
  if (!file && run == 1)
    perror(path);
  return file;
}

/* Adds a run to the trace, which is a whole one at any time: Chrome's format,
 * an array of events with times in microseconds. */
static void write_trace(struct dlc_rt_ctx *ctx, const char *prefix,
                        struct dlc_rt_profile_state *state, int64_t duration) {
  const struct dlc_rt_profile_desc *desc = ctx->desc->profile;
  const struct dlc_rt_recorder *recorder = ctx->recorder;
  const char *model = ctx->desc->model->name;
  int64_t count =
      (int64_t)(recorder->count < recorder->capacity ? recorder->count
                                                     : recorder->capacity);
  if (state->written + count > most_written && state->runs > 1)
    return;
  void *file = open_file(prefix, model, ".json", state->written ? "r+" : "w",
                         state->runs);
  if (!file)
    return;
  if (state->written)
    fseek(file, -2, at_end); /* over the "\n]" */
  fprintf(file,
          "%s\n{\"ph\":\"X\",\"pid\":1,\"tid\":0,\"name\":\"%s\",\"ts\":%.3f,"
          "\"dur\":%.3f,\"args\":{\"run\":%lld,\"lost\":%lld}}",
          state->written ? "," : "[", model, (double)recorder->start * 1e-3,
          (double)duration * 1e-3, (long long)state->runs,
          (long long)((int64_t)recorder->count - count));
  for (int64_t i = 0; i < count; ++i) {
    const dlc_profile_event *event = &recorder->events[i];
    fprintf(file,
            ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":%d,\"name\":\"%s\",\"cat\":"
            "\"%s\",\"ts\":%.3f,\"dur\":%.3f}",
            (int)event->thread, desc->json_names[event->node],
            event->is_part ? "part" : "node",
            (double)(recorder->start + event->begin) * 1e-3,
            (double)(event->end - event->begin) * 1e-3);
  }
  fprintf(file, "\n]");
  fclose(file);
  state->written += count + 1;
}

struct row {
  int64_t time;
  int32_t node;
};

static int compare_rows(const void *a, const void *b) {
  const struct row *x = (const struct row *)a, *y = (const struct row *)b;
  if (x->time != y->time)
    return x->time < y->time ? 1 : -1;
  return x->node - y->node;
}

/* Writes the table of all runs so far, what took longest first. */
static void write_table(struct dlc_rt_ctx *ctx, const char *prefix,
                        const struct dlc_rt_profile_state *state) {
  const struct dlc_rt_profile_desc *desc = ctx->desc->profile;
  struct row *rows =
      (struct row *)malloc(sizeof(struct row) * (size_t)(desc->num_nodes + 1));
  void *file =
      rows ? open_file(prefix, ctx->desc->model->name, ".txt", "w", state->runs)
           : NULL;
  if (file) {
    int64_t all = 0;
    for (int32_t i = 0; i < desc->num_nodes; ++i) {
      rows[i].time = desc->totals[i].time;
      rows[i].node = i;
      all += rows[i].time;
    }
    qsort(rows, (size_t)desc->num_nodes, sizeof *rows, compare_rows);
    double runs = (double)state->runs, total = (double)(state->time + 1);
    fprintf(file, "%s: %lld runs of %.3f ms, %.1f %% of it in nodes\n",
            ctx->desc->model->name, (long long)state->runs, total / runs * 1e-6,
            100 * (double)all / total);
    fprintf(file, "   ms/run       %%  calls/run  threads  node\n");
    for (int32_t i = 0; i < desc->num_nodes; ++i) {
      const struct dlc_rt_node_time *node = &desc->totals[rows[i].node];
      if (node->count == 0)
        continue;
      double time = (double)node->time;
      fprintf(file, "%9.4f  %6.2f  %9.1f  %7.2f  %s\n", time / runs * 1e-6,
              100 * time / total, (double)node->count / runs,
              node->parts ? (double)node->parts / (time + 1) : 1.0,
              desc->names[rows[i].node]);
    }
    fclose(file);
  }
  free(rows);
}

static void write_files(struct dlc_rt_ctx *ctx, const char *prefix,
                        int64_t duration) {
  struct dlc_rt_profile_state *state = ctx->desc->profile->state;
  pthread_mutex_lock(state->mutex);
  ++state->runs;
  state->time += duration;
  write_trace(ctx, prefix, state, duration);
  write_table(ctx, prefix, state);
  pthread_mutex_unlock(state->mutex);
}

int32_t dlc_rt_profile_main(struct dlc_rt_ctx *ctx,
                            int32_t (*main)(struct dlc_rt_ctx *)) {
  const struct dlc_rt_profile_desc *desc = ctx->desc->profile;
  dlc_profile *profile = ctx->options->profile;
  const char *prefix = getenv("DLC_PROFILE");
  if (prefix && !*prefix)
    prefix = NULL;
  if (!profile && !prefix)
    return main(ctx);

  struct dlc_rt_recorder recorder;
  for (int32_t i = 0; i < most_threads; ++i)
    recorder.threads[i] = 0;
  recorder.threads[0] = pthread_self();
  recorder.count = 0;
  recorder.node = 0;
  recorder.totals = desc->totals;
  void *own = NULL;
  if (profile) {
    recorder.events = profile->events;
    recorder.capacity = profile->events ? profile->capacity : 0;
  } else {
    own = malloc(own_events * sizeof(dlc_profile_event));
    recorder.events = (dlc_profile_event *)own;
    recorder.capacity = own ? own_events : 0;
  }
  ctx->recorder = &recorder;
  recorder.start = now();
  int32_t status = main(ctx);
  int64_t duration = now() - recorder.start;
  if (profile) {
    profile->count = recorder.count;
    profile->duration = duration;
    profile->names = desc->names;
    profile->num_nodes = desc->num_nodes;
  }
  if (prefix)
    write_files(ctx, prefix, duration);
  ctx->recorder = NULL;
  free(own);
  return status;
}

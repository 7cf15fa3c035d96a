/* The runtime: a small freestanding C library that is compiled to bitcode for
 * each target when dlc is built, and linked into the module of every model.
 * It uses no header of the target and only malloc, posix_memalign, free and
 * memcpy of libc (and getauxval on Linux on Arm and RISC-V; snprintf and strtod
 * where a model converts between numbers and strings; for a GPU dlopen, dlsym
 * and a mutex of pthread), and what rt_pool.c declares where a model has work
 * for several threads. */
#ifndef DLC_RT_H
#define DLC_RT_H

#include "../../../include/dlc/Model.h"

/* What the workspace holds behind its static part: blocks, which come and go.
 * Where they lie follows from their sizes alone, and does not depend on how
 * large the workspace is: a block beyond its end is from malloc. */
struct dlc_rt_heap {
  struct dlc_rt_block *first; /* by offset */
  char *base;
  size_t capacity; /* bytes at `base` */
  size_t peak;     /* the highest end of a block so far */
  int32_t count;   /* of blocks */
  int32_t is_open;
};

/* The state of one run, as generated code sees it. passes/Cpu knows the first
 * seven fields by index; keep their order. */
struct dlc_rt_ctx {
  const void *const *inputs;          /* data, one an input */
  const int64_t *const *input_shapes; /* rank entries, one array an input */
  void *const *outputs;               /* of static shape: the caller's data */
  char *arena;                        /* the static workspace */
  char *state;                        /* constants that were made before */
  char *device_arena;                 /* likewise in the GPU's memory */
  char *device_weights;               /* the weights there */
  /* The rest is the runtime's own. */
  const dlc_options *options;
  const struct dlc_rt_desc *desc;
  dlc_tensor *out;
  struct dlc_rt_block *blocks; /* from malloc, not yet freed */
  struct dlc_rt_heap heap;
  unsigned char *allocated; /* for each output: data is from malloc */
  struct dlc_rt_cuda_session *session; /* of a run on a GPU */
  int32_t status;
  int32_t threads;   /* that may work on the run, the caller's among them */
  int32_t in_pool;   /* the run has entered the pool */
  char *own_scratch; /* thread_workspace_size bytes for each of the others */
  size_t planned;    /* bytes of the arena and of all own_scratch */
  struct dlc_rt_recorder *recorder; /* of a run that is measured */
};

/* The times of a node in all runs, in nanoseconds. */
struct dlc_rt_node_time {
  int64_t time, count;
  int64_t parts; /* of the threads that shared its work, summed */
};

/* What the process has written of the runs so far. */
struct dlc_rt_profile_state {
  int64_t runs, time, written;
  int64_t mutex[16]; /* as in dlc_rt_shared */
};

/* The nodes of a model that was compiled with --profile. */
struct dlc_rt_profile_desc {
  const char *const *names;
  const char *const *json_names; /* as they stand between quotes in JSON */
  struct dlc_rt_node_time *totals;
  struct dlc_rt_profile_state *state;
  int32_t num_nodes;
};

/* One CPU feature that the object uses; see lib/Target for `where`. */
struct dlc_rt_need {
  const char *feature;
  int32_t where[4];
};

/* The state of the process. All is zero before the first run. */
struct dlc_rt_shared {
  void *memory;      /* from malloc; the JIT frees it with the model */
  char *state;       /* aligned, in `memory`; NULL: not made yet */
  int64_t mutex[16]; /* a pthread_mutex_t; those of Linux begin as zeros */
};

#define DLC_RT_NO_FIELD (-1)

/* The constant tables of a model; lib/Codegen/Descriptor.cpp emits them. Flat
 * arrays have one entry for each dimension of each input, in order. */
struct dlc_rt_desc {
  const dlc_model *model;
  int32_t (*main)(struct dlc_rt_ctx *);
  /* Calls main() where there is a GPU to prepare; NULL: nothing is. */
  int32_t (*enter)(struct dlc_rt_ctx *);
  const struct dlc_rt_cuda_desc *cuda; /* for enter() and the next two */
  int32_t (*synchronize)(struct dlc_rt_ctx *);
  int32_t (*release)(struct dlc_rt_ctx *);
  /* From the flat sizes of inputs those of outputs that are dynamic, -1 where
   * they depend on data; NULL: nothing is known. */
  void (*sizes)(const int64_t *inputs, int64_t *outputs);
  const int32_t *input_fields;  /* where an input's pointer is in the struct */
  const int32_t *dim_fields;    /* flat: where the int64_t is, or NO_FIELD */
  const int32_t *dim_same;      /* flat: first dimension of that name, or -1 */
  const int64_t *dim_min;       /* flat: least value, or -1 */
  const int64_t *dim_max;       /* flat: largest value, or -1 */
  const int32_t *output_fields; /* pointer, capacity, shape: three an output */
  /* NULL where the model needs no state: dlc_rt_state, the function that
   * fills a state, the one of the process, and what marks a filled one. */
  int32_t (*find_state)(struct dlc_rt_ctx *, int32_t fill);
  int32_t (*fill_state)(struct dlc_rt_ctx *);
  struct dlc_rt_shared *shared;
  const uint64_t *state_mark;
  const struct dlc_rt_need *needs;
  int32_t *cpu_state; /* 0: not checked, 1: good, 2+i: lacks need i */
  int32_t num_needs;
  int32_t num_input_dims; /* length of the flat arrays */
  int32_t num_output_dims;
  int32_t threads; /* --threads=; 0: as many as there are CPUs */
  /* Around each call of `main`; NULL in an object without thread code. */
  void (*begin_threads)(struct dlc_rt_ctx *);
  void (*end_threads)(struct dlc_rt_ctx *);
  const struct dlc_rt_profile_desc *profile; /* NULL without --profile */
};

/* A model for several CPUs, what can most first; lib/Codegen/Descriptor.cpp. */
struct dlc_rt_variants {
  const struct dlc_rt_desc *const *descs;
  const char *const *labels;
  const char *known; /* all labels */
  const dlc_model *model;
  int32_t *choice; /* 0: not made, 1 + i: of descs, -1: DLC_CPU names none */
  int32_t count;
};

/* For generated code. */
void *dlc_rt_alloc(struct dlc_rt_ctx *ctx, int64_t bytes);
void dlc_rt_free(struct dlc_rt_ctx *ctx, void *data);
void *dlc_rt_output(struct dlc_rt_ctx *ctx, int32_t index, const int64_t *shape,
                    int64_t bytes);
int32_t dlc_rt_fail(struct dlc_rt_ctx *ctx, int32_t code, const char *message);
int32_t dlc_rt_status(struct dlc_rt_ctx *ctx);

/* Computes the units from `first` to `end` of a kernel; `data` has the
 * kernel's operands. `own` is memory of the thread's own, NULL on the thread
 * of the run, which has planned memory. The thread has computed all units from
 * `since` to `first` by calls one right behind the other. */
typedef void (*dlc_rt_part)(void *data, intptr_t first, intptr_t end, void *own,
                            intptr_t since);

/* Computes `count` units of a kernel, at least `grain` of them a thread. */
void dlc_rt_parallel(struct dlc_rt_ctx *ctx, dlc_rt_part part, void *data,
                     intptr_t count, intptr_t grain);

/* A dense tensor as dlc.call passes it. Of a result, `shape` holds the sizes
 * that are known and -1 for the others; the function sets `data` and these. */
struct dlc_rt_view {
  void *data;
  int64_t *shape;
  int32_t rank;
  int32_t item; /* bytes of an element */
};

/* For dlc.call (passes/Cpu/LowerCalls.cpp): addresses of strings and handles
 * of sequences are intptr_t, 0 is the empty string. */
void dlc_rt_string_table(struct dlc_rt_ctx *ctx,
                         const struct dlc_rt_view *bytes,
                         const struct dlc_rt_view *offsets,
                         struct dlc_rt_view *out);
int32_t dlc_rt_string_equal(struct dlc_rt_ctx *ctx, intptr_t a, intptr_t b);
int32_t dlc_rt_string_less(struct dlc_rt_ctx *ctx, intptr_t a, intptr_t b);
intptr_t dlc_rt_string_concat(struct dlc_rt_ctx *ctx, intptr_t a, intptr_t b);
intptr_t dlc_rt_string_find(struct dlc_rt_ctx *ctx, intptr_t text,
                            const struct dlc_rt_view *sorted);
void dlc_rt_string_split(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                         intptr_t delimiter, int64_t most,
                         struct dlc_rt_view *parts, struct dlc_rt_view *counts);
void dlc_rt_string_normalize(struct dlc_rt_ctx *ctx,
                             const struct dlc_rt_view *x,
                             const struct dlc_rt_view *stopwords,
                             int64_t letters, int32_t any_case,
                             struct dlc_rt_view *out);
int32_t dlc_rt_string_matches(struct dlc_rt_ctx *ctx, intptr_t text,
                              const struct dlc_rt_view *classes,
                              const struct dlc_rt_view *next,
                              const struct dlc_rt_view *accepts);
intptr_t dlc_rt_string_from_int(struct dlc_rt_ctx *ctx, int64_t number,
                                int32_t is_unsigned);
/* As few digits as tell the number from others, at most `digits`; with 0 six
 * decimals. */
intptr_t dlc_rt_string_from_float(struct dlc_rt_ctx *ctx, double number,
                                  int32_t digits);
double dlc_rt_string_to_float(struct dlc_rt_ctx *ctx, intptr_t text);
int64_t dlc_rt_string_to_int(struct dlc_rt_ctx *ctx, intptr_t text);
void dlc_rt_tfidf(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                  const struct dlc_rt_view *pool,
                  const struct dlc_rt_view *begins,
                  const struct dlc_rt_view *columns, int64_t shortest,
                  int64_t longest, int64_t skips, int32_t is_string,
                  struct dlc_rt_view *out);
void dlc_rt_svm_probabilities(struct dlc_rt_ctx *ctx,
                              const struct dlc_rt_view *pairs, int64_t classes,
                              struct dlc_rt_view *out);
void dlc_rt_tokens(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                   const struct dlc_rt_view *classes,
                   const struct dlc_rt_view *next,
                   const struct dlc_rt_view *accepts, int32_t dead,
                   int64_t least, intptr_t pad, int32_t mark,
                   struct dlc_rt_view *out);
/* With `_parallel` the threads of the run share the work. */
void dlc_rt_trees(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                  const struct dlc_rt_view *nodes,
                  const struct dlc_rt_view *roots,
                  const struct dlc_rt_view *depths,
                  const struct dlc_rt_view *weights,
                  const struct dlc_rt_view *targets, int32_t missing,
                  struct dlc_rt_view *out);
void dlc_rt_trees_parallel(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                           const struct dlc_rt_view *nodes,
                           const struct dlc_rt_view *roots,
                           const struct dlc_rt_view *depths,
                           const struct dlc_rt_view *weights,
                           const struct dlc_rt_view *targets, int32_t missing,
                           struct dlc_rt_view *out);
void dlc_rt_twister(struct dlc_rt_ctx *ctx, int64_t seed, intptr_t count,
                    struct dlc_rt_view *out);
intptr_t dlc_rt_sequence(struct dlc_rt_ctx *ctx, int64_t count);
intptr_t dlc_rt_sequence_insert(struct dlc_rt_ctx *ctx, intptr_t sequence,
                                const struct dlc_rt_view *x, intptr_t position);
intptr_t dlc_rt_sequence_erase(struct dlc_rt_ctx *ctx, intptr_t sequence,
                               intptr_t position);
intptr_t dlc_rt_sequence_length(struct dlc_rt_ctx *ctx, intptr_t sequence);
void dlc_rt_sequence_at(struct dlc_rt_ctx *ctx, intptr_t sequence,
                        intptr_t position, struct dlc_rt_view *out);
void dlc_rt_sequence_concat(struct dlc_rt_ctx *ctx, intptr_t sequence,
                            int64_t axis, int64_t new_axis,
                            struct dlc_rt_view *out);
intptr_t dlc_rt_sequence_input(struct dlc_rt_ctx *ctx, int32_t index);
void dlc_rt_sequence_output(struct dlc_rt_ctx *ctx, int32_t index,
                            intptr_t sequence);
/* The handle of a map is that of a sequence of its keys and its values. */
intptr_t dlc_rt_map_input(struct dlc_rt_ctx *ctx, int32_t index);
void dlc_rt_map_output(struct dlc_rt_ctx *ctx, int32_t index, intptr_t map);

/* For the functions that an object exports. */
int dlc_rt_run(const struct dlc_rt_desc *desc, const dlc_tensor *inputs,
               dlc_tensor *outputs, const dlc_options *options);
int dlc_rt_run_typed(const struct dlc_rt_desc *desc, const void *inputs,
                     void *outputs, const dlc_options *options);
int dlc_rt_shapes(const struct dlc_rt_desc *desc, const dlc_tensor *inputs,
                  dlc_tensor *outputs, const dlc_options *options);
int dlc_rt_shapes_typed(const struct dlc_rt_desc *desc, const void *inputs,
                        void *outputs, const dlc_options *options);
int dlc_rt_init(const struct dlc_rt_desc *desc, const dlc_options *options);
int dlc_rt_synchronize(const struct dlc_rt_desc *desc,
                       const dlc_options *options);
int dlc_rt_release(const struct dlc_rt_desc *desc, const dlc_options *options);
const char *dlc_rt_status_string(int status);

/* With --profile: around a node of the run, instead of dlc_rt_parallel, and
 * around the model's main. */
int64_t dlc_rt_begin_node(struct dlc_rt_ctx *ctx, int32_t node);
void dlc_rt_end_node(struct dlc_rt_ctx *ctx, int32_t node, int64_t begin);
void dlc_rt_profile_parallel(struct dlc_rt_ctx *ctx, dlc_rt_part part,
                             void *data, intptr_t count, intptr_t grain);
int32_t dlc_rt_profile_main(struct dlc_rt_ctx *ctx,
                            int32_t (*main)(struct dlc_rt_ctx *));

/* The first of the variants that the CPU can run, or that of the environment
 * variable DLC_CPU, NULL where it names none; and the error that follows. */
const struct dlc_rt_desc *dlc_rt_choose(const struct dlc_rt_variants *variants);
int dlc_rt_refuse(const struct dlc_rt_variants *variants,
                  const dlc_options *options);

/* For the descriptor: what begin_threads and end_threads are. */
void dlc_rt_begin_threads(struct dlc_rt_ctx *ctx);
void dlc_rt_end_threads(struct dlc_rt_ctx *ctx);

/* Between the runtime's files. */

/* Finds the state of a run: the one that the options give, which must have
 * been filled (or with `fill` is filled now), or that of the process, which is
 * made at the first call. Only models that have one refer to it, so that only
 * these need pthread. */
int32_t dlc_rt_state(struct dlc_rt_ctx *ctx, int32_t fill);
/* The same for systems other than Linux, without pthread: the first call must
 * have returned before there are others. */
int32_t dlc_rt_state_alone(struct dlc_rt_ctx *ctx, int32_t fill);

void dlc_rt_free_all(struct dlc_rt_ctx *ctx);
/* Fails the run where a size that was computed from data is negative. */
int dlc_rt_is_negative(struct dlc_rt_ctx *ctx, int64_t bytes);
/* Runs the model with the threads that the run has. */
int32_t dlc_rt_run_on_cpu(struct dlc_rt_ctx *ctx,
                          int32_t (*main)(struct dlc_rt_ctx *));
/* Takes the caller's workspace, or allocates one. */
int dlc_rt_find_arena(struct dlc_rt_ctx *ctx);
/* As dlc_rt_alloc, but NULL, and no failure of the run, without memory. */
void *dlc_rt_try_alloc(struct dlc_rt_ctx *ctx, size_t bytes);
/* From now on blocks may lie in the workspace. */
void dlc_rt_open_heap(struct dlc_rt_ctx *ctx);

/* The pool that the models of a program share; see rt_pool.c. A run enters it,
 * which tells how many CPUs the process may use, or 0: the run is to do without
 * it and must not leave it. */
int32_t dlc_pool_1_enter(void);
void dlc_pool_1_leave(void);
/* Calls body(data, 0) here, and body(data, i) on workers for some, or none, of
 * the i below `count`, each at most once; returns when all have returned. */
void dlc_pool_1_run(void (*body)(void *data, int32_t index), void *data,
                    int32_t count);
size_t dlc_rt_dtype_size(int32_t dtype);
/* Bytes of a tensor, or SIZE_MAX when no memory could hold them. */
size_t dlc_rt_bytes(size_t item, int32_t rank, const int64_t *shape);
/* Gives the strings of an output that a run has written memory of their own. */
void dlc_rt_own_strings(struct dlc_rt_ctx *ctx, int32_t index);
size_t dlc_rt_string_bytes(intptr_t text); /* with the 0 at the end */
char *dlc_rt_string_copy(char *to, intptr_t text);
/* Checks what a caller gave; NULL, or what is wrong with it. */
const char *dlc_rt_map_check(const dlc_tensor *given);
const char *dlc_rt_sequence_check(const dlc_tensor_info *info,
                                  const dlc_tensor *given);

/* Returns -1 when the CPU has all features, else
 * the index of the first that it lacks. */
int32_t dlc_rt_cpu_lacks(const struct dlc_rt_need *needs, int32_t count);

/* A message for the caller, cut to the buffer that the options give. */
struct dlc_rt_text {
  char *at, *end;
};
struct dlc_rt_text dlc_rt_text_open(const dlc_options *options);
void dlc_rt_text_add(struct dlc_rt_text *text, const char *words);
void dlc_rt_text_add_int(struct dlc_rt_text *text, int64_t number);

void *malloc(size_t size);
int posix_memalign(void **data, size_t alignment, size_t size);
void free(void *data);
void *memcpy(void *to, const void *from, size_t size);
int pthread_mutex_lock(void *mutex);
int pthread_mutex_unlock(void *mutex);
/* Only objects whose models convert between numbers and strings call these. */
int snprintf(char *to, size_t size, const char *format, ...);
double strtod(const char *text, char **end);

#endif

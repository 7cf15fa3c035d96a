/* What a model asks of an NVIDIA GPU: the tables that lib/Codegen emits, and
 * the few functions of the driver's interface (libcuda.so.1) with prototypes
 * of our own, since no header of CUDA is there when dlc is built. */
#ifndef DLC_RT_CUDA_H
#define DLC_RT_CUDA_H

#include "dlc_rt.h"

/* The device code for one architecture. */
struct dlc_rt_cuda_image {
  const char *code;   /* PTX, or a cubin */
  int32_t capability; /* compute capability times 10 */
  int32_t fits;       /* other capabilities: */
};

enum {
  dlc_rt_fits_later,     /* all higher ones: PTX */
  dlc_rt_fits_none,      /* sm_90a */
  dlc_rt_fits_generation /* higher ones with the same first digits: a cubin */
};

struct dlc_rt_cuda_kernel {
  const char *name;
  int32_t shared; /* bytes of shared memory that a launch asks for */
};

/* The device's part of a model; lib/Codegen/Descriptor.cpp emits it. */
struct dlc_rt_cuda_desc {
  int32_t (*fallback)(struct dlc_rt_ctx *); /* the model for the CPU, or NULL */
  const struct dlc_rt_cuda_image *images;   /* the better, the later */
  const struct dlc_rt_cuda_kernel *kernels; /* as launches number them */
  const char *weights;
  struct dlc_rt_cuda_state *state;
  /* For each input: whether the host reads it, too. NULL: it reads none. */
  const unsigned char *host_inputs;
  int64_t weights_size;
  int64_t arena_size;
  int32_t num_images;
  int32_t num_kernels;
  /* Whether launches follow from the shapes of the inputs alone, so that they
   * can be kept as a graph. */
  int32_t has_graphs;
  int32_t
      has_host_work; /* the host computes tensors, for which it has threads */
};

/* The only memory of a model that runs share. It begins as zeros, which is an
 * unlocked mutex of pthread's; Descriptor.cpp knows its size. */
struct dlc_rt_cuda_state {
  int64_t mutex[8];
  struct dlc_rt_cuda_model *models; /* one a device that was used */
};

_Static_assert(sizeof(struct dlc_rt_cuda_state) <= 128,
               "Descriptor.cpp makes 128 bytes");

/* Types of the driver: handles, and addresses in the device's memory. */
typedef int32_t cu_result;
typedef int32_t cu_device;
typedef void *cu_handle;
typedef unsigned long long cu_address;

/* Every function that is called: name of the member, symbol, parameters. */
#define DLC_CUDA_FUNCTIONS(F)                                                  \
  F(init, "cuInit", (unsigned flags))                                          \
  F(error_name, "cuGetErrorName", (cu_result result, const char **text))       \
  F(error_string, "cuGetErrorString", (cu_result result, const char **text))   \
  F(device_count, "cuDeviceGetCount", (int *count))                            \
  F(device_get, "cuDeviceGet", (cu_device * device, int ordinal))              \
  F(device_attribute, "cuDeviceGetAttribute",                                  \
    (int *value, int attribute, cu_device device))                             \
  F(context_retain, "cuDevicePrimaryCtxRetain",                                \
    (cu_handle * context, cu_device device))                                   \
  F(context_release, "cuDevicePrimaryCtxRelease_v2", (cu_device device))       \
  F(context_push, "cuCtxPushCurrent_v2", (cu_handle context))                  \
  F(context_pop, "cuCtxPopCurrent_v2", (cu_handle * context))                  \
  F(module_load, "cuModuleLoadDataEx",                                         \
    (cu_handle * module, const void *image, unsigned count, int *options,      \
     void **values))                                                           \
  F(module_unload, "cuModuleUnload", (cu_handle module))                       \
  F(module_function, "cuModuleGetFunction",                                    \
    (cu_handle * function, cu_handle module, const char *name))                \
  F(function_attribute, "cuFuncSetAttribute",                                  \
    (cu_handle function, int attribute, int value))                            \
  F(alloc, "cuMemAlloc_v2", (cu_address * address, size_t bytes))              \
  F(free, "cuMemFree_v2", (cu_address address))                                \
  F(copy_to_device, "cuMemcpyHtoDAsync_v2",                                    \
    (cu_address to, const void *from, size_t bytes, cu_handle stream))         \
  F(copy_to_host, "cuMemcpyDtoHAsync_v2",                                      \
    (void *to, cu_address from, size_t bytes, cu_handle stream))               \
  F(copy_on_device, "cuMemcpyDtoDAsync_v2",                                    \
    (cu_address to, cu_address from, size_t bytes, cu_handle stream))          \
  F(pointer_attribute, "cuPointerGetAttribute",                                \
    (void *value, int attribute, cu_address pointer))                          \
  F(event_create, "cuEventCreate", (cu_handle * event, unsigned flags))        \
  F(event_destroy, "cuEventDestroy_v2", (cu_handle event))                     \
  F(event_record, "cuEventRecord", (cu_handle event, cu_handle stream))        \
  F(event_query, "cuEventQuery", (cu_handle event))                            \
  F(event_synchronize, "cuEventSynchronize", (cu_handle event))                \
  F(stream_is_capturing, "cuStreamIsCapturing",                                \
    (cu_handle stream, int *status))                                           \
  F(stream_create, "cuStreamCreate", (cu_handle * stream, unsigned flags))     \
  F(stream_destroy, "cuStreamDestroy_v2", (cu_handle stream))                  \
  F(stream_synchronize, "cuStreamSynchronize", (cu_handle stream))             \
  F(launch, "cuLaunchKernel",                                                  \
    (cu_handle function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,   \
     unsigned by, unsigned bz, unsigned shared, cu_handle stream,              \
     void **parameters, void **extra))

/* Those for graphs, which drivers before CUDA 11.4 lack. */
#define DLC_CUDA_GRAPH_FUNCTIONS(F)                                            \
  F(capture_begin, "cuStreamBeginCapture_v2", (cu_handle stream, int mode))    \
  F(capture_end, "cuStreamEndCapture", (cu_handle stream, cu_handle * graph))  \
  F(graph_instantiate, "cuGraphInstantiateWithFlags",                          \
    (cu_handle * exec, cu_handle graph, unsigned long long flags))             \
  F(graph_destroy, "cuGraphDestroy", (cu_handle graph))                        \
  F(graph_launch, "cuGraphLaunch", (cu_handle exec, cu_handle stream))         \
  F(exec_destroy, "cuGraphExecDestroy", (cu_handle exec))

struct dlc_rt_cuda_driver {
#define DLC_CUDA_MEMBER(name, symbol, parameters) cu_result(*name) parameters;
  DLC_CUDA_FUNCTIONS(DLC_CUDA_MEMBER)
  DLC_CUDA_GRAPH_FUNCTIONS(DLC_CUDA_MEMBER)
#undef DLC_CUDA_MEMBER
  int32_t has_graphs; /* the second list is there */
};

/* A piece of the device's memory, which later runs use again. */
struct dlc_rt_cuda_block {
  struct dlc_rt_cuda_block *next;
  cu_address address;
  int64_t bytes;
  int32_t is_used;
};

/* An input or output of a run. */
struct dlc_rt_cuda_tensor {
  cu_address given; /* the caller's memory of the device; 0: it is the host's */
  cu_address used;  /* what kernels read or write; 0: not asked for yet */
  int64_t bytes;
};

/* The launches of runs of one key: the sizes of all inputs, then what is
 * `given` for each input and output. */
struct dlc_rt_cuda_graph {
  struct dlc_rt_cuda_graph *next;
  cu_handle exec; /* NULL: it was run once, without a graph */
  /* Behind the key: for each input and output what kernels use and its bytes,
   * then the flat sizes of the outputs. */
  int64_t numbers[];
};

/* What one run has for itself: a stream, an arena, buffers. */
struct dlc_rt_cuda_session {
  struct dlc_rt_cuda_session *next;
  struct dlc_rt_cuda_model *model;
  cu_handle own_stream;
  cu_handle stream; /* of the run: the caller's or its own */
  cu_handle event;  /* the end of a run that is not waited for */
  cu_address arena;
  struct dlc_rt_cuda_block *blocks;
  struct dlc_rt_cuda_graph *graphs;    /* last used first */
  int32_t is_capturing;                /* launches go to a graph */
  int32_t num_launches;                /* of this run */
  uint64_t number;                     /* of the run, among the pending ones */
  int32_t waiters;                     /* threads that wait for the run */
  int32_t has_failed;                  /* a wait did */
  struct dlc_rt_cuda_tensor tensors[]; /* the inputs, then the outputs */
};

/* A model on its device: code and weights, which all runs share. */
struct dlc_rt_cuda_model {
  struct dlc_rt_cuda_model *next;
  struct dlc_rt_cuda_driver driver;
  int32_t ordinal;
  cu_device device;
  cu_handle context, module;
  cu_address weights;
  struct dlc_rt_cuda_session *free_sessions;
  struct dlc_rt_cuda_session *pending_sessions; /* their runs may go on */
  uint64_t num_pending;                         /* so many there have been */
  int32_t users;                                /* runs and waits that go on */
  int32_t is_released;                          /* the last of them closes it */
  cu_handle functions[];
};

/* For struct dlc_rt_desc: runs the model on the GPU. */
int32_t dlc_rt_cuda_run(struct dlc_rt_ctx *ctx);
/* Waits for runs that were not waited for. */
int32_t dlc_rt_cuda_synchronize(struct dlc_rt_ctx *ctx);
/* Gives back all that the model has on GPUs. */
int32_t dlc_rt_cuda_release(struct dlc_rt_ctx *ctx);

/* For generated code. Where a call fails, the run's status says so, and all
 * further ones do nothing. */
void *dlc_rt_cuda_input(struct dlc_rt_ctx *ctx, int32_t index, int64_t bytes);
void *dlc_rt_cuda_output(struct dlc_rt_ctx *ctx, int32_t index, void *data,
                         int64_t bytes);
void *dlc_rt_cuda_alloc(struct dlc_rt_ctx *ctx, int64_t bytes);
void dlc_rt_cuda_free(struct dlc_rt_ctx *ctx, void *data);
void dlc_rt_cuda_launch(struct dlc_rt_ctx *ctx, int32_t kernel, int64_t blocks,
                        int32_t threads, void **parameters);
int32_t dlc_rt_cuda_read(struct dlc_rt_ctx *ctx, void *to, void *from,
                         int64_t bytes);
void dlc_rt_cuda_write(struct dlc_rt_ctx *ctx, void *to, const void *from,
                       int64_t bytes);

/* Between the runtime's files. */
struct dlc_rt_cuda_model *dlc_rt_cuda_open(struct dlc_rt_ctx *ctx);
void dlc_rt_cuda_close(struct dlc_rt_ctx *ctx, struct dlc_rt_cuda_model *model);
struct dlc_rt_cuda_session *
dlc_rt_cuda_open_session(struct dlc_rt_ctx *ctx,
                         struct dlc_rt_cuda_model *model);
void dlc_rt_cuda_close_session(struct dlc_rt_cuda_session *session);
/* Finds out in whose memory the caller's tensors are, and copies to the host
 * those of the device that it reads itself. */
void dlc_rt_cuda_find_tensors(struct dlc_rt_ctx *ctx);
/* Whether one of them is in the memory of a GPU, asked without a session. */
int dlc_rt_cuda_has_device_tensor(struct dlc_rt_ctx *ctx,
                                  struct dlc_rt_cuda_driver *driver);
/* Copies an input that is the host's to where kernels read it; likewise one of
 * the device that is not aligned. */
void dlc_rt_cuda_fill_input(struct dlc_rt_ctx *ctx, int32_t index);
/* Runs the model's main, or launches the graph that was made of an earlier run;
 * outputs are still to be copied. */
int32_t dlc_rt_cuda_run_main(struct dlc_rt_ctx *ctx);
void dlc_rt_cuda_drop_graphs(struct dlc_rt_cuda_session *session);
/* Finds the driver's functions; 0 if those that are needed are there. */
int dlc_rt_cuda_open_driver(struct dlc_rt_ctx *ctx,
                            struct dlc_rt_cuda_driver *driver);
/* Records a failed call of the driver; returns whether it failed. */
int dlc_rt_cuda_failed(struct dlc_rt_ctx *ctx,
                       const struct dlc_rt_cuda_driver *driver,
                       const char *call, cu_result result);

int pthread_mutex_lock(void *mutex);
int pthread_mutex_unlock(void *mutex);
void *dlopen(const char *name, int flags);
void *dlsym(void *library, const char *name);

#endif

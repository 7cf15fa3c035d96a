/* What a model asks of an NVIDIA GPU: the tables that lib/Codegen emits, and
 * the few functions of the driver's interface (libcuda.so.1) with prototypes
 * of our own, since no header of CUDA is there when dlc is built. */
#ifndef DLC_RT_CUDA_H
#define DLC_RT_CUDA_H

#include "dlc_rt.h"

/* The device code for one architecture. */
struct dlc_rt_cuda_image {
  const char *ptx;
  int32_t capability; /* compute capability times 10 */
  int32_t specific;   /* for this capability alone */
};

/* The device's part of a model; lib/Codegen/Descriptor.cpp emits it. */
struct dlc_rt_cuda_desc {
  int32_t (*fallback)(struct dlc_rt_ctx *); /* the model for the CPU, or NULL */
  const struct dlc_rt_cuda_image *images;   /* by rising capability */
  const char *const *kernels;               /* names, as launches number them */
  const char *weights;
  struct dlc_rt_cuda_state *state;
  int64_t weights_size;
  int64_t arena_size;
  int32_t num_images;
  int32_t num_kernels;
};

/* The only memory of a model that runs share. It begins as zeros, which is an
 * unlocked mutex of pthread's; Descriptor.cpp knows its size. */
struct dlc_rt_cuda_state {
  int64_t mutex[8];
  struct dlc_rt_cuda_model *model; /* NULL: not opened */
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
  F(alloc, "cuMemAlloc_v2", (cu_address * address, size_t bytes))              \
  F(free, "cuMemFree_v2", (cu_address address))                                \
  F(copy_to_device, "cuMemcpyHtoDAsync_v2",                                    \
    (cu_address to, const void *from, size_t bytes, cu_handle stream))         \
  F(copy_to_host, "cuMemcpyDtoHAsync_v2",                                      \
    (void *to, cu_address from, size_t bytes, cu_handle stream))               \
  F(stream_create, "cuStreamCreate", (cu_handle * stream, unsigned flags))     \
  F(stream_destroy, "cuStreamDestroy_v2", (cu_handle stream))                  \
  F(stream_synchronize, "cuStreamSynchronize", (cu_handle stream))             \
  F(launch, "cuLaunchKernel",                                                  \
    (cu_handle function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,   \
     unsigned by, unsigned bz, unsigned shared, cu_handle stream,              \
     void **parameters, void **extra))

struct dlc_rt_cuda_driver {
#define DLC_CUDA_MEMBER(name, symbol, parameters) cu_result(*name) parameters;
  DLC_CUDA_FUNCTIONS(DLC_CUDA_MEMBER)
#undef DLC_CUDA_MEMBER
};

/* A piece of the device's memory, which later runs use again. */
struct dlc_rt_cuda_block {
  struct dlc_rt_cuda_block *next;
  cu_address address;
  int64_t bytes;
  int32_t is_used;
};

/* What one run has for itself: a stream, an arena, buffers. */
struct dlc_rt_cuda_session {
  struct dlc_rt_cuda_session *next;
  struct dlc_rt_cuda_model *model;
  cu_handle stream;
  cu_address arena;
  struct dlc_rt_cuda_block *blocks;
  int32_t num_copies; /* outputs to copy to the host at the end */
  struct dlc_rt_cuda_copy {
    void *to;
    cu_address from;
    int64_t bytes;
  } copies[];
};

/* A model on its device: code and weights, which all runs share. */
struct dlc_rt_cuda_model {
  struct dlc_rt_cuda_driver driver;
  cu_device device;
  cu_handle context, module;
  cu_address weights;
  struct dlc_rt_cuda_session *free_sessions;
  cu_handle functions[];
};

/* For struct dlc_rt_desc: runs the model on the GPU. */
int32_t dlc_rt_cuda_run(struct dlc_rt_ctx *ctx);

/* For generated code. Where a call fails, the run's status says so, and all
 * further ones do nothing. */
void *dlc_rt_cuda_input(struct dlc_rt_ctx *ctx, int32_t index, int64_t bytes);
void *dlc_rt_cuda_output(struct dlc_rt_ctx *ctx, void *data, int64_t bytes);
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
struct dlc_rt_cuda_session *
dlc_rt_cuda_open_session(struct dlc_rt_ctx *ctx,
                         struct dlc_rt_cuda_model *model);
void dlc_rt_cuda_close_session(struct dlc_rt_cuda_session *session);
/* Records a failed call of the driver; returns whether it failed. */
int dlc_rt_cuda_failed(struct dlc_rt_ctx *ctx,
                       const struct dlc_rt_cuda_driver *driver,
                       const char *call, cu_result result);

int pthread_mutex_lock(void *mutex);
int pthread_mutex_unlock(void *mutex);
void *dlopen(const char *name, int flags);
void *dlsym(void *library, const char *name);

#endif

/*
 * What every object made by dlc offers, in C99 and C++. This text stands in
 * each generated header, under one guard, so that a program needs no file of
 * dlc's. docs/CInterface.md is its manual.
 */
#ifndef DLC_ABI_VERSION
#define DLC_ABI_VERSION 1

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a run returns. */
enum dlc_status {
  DLC_OK = 0,
  DLC_ERROR_NULL_POINTER = 1,  /* a pointer that must be given is NULL */
  DLC_ERROR_OPTIONS = 2,       /* dlc_options.size is no known size */
  DLC_ERROR_SHAPE = 3,         /* a dimension of an input is wrong */
  DLC_ERROR_CAPACITY = 4,      /* a buffer is too small */
  DLC_ERROR_WORKSPACE = 5,     /* the workspace is too small or not aligned */
  DLC_ERROR_MEMORY = 6,        /* malloc returned NULL */
  DLC_ERROR_CPU = 7,           /* made for a CPU that can more than this one */
  DLC_ERROR_VALUE = 8,         /* a value that the model does not allow */
  DLC_ERROR_INTERNAL = 9,      /* a mistake of dlc's */
  DLC_ERROR_STATE = 10,        /* the state is too small, not aligned, or not
                                  made by the model's init */
  DLC_ERROR_NO_DEVICE = 11,    /* no GPU, or none that it was compiled for */
  DLC_ERROR_DEVICE = 12,       /* the GPU or its driver failed */
  DLC_ERROR_DEVICE_MEMORY = 13 /* out of the GPU's memory */
};

/* Element types, numbered as in ONNX, with the C type of one element. */
enum dlc_dtype {
  DLC_FLOAT32 = 1,       /* float */
  DLC_UINT8 = 2,         /* uint8_t */
  DLC_INT8 = 3,          /* int8_t */
  DLC_UINT16 = 4,        /* uint16_t */
  DLC_INT16 = 5,         /* int16_t */
  DLC_INT32 = 6,         /* int32_t */
  DLC_INT64 = 7,         /* int64_t */
  DLC_STRING = 8,        /* const char *, UTF-8, ends with a 0 byte */
  DLC_BOOL = 9,          /* uint8_t, 0 or 1 */
  DLC_FLOAT16 = 10,      /* uint16_t, the bits of an IEEE half */
  DLC_FLOAT64 = 11,      /* double */
  DLC_UINT32 = 12,       /* uint32_t */
  DLC_UINT64 = 13,       /* uint64_t */
  DLC_COMPLEX64 = 14,    /* two floats */
  DLC_COMPLEX128 = 15,   /* two doubles */
  DLC_BFLOAT16 = 16,     /* uint16_t, the upper half of a float's bits */
  DLC_FLOAT8E4M3FN = 17, /* uint8_t, bits; likewise the next three */
  DLC_FLOAT8E4M3FNUZ = 18,
  DLC_FLOAT8E5M2 = 19,
  DLC_FLOAT8E5M2FNUZ = 20,
  DLC_UINT4 = 21,      /* uint8_t, 0 to 15, one element a byte */
  DLC_INT4 = 22,       /* uint8_t, low 4 bits, one element a byte */
  DLC_FLOAT4E2M1 = 23, /* uint8_t, low 4 bits, one element a byte */
  DLC_FLOAT8E8M0 = 24, /* uint8_t, bits */
  DLC_UINT2 = 25,      /* uint8_t, 0 to 3, one element a byte */
  DLC_INT2 = 26,       /* uint8_t, low 2 bits, one element a byte */
  DLC_FLOAT6E2M3 = 27, /* uint8_t, low 6 bits, one element a byte */
  DLC_FLOAT6E3M2 = 28, /* uint8_t, low 6 bits, one element a byte */
  /* Added to the element type of a value that is no tensor: `data` points to
     a dlc_sequence then. */
  DLC_SEQUENCE = 0x100,   /* a sequence of tensors */
  DLC_OPTIONAL = 0x200,   /* a tensor, or with DLC_SEQUENCE too a sequence, that
                             may be absent */
  DLC_MAP = 0x400,        /* a map to values of that type: `data` points to a
                             dlc_map, with DLC_SEQUENCE too to a dlc_maps */
  DLC_STRING_KEYS = 0x800 /* its keys are strings; without it int64_t */
};

/* The alignment that a workspace and a state must have. */
#define DLC_WORKSPACE_ALIGNMENT 64

/* How to run. Fill with zeros, set `size`, then what you want to give. */
typedef struct dlc_options {
  size_t size;           /* sizeof(dlc_options) */
  void *workspace;       /* NULL: the run allocates one and frees it */
  size_t workspace_size; /* bytes at `workspace` */
  char *error;           /* NULL, or where a failed run says why */
  size_t error_size;     /* bytes at `error` */
  /* How many threads may work on this run; 0: as many as the model was
     compiled for, or as this process has CPUs. */
  int32_t threads;
  /* NULL: the object's own pool. Else it calls body(data, i) once for each i
     from 0 to count - 1, on whatever threads it likes, several at once, and
     returns when all calls have returned. */
  void (*parallel_for)(void *context, void (*body)(void *data, int32_t index),
                       void *data, int32_t count);
  void *parallel_context; /* what `parallel_for` gets as its context */
  void *state;            /* NULL: one for the process, made at the first run */
  size_t state_size;      /* bytes at `state` */
  /* For code for a GPU; other models do not look at them. */
  int32_t device;       /* which GPU, as the driver counts them */
  int32_t asynchronous; /* not 0: the run need not wait for the GPU */
  void *stream;         /* a CUstream; NULL: one of the run's own */
  /* NULL, or where a run that succeeds says how many bytes `workspace` needs
     to hold all memory of such a run. */
  size_t *workspace_needed;
  /* NULL, or where the run of a model that was compiled with --profile tells
     how long its nodes took. */
  struct dlc_profile *profile;
} dlc_options;

/* Time that a run spent at a node, or that a thread spent at a part of its
   work; in nanoseconds since the run began. */
typedef struct dlc_profile_event {
  int32_t node;    /* an index into dlc_profile.names */
  int32_t thread;  /* 0: that of the run */
  int32_t is_part; /* 0: the node from its beginning to its end */
  int32_t reserved;
  int64_t begin, end;
} dlc_profile_event;

/* The times of one run. */
typedef struct dlc_profile {
  dlc_profile_event *events; /* the caller's, or NULL */
  size_t capacity;           /* how many fit there */
  /* Set by the run: */
  size_t count;             /* how many there were; those that do not fit are
                               lost */
  int64_t duration;         /* of the run, in nanoseconds */
  const char *const *names; /* of nodes; those that are computed as one are
                               "conv1+relu1" */
  int32_t num_nodes;
} dlc_profile;

/* A tensor for dlc_model.run: dense, row-major. */
typedef struct dlc_tensor {
  void *data;
  size_t capacity; /* bytes at `data` */
  int64_t *shape;  /* one number a dimension; may be NULL when all are fixed */
} dlc_tensor;

/* A function of the program's that computes an operator (dlc --extern-op). All
   tensors are dense; those of `outputs` have their shape, and the function
   fills them. `attributes` is a JSON object with those of the node. A result
   other than DLC_OK ends the run with it. */
typedef int (*dlc_extern_op)(const dlc_tensor *inputs, dlc_tensor *outputs,
                             const char *attributes);

/* A tensor of a sequence. */
typedef struct dlc_item {
  void *data;
  int64_t *shape; /* `rank` numbers */
  int32_t rank;
} dlc_item;

/* A sequence of tensors. An optional tensor is one of no or one tensor; an
   optional sequence that is absent has the count -1. As an output it is filled
   in by the run, which makes all of it one block: free(items). */
typedef struct dlc_sequence {
  int64_t count;
  dlc_item *items;
} dlc_sequence;

/* A map: as many keys, which are int64_t or const char *, as values. */
typedef struct dlc_map {
  int64_t count;
  void *keys;
  void *values;
} dlc_map;

/* A sequence of maps. As an output it is filled in by the run, which makes all
   of it one block: free(items). */
typedef struct dlc_maps {
  int64_t count;
  dlc_map *items;
} dlc_maps;

/* What is known of an input or output before a run. */
typedef struct dlc_tensor_info {
  const char *name;   /* in the ONNX model */
  const char *c_name; /* in the generated structs */
  int32_t dtype;      /* enum dlc_dtype; sequences and optionals: of tensors,
                         maps: of values */
  int32_t rank;
  const int64_t *dims;          /* -1: dynamic; NULL when rank is 0 */
  const char *const *dim_names; /* "" where a dimension has no name */
} dlc_tensor_info;

/* A compiled model, for programs that do not know it beforehand. */
typedef struct dlc_model {
  int32_t abi_version; /* DLC_ABI_VERSION of the compiler */
  int32_t size;        /* sizeof(dlc_model) of the compiler */
  const char *name;
  const char *target;    /* LLVM triple and CPU */
  size_t workspace_size; /* bytes that dlc_options.workspace must have */
  int32_t num_inputs;
  int32_t num_outputs;
  const dlc_tensor_info *inputs;
  const dlc_tensor_info *outputs;
  /* Inputs: data, capacity, shape. Outputs: likewise; the run fills `shape`;
     where the shape is dynamic and `data` is NULL the run allocates it with
     malloc and sets `data` and `capacity`, and the caller frees it. */
  int (*run)(const dlc_tensor *inputs, dlc_tensor *outputs,
             const dlc_options *options);
  const char *(*status_string)(int status);
  /* Sets the `shape` of each output for inputs of the given shapes, without a
     run and without any data; -1 where a size depends on data. */
  int (*shapes)(const dlc_tensor *inputs, dlc_tensor *outputs,
                const dlc_options *options);
  /* Bytes that dlc_options.workspace should have more for each thread beyond
     the first; with less a run allocates them. */
  size_t thread_workspace_size;
  size_t state_size; /* bytes that dlc_options.state must have */
  /* Makes the state that `options` give, or that of the process. */
  int (*init)(const dlc_options *options);
  /* The next two are NULL in a model without code for a GPU. Waits for the
     asynchronous runs on the device, or only on the stream, of `options`. */
  int (*synchronize)(const dlc_options *options);
  /* Gives back what the model keeps on GPUs; no run may be going on. */
  int (*release)(const dlc_options *options);
  size_t options_size; /* sizeof(dlc_options) of the compiler */
} dlc_model;

#ifdef __cplusplus
}
#endif
#elif DLC_ABI_VERSION != 1
#error "headers made by versions of dlc whose interfaces differ"
#endif /* DLC_ABI_VERSION */

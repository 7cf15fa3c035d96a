/*
 * The compiler as a C library: compiles an ONNX model in this process and runs
 * it here, or writes what the command `dlc` writes. The Python package is made
 * of it.
 *
 *   dlc_compilation *c = dlc_compile_file("model.onnx", NULL);
 *   if (dlc_compilation_status(c) == DLC_COMPILED)
 *     dlc_compilation_model(c)->run(inputs, outputs, NULL);
 *   dlc_compilation_free(c);
 *
 * Any number of threads may compile at once. Nothing is printed.
 */
#ifndef DLC_DLC_C_H
#define DLC_DLC_C_H

#include <stddef.h>
#include <stdint.h>

#include "dlc/Api.h"
#include "dlc/Model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a compilation ended. */
enum dlc_compile_status {
  DLC_COMPILED = 0,
  DLC_COMPILE_UNSUPPORTED = 1, /* all that is wrong: dlc lacks operators */
  DLC_COMPILE_FAILED = 2,      /* see the diagnostics */
  DLC_COMPILE_OPTIONS = 3      /* an option is wrong; nothing was read */
};

enum dlc_severity {
  DLC_SEVERITY_NOTE = 0,
  DLC_SEVERITY_WARNING = 1,
  DLC_SEVERITY_ERROR = 2,
  DLC_SEVERITY_REMARK = 3
};

/* The shape of an input, the size of a named dimension (rank 1, one size), or
 * its bounds (rank 2: the least and the largest size). -1 is a dynamic size. */
typedef struct dlc_named_sizes {
  const char *name;
  const int64_t *sizes;
  int32_t rank;
} dlc_named_sizes;

/* A file to write; see --emit in docs/CommandLine.md. */
enum dlc_output_kind {
  DLC_OUTPUT_OBJECT = 0,
  DLC_OUTPUT_HEADER = 1,
  DLC_OUTPUT_ASSEMBLY = 2,
  DLC_OUTPUT_LLVM_IR = 3,
  DLC_OUTPUT_SHARED = 4,
  DLC_OUTPUT_PTX = 5,      /* needs one architecture in `gpus` */
  DLC_OUTPUT_EMULATION = 6 /* the kernels of a GPU for a CPU, for tests */
};
typedef struct dlc_output_file {
  int32_t kind; /* enum dlc_output_kind */
  const char *path;
} dlc_output_file;

/* What to compile for. Fill with zeros, set `size` and `opt_level`, then what
 * you want to give; NULL is the default of each text. */
typedef struct dlc_compile_options {
  size_t size;                         /* sizeof(dlc_compile_options) */
  const char *target, *cpu, *features; /* as -target, -mcpu, -mattr */
  const char *name;                    /* prefix of the symbols */
  const dlc_named_sizes *shapes;       /* as --shape */
  size_t num_shapes;
  const dlc_named_sizes *dims; /* as --dim */
  size_t num_dims;
  int32_t opt_level; /* 0 to 3 */
  const char *conv;  /* as --conv */
  /* Files to write instead of code in this process. */
  const dlc_output_file *outputs;
  size_t num_outputs;
  /* For those who work on the compiler: optional passes that are left out, as
   * --disable-pass, and passes behind a phase, as --add-passes
   * ("graph:cse"). */
  const char *const *disabled_passes;
  size_t num_disabled_passes;
  const char *const *added_passes;
  size_t num_added_passes;
  /* NULL, or how many runs of optional passes there are; the rest is left
   * out. dlc.verify finds a wrong pass with it. */
  const int64_t *pass_limit;
  /* NULL, or a regular expression: passes in whose name it is found say what
   * they did and missed, as diagnostics. */
  const char *remarks;
  int32_t threads;            /* as --threads; 0 is as many as there are CPUs */
  const char *expand_weights; /* as --expand-weights */
  /* Shared libraries that extend the compiler, as --load-plugin; values of
   * their options ("name=value"), as --plugin-opt; files of operators, as
   * --custom-ops. A plugin stays loaded as long as the process. */
  const char *const *plugins;
  size_t num_plugins;
  const char *const *plugin_options;
  size_t num_plugin_options;
  const char *const *custom_ops;
  size_t num_custom_ops;
  /* C functions for operators, as --extern-op; of code in this process they
   * must be symbols of it. */
  const char *const *extern_ops;
  size_t num_extern_ops;
  const char *gpus;      /* as --gpu; a target may be a GPU, too */
  int32_t gpu_fallback;  /* 1: as --gpu-fallback */
  const char *precision; /* as --precision; NULL: fp32 */
  const char *embed;     /* as --embed; NULL: ptx */
  int32_t profile;       /* 1: as --profile */
  const char *matmul;    /* as --matmul; NULL: direct */
} dlc_compile_options;

/* The outcome of a compilation, with the code if there is any. */
typedef struct dlc_compilation dlc_compilation;

/* Compiles a file, or a model in memory (`bytes` may be freed afterwards).
 * Options may be NULL. Never returns NULL; free the result. */
DLC_API dlc_compilation *dlc_compile_file(const char *path,
                                          const dlc_compile_options *options);
DLC_API dlc_compilation *dlc_compile_bytes(const void *bytes, size_t size,
                                           const dlc_compile_options *options);
DLC_API void dlc_compilation_free(dlc_compilation *compilation);

/* An enum dlc_compile_status. */
DLC_API int dlc_compilation_status(const dlc_compilation *compilation);

/* The model, valid until the compilation is freed; NULL if there is none. */
DLC_API const dlc_model *
dlc_compilation_model(const dlc_compilation *compilation);

/* What the compiler said, in order: its text, and an enum dlc_severity. */
DLC_API size_t
dlc_compilation_num_diagnostics(const dlc_compilation *compilation);
DLC_API const char *
dlc_compilation_diagnostic(const dlc_compilation *compilation, size_t index);
DLC_API int dlc_compilation_severity(const dlc_compilation *compilation,
                                     size_t index);

/* The optional passes that ran, in order, as "graph:cse"; repeated ones and
 * those for the evaluation of constants included. Nothing is noted when the
 * options neither disable, add nor limit passes. */
DLC_API size_t dlc_compilation_num_passes(const dlc_compilation *compilation);
DLC_API const char *dlc_compilation_pass(const dlc_compilation *compilation,
                                         size_t index);

/* Frees what a run allocated for a dynamic output. */
DLC_API void dlc_free(void *data);

/* "0.1.0" */
DLC_API const char *dlc_version(void);

#ifdef __cplusplus
}
#endif
#endif /* DLC_DLC_C_H */

/* A libcuda.so.1 without a GPU. It checks what a model asks of the driver,
 * fails where a test wants it to, and executes kernels that were compiled with
 * `dlc --emit=emulation` and linked with emulator.c. Memory of the device
 * cannot be touched but through it, and copies to the host arrive when the
 * host waits for the stream. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { most_devices = 4 };

enum {
  success = 0,
  invalid_value = 1,
  out_of_memory = 2,
  not_initialized = 3,
  no_device = 100,
  invalid_context = 201,
  not_ready = 600,
  launch_failed = 719
};

struct memory {
  struct memory *next;
  char *data;
  size_t bytes, mapped;
  int device;
};

struct copy {
  struct copy *next;
  void *to, *from;
  size_t bytes;
};

/* A launch in a graph. */
struct node {
  struct node *next;
  struct function *function;
  unsigned blocks, threads;
  int count;
  char slots[][16];
};

struct graph {
  struct node *first, **last;
  int device;
};

struct stream {
  struct copy *first, **last;
  struct graph *captured; /* NULL: it is not captured */
  int device;
};

struct event {
  struct stream *stream; /* whose copies it waits for; NULL: recorded never */
  int device;
};

struct module {
  void *library;
  int (*launch)(void *, int, int32_t, int32_t, void **);
  int device;
};

struct function {
  struct function *next;
  struct module *module;
  void *kernel;
  int waits, parameters;
  unsigned shared; /* bytes that launches may ask for */
  char name[64];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static __thread int depth, current[16]; /* contexts that are current */
static struct stream null_stream = {NULL, &null_stream.first, NULL, 0};
static struct memory *memories;
static struct function *functions;
static int devices = 1, capability = 80, is_initialized, contexts[most_devices],
           things[most_devices], fail_after, fail_code;
static size_t total = SIZE_MAX, in_use;
/* A kernel failed while it ran: the context is of no use any more. */
static int is_broken[most_devices], breaks_after = -1;
static char fail_call[64], kernels[4096], error[512];
/* Calls are counted to fail each of them in turn. */
static struct counter {
  struct counter *next;
  int count;
  char name[64];
} *counters;
static char *text;
static size_t text_bytes, text_capacity;

/* What a test asks. */

static void record(const char *format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  size_t bytes = (size_t)vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (text_bytes + bytes + 1 > text_capacity) {
    text_capacity = 2 * text_capacity + sizeof line;
    text = realloc(text, text_capacity);
  }
  memcpy(text + text_bytes, line, bytes + 1);
  text_bytes += bytes;
}

/* The calls so far, one a line. */
const char *fake_cuda_log(void) { return text ? text : ""; }

/* What a model did wrong; "" if nothing. */
const char *fake_cuda_error(void) { return error; }

/* Bytes that are allocated. */
size_t fake_cuda_in_use(void) { return in_use; }

/* Things that are held: allocations, modules, streams, contexts, ... */
int fake_cuda_held(void) {
  int count = depth;
  for (int i = 0; i < most_devices; ++i)
    count += contexts[i] + things[i];
  for (struct memory *m = memories; m; m = m->next)
    ++count;
  return count;
}

/* Forgets calls and failures; modules that are loaded from now on have the
 * kernels in `library`. */
void fake_cuda_reset(const char *library, int new_devices, int new_capability,
                     size_t new_total) {
  snprintf(kernels, sizeof kernels, "%s", library);
  devices = new_devices;
  capability = new_capability;
  total = new_total;
  text_bytes = 0;
  if (text)
    *text = 0;
  *error = *fail_call = 0;
  breaks_after = -1;
  for (struct counter *c = counters; c; c = c->next)
    c->count = 0;
}

/* A program that no test drives names its kernels in the environment, and fails
 * where it did something wrong or left something behind. */
__attribute__((constructor)) static void begin_program(void) {
  const char *library = getenv("FAKE_CUDA_KERNELS");
  if (library)
    snprintf(kernels, sizeof kernels, "%s", library);
  if (getenv("FAKE_CUDA_CAPABILITY"))
    capability = atoi(getenv("FAKE_CUDA_CAPABILITY"));
}

__attribute__((destructor)) static void end_program(void) {
  if (!getenv("FAKE_CUDA_KERNELS"))
    return;
  fprintf(stderr, "fake_cuda: %s, %d held\n", error, fake_cuda_held());
  if (*error)
    abort();
}

/* How often each function was called since the last reset, one a line. */
const char *fake_cuda_counts(void) {
  static char lines[8192];
  char *at = lines;
  *at = 0;
  for (struct counter *c = counters; c; c = c->next)
    if (c->count)
      at += sprintf(at, "%s %d\n", c->name, c->count);
  return lines;
}

static void count(const char *call) {
  struct counter *c = counters;
  while (c && strcmp(c->name, call))
    c = c->next;
  if (!c) {
    c = calloc(1, sizeof *c);
    snprintf(c->name, sizeof c->name, "%s", call);
    c->next = counters;
    counters = c;
  }
  ++c->count;
}

/* The call of that name fails with `code` when it has succeeded `after` times.
 */
void fake_cuda_fail(const char *call, int after, int code) {
  snprintf(fail_call, sizeof fail_call, "%s", call);
  fail_after = after;
  fail_code = code;
}

/* The next launch but `after` fails while it runs, which later calls find. */
void fake_cuda_break(int after) { breaks_after = after; }

/* What all calls begin with: locks, and returns how the call shall fail. */
static int begin(const char *call, int needs_context) {
  pthread_mutex_lock(&mutex);
  count(call);
  if (!strcmp(call, fail_call) && fail_after-- == 0)
    return fail_code;
  if (!is_initialized && strcmp(call, "cuInit"))
    return not_initialized;
  if (needs_context && depth == 0) {
    snprintf(error, sizeof error, "%s without a current context", call);
    return invalid_context;
  }
  if (needs_context && is_broken[current[depth - 1]])
    return launch_failed;
  return success;
}

/* A launch that works, as far as the host can see. Returns whether it does. */
static int runs(int device) {
  is_broken[device] |= breaks_after >= 0 && breaks_after-- == 0;
  return !is_broken[device];
}

static int end(int code) {
  pthread_mutex_unlock(&mutex);
  return code;
}

static int wrong(const char *call, const char *what) {
  snprintf(error, sizeof error, "%s: %s", call, what);
  return end(invalid_value);
}

#define BEGIN(call, needs_context)                                             \
  do {                                                                         \
    int begun = begin(call, needs_context);                                    \
    if (begun)                                                                 \
      return end(begun);                                                       \
  } while (0)

static void protect(int access) {
  for (struct memory *m = memories; m; m = m->next)
    mprotect(m->data, m->mapped, access);
}

static struct memory *find(const void *address, size_t bytes) {
  for (struct memory *m = memories; m; m = m->next)
    if ((const char *)address >= m->data &&
        (const char *)address + bytes <= m->data + m->bytes)
      return m;
  return NULL;
}

/* The device of the current context. */
static int here(void) { return depth ? current[depth - 1] : 0; }

/* Memory of a device for a test, and what is in it. */
void *fake_cuda_alloc(int device, size_t bytes);
int cuFuncSetAttribute(void *handle, int attribute, int value) {
  struct function *function = handle;
  BEGIN("cuFuncSetAttribute", 1);
  record("cuFuncSetAttribute %s %d %d\n", function->name, attribute, value);
  /* What a block of 8.6 may have. */
  if (attribute != 8 || value <= 48 * 1024 || value > 99 * 1024)
    return wrong("cuFuncSetAttribute", "a wrong attribute");
  function->shared = (unsigned)value;
  return end(success);
}

static struct memory *make_memory(int device, size_t bytes);

static void unmake_memory(struct memory **m) {
  struct memory *gone = *m;
  *m = gone->next;
  in_use -= gone->bytes;
  munmap(gone->data, gone->mapped);
  free(gone);
}

static void copy_with(struct memory *m, void *to, const void *from,
                      size_t bytes) {
  mprotect(m->data, m->mapped, PROT_READ | PROT_WRITE);
  memcpy(to, from, bytes);
  mprotect(m->data, m->mapped, PROT_NONE);
}

void *fake_cuda_alloc(int device, size_t bytes) {
  pthread_mutex_lock(&mutex);
  struct memory *m = make_memory(device, bytes);
  pthread_mutex_unlock(&mutex);
  return m->data;
}

void fake_cuda_peek(void *to, void *from, size_t bytes) {
  pthread_mutex_lock(&mutex);
  copy_with(find(from, bytes), to, from, bytes);
  pthread_mutex_unlock(&mutex);
}

void fake_cuda_poke(void *to, void *from, size_t bytes) {
  pthread_mutex_lock(&mutex);
  copy_with(find(to, bytes), to, from, bytes);
  pthread_mutex_unlock(&mutex);
}

/* The driver. */

int cuGetErrorName(int code, const char **name) {
  *name = code == out_of_memory   ? "CUDA_ERROR_OUT_OF_MEMORY"
          : code == no_device     ? "CUDA_ERROR_NO_DEVICE"
          : code == launch_failed ? "CUDA_ERROR_LAUNCH_FAILED"
                                  : "CUDA_ERROR_UNKNOWN";
  return success;
}

int cuGetErrorString(int code, const char **words) {
  *words = code == out_of_memory ? "out of memory" : "a failure";
  return success;
}

int cuInit(unsigned flags) {
  (void)flags;
  BEGIN("cuInit", 0);
  is_initialized = 1;
  return end(devices ? success : no_device);
}

int cuDeviceGetCount(int *count) {
  BEGIN("cuDeviceGetCount", 0);
  *count = devices;
  return end(success);
}

int cuDeviceGet(int *device, int ordinal) {
  BEGIN("cuDeviceGet", 0);
  if (ordinal >= devices)
    return wrong("cuDeviceGet", "no such device");
  *device = ordinal;
  return end(success);
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device;
  BEGIN("cuDeviceGetAttribute", 0);
  if (attribute != 75 && attribute != 76)
    return wrong("cuDeviceGetAttribute", "an unknown attribute");
  *value = attribute == 75 ? capability / 10 : capability % 10;
  return end(success);
}

int cuDevicePrimaryCtxRetain(void **context, int device) {
  BEGIN("cuDevicePrimaryCtxRetain", 0);
  *context = &contexts[device];
  ++contexts[device];
  return end(success);
}

int cuDevicePrimaryCtxRelease_v2(int device) {
  BEGIN("cuDevicePrimaryCtxRelease", 0);
  /* With the context goes all that was made in it. */
  if (--contexts[device] == 0 && is_broken[device]) {
    is_broken[device] = things[device] = 0;
    for (struct memory **m = &memories; *m;)
      if ((*m)->device == device)
        unmake_memory(m);
      else
        m = &(*m)->next;
  }
  return end(success);
}

int cuCtxPushCurrent_v2(void *context) {
  BEGIN("cuCtxPushCurrent", 0);
  int device = (int)((int *)context - contexts);
  if (device < 0 || device >= most_devices || !contexts[device])
    return wrong("cuCtxPushCurrent", "no context");
  current[depth++] = device;
  return end(success);
}

int cuCtxPopCurrent_v2(void **context) {
  /* It is popped in any case, so that a test goes on with a whole stack. */
  int result = begin("cuCtxPopCurrent", 0);
  if (!depth)
    snprintf(error, sizeof error, "cuCtxPopCurrent without a current context");
  *context = &contexts[here()];
  if (depth)
    --depth;
  return end(result);
}

int cuModuleLoadDataEx(void **result, const void *image, unsigned count,
                       int *options, void **values) {
  (void)count, (void)options, (void)values;
  BEGIN("cuModuleLoadDataEx", 1);
  if (!memcmp(image, "\177ELF", 4)) {
    record("cuModuleLoadDataEx cubin\n");
  } else {
    const char *ptx = image, *target = strstr(ptx, ".target sm_");
    if (!target)
      return wrong("cuModuleLoadDataEx", "no PTX");
    record("cuModuleLoadDataEx %.*s\n", (int)strcspn(target + 8, ", \n"),
           target + 8);
  }
  struct module *module = malloc(sizeof *module);
  module->library = dlopen(kernels, RTLD_NOW | RTLD_LOCAL);
  if (!module->library)
    return wrong("cuModuleLoadDataEx", dlerror());
  *(void **)&module->launch = dlsym(module->library, "dlc_emulated_launch");
  module->device = here();
  ++things[here()];
  *result = module;
  return end(success);
}

int cuModuleUnload(void *module) {
  BEGIN("cuModuleUnload", 1);
  for (struct function **f = &functions; *f;) {
    struct function *function = *f;
    if (function->module != module) {
      f = &function->next;
      continue;
    }
    *f = function->next;
    free(function);
  }
  --things[((struct module *)module)->device];
  free(module);
  return end(success);
}

int cuModuleGetFunction(void **result, void *module, const char *name) {
  BEGIN("cuModuleGetFunction", 1);
  struct function *function = malloc(sizeof *function);
  char waits[80], parameters[80];
  snprintf(function->name, sizeof function->name, "%s", name);
  snprintf(waits, sizeof waits, "%s_waits", name);
  snprintf(parameters, sizeof parameters, "%s_parameters", name);
  function->module = module;
  function->kernel = dlsym(function->module->library, name);
  int *flag = dlsym(function->module->library, waits);
  int *number = dlsym(function->module->library, parameters);
  if (!function->kernel || !flag || !number)
    return wrong("cuModuleGetFunction", name);
  function->waits = *flag;
  function->parameters = *number;
  function->shared = 0;
  function->next = functions;
  functions = function;
  *result = function;
  return end(success);
}

static struct memory *make_memory(int device, size_t bytes) {
  struct memory *m = malloc(sizeof *m);
  m->bytes = bytes;
  m->device = device;
  m->mapped = (bytes + 4095) / 4096 * 4096;
  m->data = mmap(NULL, m->mapped, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m->data == MAP_FAILED) {
    free(m);
    return NULL;
  }
  /* What nobody wrote is no number. */
  if (bytes < 64 << 20)
    memset(m->data, 0xff, bytes);
  mprotect(m->data, m->mapped, PROT_NONE);
  in_use += bytes;
  m->next = memories;
  memories = m;
  return m;
}

int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
  BEGIN("cuMemAlloc", 1);
  if (bytes == 0)
    return wrong("cuMemAlloc", "0 bytes");
  record("cuMemAlloc %zu\n", bytes);
  struct memory *m = in_use + bytes > total ? NULL : make_memory(here(), bytes);
  if (!m)
    return end(out_of_memory);
  *address = (uintptr_t)m->data;
  return end(success);
}

/* As the driver: of memory that it does not know it says an error. */
int cuPointerGetAttribute(void *value, int attribute,
                          unsigned long long pointer) {
  BEGIN("cuPointerGetAttribute", 0);
  struct memory *m = find((void *)(uintptr_t)pointer, 1);
  if (attribute != 2 && attribute != 9)
    return wrong("cuPointerGetAttribute", "an unknown attribute");
  if (!m)
    return end(invalid_value);
  *(int *)value = attribute == 2 ? 2 : m->device;
  return end(success);
}

int cuMemFree_v2(unsigned long long address) {
  BEGIN("cuMemFree", 1);
  for (struct memory **m = &memories; *m; m = &(*m)->next) {
    struct memory *found = *m;
    if ((uintptr_t)found->data != address)
      continue;
    unmake_memory(m);
    return end(success);
  }
  return wrong("cuMemFree", "no such memory");
}

/* Whether something of another device than that of the context is used. */
static int is_elsewhere(void *stream) {
  return stream && ((struct stream *)stream)->device != here();
}

int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes,
                         void *stream) {
  BEGIN("cuMemcpyHtoDAsync", 1);
  record("cuMemcpyHtoDAsync %zu\n", bytes);
  struct memory *m = find((void *)(uintptr_t)to, bytes);
  if (!m || bytes == 0 || m->device != here() || find(from, 1))
    return wrong("cuMemcpyHtoDAsync", "no such memory");
  if (is_elsewhere(stream) || (stream && ((struct stream *)stream)->captured))
    return wrong("cuMemcpyHtoDAsync", "a wrong stream");
  copy_with(m, (void *)(uintptr_t)to, from, bytes);
  return end(success);
}

int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from,
                         size_t bytes, void *stream) {
  BEGIN("cuMemcpyDtoDAsync", 1);
  record("cuMemcpyDtoDAsync %zu\n", bytes);
  if (!find((void *)(uintptr_t)to, bytes) ||
      !find((void *)(uintptr_t)from, bytes) || bytes == 0)
    return wrong("cuMemcpyDtoDAsync", "no such memory");
  if (is_elsewhere(stream))
    return wrong("cuMemcpyDtoDAsync", "a wrong stream");
  protect(PROT_READ | PROT_WRITE);
  memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes);
  protect(PROT_NONE);
  return end(success);
}

int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes,
                         void *handle) {
  struct stream *stream = handle ? handle : &null_stream;
  BEGIN("cuMemcpyDtoHAsync", 1);
  record("cuMemcpyDtoHAsync %zu\n", bytes);
  struct memory *m = find((void *)(uintptr_t)from, bytes);
  if (!m || bytes == 0 || m->device != here() || find(to, 1))
    return wrong("cuMemcpyDtoHAsync", "no such memory");
  if (is_elsewhere(handle) || stream->captured)
    return wrong("cuMemcpyDtoHAsync", "a wrong stream");
  struct copy *copy = malloc(sizeof *copy);
  copy->next = NULL;
  copy->to = to;
  copy->bytes = bytes;
  copy->from = malloc(bytes);
  copy_with(m, copy->from, (void *)(uintptr_t)from, bytes);
  *stream->last = copy;
  stream->last = &copy->next;
  return end(success);
}

static struct stream *make_stream(int device) {
  struct stream *stream = malloc(sizeof *stream);
  stream->first = NULL;
  stream->last = &stream->first;
  stream->captured = NULL;
  stream->device = device;
  ++things[device];
  return stream;
}

int cuStreamCreate(void **result, unsigned flags) {
  (void)flags;
  BEGIN("cuStreamCreate", 1);
  *result = make_stream(here());
  return end(success);
}

/* A stream of a test's own, with no need of a context. */
void *fake_cuda_stream(int device) {
  pthread_mutex_lock(&mutex);
  void *stream = make_stream(device);
  pthread_mutex_unlock(&mutex);
  return stream;
}

void fake_cuda_capture(struct stream *stream, int is_captured) {
  static struct graph graph = {NULL, &graph.first, 0};
  stream->captured = is_captured ? &graph : NULL;
}

static void deliver(struct stream *stream, int for_real) {
  while (stream->first) {
    struct copy *copy = stream->first;
    if (for_real)
      memcpy(copy->to, copy->from, copy->bytes);
    stream->first = copy->next;
    free(copy->from);
    free(copy);
  }
  stream->last = &stream->first;
}

/* Copies that were never waited for do not arrive any more. */
void fake_cuda_forget(struct stream *stream) { deliver(stream, 0); }

int cuStreamDestroy_v2(void *stream) {
  BEGIN("cuStreamDestroy", 1);
  if (((struct stream *)stream)->captured)
    return wrong("cuStreamDestroy", "the stream is being captured");
  deliver(stream, /*for_real=*/0);
  --things[((struct stream *)stream)->device];
  free(stream);
  return end(success);
}

int cuStreamSynchronize(void *stream) {
  BEGIN("cuStreamSynchronize", 1);
  record("cuStreamSynchronize\n");
  if (stream && ((struct stream *)stream)->captured)
    return wrong("cuStreamSynchronize", "the stream is being captured");
  deliver(stream ? stream : &null_stream, /*for_real=*/1);
  return end(success);
}

int cuStreamIsCapturing(void *stream, int *status) {
  BEGIN("cuStreamIsCapturing", 1);
  *status = ((struct stream *)stream)->captured != NULL;
  return end(success);
}

/* An event has happened when the host has waited for its stream, so that copies
 * to the host have arrived. */

int cuEventCreate(void **result, unsigned flags) {
  BEGIN("cuEventCreate", 1);
  if (flags != 2)
    return wrong("cuEventCreate", "it would take the time");
  struct event *event = calloc(1, sizeof *event);
  event->device = here();
  ++things[here()];
  *result = event;
  return end(success);
}

int cuEventDestroy_v2(void *event) {
  BEGIN("cuEventDestroy", 1);
  --things[((struct event *)event)->device];
  free(event);
  return end(success);
}

int cuEventRecord(void *handle, void *stream) {
  struct event *event = handle;
  BEGIN("cuEventRecord", 1);
  record("cuEventRecord\n");
  if (is_elsewhere(stream) || event->device != here())
    return wrong("cuEventRecord", "a wrong stream");
  event->stream = stream ? stream : &null_stream;
  return end(success);
}

int cuEventQuery(void *handle) {
  struct event *event = handle;
  BEGIN("cuEventQuery", 1);
  int is_done = !event->stream || !event->stream->first;
  return end(is_done ? success : not_ready);
}

int cuEventSynchronize(void *handle) {
  struct event *event = handle;
  BEGIN("cuEventSynchronize", 1);
  record("cuEventSynchronize\n");
  if (event->stream)
    deliver(event->stream, /*for_real=*/1);
  return end(success);
}

/* Launches. */

static int launch(struct function *function, unsigned blocks, unsigned threads,
                  void **parameters) {
  protect(PROT_READ | PROT_WRITE);
  int diverges =
      function->module->launch(function->kernel, function->waits,
                               (int32_t)blocks, (int32_t)threads, parameters);
  protect(PROT_NONE);
  return diverges;
}

int cuLaunchKernel(void *handle, unsigned gx, unsigned gy, unsigned gz,
                   unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *stream, void **parameters, void **extra) {
  struct function *function = handle;
  struct graph *captured = stream ? ((struct stream *)stream)->captured : NULL;
  (void)extra;
  BEGIN("cuLaunchKernel", 1);
  record("cuLaunchKernel %s %u %u\n", function->name, gx, bx);
  if (gx == 0 || gy != 1 || gz != 1 || bx == 0 || bx > 1024 || by != 1 ||
      bz != 1 || shared != function->shared)
    return wrong("cuLaunchKernel", "a wrong grid");
  if (is_elsewhere(stream) || function->module->device != here())
    return wrong("cuLaunchKernel", "a wrong device");
  if (captured) {
    struct node *node =
        malloc(sizeof *node + (size_t)function->parameters * 16);
    node->next = NULL;
    node->function = function;
    node->blocks = gx;
    node->threads = bx;
    node->count = function->parameters;
    for (int i = 0; i < node->count; ++i)
      memcpy(node->slots[i], parameters[i], 16);
    *captured->last = node;
    captured->last = &node->next;
    return end(success);
  }
  if (!runs(here()))
    return end(success);
  return launch(function, gx, bx, parameters)
             ? wrong("cuLaunchKernel", "threads wait for ended ones")
             : end(success);
}

int cuStreamBeginCapture_v2(void *handle, int mode) {
  struct stream *stream = handle;
  BEGIN("cuStreamBeginCapture", 1);
  record("cuStreamBeginCapture\n");
  if (mode != 2 || stream->captured)
    return wrong("cuStreamBeginCapture", "a wrong mode or stream");
  stream->captured = malloc(sizeof *stream->captured);
  stream->captured->first = NULL;
  stream->captured->last = &stream->captured->first;
  stream->captured->device = here();
  ++things[here()];
  return end(success);
}

/* As the driver: the capture has ended in any case. */
int cuStreamEndCapture(void *handle, void **graph) {
  struct stream *stream = handle;
  int result = begin("cuStreamEndCapture", 1);
  if (!stream->captured)
    return wrong("cuStreamEndCapture", "no capture");
  *graph = result ? NULL : stream->captured;
  things[stream->device] -= result != success;
  stream->captured = NULL;
  return end(result);
}

/* A graph that is ready has its nodes; they are given back with it. */
int cuGraphInstantiateWithFlags(void **exec, void *graph,
                                unsigned long long flags) {
  (void)flags;
  BEGIN("cuGraphInstantiate", 1);
  record("cuGraphInstantiate\n");
  struct graph *copy = malloc(sizeof *copy);
  *copy = *(struct graph *)graph;
  ((struct graph *)graph)->first = NULL;
  ++things[here()];
  *exec = copy;
  return end(success);
}

int cuGraphDestroy(void *graph) {
  BEGIN("cuGraphDestroy", 1);
  --things[((struct graph *)graph)->device];
  free(graph);
  return end(success);
}

int cuGraphExecDestroy(void *handle) {
  struct graph *exec = handle;
  BEGIN("cuGraphExecDestroy", 1);
  while (exec->first) {
    struct node *node = exec->first;
    exec->first = node->next;
    free(node);
  }
  --things[exec->device];
  free(exec);
  return end(success);
}

int cuGraphLaunch(void *handle, void *stream) {
  struct graph *exec = handle;
  BEGIN("cuGraphLaunch", 1);
  record("cuGraphLaunch\n");
  if (is_elsewhere(stream) || exec->device != here())
    return wrong("cuGraphLaunch", "a wrong device");
  for (struct node *node = exec->first; node; node = node->next) {
    void *parameters[node->count + 1];
    for (int i = 0; i < node->count; ++i)
      parameters[i] = node->slots[i];
    if (runs(here()) &&
        launch(node->function, node->blocks, node->threads, parameters))
      return wrong("cuGraphLaunch", "threads wait for ended ones");
  }
  return end(success);
}

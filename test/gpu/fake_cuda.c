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

enum {
  success = 0,
  invalid_value = 1,
  out_of_memory = 2,
  not_initialized = 3,
  no_device = 100,
  invalid_context = 201,
  launch_failed = 719
};

struct memory {
  struct memory *next;
  char *data;
  size_t bytes, mapped;
};

struct copy {
  struct copy *next;
  void *to, *from;
  size_t bytes;
};

struct stream {
  struct copy *first, **last;
};

struct module {
  void *library;
  int (*launch)(void *, int, int32_t, int32_t, void **);
};

struct function {
  struct function *next;
  struct module *module;
  void *kernel;
  int waits;
  char name[64];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static __thread int depth; /* contexts that are current */
static struct stream null_stream = {NULL, &null_stream.first};
static struct memory *memories;
static struct function *functions;
static int devices = 1, capability = 80, is_initialized, contexts, modules,
           streams, fail_after, fail_code;
static size_t total = SIZE_MAX, in_use;
static char fail_call[64], kernels[4096], error[512];
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

/* Things that are held: allocations, modules, streams, contexts. */
int fake_cuda_held(void) {
  int count = contexts + modules + streams + depth;
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
}

/* The call of that name fails with `code` when it has succeeded `after` times.
 */
void fake_cuda_fail(const char *call, int after, int code) {
  snprintf(fail_call, sizeof fail_call, "%s", call);
  fail_after = after;
  fail_code = code;
}

/* What all calls begin with: locks, and returns how the call shall fail. */
static int begin(const char *call, int needs_context) {
  pthread_mutex_lock(&mutex);
  if (!strcmp(call, fail_call) && fail_after-- == 0)
    return fail_code;
  if (!is_initialized && strcmp(call, "cuInit"))
    return not_initialized;
  if (needs_context && depth == 0) {
    snprintf(error, sizeof error, "%s without a current context", call);
    return invalid_context;
  }
  return success;
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
  (void)device;
  BEGIN("cuDevicePrimaryCtxRetain", 0);
  *context = &contexts;
  ++contexts;
  return end(success);
}

int cuDevicePrimaryCtxRelease_v2(int device) {
  (void)device;
  BEGIN("cuDevicePrimaryCtxRelease", 0);
  --contexts;
  return end(success);
}

int cuCtxPushCurrent_v2(void *context) {
  BEGIN("cuCtxPushCurrent", 0);
  if (context != &contexts)
    return wrong("cuCtxPushCurrent", "no context");
  ++depth;
  return end(success);
}

int cuCtxPopCurrent_v2(void **context) {
  BEGIN("cuCtxPopCurrent", 1);
  *context = &contexts;
  --depth;
  return end(success);
}

int cuModuleLoadDataEx(void **result, const void *image, unsigned count,
                       int *options, void **values) {
  (void)count, (void)options, (void)values;
  BEGIN("cuModuleLoadDataEx", 1);
  const char *ptx = image, *target = strstr(ptx, ".target sm_");
  if (!target)
    return wrong("cuModuleLoadDataEx", "no PTX");
  record("cuModuleLoadDataEx %.*s\n", (int)strcspn(target + 8, ", \n"),
         target + 8);
  struct module *module = malloc(sizeof *module);
  module->library = dlopen(kernels, RTLD_NOW | RTLD_LOCAL);
  if (!module->library)
    return wrong("cuModuleLoadDataEx", dlerror());
  *(void **)&module->launch = dlsym(module->library, "dlc_emulated_launch");
  ++modules;
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
  free(module);
  --modules;
  return end(success);
}

int cuModuleGetFunction(void **result, void *module, const char *name) {
  BEGIN("cuModuleGetFunction", 1);
  struct function *function = malloc(sizeof *function);
  char waits[80];
  snprintf(function->name, sizeof function->name, "%s", name);
  snprintf(waits, sizeof waits, "%s_waits", name);
  function->module = module;
  function->kernel = dlsym(function->module->library, name);
  int *flag = dlsym(function->module->library, waits);
  if (!function->kernel || !flag)
    return wrong("cuModuleGetFunction", name);
  function->waits = *flag;
  function->next = functions;
  functions = function;
  *result = function;
  return end(success);
}

int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
  BEGIN("cuMemAlloc", 1);
  if (bytes == 0)
    return wrong("cuMemAlloc", "0 bytes");
  record("cuMemAlloc %zu\n", bytes);
  if (in_use + bytes > total)
    return end(out_of_memory);
  struct memory *m = malloc(sizeof *m);
  m->bytes = bytes;
  m->mapped = (bytes + 4095) / 4096 * 4096;
  m->data = mmap(NULL, m->mapped, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m->data == MAP_FAILED) {
    free(m);
    return end(out_of_memory);
  }
  /* What nobody wrote is no number. */
  if (bytes < 64 << 20)
    memset(m->data, 0xff, bytes);
  mprotect(m->data, m->mapped, PROT_NONE);
  in_use += bytes;
  m->next = memories;
  memories = m;
  *address = (uintptr_t)m->data;
  return end(success);
}

int cuMemFree_v2(unsigned long long address) {
  BEGIN("cuMemFree", 1);
  for (struct memory **m = &memories; *m; m = &(*m)->next) {
    struct memory *found = *m;
    if ((uintptr_t)found->data != address)
      continue;
    *m = found->next;
    in_use -= found->bytes;
    munmap(found->data, found->mapped);
    free(found);
    return end(success);
  }
  return wrong("cuMemFree", "no such memory");
}

int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes,
                         void *stream) {
  (void)stream;
  BEGIN("cuMemcpyHtoDAsync", 1);
  record("cuMemcpyHtoDAsync %zu\n", bytes);
  struct memory *m = find((void *)(uintptr_t)to, bytes);
  if (!m || bytes == 0)
    return wrong("cuMemcpyHtoDAsync", "no such memory");
  mprotect(m->data, m->mapped, PROT_READ | PROT_WRITE);
  memcpy((void *)(uintptr_t)to, from, bytes);
  mprotect(m->data, m->mapped, PROT_NONE);
  return end(success);
}

int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes,
                         void *handle) {
  struct stream *stream = handle ? handle : &null_stream;
  BEGIN("cuMemcpyDtoHAsync", 1);
  record("cuMemcpyDtoHAsync %zu\n", bytes);
  struct memory *m = find((void *)(uintptr_t)from, bytes);
  if (!m || bytes == 0)
    return wrong("cuMemcpyDtoHAsync", "no such memory");
  struct copy *copy = malloc(sizeof *copy);
  copy->next = NULL;
  copy->to = to;
  copy->bytes = bytes;
  copy->from = malloc(bytes);
  mprotect(m->data, m->mapped, PROT_READ | PROT_WRITE);
  memcpy(copy->from, (void *)(uintptr_t)from, bytes);
  mprotect(m->data, m->mapped, PROT_NONE);
  *stream->last = copy;
  stream->last = &copy->next;
  return end(success);
}

int cuStreamCreate(void **result, unsigned flags) {
  (void)flags;
  BEGIN("cuStreamCreate", 1);
  struct stream *stream = malloc(sizeof *stream);
  stream->first = NULL;
  stream->last = &stream->first;
  ++streams;
  *result = stream;
  return end(success);
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

int cuStreamDestroy_v2(void *stream) {
  BEGIN("cuStreamDestroy", 1);
  deliver(stream, /*for_real=*/0);
  free(stream);
  --streams;
  return end(success);
}

int cuStreamSynchronize(void *stream) {
  BEGIN("cuStreamSynchronize", 1);
  record("cuStreamSynchronize\n");
  deliver(stream ? stream : &null_stream, /*for_real=*/1);
  return end(success);
}

int cuLaunchKernel(void *handle, unsigned gx, unsigned gy, unsigned gz,
                   unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *stream, void **parameters, void **extra) {
  struct function *function = handle;
  (void)stream, (void)extra;
  BEGIN("cuLaunchKernel", 1);
  record("cuLaunchKernel %s %u %u\n", function->name, gx, bx);
  if (gx == 0 || gy != 1 || gz != 1 || bx == 0 || bx > 1024 || by != 1 ||
      bz != 1 || shared != 0)
    return wrong("cuLaunchKernel", "a wrong grid");
  protect(PROT_READ | PROT_WRITE);
  int diverges = function->module->launch(function->kernel, function->waits,
                                          (int32_t)gx, (int32_t)bx, parameters);
  protect(PROT_NONE);
  return diverges ? wrong("cuLaunchKernel", "threads wait for ended ones")
                  : end(success);
}

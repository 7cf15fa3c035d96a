/* malloc and free for an object that is linked with --wrap: each block ends at
 * a page that nothing may touch, and nothing may touch it once it is freed. Any
 * call can be made to fail. */
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

enum { page = 4096, alignment = 16 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct block {
  char *data, *memory;
  size_t mapped;
} blocks[4096];
static int calls, live, fail_at = -1;

/* The call of malloc behind `after` others fails; -1: none. */
void guard_fail(int after) {
  calls = 0;
  fail_at = after;
}
int guard_calls(void) { return calls; }
int guard_live(void) { return live; }

void *__wrap_malloc(size_t bytes) {
  char *data = NULL;
  pthread_mutex_lock(&mutex);
  if (calls++ != fail_at) {
    struct block *block = blocks;
    while (block->memory)
      ++block;
    size_t size = (bytes + alignment - 1) / alignment * alignment;
    block->mapped = (size + page - 1) / page * page + page;
    block->memory = mmap(NULL, block->mapped, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(block->memory + block->mapped - page, page, PROT_NONE);
    data = block->data = block->memory + block->mapped - page - size;
    for (size_t i = 0; i < size; ++i)
      data[i] = (char)0xfe; /* nobody wrote it */
    ++live;
  }
  pthread_mutex_unlock(&mutex);
  return data;
}

void __wrap_free(void *data) {
  if (!data)
    return;
  pthread_mutex_lock(&mutex);
  struct block *block = blocks;
  while (block->data != data)
    if (++block == blocks + sizeof blocks / sizeof *blocks)
      __builtin_trap(); /* it is not there, or was freed before */
  munmap(block->memory, block->mapped);
  block->data = block->memory = NULL;
  --live;
  pthread_mutex_unlock(&mutex);
}

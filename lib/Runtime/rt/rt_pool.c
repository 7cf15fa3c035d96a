/* The threads that all models of a program share. The two functions and the
 * state that they need are weak and hidden: the linker keeps one of each, so
 * that the programs and libraries that a linker makes have one pool each. What
 * another version of dlc would do differently gets another number in its name.
 *
 * Nobody waits for a worker that has not begun: a run hands out its work, does
 * all of it that nobody else takes, and waits for those who took some. So a
 * worker that is busy, slow to wake or not there at all (behind fork()) costs
 * time at most. */
#include "dlc_rt.h"

enum { max_workers = 255, max_cpus = 8192, spins = 2000, is_set = 1 };

/* What a worker's `state` is when it does not point to a team. */
enum { worker_free, worker_running, worker_done, worker_gone, first_team };

/* One run's work at one time, on the stack of that run. */
struct team {
  void (*body)(void *data, int32_t index);
  void *data;
  int32_t next; /* index for the next worker that begins */
};

/* free -> (a run) team -> (the worker) running -> (the worker) done -> (the
 * run) free. The run takes back a team that the worker has not begun. */
struct worker {
  uintptr_t state;
  int32_t asleep;  /* the worker waits at `cond` */
  int32_t awaited; /* a run waits at `cond` */
  int32_t cpu;     /* on which it fell asleep */
  uintptr_t thread;
  void *start; /* of the memory that this is in */
  /* What the target's libc keeps in them is its own matter. */
  char mutex[64] __attribute__((aligned(16)));
  char cond[64] __attribute__((aligned(16)));
} __attribute__((aligned(64)));

/* All zero is the state before the first run. */
struct pool {
  int32_t process; /* whose threads these are; minus that while being set */
  int32_t cpus;
  int32_t engaged;  /* threads in runs, and workers that these have */
  int32_t size;     /* of `workers` */
  int32_t limit;    /* of `size`: no more threads can be had */
  int32_t growing;  /* a run is adding workers */
  int32_t stopping; /* the program ends, or the library is being unloaded */
  int32_t listed;   /* workers that have memory, at least `size` */
  struct worker *workers[max_workers];
};

__attribute__((weak)) struct pool dlc_pool_1;

int pthread_create(uintptr_t *thread, const void *attributes,
                   void *(*start)(void *), void *argument);
int pthread_join(uintptr_t thread, void **result);
int pthread_mutex_init(void *mutex, const void *attributes);
int pthread_mutex_lock(void *mutex);
int pthread_mutex_unlock(void *mutex);
int pthread_cond_init(void *cond, const void *attributes);
int pthread_cond_wait(void *cond, void *mutex);
int pthread_cond_broadcast(void *cond);
int pthread_sigmask(int how, const void *set, void *old);
int sigfillset(void *set);
int pthread_setaffinity_np(uintptr_t thread, size_t size, const void *mask);
int sched_getaffinity(int process, size_t size, void *mask);
int sched_getcpu(void);
int getpid(void);
int atexit(void (*function)(void));

#define LOAD(place) __atomic_load_n(place, __ATOMIC_SEQ_CST)
#define STORE(place, value) __atomic_store_n(place, value, __ATOMIC_SEQ_CST)

/* Sets `*place` to `to` if it is `from`. */
static int swap(uintptr_t *place, uintptr_t from, uintptr_t to) {
  return __atomic_compare_exchange_n(place, &from, to, 0, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST);
}

static void relax(void) {
#if defined(__x86_64__)
  __asm__ volatile("pause");
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#elif defined(__arm__)
  __asm__ volatile("yield");
#else
  __asm__ volatile("" ::: "memory");
#endif
}

static void wake(struct worker *worker) {
  pthread_mutex_lock(worker->mutex);
  pthread_cond_broadcast(worker->cond);
  pthread_mutex_unlock(worker->mutex);
}

/* Spinning is for those who have a CPU to spare. */
static int32_t get_spins(struct pool *pool) {
  return LOAD(&pool->size) < pool->cpus ? spins : 0;
}

/* Returns when the worker has a team or is to stop, or was woken and its team
 * is gone: the next one is not far then. */
static void await_work(struct worker *worker) {
  struct pool *pool = &dlc_pool_1;
  for (int32_t i = get_spins(pool); i > 0; --i) {
    if (__atomic_load_n(&worker->state, __ATOMIC_ACQUIRE) >= first_team ||
        __atomic_load_n(&pool->stopping, __ATOMIC_RELAXED))
      return;
    relax();
  }
  pthread_mutex_lock(worker->mutex);
  STORE(&worker->cpu, sched_getcpu());
  STORE(&worker->asleep, is_set);
  if (LOAD(&worker->state) < first_team && !LOAD(&pool->stopping))
    pthread_cond_wait(worker->cond, worker->mutex);
  STORE(&worker->asleep, 0);
  pthread_mutex_unlock(worker->mutex);
}

static void *work(void *argument) {
  struct worker *worker = (struct worker *)argument;
  for (;;) {
    await_work(worker);
    uintptr_t state = LOAD(&worker->state);
    if (LOAD(&dlc_pool_1.stopping)) {
      if (swap(&worker->state, state, worker_gone))
        return NULL;
      continue;
    }
    if (state < first_team || !swap(&worker->state, state, worker_running))
      continue;
    struct team *team = (struct team *)state;
    team->body(team->data,
               __atomic_fetch_add(&team->next, 1, __ATOMIC_RELAXED));
    STORE(&worker->state, worker_done);
    if (LOAD(&worker->awaited))
      wake(worker);
  }
}

/* Returns when the worker has left the team that it had. */
static void await_worker(struct worker *worker, struct team *team) {
  if (swap(&worker->state, (uintptr_t)team, worker_free))
    return; /* not begun: there is nothing left to do */
  for (int32_t i = get_spins(&dlc_pool_1); i > 0; --i) {
    if (__atomic_load_n(&worker->state, __ATOMIC_ACQUIRE) != worker_running)
      break;
    relax();
  }
  if (LOAD(&worker->state) == worker_running) {
    pthread_mutex_lock(worker->mutex);
    STORE(&worker->awaited, is_set);
    while (LOAD(&worker->state) == worker_running)
      pthread_cond_wait(worker->cond, worker->mutex);
    STORE(&worker->awaited, 0);
    pthread_mutex_unlock(worker->mutex);
  }
  swap(&worker->state, worker_done, worker_free);
}

/* At the end of the program, or when a library with the pool is unloaded. */
static void stop(void) {
  struct pool *pool = &dlc_pool_1;
  if (pool->process != getpid())
    return; /* forked: the threads are the parent's */
  int32_t size = __atomic_exchange_n(&pool->size, 0, __ATOMIC_SEQ_CST);
  STORE(&pool->limit, 0);
  STORE(&pool->stopping, is_set);
  for (int32_t i = 0; i < size; ++i)
    wake(pool->workers[i]);
  for (int32_t i = 0; i < size; ++i)
    pthread_join(pool->workers[i]->thread, NULL);
  if (LOAD(&pool->engaged) != 0)
    return; /* a thread is in a run and may look at its workers */
  for (int32_t i = 0; i < pool->listed; ++i)
    free(pool->workers[i]->start);
  pool->listed = 0;
}

/* A thread that gets no signals: these are for the program's own threads. */
static int start_thread(struct worker *worker) {
  char all[128] __attribute__((aligned(16)));
  char old[128] __attribute__((aligned(16)));
  enum { set_mask = 2 };
  sigfillset(all);
  if (pthread_sigmask(set_mask, all, old) != 0)
    return 0;
  int failed = pthread_create(&worker->thread, NULL, work, worker);
  pthread_sigmask(set_mask, old, NULL);
  return !failed;
}

/* A worker without a thread: in its memory of before a fork(), or in new. */
static struct worker *make_worker(struct pool *pool, int32_t index) {
  enum { alignment = 64 };
  struct worker *worker;
  if (index < pool->listed) {
    worker = pool->workers[index];
  } else {
    char *start = (char *)malloc(sizeof *worker + alignment);
    if (!start)
      return NULL;
    worker = (struct worker *)(((uintptr_t)start + alignment) &
                               ~(uintptr_t)(alignment - 1));
    worker->start = start;
    pool->workers[index] = worker;
    pool->listed = index + 1;
  }
  worker->state = worker_free;
  worker->asleep = worker->awaited = 0;
  if (pthread_mutex_init(worker->mutex, NULL) != 0 ||
      pthread_cond_init(worker->cond, NULL) != 0)
    return NULL;
  return worker;
}

/* Adds workers until there are `wanted`, unless another run is at it. */
static void grow(struct pool *pool, int32_t wanted) {
  if (__atomic_exchange_n(&pool->growing, is_set, __ATOMIC_SEQ_CST))
    return;
  while (pool->size < wanted && pool->size < LOAD(&pool->limit)) {
    struct worker *worker = make_worker(pool, pool->size);
    /* What cannot be had now is not asked for again and again. */
    if (!worker || !start_thread(worker))
      STORE(&pool->limit, pool->size);
    else
      __atomic_fetch_add(&pool->size, 1, __ATOMIC_SEQ_CST);
  }
  STORE(&pool->growing, 0);
}

/* A set of CPUs as the kernel has it, of words of the machine. */
struct cpus {
  uintptr_t words[max_cpus / 8 / sizeof(uintptr_t)];
};

enum { word_bits = 8 * sizeof(uintptr_t) };

static int has_cpu(const struct cpus *set, uint32_t cpu) {
  return set->words[cpu / word_bits] >> cpu % word_bits & 1;
}

/* Without one of them; -1 is none. */
static void take_cpu(struct cpus *set, int32_t cpu) {
  if (cpu >= 0 && cpu < max_cpus)
    set->words[cpu / word_bits] &= ~((uintptr_t)1 << cpu % word_bits);
}

/* Those that this thread may use; without such a call, and with more than
 * there is room for, none. */
static struct cpus get_cpus(void) {
  struct cpus set = {{0}}, none = {{0}};
  return sched_getaffinity(0, sizeof set, &set) == 0 ? set : none;
}

static int32_t count_cpus(void) {
  struct cpus set = get_cpus();
  int32_t count = 0;
  for (uint32_t cpu = 0; cpu < max_cpus; ++cpu)
    count += has_cpu(&set, cpu);
  return count > 1 ? count : 1;
}

/* Wakes those of a run's workers that sleep. A kernel likes to wake a thread
 * where the one that wakes it runs, or where it fell asleep, even if a CPU
 * beside that is idle. Both would take turns then, for milliseconds. So each is
 * told for this moment to wake elsewhere than this thread and than those that
 * were woken before it; where it goes later is the kernel's choice again. */
static void wake_all(struct worker *const *workers, int32_t count) {
  int32_t first = 0;
  while (first < count && !LOAD(&workers[first]->asleep))
    ++first;
  if (first == count)
    return; /* as between kernels that follow each other */
  struct cpus all = get_cpus(), others = all;
  take_cpu(&others, sched_getcpu());
  for (int32_t i = first; i < count; ++i) {
    struct worker *worker = workers[i];
    if (!LOAD(&worker->asleep))
      continue;
    int32_t cpu = LOAD(&worker->cpu);
    /* Fails where no CPU is left. */
    int moved =
        pthread_setaffinity_np(worker->thread, sizeof others, &others) == 0;
    wake(worker);
    if (moved)
      pthread_setaffinity_np(worker->thread, sizeof all, &all);
    take_cpu(&others, cpu);
  }
}

__attribute__((weak)) int32_t dlc_pool_1_enter(void) {
  struct pool *pool = &dlc_pool_1;
  int32_t process = getpid(), owner = LOAD(&pool->process);
  if (owner != process) {
    /* The first run of all, or the first behind a fork(), which leaves no
     * worker and whatever its parent's other threads were about to change. */
    if (owner == -process ||
        !__atomic_compare_exchange_n(&pool->process, &owner, -process, 0,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      return 0;
    pool->cpus = count_cpus();
    pool->engaged = pool->size = pool->growing = pool->stopping = 0;
    pool->limit = max_workers;
    if (owner == 0)
      atexit(stop);
    STORE(&pool->process, process);
  }
  __atomic_fetch_add(&pool->engaged, 1, __ATOMIC_SEQ_CST);
  return pool->cpus;
}

__attribute__((weak)) void dlc_pool_1_leave(void) {
  __atomic_fetch_sub(&dlc_pool_1.engaged, 1, __ATOMIC_SEQ_CST);
}

__attribute__((weak)) void dlc_pool_1_run(void (*body)(void *data,
                                                       int32_t index),
                                          void *data, int32_t count) {
  struct pool *pool = &dlc_pool_1;
  struct team team = {body, data, 1};
  /* Threads beyond the CPUs only where this run's caller wants so many. */
  int32_t most = pool->cpus > count ? pool->cpus : count;
  int32_t wanted = most - LOAD(&pool->engaged);
  if (wanted > count - 1)
    wanted = count - 1;
  if (wanted > max_workers)
    wanted = max_workers;
  if (wanted > LOAD(&pool->size))
    grow(pool, wanted);

  struct worker *mine[wanted > 0 ? wanted : 1];
  int32_t found = 0, size = LOAD(&pool->size);
  for (int32_t i = 0; i < size && found < wanted; ++i)
    if (swap(&pool->workers[i]->state, worker_free, (uintptr_t)&team))
      mine[found++] = pool->workers[i];
  __atomic_fetch_add(&pool->engaged, found, __ATOMIC_SEQ_CST);
  wake_all(mine, found);

  body(data, 0);
  for (int32_t i = 0; i < found; ++i)
    await_worker(mine[i], &team);
  __atomic_fetch_sub(&pool->engaged, found, __ATOMIC_SEQ_CST);
}

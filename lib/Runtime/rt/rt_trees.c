/* Ensembles of decision trees. A node asks whether a feature of the row is at
 * most a value, and its two children stand side by side, so that a step down
 * is no branch but an addition. A step waits for memory: eight rows, or eight
 * trees where there are few rows, go down at once. */
#include "dlc_rt.h"

enum { lanes = 8, block = 64, stride = 4, grain = 16 };

/* Of a leaf, `value` is NaN and `no` the leaf itself: it leads to itself. */
struct node32 {
  float value;
  int32_t feature; /* its complement where a missing value goes to `yes` */
  int32_t no;      /* the child where the answer is no; `yes` is before it */
  int32_t weights; /* of a leaf: where its weights begin, -1: it has none */
};

struct node64 {
  double value;
  int32_t feature, no, weights, unused;
};

struct trees {
  const void *x, *nodes;
  const int32_t *roots, *depths;
  const double *weights;
  /* Of each weight: twice its target, plus 1 for the last of its leaf; NULL
   * where every leaf has a weight for each target in their order. */
  const int32_t *targets;
  double *out;
  intptr_t rows, features, num_targets, num_trees;
};

/* A number in a register of its own: gathered in vectors, lanes cost more to
 * take apart than they save. */
#define in_register(x) __asm__("" : "+r"(x))
#define unrolled _Pragma("clang loop unroll(full)") for
#define inlined static inline __attribute__((always_inline))

/* One step of each lane. */
#define DEFINE_DOWN(bits, type)                                                \
  inlined void step##bits(const struct node##bits *nodes,                      \
                          const type *const *x, int32_t *at, int missing) {    \
    unrolled(int i = 0; i < lanes; ++i) {                                      \
      const struct node##bits *node = &nodes[at[i]];                           \
      int32_t feature = node->feature;                                         \
      if (missing) {                                                           \
        int32_t sign = feature >> 31;                                          \
        type value = x[i][feature ^ sign];                                     \
        int yes = (value <= node->value) | ((value != value) & sign);          \
        at[i] = node->no - yes;                                                \
      } else {                                                                 \
        at[i] = node->no - (x[i][feature] <= node->value);                     \
      }                                                                        \
      in_register(at[i]);                                                      \
    }                                                                          \
  }                                                                            \
                                                                               \
  /* Down to the leaves, at most `depth` steps. */                             \
  inlined void down##bits(const void *table, const type *const *x,             \
                          int32_t *at, int32_t depth, int missing) {           \
    const struct node##bits *nodes = table;                                    \
    for (; depth >= stride; depth -= stride) {                                 \
      int32_t before[lanes], moved = 0;                                        \
      unrolled(int i = 0; i < lanes; ++i) before[i] = at[i];                   \
      unrolled(int i = 0; i < stride; ++i) step##bits(nodes, x, at, missing);  \
      unrolled(int i = 0; i < lanes; ++i) moved |= before[i] ^ at[i];          \
      if (!moved)                                                              \
        return;                                                                \
    }                                                                          \
    for (; depth > 0; --depth)                                                 \
      step##bits(nodes, x, at, missing);                                       \
  }                                                                            \
                                                                               \
  inlined void add##bits(const struct trees *trees, int32_t leaf,              \
                         double *sums) {                                       \
    int32_t begin = ((const struct node##bits *)trees->nodes)[leaf].weights;   \
    const double *weights = trees->weights + begin;                            \
    if (!trees->targets) {                                                     \
      for (intptr_t t = 0; t < trees->num_targets; ++t)                        \
        sums[t] += weights[t];                                                 \
      return;                                                                  \
    }                                                                          \
    const int32_t *targets = trees->targets + begin;                           \
    int32_t target = 1;                                                        \
    for (int32_t i = 0; begin >= 0 && (i == 0 || !(target & 1)); ++i) {        \
      target = targets[i];                                                     \
      sums[target >> 1] += weights[i];                                         \
    }                                                                          \
  }                                                                            \
                                                                               \
  /* A block of rows, tree by tree, so that a tree stays in the cache. */      \
  inlined void rows##bits(const struct trees *trees, intptr_t first,           \
                          intptr_t end, int missing) {                         \
    const type *data = trees->x;                                               \
    for (intptr_t tree = 0; tree < trees->num_trees; ++tree)                   \
      for (intptr_t row = first; row < end; row += lanes) {                    \
        const type *x[lanes];                                                  \
        int32_t at[lanes];                                                     \
        unrolled(int i = 0; i < lanes; ++i) {                                  \
          intptr_t own = row + i < end ? row + i : end - 1;                    \
          x[i] = data + own * trees->features;                                 \
          at[i] = trees->roots[tree];                                          \
        }                                                                      \
        down##bits(trees->nodes, x, at, trees->depths[tree], missing);         \
        for (int i = 0; i < lanes && row + i < end; ++i)                       \
          add##bits(trees, at[i],                                              \
                    trees->out + (row + i) * trees->num_targets);              \
      }                                                                        \
  }                                                                            \
                                                                               \
  /* A row, eight trees at once. */                                            \
  inlined void row##bits(const struct trees *trees, intptr_t row,              \
                         int missing) {                                        \
    const type *own = (const type *)trees->x + row * trees->features;          \
    const type *x[lanes];                                                      \
    unrolled(int i = 0; i < lanes; ++i) x[i] = own;                            \
    for (intptr_t tree = 0; tree < trees->num_trees; tree += lanes) {          \
      int32_t at[lanes], depth = 0;                                            \
      unrolled(int i = 0; i < lanes; ++i) {                                    \
        intptr_t one =                                                         \
            tree + i < trees->num_trees ? tree + i : trees->num_trees - 1;     \
        at[i] = trees->roots[one];                                             \
        depth = trees->depths[one] > depth ? trees->depths[one] : depth;       \
      }                                                                        \
      down##bits(trees->nodes, x, at, depth, missing);                         \
      for (int i = 0; i < lanes && tree + i < trees->num_trees; ++i)           \
        add##bits(trees, at[i], trees->out + row * trees->num_targets);        \
    }                                                                          \
  }                                                                            \
                                                                               \
  inlined void part##bits(const struct trees *trees, intptr_t first,           \
                          intptr_t end, int missing) {                         \
    for (intptr_t row = first * trees->num_targets;                            \
         row < end * trees->num_targets; ++row)                                \
      trees->out[row] = 0;                                                     \
    while (first < end) {                                                      \
      intptr_t next = end - first < block ? end : first + block;               \
      if (next - first >= lanes / 2)                                           \
        rows##bits(trees, first, next, missing);                               \
      for (intptr_t row = first; next - first < lanes / 2 && row < next;       \
           ++row)                                                              \
        row##bits(trees, row, missing);                                        \
      first = next;                                                            \
    }                                                                          \
  }                                                                            \
                                                                               \
  static void plain##bits(void *data, intptr_t first, intptr_t end, void *own, \
                          intptr_t since) {                                    \
    (void)own, (void)since;                                                    \
    part##bits(data, first, end, 0);                                           \
  }                                                                            \
  static void missing##bits(void *data, intptr_t first, intptr_t end,          \
                            void *own, intptr_t since) {                       \
    (void)own, (void)since;                                                    \
    part##bits(data, first, end, 1);                                           \
  }

DEFINE_DOWN(32, float)
DEFINE_DOWN(64, double)

/* The weights of the leaves that each row of `x` comes to, added up. */
inlined void evaluate(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                      const struct dlc_rt_view *nodes,
                      const struct dlc_rt_view *roots,
                      const struct dlc_rt_view *depths,
                      const struct dlc_rt_view *weights,
                      const struct dlc_rt_view *targets, int32_t missing,
                      struct dlc_rt_view *out, int threads) {
  out->shape[0] = x->shape[0];
  size_t bytes = dlc_rt_bytes(sizeof(double), 2, out->shape);
  out->data = dlc_rt_alloc(ctx, bytes == SIZE_MAX ? INT64_MAX : (int64_t)bytes);
  if (!out->data)
    return;
  struct trees trees = {x->data,
                        nodes->data,
                        roots->data,
                        depths->data,
                        weights->data,
                        targets->shape[0] ? targets->data : NULL,
                        out->data,
                        (intptr_t)x->shape[0],
                        (intptr_t)x->shape[1],
                        (intptr_t)out->shape[1],
                        (intptr_t)roots->shape[0]};
  dlc_rt_part part = x->item == 4 ? (missing ? missing32 : plain32)
                                  : (missing ? missing64 : plain64);
  if (threads)
    /* Some ten microseconds of work, with a hundred trees, are worth a thread.
     */
    dlc_rt_parallel(ctx, part, &trees, trees.rows, grain);
  else
    part(&trees, 0, trees.rows, NULL, 0);
}

void dlc_rt_trees(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                  const struct dlc_rt_view *nodes,
                  const struct dlc_rt_view *roots,
                  const struct dlc_rt_view *depths,
                  const struct dlc_rt_view *weights,
                  const struct dlc_rt_view *targets, int32_t missing,
                  struct dlc_rt_view *out) {
  evaluate(ctx, x, nodes, roots, depths, weights, targets, missing, out, 0);
}

void dlc_rt_trees_parallel(struct dlc_rt_ctx *ctx, const struct dlc_rt_view *x,
                           const struct dlc_rt_view *nodes,
                           const struct dlc_rt_view *roots,
                           const struct dlc_rt_view *depths,
                           const struct dlc_rt_view *weights,
                           const struct dlc_rt_view *targets, int32_t missing,
                           struct dlc_rt_view *out) {
  evaluate(ctx, x, nodes, roots, depths, weights, targets, missing, out, 1);
}

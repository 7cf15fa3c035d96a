/* Which code of an object for several CPUs runs: in such objects only. */
#include "dlc_rt.h"

char *getenv(const char *name);

static int is_equal(const char *a, const char *b) {
  while (*a && *a == *b)
    ++a, ++b;
  return *a == *b;
}

static int32_t choose(const struct dlc_rt_variants *variants) {
  const char *wanted = getenv("DLC_CPU");
  if (wanted && *wanted) {
    for (int32_t i = 0; i < variants->count; ++i)
      if (is_equal(wanted, variants->labels[i]))
        return 1 + i;
    return -1;
  }
  for (int32_t i = 0; i < variants->count; ++i) {
    const struct dlc_rt_desc *desc = variants->descs[i];
    if (dlc_rt_cpu_lacks(desc->needs, desc->num_needs) < 0)
      return 1 + i;
  }
  /* Says itself what the CPU lacks. */
  return variants->count;
}

/* Threads that come here at once choose the same. */
const struct dlc_rt_desc *
dlc_rt_choose(const struct dlc_rt_variants *variants) {
  int32_t choice = __atomic_load_n(variants->choice, __ATOMIC_RELAXED);
  if (!choice) {
    choice = choose(variants);
    __atomic_store_n(variants->choice, choice, __ATOMIC_RELAXED);
  }
  return choice > 0 ? variants->descs[choice - 1] : NULL;
}

int dlc_rt_refuse(const struct dlc_rt_variants *variants,
                  const dlc_options *options) {
  if (options && options->size < offsetof(dlc_options, threads))
    return DLC_ERROR_OPTIONS; /* `error` may not be there */
  static const dlc_options none;
  struct dlc_rt_text text = dlc_rt_text_open(options ? options : &none);
  dlc_rt_text_add(&text, variants->model->name);
  dlc_rt_text_add(&text, ": DLC_CPU is '");
  dlc_rt_text_add(&text, getenv("DLC_CPU") ? getenv("DLC_CPU") : "");
  dlc_rt_text_add(&text, "', expected one of ");
  dlc_rt_text_add(&text, variants->known);
  return DLC_ERROR_CPU;
}

/* Probabilities of classes out of those of each pair of them: method 2 of Wu,
 * Lin and Weng, "Probability Estimates for Multi-class Classification by
 * Pairwise Coupling", 2004. */
#include "dlc_rt.h"

static float difference(float a, float b) { return a > b ? a - b : b - a; }

/* `r[i][j]` is how likely class i is where it is i or j; `q` has room for
 * classes * classes numbers and `qp` for `classes`. */
static void couple(int64_t classes, const float *r, float *q, float *qp,
                   float *p) {
  float tolerance = 0.005f / (float)classes;
  for (int64_t i = 0; i < classes; ++i) {
    p[i] = 1.0f / (float)classes;
    float sum = 0;
    for (int64_t j = 0; j < classes; ++j) {
      if (i == j)
        continue;
      float against = r[j * classes + i];
      sum += against * against;
      q[i * classes + j] = -against * r[i * classes + j];
    }
    q[i * classes + i] = sum;
  }
  for (int turn = 0; turn < 100; ++turn) {
    float pqp = 0, worst = 0;
    for (int64_t i = 0; i < classes; ++i) {
      qp[i] = 0;
      for (int64_t j = 0; j < classes; ++j)
        qp[i] += q[i * classes + j] * p[j];
      pqp += p[i] * qp[i];
    }
    for (int64_t i = 0; i < classes; ++i)
      if (difference(qp[i], pqp) > worst)
        worst = difference(qp[i], pqp);
    if (worst < tolerance)
      return;
    for (int64_t i = 0; i < classes; ++i) {
      float by = (pqp - qp[i]) / q[i * classes + i];
      p[i] += by;
      pqp = (pqp + by * (by * q[i * classes + i] + 2 * qp[i])) / (1 + by) /
            (1 + by);
      for (int64_t j = 0; j < classes; ++j) {
        qp[j] = (qp[j] + by * q[i * classes + j]) / (1 + by);
        p[j] /= 1 + by;
      }
    }
  }
}

/* `pairs` is [rows, classes * (classes - 1) / 2], in the order 01, 02, ...,
 * 12, ...; the result is [rows, classes]. */
void dlc_rt_svm_probabilities(struct dlc_rt_ctx *ctx,
                              const struct dlc_rt_view *pairs, int64_t classes,
                              struct dlc_rt_view *out) {
  int64_t rows = pairs->shape[0];
  out->shape[0] = rows;
  size_t bytes = dlc_rt_bytes(sizeof(float), 2, out->shape);
  float *to = dlc_rt_alloc(ctx, bytes == SIZE_MAX ? INT64_MAX : (int64_t)bytes);
  size_t square = (size_t)(classes * classes);
  float *scratch =
      dlc_rt_alloc(ctx, (int64_t)((2 * square + (size_t)classes) * sizeof *to));
  if (!to || !scratch)
    return;
  out->data = to;
  float *r = scratch, *q = r + square, *qp = q + square;
  const float *from = pairs->data;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < classes; ++i)
      for (int64_t j = i + 1; j < classes; ++j) {
        float p = *from++;
        p = p < 1e-7f ? 1e-7f : p > 1 - 1e-7f ? 1 - 1e-7f : p;
        r[i * classes + j] = p;
        r[j * classes + i] = 1 - p;
      }
    couple(classes, r, q, qp, to + row * classes);
  }
}

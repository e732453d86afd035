/* Attention from C: 512 tokens of made-up queries, keys and values, dense and through a window.
 *   cc attend.c -lsaccade -lm && ./a.out */
#include <math.h>
#include <saccade/saccade.h>
#include <stdio.h>
#include <stdlib.h>

enum { kLen = 512, kHeads = 8, kKvHeads = 2, kHeadDim = 64 };

/* [kLen, n_heads, kHeadDim] of f32; one call of it for each of q, k and v gives three different tensors. */
static saccade_tensor tensor_of(int n_heads, double step) {
  const size_t n = (size_t)kLen * (size_t)n_heads * kHeadDim;
  float* data = calloc(n, sizeof *data);
  if (data == NULL) exit(3);
  for (size_t i = 0; i < n; ++i) data[i] = (float)sin((double)i * step);
  return (saccade_tensor){.struct_size = sizeof(saccade_tensor),
                          .data = data,
                          .dtype = SACCADE_F32,
                          .len = kLen,
                          .n_heads = n_heads,
                          .dim = kHeadDim};
}

/* Every failure has a line. The status is an exit code, too. */
static void check(saccade_status status) {
  if (status == SACCADE_OK) return;
  fprintf(stderr, "attend: %s\n", saccade_last_error());
  exit((int)status);
}

int main(void) {
  const saccade_tensor q = tensor_of(kHeads, 0.37), k = tensor_of(kKvHeads, 0.73), v = tensor_of(kKvHeads, 0.11);
  const saccade_tensor o = tensor_of(kHeads, 0.0);

  saccade_engine* engine = NULL;
  check(saccade_engine_create(NULL, &engine));
  printf("Saccade %s\n", saccade_version());

  const char* const specs[] = {"dense", "window(64)+sink(4)"};
  for (size_t i = 0; i < sizeof specs / sizeof *specs; ++i) {
    saccade_plan* plan = NULL;
    check(saccade_plan_from_spec(specs[i], &plan));
    saccade_cost cost = {.struct_size = sizeof cost};
    const saccade_attend_call call = {
        .struct_size = sizeof call, .q = &q, .k = &k, .v = &v, .o = &o, .precision = SACCADE_PRECISION_F32, .cost = &cost};
    check(saccade_attend(engine, plan, &call));
    const float* last = (const float*)o.data + (size_t)(kLen - 1) * kHeads * kHeadDim;
    printf("%s: %.0f %% of the pairs, o of the last token begins %.4f %.4f\n", saccade_plan_text(plan),
           100.0 * (double)cost.pairs_visited / (double)cost.pairs_dense, last[0], last[1]);
    saccade_plan_free(plan);
  }

  /* A mistake is answered, not punished. */
  saccade_plan* plan = NULL;
  if (saccade_plan_from_spec("windw(64)", &plan) != SACCADE_OK) printf("%s\n", saccade_last_error());

  saccade_engine_free(engine);
  free(q.data), free(k.data), free(v.data), free(o.data);
  return 0;
}

/* Saccade for C and everything that can call C: attention by a plan, on the CPU.
 *
 * Every function but the *_free ones and the ones that return text answers with a saccade_status; what went wrong is
 * then in saccade_last_error(), one line, kept for each thread apart. Nothing is thrown, printed or aborted.
 *
 * Every struct begins with `struct_size`, which the caller sets to sizeof of the struct as it was compiled; the rest
 * may be zero where the comment says so. A struct that is smaller than the library's, from an older header, counts as
 * filled up with zeros; one that is larger, from a newer header, is taken as long as what the library does not know is
 * zero. Names and meanings are those of the C++ headers, docs/c.md shows a whole program. */
#ifndef SACCADE_SACCADE_H
#define SACCADE_SACCADE_H

#include <stddef.h>
#include <stdint.h>

#define SACCADE_VERSION_MAJOR 0
#define SACCADE_VERSION_MINOR 1
#define SACCADE_VERSION_PATCH 0

#if defined(_WIN32)
#define SACCADE_API
#else
#define SACCADE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are the exit codes of the command line. */
typedef enum saccade_status {
  SACCADE_OK = 0,
  SACCADE_USER_ERROR = 2,   /* a shape, a name, a size, a null pointer: the caller's */
  SACCADE_MACHINE_ERROR = 3 /* memory, threads, a file, a CPU without what was asked for */
} saccade_status;

/* Element types, spelt as GGUF spells them. Of q8_0 and q4_0, 32 elements share a scale and come only together. */
typedef enum saccade_dtype {
  SACCADE_F32 = 0,
  SACCADE_F16 = 1,
  SACCADE_BF16 = 2,
  SACCADE_Q8_0 = 3,
  SACCADE_Q4_0 = 4
} saccade_dtype;

/* In which numbers scores and weighted values are computed; sums and results are f32 in any case. */
typedef enum saccade_precision {
  SACCADE_PRECISION_AUTO = 0, /* as the plan says; if it says nothing, the fastest that is as exact as what is stored */
  SACCADE_PRECISION_F32 = 1,
  SACCADE_PRECISION_I16 = 2,
  SACCADE_PRECISION_BF16 = 3
} saccade_precision;

/* Threads, and the memory they work in. Calls with one engine take turns, whichever threads they come from. */
typedef struct saccade_engine saccade_engine;

/* Which layer and head looks where; never changes, and so may be used by any number of threads at once. */
typedef struct saccade_plan saccade_plan;

typedef struct saccade_engine_options {
  size_t struct_size;
  int64_t n_threads; /* 0: as many as the machine has cores */
} saccade_engine_options;

/* [len, n_heads, dim] of somebody else's memory. Rows of dim elements are contiguous; strides are bytes, and both zero
 * means packed. */
typedef struct saccade_tensor {
  size_t struct_size;
  void* data;      /* may be null where there are no elements; what the library only reads it never writes */
  int32_t dtype;   /* saccade_dtype */
  int64_t len;     /* tokens */
  int64_t n_heads; /* heads */
  int64_t dim;     /* width of a head */
  int64_t len_stride;
  int64_t head_stride;
} saccade_tensor;

/* What a call did. Pairs are of one query and one key, summed over query heads. */
typedef struct saccade_cost {
  size_t struct_size;
  int64_t pairs_visited;
  int64_t pairs_dense;  /* without any pattern: visited / dense is the density */
  int64_t pairs_i16;    /* of those visited, the ones computed in 16-bit fixed point */
  int64_t pairs_bf16;   /* and in bf16; the others in f32 */
  int64_t select_flop;  /* what choosing cost: operations, */
  int64_t select_bytes; /* and bytes of keys read */
  int64_t heads_chosen; /* query heads that a selector chose for; of those ran dense after all: */
  int64_t heads_dense_by_rule;
  int64_t heads_dense_by_floor;
  int64_t heads_dense_by_cost;
  int64_t pairs_skipped; /* of those visited, taken by runs (skip_softmax) */
} saccade_cost;

/* One call of attention. All but q, k, v and o may be zero. */
typedef struct saccade_attend_call {
  size_t struct_size;
  const saccade_tensor* q;    /* [q_len, n_heads, head_dim]: f32, f16, bf16 */
  const saccade_tensor* k;    /* [kv_len, n_kv_heads, head_dim]: any type; the key in slot j has position j */
  const saccade_tensor* v;    /* [kv_len, n_kv_heads, head_dim_v]: any type */
  const saccade_tensor* o;    /* [q_len, n_heads, head_dim_v], f32: written */
  float* lse;                 /* [q_len, n_heads], written: natural log of the sum of exp(score); null: not wanted */
  int64_t q_begin;            /* position of the first query: 0 for a prompt, kv_len - q_len for the newest queries */
  int32_t layer;              /* which of the plan's layers */
  int32_t not_causal;         /* 1: a query sees keys behind it too; only with the plan dense */
  int32_t precision;          /* saccade_precision */
  float scale;                /* multiplies q.k; 0: 1 / sqrt(head_dim) */
  float softcap;              /* c > 0: score becomes c tanh(score / c) */
  const saccade_tensor* mask; /* [q_len, 1, kv_len], f32 or f16, keys contiguous: added to every score, -inf hides */
  const float* slopes;        /* [n_heads]: multiply the mask in each head (ALiBi) */
  const float* sink_scores;   /* [n_heads]: one more score that takes weight but has no value; -inf: none */
  const int32_t* kv_head;     /* [n_heads]: the KV head of each query head; null: h * n_kv_heads / n_heads */
  saccade_cost* cost;         /* written */
} saccade_attend_call;

/* "0.1.0", of the library that runs. */
SACCADE_API const char* saccade_version(void);

/* Why the last call of this thread failed; "" if it did not. Good until the thread's next call. */
SACCADE_API const char* saccade_last_error(void);

/* Starts the threads; they sleep between calls. options may be null: all zero. */
SACCADE_API saccade_status saccade_engine_create(const saccade_engine_options* options, saccade_engine** engine);

/* Ends the threads. Null is fine; no call may be running. */
SACCADE_API void saccade_engine_free(saccade_engine* engine);

/* A plan of one spec for all layers and heads, such as "window(1024)+sink(4)". */
SACCADE_API saccade_status saccade_plan_from_spec(const char* spec, saccade_plan** plan);

/* A plan in JSON: {"default": {"attn": "dense"}, "rows": [{"layers": "2-23", "attn": "window(1024)"}]} */
SACCADE_API saccade_status saccade_plan_from_json(const char* json, saccade_plan** plan);

/* A file that exists is read as JSON, anything else is a spec. */
SACCADE_API saccade_status saccade_plan_load(const char* file_or_spec, saccade_plan** plan);

/* The plan as a spec or as JSON, from which an equal one can be made; lives as long as the plan. Null for null. */
SACCADE_API const char* saccade_plan_text(const saccade_plan* plan);

/* Null is fine; no call may be using it. */
SACCADE_API void saccade_plan_free(saccade_plan* plan);

/* Exact softmax attention over the keys that the plan shows each head: o = softmax(score) v, never storing a map.
 *   score = softcap(scale q.k) + slope mask;  o = sum exp(score - lse) v;  lse = log(sum exp(score) + exp(sink score))
 * A row that sees no key has o = 0, lse = -inf. When the call fails, o and lse hold what they held or are half written.
 * plan null: dense. head_dim and head_dim_v are multiples of 8 (32 where quantised) from 32 to 576.
 * Accuracy, cost and sources: saccade/plan/planned.h. Same inputs, plan, number of threads and CPU give the same bits.
 */
SACCADE_API saccade_status saccade_attend(saccade_engine* engine, const saccade_plan* plan,
                                          const saccade_attend_call* call);

/* Joins two results over disjoint keys into the result over all of them: other's into o and lse.
 *   lse' = log(exp(lse) + exp(other_lse));  o' = exp(lse - lse') o + exp(other_lse - lse') other_o
 * o, other_o: [n_rows, dim], lse, other_lse: [n_rows], all packed f32. */
SACCADE_API saccade_status saccade_merge(int64_t n_rows, int64_t dim, float* o, float* lse, const float* other_o,
                                         const float* other_lse);

/* Every mechanism as a JSON array: word, name, parameters with defaults, what it does, source. Lives for ever. */
SACCADE_API saccade_status saccade_list(const char** json);

/* One of them, as a JSON object. Lives for ever. */
SACCADE_API saccade_status saccade_show(const char* name, const char** json);

#ifdef __cplusplus
}
#endif

#endif

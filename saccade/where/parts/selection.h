#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "saccade/base/team.h"
#include "saccade/base/view.h"
#include "saccade/where/where.h"

namespace saccade {

class KeyMemory;

/// What a selector may look at: the queries of one call and all keys there are so far, of one layer.
struct SelectCall {
  View q;  ///< [q_len, n_heads, head_dim]: f32, f16 or bf16
  View k;  ///< [kv_len, n_kv_heads, head_dim]: f32, f16, bf16, q8_0 or q4_0; the key in slot j has position j
  View v;  ///< [kv_len, n_kv_heads, head_dim_v], as k: what `within` measures with; no data: the caller has none
  std::span<const int> kv_head;  ///< [n_heads]: the KV head of each query head
  std::span<const int> heads;    ///< the query heads to choose for, ascending

  Pos q_begin = 0;       ///< position of the first query
  float scale = 1.0F;    ///< multiplies q.k
  float softcap = 0.0F;  ///< c > 0: score becomes c tanh(score / c)
  int layer = 0;         ///< for seeds
  /// Sizes below which a selector would rather not select (its card's minimum length) and fall-backs on doubt. Off in
  /// measurements of selection itself.
  bool fallbacks = true;
  KeyMemory* memory = nullptr;  ///< what this layer remembers of its keys between calls; null: nothing
  Team* team = nullptr;         ///< never null

  Pos q_end() const { return q_begin + q.len; }
  bool decodes() const { return q.len == 1; }
};

/// What one choice holds for, and so how often it has to be made.
enum class Scope : std::uint8_t {
  kQueryHead,  ///< each query head has its own
  kKvHead,     ///< the query heads that read one KV head share theirs
  kLayer,      ///< all heads share one
};

/// What a choice cost, in the units of attention, so that the two can be compared.
struct SelectCost {
  std::int64_t flop = 0;   ///< of scoring
  std::int64_t bytes = 0;  ///< of keys, or what is remembered of them, read

  SelectCost& operator+=(const SelectCost& more) {
    flop += more.flop;
    bytes += more.bytes;
    return *this;
  }
};

/// A selector's answer for one call: a pattern for each head, which must be causal (nothing beyond a query's own
/// position) and show every query at least one key.
///
/// Shapes    of_head [call.heads.size()], in that order; heads that share a choice share the pointer, and with it the
///           kernel's reads of keys
/// Source    the four encodings of a pattern that depends on data: parts/lists.h
struct Selection {
  /// How long a choice holds: `steps` more calls of one query each (keys that came since are added to it).
  static constexpr Pos kThisCall = 0;

  std::vector<WherePtr> of_head;
  Scope scope = Scope::kQueryHead;
  Pos lifetime = kThisCall;
  SelectCost cost;
  /// Heads among of_head that are dense because the card says so (too short a text, a decode step of a selector for
  /// prompts), because of `floor`, and because selecting cost more than it saved.
  std::int64_t n_dense_by_rule = 0, n_dense_by_floor = 0, n_dense_by_cost = 0;
};

/// What a selector promises, declared by each as `static constexpr SelectTraits kTraits`. Its law test checks them.
struct SelectTraits {
  bool prefill = true, decode = false;  ///< where it selects; elsewhere it runs dense
  /// The result is softmax attention over the chosen keys, nothing pooled or reweighted.
  bool exact_on_selection = true;
  bool causal = true;
  /// A key that a query scores far above all others is found.
  bool needle = true;
  /// What is chosen depends on how a prompt is cut into batches (it scores with a batch's last rows, say).
  bool depends_on_batch = false;
};

}  // namespace saccade

#pragma once

#include <cstdint>
#include <vector>

#include "ggml-backend.h"
#include "ggml.h"
#include "saccade/base/view.h"
#include "saccade/oracle/attention.h"
#include "saccade/where/parts/selection.h"

namespace saccade::testing {

/// One layer's attention over a text that comes in several batches, as llama.cpp hands it to a backend: one cache of
/// f16 keys and values, [n_slots, n_kv_heads, head_dim], and a node for each batch that sees the cache up to a multiple
/// of 256 slots through a causal mask. Everything follows from the seed.
class Prompt {
 public:
  struct Shape {
    Pos n_slots = 1024, n_heads = 4, n_kv_heads = 2, head_dim = 64;
    int layer = 3;
    float gain = 1.5F;  ///< of q
  };

  Prompt(const Shape& shape, std::uint64_t seed);
  ~Prompt();
  Prompt(const Prompt&) = delete;
  Prompt& operator=(const Prompt&) = delete;

  /// Another text in the same cache.
  void refill(std::uint64_t seed);
  /// From now on these queries score this key far above all others.
  void look_at(Range queries, Pos k_pos);
  /// Attention of the queries at these positions: [query, head, head_dim].
  std::vector<float> run(ggml_backend_t backend, Range queries) const;

  /// What a selector is shown for these queries; borrows from the prompt.
  SelectCall call(Range queries, std::span<const int> heads, Team& team) const;
  oracle::Inputs inputs(Range queries) const;
  const Shape& shape() const { return shape_; }

 private:
  Shape shape_;
  std::vector<float> q_;  ///< [n_slots, n_heads, head_dim]
  std::vector<int> kv_head_;
  ggml_context* context_ = nullptr;
  ggml_backend_buffer_t buffer_ = nullptr;
  ggml_tensor *k_ = nullptr, *v_ = nullptr;
};

}  // namespace saccade::testing
